//! Which Service an answer seems to be from, where one socket asks several.

use std::net::{SocketAddr, UdpSocket};

use anyhow::{Context, Result, ensure};
use test_kit::topology::Layout;

use super::{
    client::{ask_loose, loose, mapped},
    shop::{LISTENS, Shop, open},
};

/// That each of these answers in its turn, again and again, by its own name.
fn answer(socket: &UdpSocket, asked: &[SocketAddr], rounds: usize) -> Result<()> {
    for round in 0..rounds {
        for to in asked {
            let answer = ask_loose(socket, *to).with_context(|| format!("{to} in round {round}"))?;
            ensure!(answer.from == *to, "{to} in round {round}: {answer:?}");
        }
    }
    Ok(())
}

fn nothing_is_left(shop: &Shop<'_>) -> Result<()> {
    let left = shop.node(0).ferrule("map dump fr_svc_socks")?;
    ensure!(left.as_array().is_some_and(Vec::is_empty), "closed sockets left {left}");
    Ok(())
}

/// A Service `dns` beside the shop's, with these servers behind each.
fn beside(shop: &Shop<'_>, servers: &[&str]) -> Result<[SocketAddr; 2]> {
    let endpoints: Vec<_> = servers.iter().map(|name| (*name, "")).collect();
    shop.serve("", &shop.endpoints(&endpoints))?;
    shop.serve_as("dns", &["10.96.0.53"], "", &shop.endpoints(&endpoints))?;
    shop.leads_to("web", servers)?;
    shop.leads_to("dns", servers)?;
    Ok([shop.addresses()[0], SocketAddr::new("10.96.0.53".parse()?, 80)])
}

#[test]
fn two_services_with_the_same_backends_answer_one_socket_by_their_own_names() {
    open(&Layout::default(), |shop| {
        let asked = beside(shop, &["a", "c"])?;
        for _ in 0..20 {
            for asked in [asked, asked.map(mapped)] {
                answer(&shop.client().open(|| loose(asked[0]))??, &asked, 5)?;
            }
        }
        nothing_is_left(shop)
    });
}

#[test]
fn two_services_that_are_asked_at_once_answer_by_their_own_names_where_each_can_have_a_backend_of_its_own() {
    open(&Layout::default(), |shop| {
        let [web, dns] = beside(shop, &["a", "c"])?;
        for _ in 0..50 {
            let socket = shop.client().open(|| loose(web))??;
            // The second is asked before the first has answered, as some resolvers do.
            socket.send_to(b"who", web)?;
            socket.send_to(b"who", dns)?;
            let mut found = [(); 2].map(|()| socket.recv_from(&mut [0; 64]).map(|(_, from)| from));
            found.sort_by_key(|from| from.as_ref().ok().copied());
            let mut expected = [web, dns];
            expected.sort();
            ensure!(found.iter().map(|from| from.as_ref().ok()).eq(expected.iter().map(Some)), "{found:?}");
        }
        nothing_is_left(shop)
    });
}

#[test]
fn the_only_backend_of_two_services_answers_by_the_name_that_was_asked_last() {
    open(&Layout::default(), |shop| {
        let asked = beside(shop, &["a"])?;
        answer(&shop.client().open(|| loose(asked[0]))??, &asked, 20)?;
        nothing_is_left(shop)
    });
}

#[test]
fn a_backend_that_is_asked_itself_answers_as_itself_and_the_service_as_the_service() {
    open(&Layout::default(), |shop| {
        let [web, dns] = beside(shop, &["a"])?;
        let mut ips = shop.endpoints(&[("a", "")]).into_iter().map(|(ip, _)| ip);
        let direct = SocketAddr::new(ips.find(std::net::IpAddr::is_ipv4).context("dual stack")?, LISTENS);
        answer(&shop.client().open(|| loose(web))??, &[web, direct, dns, direct, direct, web], 5)?;
        nothing_is_left(shop)
    });
}

/// As many Services with the same two servers, and their addresses.
pub fn many(shop: &Shop<'_>, count: usize) -> Result<Vec<SocketAddr>> {
    let endpoints = shop.endpoints(&[("a", ""), ("b", "")]);
    let ips: Vec<String> = (0..count).map(|number| format!("10.96.7.{}", number + 1)).collect();
    for (number, ip) in ips.iter().enumerate() {
        shop.serve_as(&format!("many{number}"), &[ip], "", &endpoints)?;
    }
    (0..count).try_for_each(|number| shop.node_leads_to(shop.node(0), &format!("many{number}"), &["a", "b"]))?;
    ips.iter().map(|ip| Ok(SocketAddr::new(ip.parse()?, 80))).collect()
}

#[test]
fn a_socket_that_asks_many_services_loses_none() {
    open(&Layout::default(), |shop| {
        let asked = many(shop, 40)?;
        let client = shop.client();
        // As many as have a place: what each asked stays, and so does its backend.
        for _ in 0..5 {
            let socket = client.open(|| loose(asked[0]))??;
            let mut names = Vec::new();
            for round in 0..3 {
                for (number, to) in asked.iter().take(32).enumerate() {
                    let answer = ask_loose(&socket, *to)?;
                    ensure!(answer.from == *to, "{to} in round {round}: {answer:?}");
                    if round == 0 {
                        names.push(answer.name);
                    } else {
                        ensure!(names[number] == answer.name, "{to} moved from {} to {}", names[number], answer.name);
                    }
                }
            }
        }
        // More than that.
        answer(&client.open(|| loose(asked[0]))??, &asked, 3)?;
        nothing_is_left(shop)
    });
}
