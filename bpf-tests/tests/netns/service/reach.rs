//! Who asks a Service gets an answer that seems to be the Service's.

use std::net::{SocketAddr, TcpStream};

use anyhow::{Context, Result, ensure};
use test_kit::topology::{Layout, Routing};

use super::{
    client::{Answer, Client, ask, ask_loose, connected, mapped},
    shop::{LISTENS, Shop, open, who},
};

fn seems_to_be(answer: Result<std::io::Result<Answer>>, service: SocketAddr) -> Result<()> {
    let answer = answer??;
    ensure!(["a", "b", "c"].contains(&answer.name.as_str()), "{answer:?}");
    ensure!(answer.from == service, "{answer:?} is not from {service}");
    Ok(())
}

fn reaches(client: Client<'_>, to: SocketAddr) -> Result<()> {
    seems_to_be(client.tcp(to), to).context("TCP")?;
    seems_to_be(client.udp(to), to).context("UDP, connected")?;
    seems_to_be(client.loose(to), to).context("UDP, not connected")
}

fn everybody(shop: &Shop<'_>) -> Result<()> {
    let [v4, v6] = shop.addresses();
    for (who, client) in shop.clients() {
        for to in [v4, v6, mapped(v4)] {
            reaches(client, to).with_context(|| format!("{who} to {to}"))?;
        }
    }
    Ok(())
}

#[test]
fn pods_and_nodes_reach_a_service_by_every_kind_of_socket() {
    open(&Layout::default(), everybody);
}

#[test]
fn so_they_do_by_native_routing() {
    open(&Layout { routing: Routing::Native, ..Layout::default() }, everybody);
}

#[test]
fn connections_are_spread_over_all_backends() {
    open(&Layout::default(), |shop| {
        for to in shop.addresses() {
            let found = who(shop.client(), to, 60)?;
            ensure!(found.len() == 3, "only {found:?} answered");
        }
        Ok(())
    });
}

#[test]
fn one_socket_that_is_not_connected_may_ask_several_services_and_keeps_its_backend() {
    open(&Layout::default(), |shop| {
        shop.serve_as("dns", &["10.96.0.53"], "", &shop.endpoints(&[("a", ""), ("c", "")]))?;
        shop.leads_to("dns", &["a", "c"])?;
        let (web, dns) = (shop.addresses()[0], SocketAddr::new("10.96.0.53".parse()?, 80));
        let client = shop.client();
        let socket = client.open(|| super::client::loose(web))??;
        let mut names = [String::new(), String::new()];
        for round in 0..20 {
            for (number, to) in [web, dns].into_iter().enumerate() {
                let answer = super::client::ask_loose(&socket, to)?;
                ensure!(answer.from == to || names[0] == names[1], "{answer:?} is not from {to}");
                ensure!(
                    round == 0 || answer.name == names[number],
                    "{to} moved from {} to {}",
                    names[number],
                    answer.name
                );
                names[number] = answer.name;
            }
        }
        drop(socket);
        let left = shop.node(0).ferrule("map dump fr_svc_socks")?;
        ensure!(left.as_array().is_some_and(Vec::is_empty), "a closed socket left {left}");
        Ok(())
    });
}

#[test]
fn a_udp_socket_that_is_connected_elsewhere_is_the_services_no_more() {
    open(&Layout::default(), |shop| {
        shop.serve("", &shop.endpoints(&[("a", "")]))?;
        shop.leads_to("web", &["a"])?;
        let [v4, v6] = shop.addresses();
        for to in [v4, v6, mapped(v4)] {
            // The very backend that the Service led it to; another, after it asked the Service past its connection, too.
            for (name, asks_past) in [("a", false), ("c", true)] {
                let mut ips = shop.endpoints(&[(name, "")]).into_iter().map(|(ip, _)| ip);
                let ip = ips.find(|ip| ip.is_ipv4() == to.ip().to_canonical().is_ipv4()).context("dual stack")?;
                let direct = SocketAddr::new(ip, LISTENS);
                let direct = if to.is_ipv4() { direct } else { mapped(direct) };
                let socket = shop.client().open(|| connected(to))??;
                ensure!(ask(&socket)?.from == to, "not from {to}");
                ensure!(!asks_past || ask_loose(&socket, to)?.from == to, "not from {to}");
                socket.connect(direct)?;
                ensure!(socket.peer_addr()? == direct, "{:?} is not {direct}", socket.peer_addr());
                let answer = ask(&socket)?;
                ensure!(answer.name == name && answer.from == direct, "{answer:?} is not {name} at {direct}");
            }
        }
        let left = shop.node(0).ferrule("map dump fr_svc_socks")?;
        ensure!(left.as_array().is_some_and(Vec::is_empty), "closed sockets left {left}");
        Ok(())
    });
}

#[test]
fn sockets_of_tcp_take_no_room_from_those_of_udp() {
    open(&Layout::default(), |shop| {
        let node = shop.node(0);
        let count = |map: &str| -> Result<usize> {
            Ok(node.ferrule(&format!("map dump {map}"))?.as_array().context("no rows")?.len())
        };
        let entries = || -> Result<[usize; 2]> { Ok([count("fr_svc_tcp")?, count("fr_svc_socks")?]) };
        for to in shop.addresses() {
            let (stream, udp) =
                shop.client().open(|| Ok::<_, std::io::Error>((TcpStream::connect(to)?, connected(to)?)))??;
            ensure!(stream.peer_addr()? == to && udp.peer_addr()? == to, "a peer is not {to}");
            let found = entries()?;
            ensure!(found == [1, 1], "{found:?} entries");
            drop((stream, udp));
            let left = entries()?;
            ensure!(left == [0, 0], "closed sockets left {left:?} entries");
        }
        Ok(())
    });
}
