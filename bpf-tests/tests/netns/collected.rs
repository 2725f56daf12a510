//! GC by the agent's API.

use std::{io::Write, os::unix::net::UnixStream, thread, time::Duration};

use anyhow::{Result, ensure};
use test_kit::topology::{Layout, Pod, until};

use crate::support::within;

#[test]
fn what_nobody_lists_goes_though_the_caller_left() {
    within(&Layout { nodes: 1, ..Layout::default() }, |cluster| {
        let node = &cluster.nodes[0];
        let pods: Vec<Pod> = (0..12).map(|number| node.add(&format!("p{number}"))).collect::<Result<_>>()?;
        let left = || node.ferrule("endpoint list").ok().and_then(|list| Some(list.as_array()?.len()));
        ensure!(left() == Some(pods.len()));
        let body = r#"{"network": "ferrule", "valid": []}"#;
        let request = format!(
            "POST {} HTTP/1.1\r\nHost: agent\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            ferrule_api::plugin::GC,
            body.len()
        );
        let mut caller = UnixStream::connect(node.socket())?;
        caller.write_all(request.as_bytes())?;
        thread::sleep(Duration::from_millis(30));
        drop(caller);
        until("all of them to go", left, |left| *left == Some(0)).map(drop)
    });
}
