//! Two pods' links on a node, with the smallest program that delivers from one to the other: what the kernel itself costs of the
//! way that Ferrule's programs take.

use std::net::IpAddr;

use anyhow::Result;
use test_kit::topology::Netns;

use super::{MTU, Path, Place, Tiny};

/// The links.
#[derive(Debug)]
pub struct Redirect {
    pods: [Netns; 2],
    _node: Netns,
    _programs: [Tiny; 2],
    _place: Place,
}

/// The pods' addresses.
const ADDRESSES: [[u8; 4]; 2] = [[10, 252, 0, 1], [10, 252, 0, 2]];

impl Redirect {
    /// Makes them.
    ///
    /// # Errors
    /// What `ip` complains about, or where the kernel refuses a program.
    pub fn new() -> Result<Self> {
        let place = Place::new();
        let node = Netns::new(&place.name("node"))?;
        let pods = [Netns::new(&place.name("client"))?, Netns::new(&place.name("server"))?];
        for (number, pod) in pods.iter().enumerate() {
            node.ip(&format!(
                "link add pod{number} mtu {MTU} type veth peer name eth0 mtu {MTU} netns {}",
                pod.name()
            ))?;
            node.ip(&format!("link set pod{number} up"))?;
            pod.ip(&format!("addr add {}/24 dev eth0", IpAddr::from(ADDRESSES[number])))?;
            pod.ip("link set eth0 up")?;
        }
        // Nobody answers for the other.
        for (own, other) in [(0, 1), (1, 0)] {
            let mac = pods[other].mac("eth0")?.map(|octet| format!("{octet:02x}")).join(":");
            let address = IpAddr::from(ADDRESSES[other]);
            pods[own].ip(&format!("neigh replace {address} lladdr {mac} dev eth0 nud permanent"))?;
        }
        let to = |number: usize| -> Result<Tiny> {
            let ifindex = node.enter(|| nix::net::if_::if_nametoindex(format!("pod{number}").as_str()))??;
            Tiny::redirect(ifindex)
        };
        let mut programs = [to(1)?, to(0)?];
        for (number, program) in programs.iter_mut().enumerate() {
            program.attach(&node, &format!("pod{number}"))?;
        }
        Ok(Self { pods, _node: node, _programs: programs, _place: place })
    }

    /// From one pod to the other.
    pub fn path(&self, subject: &'static str) -> Path<'_> {
        Path::new(subject, &self.pods[0], &self.pods[1], ADDRESSES[1].into())
    }
}
