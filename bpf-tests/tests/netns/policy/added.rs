//! A pod's first packet is policed: nothing leaves or reaches it before, during or after its ADD that it may not send or get.

use std::{net::IpAddr, thread, time::Duration};

use anyhow::{Context, Result, ensure};
use test_kit::{
    topology::{Layout, Netns, Pod, patience},
    traffic::Ping,
};

use super::{
    door::{Door, Knocking},
    objects::parts,
    town::{Town, within},
};

/// An address that the next pods of a node may get.
fn following(address: IpAddr, by: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => (u32::from(v4) + u32::from(by)).to_be_bytes().into(),
        IpAddr::V6(v6) => (u128::from(v6) + u128::from(by)).to_be_bytes().into(),
    }
}

/// Connects a pod in whose namespace somebody knocks at `at` all the while, without hope.
fn connected_knocking(town: &Town<'_>, name: &str, at: &[IpAddr]) -> Result<(Pod, Knocking, Door)> {
    let (namespace, pod) = parts(name);
    let netns = town.node(1).pod_netns(&format!("{namespace}-{pod}"))?;
    let (door, knocking) = (Door::open(&netns)?, Knocking::start(&netns, at, false));
    thread::sleep(Duration::from_millis(50));
    let pod = town.node(1).add_object(namespace, pod, netns)?;
    Ok((pod, knocking, door))
}

#[test]
fn a_pod_that_may_nothing_never_sends_and_never_gets_a_packet() {
    within(&Layout::default(), |town| {
        let (near, far) = (town.pod("x/near", 1, "app: peer")?, town.pod("x/far", 2, "app: peer")?);
        let doors = [Door::open(&near.netns)?, Door::open(&far.netns)?];
        town.policies(&[("x/locked", "podSelector: {matchLabels: {app: locked}}, policyTypes: [Ingress, Egress]")])?;
        for round in 0..5 {
            town.announce(&format!("x/locked{round}"), 1, "app: locked")?;
        }
        town.settle()?;
        let peers: Vec<IpAddr> = near.addresses.iter().chain(&far.addresses).copied().collect();
        let next: Vec<IpAddr> =
            (1..=5).flat_map(|by| near.addresses.iter().map(move |address| following(*address, by))).collect();
        let outside = [&near, &far].map(|pod| Knocking::start(&pod.netns, &next, false));
        let mut pods = Vec::new();
        for round in 0..5 {
            pods.push(connected_knocking(town, &format!("x/locked{round}"), &peers)?);
        }
        // Of the address that somebody guessed.
        ensure!(pods.iter().any(|(pod, ..)| next.contains(&pod.addresses[0])), "{next:?} holds none of the pods");
        thread::sleep(patience(Duration::from_millis(300)));
        for knocking in outside {
            eprintln!("from outside: {:?}", knocking.was_never_let_in()?);
        }
        for (pod, knocking, door) in pods {
            eprintln!("{}: {:?}", pod.name, knocking.was_never_let_in()?);
            for peer in &peers {
                ensure!(door.guests(*peer) == 0, "{} got packets of {peer}", pod.name);
            }
            let sent: u64 = doors.iter().map(|door| door.guests_of(&pod)).sum();
            ensure!(sent == 0, "{sent} packets of {} arrived", pod.name);
        }
        Ok(())
    });
}

#[test]
fn the_first_packet_that_may_pass_does_and_so_does_its_answer() {
    within(&Layout::default(), |town| {
        let (near, far) = (town.pod("x/near", 1, "app: peer")?, town.pod("x/far", 2, "app: peer")?);
        let _doors = [Door::open(&near.netns)?, Door::open(&far.netns)?];
        town.policies(&[(
            "x/asks",
            "podSelector: {matchLabels: {app: asks}}, policyTypes: [Ingress, Egress], egress: [{to: [{podSelector: {matchLabels: {app: peer}}}]}]",
        )])?;
        for round in 0..4 {
            town.announce(&format!("x/asks{round}"), 1, "app: asks")?;
        }
        town.settle()?;
        // What neighbour discovery on the underlay costs the first packet is nobody's doing.
        far.addresses.iter().try_for_each(|to| Ping::to(*to).once(&near.netns).map(drop))?;
        for round in 0..4 {
            let name = format!("x/asks{round}");
            let (namespace, pod) = parts(&name);
            let pod = town.node(1).add_object(namespace, pod, town.node(1).pod_netns(&name.replace('/', "-"))?)?;
            for peer in [&near, &far] {
                let knocking = Knocking::start(&pod.netns, &peer.addresses, true);
                thread::sleep(Duration::from_millis(20));
                knocking.was_always_let_in().with_context(|| format!("{name} to {}", peer.name))?;
            }
        }
        Ok(())
    });
}

#[test]
fn its_node_reaches_it_as_soon_as_it_is_connected() {
    within(&Layout { nodes: 1, ..Layout::default() }, |town| {
        town.policies(&[("x/locked", "podSelector: {}, policyTypes: [Ingress, Egress]")])?;
        (0..4).try_for_each(|round| town.announce(&format!("x/locked{round}"), 1, "app: locked"))?;
        town.settle()?;
        let node = Netns::known(town.node(1).netns.name());
        for round in 0..4 {
            let name = format!("x/locked{round}");
            let (namespace, pod) = parts(&name);
            let netns = town.node(1).pod_netns(&name.replace('/', "-"))?;
            let _door = Door::open(&netns)?;
            let pod = town.node(1).add_object(namespace, pod, netns)?;
            let knocking = Knocking::start(&node, &pod.addresses, true);
            thread::sleep(Duration::from_millis(50));
            knocking.was_always_let_in().context(name)?;
        }
        Ok(())
    });
}
