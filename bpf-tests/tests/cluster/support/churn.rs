//! Pods that come and go on all nodes while something happens.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use anyhow::bail;
use bpf_tests::cluster::images::AGNHOST;
use serde_json::json;

use super::{Space, nodes};

/// Does `work` while pods of a namespace come and go, one after the other on each node in turn; how many came to run.
#[track_caller]
pub fn meanwhile(space: &Space, work: impl FnOnce()) -> u32 {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let pods = scope.spawn(|| come_and_go(space, &stop));
        // A failure of `work` has to end the pods, too.
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        stop.store(true, Ordering::Relaxed);
        let ran = pods.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        ran
    })
}

fn come_and_go(space: &Space, stop: &AtomicBool) -> u32 {
    let nodes = nodes();
    let mut ran = 0;
    while !stop.load(Ordering::Relaxed) {
        let (name, node) = (format!("churn-{ran}"), &nodes[ran as usize % 2]);
        space.apply(json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name},
            "spec": {
                "nodeName": node.name(), "terminationGracePeriodSeconds": 0,
                "containers": [{"name": "main", "image": AGNHOST, "args": ["pause"]}],
            },
        }));
        space.until(&format!("{name} runs on {}", node.name()), || {
            let status = space.get("pod", &name)?["status"].clone();
            if status["phase"] == "Running" { Ok(()) } else { bail!("{status}") }
        });
        space.kubectl(&format!("delete pod {name} --wait=false")).expect("a removal");
        ran += 1;
    }
    ran
}
