//! Pods that come and go on all nodes while something happens.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    thread,
};

use anyhow::bail;
use serde_json::json;
use test_kit::cluster::images::AGNHOST;

use super::{Space, nodes};

/// Does `work` while pods of a namespace come and go, one after the other on each node in turn; how many came to run,
/// which `work` sees, too.
#[track_caller]
pub fn meanwhile(space: &Space, work: impl FnOnce(&AtomicU32)) -> u32 {
    let (stop, ran) = (AtomicBool::new(false), AtomicU32::new(0));
    thread::scope(|scope| {
        let pods = scope.spawn(|| come_and_go(space, &stop, &ran));
        // A failure of `work` has to end the pods, too.
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&ran)));
        stop.store(true, Ordering::Relaxed);
        pods.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        ran.load(Ordering::Relaxed)
    })
}

fn come_and_go(space: &Space, stop: &AtomicBool, ran: &AtomicU32) {
    let nodes = nodes();
    for (number, node) in nodes.iter().take(2).cycle().enumerate() {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let name = format!("churn-{number}");
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
        ran.fetch_add(1, Ordering::Relaxed);
    }
}
