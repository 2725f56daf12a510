//! UDP sockets whose backend left: while no agent ran, while one was killed, and in network namespaces that are no pod's.

use std::{
    net::{SocketAddr, UdpSocket},
    path::PathBuf,
    process::{Child, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use test_kit::topology::{Layout, Netns, until};

use super::{
    client::{Client, ask, connected},
    shop::{Shop, open},
};

const ENDS: &str = ", conditions: {ready: false, serving: true, terminating: true}";

/// Sends until the socket is connected to nobody: whoever never receives sees no other error.
fn is_ended(socket: &UdpSocket, what: &str) -> Result<()> {
    let sent = || socket.send(b"who").err().and_then(|error| error.raw_os_error());
    let gone = until(&format!("{what} to be ended"), sent, Option::is_some)?;
    ensure!(gone == Some(libc::EDESTADDRREQ), "{what}: {gone:?}");
    Ok(())
}

fn held(shop: &Shop<'_>, to: SocketAddr) -> Result<UdpSocket> {
    shop.serve("", &shop.endpoints(&[("a", "")]))?;
    shop.leads_to("web", &["a"])?;
    let socket = shop.client().open(|| connected(to))??;
    ensure!(ask(&socket)?.name == "a");
    Ok(socket)
}

#[test]
fn a_udp_socket_leaves_a_backend_that_went_while_no_agent_ran() {
    open(&Layout::default(), |shop| {
        let (node, to) = (shop.node(0), shop.addresses()[0]);
        let socket = held(shop, to)?;
        // It ends, and is out of the map; its socket stays with it.
        shop.serve("", &shop.endpoints(&[("a", ENDS), ("c", "")]))?;
        shop.leads_to("web", &["c"])?;
        thread::sleep(Duration::from_millis(500));
        ensure!(ask(&socket)?.name == "a", "who serves keeps his sockets");
        node.kill()?;
        shop.serve("", &shop.endpoints(&[("c", "")]))?;
        node.start()?;
        is_ended(&socket, "the socket")?;
        // One whose backend serves is left alone.
        let other = shop.client().open(|| connected(to))??;
        node.kill()?;
        node.start()?;
        shop.leads_to("web", &["c"])?;
        thread::sleep(Duration::from_secs(2));
        ensure!(ask(&other)?.name == "c");
        Ok(())
    });
}

#[test]
fn a_udp_socket_leaves_a_backend_whenever_the_agent_is_killed_over_it() {
    open(&Layout::default(), |shop| {
        let (node, to) = (shop.node(0), shop.addresses()[1]);
        // A change is read a tenth of a second after it was written.
        for milliseconds in [0, 100, 105, 110, 115, 120, 130] {
            let socket = held(shop, to)?;
            shop.serve("", &shop.endpoints(&[("c", "")]))?;
            thread::sleep(Duration::from_millis(milliseconds));
            node.kill()?;
            node.start()?;
            is_ended(&socket, "the socket").with_context(|| format!("killed after {milliseconds} ms"))?;
        }
        Ok(())
    });
}

/// A process in a network namespace of its own, which has no name; it ends with this.
struct Private(Child);

impl Private {
    fn new() -> Result<Self> {
        let mut command = std::process::Command::new("unshare");
        let child = command.args(["--net", "sleep", "600"]).stdin(Stdio::null()).spawn()?;
        let path = PathBuf::from(format!("/proc/{}/ns/net", child.id()));
        let own = std::fs::read_link("/proc/self/ns/net")?;
        until(
            "a namespace of its own",
            || std::fs::read_link(&path).ok(),
            |found| found.as_ref().is_some_and(|found| *found != own),
        )?;
        Ok(Self(child))
    }

    fn netns(&self) -> Netns {
        Netns::at("private", PathBuf::from(format!("/proc/{}/ns/net", self.0.id())))
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_udp_socket_of_any_network_namespace_leaves_a_backend_that_goes() {
    open(&Layout::default(), |shop| {
        let (node, to) = (shop.node(0), shop.addresses()[0]);
        let named = Netns::new(&format!("{}s", shop.clients[0].netns.name()))?;
        let process = Private::new()?;
        let private = process.netns();
        let run = |words: &str| {
            let mut command = private.command("ip");
            test_kit::topology::run(command.args(words.split_whitespace())).map(drop)
        };
        run("link set lo up")?;
        run("route add default dev lo")?;
        named.ip("route add default dev lo")?;
        for restarts in [false, true] {
            shop.serve("", &shop.endpoints(&[("a", "")]))?;
            shop.leads_to("web", &["a"])?;
            let socket = |netns: &Netns| Client::new(node, netns).open(|| connected(to));
            let (one, other) = (socket(&named)??, socket(&private)??);
            for socket in [&one, &other] {
                socket.send(b"who")?;
            }
            if restarts {
                node.kill()?;
            }
            shop.serve("", &shop.endpoints(&[("c", "")]))?;
            if restarts {
                node.start()?;
            }
            is_ended(&one, "the socket in a namespace with a name").with_context(|| format!("restarts {restarts}"))?;
            is_ended(&other, "the socket in a process's namespace").with_context(|| format!("restarts {restarts}"))?;
        }
        Ok(())
    });
}
