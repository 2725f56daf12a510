//! Questions to a pod from somewhere: over TCP, and by ping.

use std::{
    io::{ErrorKind, Read},
    net::{IpAddr, Ipv6Addr, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use super::{space::Space, tool};

/// Where pods listen.
pub const PORT: u16 = 8080;

const PATIENCE: Duration = Duration::from_secs(3);
/// Between two questions to a server that refuses.
const AGAIN: Duration = Duration::from_millis(50);

impl Space {
    /// Whom a pod takes us for: the source address that it sees. A refusal is asked again for a while, since the pod's
    /// server may not listen yet.
    pub fn seen_by(&self, pod: IpAddr, port: u16) -> Result<IpAddr, String> {
        let connect = || {
            let deadline = Instant::now() + PATIENCE;
            loop {
                match TcpStream::connect_timeout(&SocketAddr::new(pod, port), PATIENCE) {
                    Err(error) if error.kind() == ErrorKind::ConnectionRefused && Instant::now() < deadline => {
                        std::thread::sleep(AGAIN);
                    }
                    other => return other,
                }
            }
        };
        let ask = || {
            let mut stream = connect()?;
            stream.set_read_timeout(Some(PATIENCE))?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            Ok(text)
        };
        let text = self.run(|| ask().map_err(|error: std::io::Error| format!("TCP to {pod}: {error}")))?;
        let seen: Ipv6Addr = text.parse().map_err(|error| format!("{pod} says {text:?}: {error}"))?;
        Ok(seen.to_canonical())
    }

    /// That one ping is answered.
    pub fn ping(&self, address: IpAddr) -> Result<(), String> {
        let output = self.run(|| tool::words(&format!("ping -n -c 1 -W 3 {address}")).output());
        let output = output.map_err(|error| format!("ping: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        if output.status.success() { Ok(()) } else { Err(format!("ping {address}: {text}")) }
    }
}
