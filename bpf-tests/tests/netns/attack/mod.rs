//! What docs/security.md says that attackers cannot do, tried: from pods, from hosts beside and behind a node.

mod any;
mod errors;
mod floods;
mod forged;
mod nat;

use std::{
    io::Write,
    net::IpAddr,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use etherparse::PacketBuilder;
use test_kit::{
    topology::{Cluster, Netns, Node, Pod},
    traffic::receive,
};

/// What every forged packet carries.
pub(super) const PAYLOAD: &[u8] = b"forged by somebody";

/// UDP from one address to another, which both are of one family.
pub(super) fn udp(macs: ([u8; 6], [u8; 6]), from: IpAddr, to: IpAddr, port: u16, payload: &[u8]) -> Result<Vec<u8>> {
    let ethernet = PacketBuilder::ethernet2(macs.0, macs.1);
    let mut frame = Vec::new();
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            ethernet.ipv4(from.octets(), to.octets(), 64).udp(4321, port).write(&mut frame, payload)?;
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            ethernet.ipv6(from.octets(), to.octets(), 64).udp(4321, port).write(&mut frame, payload)?;
        }
        _ => anyhow::bail!("{from} and {to} are of different families"),
    }
    Ok(frame)
}

/// Whether a pod gets something that holds [`PAYLOAD`] while `work` is done.
pub(super) fn gets(pod: &Pod, work: impl FnOnce() -> Result<()>) -> Result<bool> {
    let frames = receive(&pod.netns, "eth0", work)?;
    Ok(frames.iter().any(|frame| frame.windows(PAYLOAD.len()).any(|part| part == PAYLOAD)))
}

/// A host behind a device of a node's that leads to no other node.
pub(super) struct Guest {
    pub(super) netns: Netns,
    pub(super) addresses: [IpAddr; 2],
    /// Its own MAC, and that of the node's side.
    pub(super) macs: ([u8; 6], [u8; 6]),
}

impl Guest {
    /// Makes one.
    pub(super) fn behind(node: &Node) -> Result<Self> {
        let netns = node.pod_netns("guest")?;
        node.netns.ip(&format!("link add guests type veth peer name eth0 netns {}", netns.name()))?;
        node.netns.ip("addr add 192.0.2.1/24 dev guests")?;
        node.netns.ip("addr add 2001:db8:9::1/64 dev guests nodad")?;
        node.netns.ip("link set guests up")?;
        netns.ip("addr add 192.0.2.9/24 dev eth0")?;
        netns.ip("addr add 2001:db8:9::9/64 dev eth0 nodad")?;
        netns.ip("link set eth0 up")?;
        netns.ip("route add default via 192.0.2.1")?;
        netns.ip("route add default via 2001:db8:9::1")?;
        let macs = (netns.mac("eth0")?, node.netns.mac("guests")?);
        Ok(Self { netns, addresses: ["192.0.2.9".parse()?, "2001:db8:9::9".parse()?], macs })
    }
}

/// Gives a node's network namespace these rules.
pub(super) fn nft(node: &Node, rules: &str) -> Result<()> {
    let mut command: Command = node.netns.command("nft");
    let mut nft = command.args(["-f", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    nft.stdin.take().context("no input")?.write_all(rules.as_bytes())?;
    let output = nft.wait_with_output()?;
    ensure!(output.status.success(), "{rules}{}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// A node's own address of a family.
pub(super) fn own(node: &Node, v4: bool) -> Result<IpAddr> {
    node.addresses.iter().copied().find(|address| address.is_ipv4() == v4).context("no address of this family")
}

/// An address of a node's pod CIDR that no pod has.
pub(super) fn unused(node: &Node, v4: bool) -> Result<IpAddr> {
    let cidr = node.pod_cidrs.iter().find(|cidr| cidr.contains('.') == v4).context("no CIDR of this family")?;
    let (network, _) = cidr.split_once('/').context("a prefix")?;
    Ok(match network.parse()? {
        IpAddr::V4(network) => IpAddr::V4((u32::from(network) + 200).into()),
        IpAddr::V6(network) => IpAddr::V6((u128::from(network) + 200).into()),
    })
}

/// The MACs for a frame from the underlay's own device to a node's.
pub(super) fn from_underlay(cluster: &Cluster, node: &Node) -> Result<([u8; 6], [u8; 6])> {
    Ok((cluster.underlay.netns.mac("br0")?, node.netns.mac("eth0")?))
}
