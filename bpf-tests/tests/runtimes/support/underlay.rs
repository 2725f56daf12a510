//! The network between machines: a bridge, which is also a host outside the cluster.

use super::{machine::Machine, space::Space};

/// The bridge's own address: a client that is no node.
pub const OUTSIDE: [&str; 2] = ["172.30.0.1", "fd00:30::1"];

/// A bridge in a network of its own.
pub struct Underlay {
    /// Where the bridge is.
    pub space: Space,
}

/// A machine's InternalIPs, IPv4 first.
pub fn internal_ips(number: u8) -> [String; 2] {
    [format!("172.30.0.1{number}"), format!("fd00:30::1{number}")]
}

impl Underlay {
    /// A bridge without ports.
    pub fn new() -> Self {
        let space = Space::new_network();
        space.tool("ip link add underlay type bridge");
        space.tool(&format!("ip addr add {}/24 dev underlay", OUTSIDE[0]));
        space.tool(&format!("ip addr add {}/64 dev underlay nodad", OUTSIDE[1]));
        space.tool("ip link set underlay up");
        Self { space }
    }

    /// Plugs a machine in: its `eth0`, with its InternalIPs.
    pub fn connect(&self, machine: &Machine, number: u8) {
        let pid = machine.pid;
        self.space.tool(&format!("ip link add port{number} type veth peer name eth0 netns {pid}"));
        self.space.tool(&format!("ip link set port{number} master underlay up"));
        let [v4, v6] = internal_ips(number);
        machine.space.tool(&format!("ip addr add {v4}/24 dev eth0"));
        machine.space.tool(&format!("ip addr add {v6}/64 dev eth0 nodad"));
        machine.space.tool("ip link set eth0 up");
        machine.space.tool(&format!("ip route add default via {}", OUTSIDE[0]));
        machine.space.tool(&format!("ip -6 route add default via {}", OUTSIDE[1]));
    }
}
