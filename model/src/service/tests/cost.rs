//! What a change costs beside many Services.

use std::{sync::Arc, time::Instant};

use super::text::objects;
use crate::service::{Engine, Found, Limits};

#[test]
#[ignore = "measures; run with --release --ignored --nocapture"]
fn one_slice_of_five_thousand_services_changes() {
    let limits = Limits {
        frontends: 65_536,
        backends: 262_144,
        members: 262_144,
        of_one: 65_535,
        sets: 1 << 24,
        parts: 1,
        kept: 0,
    };
    let text: String = (0..5000_u32)
        .map(|n| {
            let ip = std::net::Ipv4Addr::from(0x0a60_0000 + n);
            let pods: String =
                (0..6).map(|m| format!(" {}", std::net::Ipv4Addr::from(0x0a00_0000 + 6 * n + m))).collect();
            format!("service s{n} {ip} 80:a/tcp 53:b/udp\nslice e{n} s{n} 8080:a/tcp,53:b/udp{pods}\n")
        })
        .collect();
    let first = objects(&text);
    let (mut engine, _) = Engine::new(limits, "a", &Found::default());
    let start = Instant::now();
    let steps = engine.begin(&first).steps.len();
    eprintln!("begin: {:?}, {steps} steps", start.elapsed());
    let mut current = first;
    let start = Instant::now();
    let mut steps = 0;
    for n in 0..1000_u32 {
        let mut next = (*current).clone();
        let name = crate::objects::ObjectName::new("n", format!("e{n}"));
        let mut slice = (*next.endpoint_slices[&name]).clone();
        slice.endpoints.pop();
        next.endpoint_slices.insert(name, Arc::new(slice));
        current = Arc::new(next);
        let applied = engine.apply(&current);
        steps += applied.steps.len();
        applied.superseded.iter().for_each(|set| engine.release(set));
    }
    eprintln!("a change of one slice: {:?}, {} steps", start.elapsed() / 1000, steps / 1000);
}
