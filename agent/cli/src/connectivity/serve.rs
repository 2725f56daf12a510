//! What the test's pods run: servers that say who they are, by TCP and UDP, on one port.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, UdpSocket},
};

/// The port of both.
pub const PORT: u16 = 7777;

/// Serves both families until a signal comes.
///
/// # Errors
/// Where the port cannot be had.
pub async fn run() -> io::Result<()> {
    let name = nix::unistd::gethostname().map_err(io::Error::from)?.to_string_lossy().into_owned();
    // IPv6's any address takes IPv4, too; some nodes have no IPv6.
    let v6 = start(&name, (Ipv6Addr::UNSPECIFIED, PORT).into()).await;
    if v6.is_err() {
        start(&name, (Ipv4Addr::UNSPECIFIED, PORT).into()).await?;
    }
    ferrule_agent::run::stopped().await;
    Ok(())
}

/// Serves there from now on; the address, with the port that it got.
pub(super) async fn start(name: &str, at: SocketAddr) -> io::Result<SocketAddr> {
    let listener = TcpListener::from_std(socket(at, Type::STREAM)?.into())?;
    let at = listener.local_addr()?;
    let udp = UdpSocket::from_std(socket(at, Type::DGRAM)?.into())?;
    let greeting = name.to_owned();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let greeting = greeting.clone();
            tokio::spawn(async move { stream.write_all(greeting.as_bytes()).await });
        }
    });
    let answer = name.to_owned();
    tokio::spawn(async move {
        let mut buffer = [0; 256];
        loop {
            // An ICMP error is an error of the next call: it is nobody's here.
            if let Ok((_, from)) = udp.recv_from(&mut buffer).await {
                let _ = udp.send_to(answer.as_bytes(), from).await;
            }
        }
    });
    Ok(at)
}

fn socket(at: SocketAddr, kind: Type) -> io::Result<Socket> {
    let protocol = if kind == Type::STREAM { Protocol::TCP } else { Protocol::UDP };
    let socket = Socket::new(Domain::for_address(at), kind, Some(protocol))?;
    if at.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&at.into())?;
    if kind == Type::STREAM {
        socket.listen(128)?;
    }
    Ok(socket)
}
