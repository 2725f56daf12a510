//! What is compared: each stands in network namespaces of its own, all at once.

pub mod api;
mod flannel;
mod ours;
mod pair;
mod plugin;
mod redirect;
mod tiny;

use std::{net::IpAddr, path::PathBuf};

pub use flannel::Flannel;
pub use ours::{Ours, SERVICE};
pub use pair::Pair;
pub use plugin::{Kind, PluginNode};
pub use redirect::Redirect;
use test_kit::{
    topology::{Cgroup, Netns, Prefix},
    traffic::load::Ends,
};
pub use tiny::Tiny;

/// Pods' MTU with either VXLAN, which subjects on one node share: 1500 less the tunnel's 50.
pub const MTU: u32 = 1450;

/// A subject, and where load enters and leaves it.
#[derive(Debug, Clone, Copy)]
pub struct Path<'a> {
    /// As rows name it.
    pub subject: &'static str,
    /// The load's two ends.
    pub ends: Ends<'a>,
    /// Where sockets are opened, where their node serves Services.
    pub cgroup: Option<&'a Cgroup>,
}

impl<'a> Path<'a> {
    /// From a client to a server's address.
    pub const fn new(subject: &'static str, client: &'a Netns, server: &'a Netns, address: IpAddr) -> Self {
        Self { subject, ends: Ends { client, server, address, asked: address }, cgroup: None }
    }

    /// The same with sockets of a cgroup, and by a Service's address where one is given.
    pub const fn within(mut self, cgroup: &'a Cgroup, asked: Option<IpAddr>) -> Self {
        self.cgroup = Some(cgroup);
        if let Some(asked) = asked {
            self.ends.asked = asked;
        }
        self
    }
}

/// Names, folder and pins of a subject; what is left of them goes when this is dropped.
#[derive(Debug)]
pub struct Place(Prefix);

impl Place {
    /// Names that nobody else has.
    pub fn new() -> Self {
        Self(Prefix::of_a_test())
    }

    /// A namespace's name.
    pub fn name(&self, part: &str) -> String {
        format!("{}-{part}", self.0)
    }

    /// The folder of pins.
    pub fn pins(&self) -> PathBuf {
        self.0.pins()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.remove_all();
    }
}
