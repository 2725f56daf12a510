//! Interfaces: a veth across two network namespaces, its states, and what CHECK compares.

use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{
        AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo,
        LinkMessage, State,
    },
};

use super::{Netlink, NetlinkError};
use crate::mac::Mac;

/// What a new veth shall be. Both sides have the same MTU, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Veth {
    /// The host side's name.
    pub host_name: String,
    /// The host side's MAC.
    pub host_mac: Mac,
    /// The container side's name.
    pub pod_name: String,
    /// The container side's MAC.
    pub pod_mac: Mac,
    /// The MTU of both, in bytes.
    pub mtu: u32,
}

/// An interface as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// Its index in its network namespace.
    pub index: u32,
    /// A veth's other side: its index in its own network namespace.
    pub peer: Option<u32>,
    /// The other side's network namespace, by the id that this one has for it; none where it is this one.
    pub peer_netns: Option<i32>,
    /// Its MAC, where it has one of six bytes.
    pub mac: Option<Mac>,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// Set up by someone.
    pub up: bool,
    /// Able to carry packets: up, with carrier, noticed by the kernel's link watch.
    pub running: bool,
    /// Its kind, such as `veth`.
    pub kind: Option<String>,
}

impl Netlink {
    /// Makes a veth: the host side here, the container side in `pod`. Neither is up.
    ///
    /// # Errors
    /// `EEXIST` where one of the names is taken, and whatever else the kernel says.
    pub fn add_veth(&mut self, veth: &Veth, pod: BorrowedFd<'_>) -> Result<(), NetlinkError> {
        let mut peer = LinkMessage::default();
        peer.attributes = vec![
            LinkAttribute::IfName(veth.pod_name.clone()),
            LinkAttribute::Address(veth.pod_mac.0.to_vec()),
            LinkAttribute::Mtu(veth.mtu),
            LinkAttribute::NetNsFd(pod.as_raw_fd()),
        ];
        let mut message = LinkMessage::default();
        message.attributes = vec![
            LinkAttribute::IfName(veth.host_name.clone()),
            LinkAttribute::Address(veth.host_mac.0.to_vec()),
            LinkAttribute::Mtu(veth.mtu),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(InfoKind::Veth),
                LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(peer))),
            ]),
        ];
        let doing = format!("make the veth {} with {} in the container", veth.host_name, veth.pod_name);
        self.change(&doing, RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL)
    }

    /// The interface of a name, or none.
    ///
    /// # Errors
    /// The kernel says something else than that there is none.
    pub fn link(&mut self, name: &str) -> Result<Option<Link>, NetlinkError> {
        let mut message = LinkMessage::default();
        message.attributes = vec![LinkAttribute::IfName(name.to_owned())];
        self.find(&format!("find the interface {name}"), message)
    }

    /// The interface of an index, or none.
    ///
    /// # Errors
    /// As [`Netlink::link`].
    pub fn link_by_index(&mut self, index: u32) -> Result<Option<Link>, NetlinkError> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        self.find(&format!("find the interface {index}"), message)
    }

    fn find(&mut self, doing: &str, message: LinkMessage) -> Result<Option<Link>, NetlinkError> {
        match self.get(doing, RouteNetlinkMessage::GetLink(message)) {
            Ok(answers) => Ok(answers.into_iter().find_map(|answer| match answer {
                RouteNetlinkMessage::NewLink(message) => Some(Link::of(message)),
                _ => None,
            })),
            Err(error) if error.is(libc::ENODEV) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Keeps the kernel from giving an interface a link-local IPv6 address of its own.
    ///
    /// # Errors
    /// `EAFNOSUPPORT` where the kernel has no IPv6, and whatever else it says.
    pub fn set_no_link_local(&mut self, index: u32) -> Result<(), NetlinkError> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.attributes =
            vec![LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(
                In6AddrGenMode::None,
            )])])];
        self.change(&format!("set interface {index} to addrgenmode none"), RouteNetlinkMessage::SetLink(message), 0)
    }

    /// Sets an interface up.
    ///
    /// # Errors
    /// Whatever the kernel says.
    pub fn set_up(&mut self, index: u32) -> Result<(), NetlinkError> {
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.header.flags = LinkFlags::Up;
        message.header.change_mask = LinkFlags::Up;
        self.change(&format!("set interface {index} up"), RouteNetlinkMessage::SetLink(message), 0)
    }

    /// Removes the interface of a name, and a veth's other side with it. Says whether there was one.
    ///
    /// # Errors
    /// The kernel says something else than that there is none.
    pub fn delete_link(&mut self, name: &str) -> Result<bool, NetlinkError> {
        let mut message = LinkMessage::default();
        message.attributes = vec![LinkAttribute::IfName(name.to_owned())];
        match self.change(&format!("delete the interface {name}"), RouteNetlinkMessage::DelLink(message), 0) {
            Ok(()) => Ok(true),
            Err(error) if error.is(libc::ENODEV) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

impl Link {
    fn of(message: LinkMessage) -> Self {
        let up = message.header.flags.contains(LinkFlags::Up);
        let mut link = Self {
            name: String::new(),
            index: message.header.index,
            peer: None,
            peer_netns: None,
            mac: None,
            mtu: 0,
            up,
            running: false,
            kind: None,
        };
        for attribute in message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name = name,
                LinkAttribute::Link(peer) => link.peer = Some(peer),
                LinkAttribute::LinkNetNsId(netns) => link.peer_netns = Some(netns),
                LinkAttribute::Address(bytes) => link.mac = Mac::from_bytes(&bytes),
                LinkAttribute::Mtu(mtu) => link.mtu = mtu,
                LinkAttribute::OperState(state) => link.running = up && state == State::Up,
                LinkAttribute::LinkInfo(infos) => {
                    link.kind = infos.into_iter().find_map(|info| match info {
                        LinkInfo::Kind(kind) => Some(kind.to_string()),
                        _ => None,
                    });
                }
                _ => {}
            }
        }
        link
    }
}
