//! What a pod's sockets may hold, so that others' have room.

use std::{
    io,
    net::{SocketAddr, TcpStream, UdpSocket},
    os::fd::{FromRawFd, OwnedFd},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use ferrule_common::owner::{self, Owner};
use test_kit::topology::{Layout, Netns, Node, until, until_within};

use super::{
    answers::many,
    client::{Client, ask, ask_loose, connected, loose},
    shop::open,
};

/// Two looks of the agent's, and more.
const LOOKS: Duration = Duration::from_secs(60);

/// How much each owner has, and was refused; how much all have.
fn owners(node: &Node) -> Result<Vec<(String, Owner)>> {
    let rows = node.ferrule("map dump fr_svc_owners")?;
    rows.as_array().context("no rows")?.iter().map(|row| Ok((text(row, "owner")?, counts(row)?))).collect()
}

fn totals(node: &Node) -> Result<Owner> {
    counts(&node.ferrule("map dump fr_svc_totals")?[0])
}

fn text(row: &serde_json::Value, column: &str) -> Result<String> {
    Ok(row[column].as_str().with_context(|| format!("no {column} in {row}"))?.to_owned())
}

fn counts(row: &serde_json::Value) -> Result<Owner> {
    let held = text(row, "held")?;
    let of = |map: &str| -> Result<u64> {
        let found = held.split(", ").find_map(|part| part.strip_prefix(map)?.trim().parse().ok());
        found.with_context(|| format!("no {map} in {held}"))
    };
    let refused = row["refused"].as_str().map_or(Ok(0), str::parse)?;
    Ok(Owner { sockets: of("fr_svc_socks")?, streams: of("fr_svc_tcp")?, clients: of("fr_affinity")?, refused })
}

/// Waits until nothing is held, and says that all were counted off.
fn nothing_is_held(node: &Node) -> Result<()> {
    let all = || (totals(node).unwrap_or_default(), owners(node).unwrap_or_default());
    let none = |(all, owners): &(Owner, Vec<(String, Owner)>)| {
        let idle = |one: &Owner| Owner { refused: 0, clients: 0, ..*one } == Owner::default();
        idle(all) && owners.iter().all(|(_, one)| idle(one))
    };
    until_within(LOOKS, "nothing to be held", all, none).map(drop)
}

/// Sockets of UDP that ask every Service, until one is refused a place.
fn fill(client: Client<'_>, asked: &[SocketAddr], sockets: usize) -> Result<Vec<UdpSocket>> {
    client
        .open(|| {
            let opened = (0..sockets).map(|_| {
                let socket = loose(asked[0])?;
                asked.iter().try_for_each(|to| socket.send_to(b"who", to).map(drop))?;
                Ok(socket)
            });
            opened.collect::<io::Result<Vec<_>>>()
        })?
        .map_err(Into::into)
}

#[test]
fn one_pods_many_sockets_cost_nobody_else_a_place() {
    open(&Layout::default(), |shop| {
        let (node, to) = (shop.node(0), shop.addresses()[0]);
        let asked = many(shop, 32)?;
        // 35 entries each: itself, 32 places, two answers.
        let greedy = fill(shop.client(), &asked, 500)?;
        let found = owners(node)?;
        let most = found.iter().map(|(_, one)| one.sockets).max();
        ensure!(most.is_some_and(|most| most > 16_300 && most <= u64::from(owner::SOCKETS.share)), "{found:?}");
        ensure!(found.iter().any(|(_, one)| one.refused > 0), "{found:?}");
        // The greedy one works, and is told its backend; what was too little for a socket with places is enough for two or so
        // that have none.
        let late = shop.client().open(|| (0..4).map(|_| connected(to)).collect::<io::Result<Vec<_>>>())??;
        let last = late.last().context("four")?;
        ensure!(last.peer_addr()? != to && ask(last)?.name.len() == 1, "{:?}", last.peer_addr());
        // All others see the Service.
        for (who, client) in [("a server", &shop.pods[0].netns), ("the node", &node.netns)] {
            let client = Client::new(node, client);
            let (held, free) = client.open(|| Ok::<_, io::Error>((connected(to)?, loose(to)?)))??;
            ensure!(ask(&held)?.from == to && ask_loose(&free, to)?.from == to, "{who}");
        }
        drop((greedy, late));
        nothing_is_held(node)
    });
}

#[test]
fn where_many_pods_have_filled_what_is_common_others_still_get_some() {
    open(&Layout::default(), |shop| {
        let (node, to) = (shop.node(0), shop.addresses()[0]);
        // As if others had it: a map that is written, and counted anew after two looks.
        let common =
            Owner { sockets: owner::SOCKETS.common.into(), streams: owner::STREAMS.common.into(), ..Owner::default() };
        write_totals(node, &common)?;
        let certain = usize::try_from(owner::STREAMS.each)?;
        let streams = shop
            .client()
            .open(|| (0..certain + 8).map(|_| TcpStream::connect(to)).collect::<io::Result<Vec<_>>>())??;
        let seen = streams.iter().filter(|stream| stream.peer_addr().is_ok_and(|peer| peer == to)).count();
        ensure!(seen == certain, "{seen} of {} saw the Service", streams.len());
        let udp = shop.client().open(|| connected(to))??;
        ensure!(udp.peer_addr()? == to, "{:?}", udp.peer_addr());
        drop((streams, udp));
        until_within(
            LOOKS,
            "the count to be mended",
            || totals(node).ok(),
            |all| all.is_some_and(|all| Owner { clients: 0, ..all } == Owner::default()),
        )?;
        nothing_is_held(node)
    });
}

fn write_totals(node: &Node, counts: &Owner) -> Result<()> {
    let map = node.maps()?.join("fr_svc_totals");
    let data = aya::maps::MapData::from_pin(&map)?;
    let mut map: aya::maps::Array<_, Owner> = aya::maps::Map::Array(data).try_into()?;
    Ok(map.set(0, *counts, 0)?)
}

#[test]
fn namespaces_that_are_no_pods_share_one_share() {
    open(&Layout::default(), |shop| {
        let (node, to) = (shop.node(0), shop.addresses()[0]);
        let mut sockets = Vec::new();
        let mut made = Vec::new();
        for number in 0..3 {
            let netns = Netns::new(&format!("{}s{number}", shop.clients[0].netns.name()))?;
            netns.ip("link set lo up")?;
            netns.ip("route add default dev lo")?;
            sockets.push(Client::new(node, &netns).open(|| connected(to))??);
            made.push(netns);
        }
        let found = owners(node)?;
        let strangers: Vec<_> = found.iter().filter(|(name, _)| name == "strangers").collect();
        ensure!(strangers.len() == 1 && strangers[0].1.sockets == 3, "{found:?}");
        // The pod's are its own.
        let own = shop.client().open(|| connected(to))??;
        let found = owners(node)?;
        ensure!(found.iter().any(|(name, one)| name != "strangers" && one.sockets == 1), "{found:?}");
        drop((own, sockets));
        nothing_is_held(node)
    });
}

#[test]
fn a_pod_that_goes_is_no_owner_any_more() {
    open(&Layout::default(), |shop| {
        let node = shop.node(0);
        let count = || owners(node).map(|found| found.iter().filter(|(name, _)| name != "strangers").count());
        // Three pods and the node.
        until("the pods to be known", || count().unwrap_or_default(), |count| *count == 4)?;
        let pod = node.add("late")?;
        // Known before anything runs in it.
        ensure!(count()? == 5, "{:?}", owners(node));
        node.del(&pod)?;
        until("the pod to be forgotten", || count().unwrap_or_default(), |count| *count == 4)?;
        // The next agent knows the same.
        node.kill()?;
        node.start()?;
        until("the pods to be known", || count().unwrap_or_default(), |count| *count == 4).map(drop)
    });
}

#[test]
fn a_client_that_is_away_for_too_long_is_forgotten() {
    open(&Layout::default(), |shop| {
        let node = shop.node(0);
        let spec = ", sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 1}}";
        shop.serve(spec, &shop.all())?;
        shop.keeps_clients_for("1")?;
        super::shop::who(shop.client(), shop.addresses()[0], 3)?;
        let clients = || node.ferrule("map dump fr_affinity").unwrap_or_default().as_array().map(Vec::len);
        ensure!(clients() == Some(1) && totals(node)?.clients == 1, "{:?} {:?}", clients(), totals(node));
        until_within(LOOKS, "the client to be forgotten", clients, |count| *count == Some(0))?;
        until_within(LOOKS, "it to be counted off", || totals(node).ok(), |all| all.is_some_and(|all| all.clients == 0))
            .map(drop)
    });
}

#[test]
fn a_socket_of_mptcp_sees_its_service_and_leaves_nothing() {
    open(&Layout::default(), |shop| {
        let node = shop.node(0);
        if !ferrule_kernel::bpf::tells_mptcp()? {
            // Before Linux 5.19 it sees its backend, and what it leaves is swept.
            return Ok(());
        }
        for to in shop.addresses() {
            let streams = shop.client().open(|| (0..20).map(|_| mptcp(to)).collect::<io::Result<Vec<_>>>())??;
            for stream in &streams {
                ensure!(stream.peer_addr()? == to, "the peer is {}", stream.peer_addr()?);
            }
            ensure!(totals(node)?.streams == 20, "{:?}", totals(node));
            drop(streams);
            let left = node.ferrule("map dump fr_svc_tcp")?;
            ensure!(left.as_array().is_some_and(Vec::is_empty), "closed sockets left {left}");
            nothing_is_held(node)?;
        }
        Ok(())
    });
}

fn mptcp(to: SocketAddr) -> io::Result<TcpStream> {
    use std::os::fd::AsRawFd;
    let family = if to.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    // SAFETY: takes numbers.
    let socket = unsafe { libc::socket(family, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, libc::IPPROTO_MPTCP) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel gave a descriptor that nothing else owns.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    let address: nix::sys::socket::SockaddrStorage = to.into();
    nix::sys::socket::connect(socket.as_raw_fd(), &address)?;
    Ok(socket.into())
}
