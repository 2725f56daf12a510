//! A pod's veth: the steps that make it, as data, and the hands that carry them out. Deleting the veth undoes them all.
//!
//! The order keeps a pod from talking before its policies hold: the host side goes up first, then the agent attaches its
//! programs, and only then does the container's side go up.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::AsFd,
    time::{Duration, Instant},
};

use ferrule_api::plugin::ReserveResponse;
use ferrule_netlink::{
    Netlink,
    link::Veth,
    mac::Mac,
    netns::Netns,
    route::{MAIN, RouteEntry},
    sysctl,
    sysctl::Setting,
};
use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};

use crate::{
    fault::{AnswerError, Fault},
    spec::env::ifname_fault,
};

/// A second interface's table is this plus its index.
const OWN_TABLE: u32 = 1000;
/// Loopback's index in every network namespace.
const LOOPBACK: u32 = 1;
/// How long to wait for the kernel to notice that the veth has a carrier.
const CARRIER: Duration = Duration::from_millis(200);
/// IPv6's smallest MTU, and the least that the agent gives for IPv4 alone.
const SMALLEST_MTU: (u32, u32) = (1280, 576);

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Makes the veth, both sides down.
    Veth(Veth),
    /// Writes settings of an interface.
    Settings(Side, Vec<Setting>),
    /// Keeps the kernel from giving the host side an IPv6 address of its own.
    NoLinkLocal,
    /// Adds an address.
    Address(Side, IpNetwork),
    /// Sets an interface up.
    Up(Side),
    /// Tells the agent, which attaches its programs.
    Activate,
    /// Sets the container's loopback up.
    LoopbackUp,
    /// Writes the gateway's MAC in the container.
    Neighbour(IpAddr),
    /// Adds a route in the container: to a gateway on link, or through one.
    Route {
        /// Where to.
        destination: IpNetwork,
        /// Which way; none: on link.
        gateway: Option<IpAddr>,
        /// In which table.
        table: Table,
    },
    /// Sends what has this source to the interface's own table.
    SourceRule(IpAddr),
    /// Waits a little until the kernel would carry packets.
    Carrier,
}

/// A side of the veth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The node's.
    Host,
    /// The container's.
    Pod,
}

/// An address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// The family of an address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// The family's address of all zeros.
    #[must_use]
    pub fn unspecified(self) -> IpAddr {
        match self {
            Self::V4 => Ipv4Addr::UNSPECIFIED.into(),
            Self::V6 => Ipv6Addr::UNSPECIFIED.into(),
        }
    }
}

/// A routing table of the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Table {
    /// The main one.
    Main,
    /// One of the interface's own, where another interface has the default route.
    Own,
}

/// The steps for what the agent reserved; `ifname` is the container side's name, and `taken` are the families
/// whose default route another interface of the container has.
///
/// # Errors
/// The agent's answer makes no veth.
pub fn plan(reserved: &ReserveResponse, ifname: &str, taken: &[Family]) -> Result<Vec<Step>, AnswerError> {
    let veth = veth(reserved, ifname)?;
    let addresses = &reserved.addresses;
    let sixth: Vec<_> = addresses.iter().filter(|reserved| reserved.address.is_ipv6()).collect();

    let mut pod_settings = vec![Setting::RefuseRouters, Setting::TrustAddresses];
    if !sixth.is_empty() {
        pod_settings.insert(0, Setting::EnableIpv6);
    }
    let mut steps = vec![
        Step::Veth(veth),
        Step::NoLinkLocal,
        Step::Settings(Side::Host, pod_settings.clone()),
        Step::Settings(Side::Pod, pod_settings),
    ];
    steps.extend(addresses.iter().map(|reserved| Step::Address(Side::Pod, reserved.address)));
    steps.push(Step::Up(Side::Host));
    steps.extend(
        sixth.iter().filter_map(|reserved| gateway_address(reserved.gateway)).map(|own| Step::Address(Side::Host, own)),
    );
    steps.extend([Step::Activate, Step::LoopbackUp, Step::Up(Side::Pod)]);
    for reserved in addresses {
        let (address, gateway) = (reserved.address, reserved.gateway);
        let table = if taken.contains(&Family::of(address.ip())) { Table::Own } else { Table::Main };
        steps.extend([
            Step::Neighbour(gateway),
            Step::Route { destination: gateway.into(), gateway: None, table },
            Step::Route { destination: everywhere(gateway), gateway: Some(gateway), table },
        ]);
        if table == Table::Own {
            steps.push(Step::SourceRule(address.ip()));
        }
    }
    steps.push(Step::Carrier);
    Ok(steps)
}

fn veth(reserved: &ReserveResponse, ifname: &str) -> Result<Veth, AnswerError> {
    if let Some(reason) = ifname_fault(&reserved.host_ifname) {
        return Err(AnswerError::HostName { name: reserved.host_ifname.clone(), reason });
    }
    let (mut least, addresses) = (SMALLEST_MTU.1, &reserved.addresses);
    for one in addresses {
        if one.address.is_ipv6() {
            least = SMALLEST_MTU.0;
        }
        if one.address.is_ipv6() != one.gateway.is_ipv6() {
            return Err(AnswerError::Families { address: one.address, gateway: one.gateway });
        }
    }
    match (addresses.is_empty(), reserved.mtu) {
        (true, _) => Err(AnswerError::NoAddress),
        (false, mtu) if mtu < least => Err(AnswerError::Mtu { mtu, least }),
        (false, mtu) => Ok(Veth {
            host_name: reserved.host_ifname.clone(),
            host_mac: Mac::parse(&reserved.host_mac)?,
            pod_name: ifname.to_owned(),
            pod_mac: Mac::parse(&reserved.pod_mac)?,
            mtu,
        }),
    }
}

const EVERYWHERE_V4: Ipv4Network = Ipv4Network::new_checked(Ipv4Addr::UNSPECIFIED, 0).unwrap();
const EVERYWHERE_V6: Ipv6Network = Ipv6Network::new_checked(Ipv6Addr::UNSPECIFIED, 0).unwrap();

/// The default route's destination in an address's family.
#[must_use]
pub fn everywhere(address: IpAddr) -> IpNetwork {
    match address {
        IpAddr::V4(_) => EVERYWHERE_V4.into(),
        IpAddr::V6(_) => EVERYWHERE_V6.into(),
    }
}

/// The host side answers for an IPv6 gateway itself.
fn gateway_address(gateway: IpAddr) -> Option<IpNetwork> {
    match gateway {
        IpAddr::V6(gateway) => {
            let prefix = if gateway.is_unicast_link_local() { 64 } else { 128 };
            IpNetwork::new(gateway.into(), prefix).ok()
        }
        IpAddr::V4(_) => None,
    }
}

/// What carries the steps out: a socket on each side.
#[derive(Debug)]
pub struct Hands<'a> {
    host: Netlink,
    pod: Netlink,
    netns: &'a Netns,
    made: Option<Made>,
}

/// A veth that is there.
#[derive(Debug, Clone)]
struct Made {
    veth: Veth,
    host_index: u32,
    pod_index: u32,
}

impl<'a> Hands<'a> {
    /// With a socket of the host's and one of the container's network namespace.
    #[must_use]
    pub fn new(host: Netlink, pod: Netlink, netns: &'a Netns) -> Self {
        Self { host, pod, netns, made: None }
    }

    /// Carries one step out; `activate` tells the agent the host side's index.
    ///
    /// # Errors
    /// The kernel or the agent does not serve it.
    pub fn execute(&mut self, step: &Step, activate: impl FnOnce(u32) -> Result<(), Fault>) -> Result<(), Fault> {
        if let Step::Veth(veth) = step {
            self.made = Some(self.make(veth)?);
            return Ok(());
        }
        let Some(Made { veth, host_index, pod_index }) = self.made.clone() else {
            return Err(Fault::Vanished { name: "of an unmade veth".into() });
        };
        match step {
            Step::Veth(_) => {}
            Step::Settings(Side::Host, settings) => write(&veth.host_name, settings)?,
            Step::Settings(Side::Pod, settings) => self.netns.run(|| write(&veth.pod_name, settings))??,
            Step::NoLinkLocal => match self.host.set_no_link_local(host_index) {
                Err(error) if error.is(libc::EAFNOSUPPORT) => {}
                result => result?,
            },
            Step::Address(Side::Host, address) => self.host.add_address(host_index, *address)?,
            Step::Address(Side::Pod, address) => self.pod.add_address(pod_index, *address)?,
            Step::Up(Side::Host) => self.host.set_up(host_index)?,
            Step::Up(Side::Pod) => self.pod.set_up(pod_index)?,
            Step::LoopbackUp => self.pod.set_up(LOOPBACK)?,
            Step::Activate => activate(host_index)?,
            Step::Neighbour(gateway) => self.pod.add_neighbour(pod_index, *gateway, veth.host_mac)?,
            Step::Route { destination, gateway, table } => {
                let table = table_number(*table, pod_index);
                let route = RouteEntry { destination: *destination, gateway: *gateway, table };
                self.pod.add_route(pod_index, &route)?;
            }
            Step::SourceRule(source) => self.pod.add_source_rule(*source, table_number(Table::Own, pod_index))?,
            Step::Carrier => self.await_carrier(&veth)?,
        }
        Ok(())
    }

    fn make(&mut self, veth: &Veth) -> Result<Made, Fault> {
        self.host.add_veth(veth, self.netns.as_fd())?;
        let index = |netlink: &mut Netlink, name: &str| {
            netlink.link(name)?.map(|link| link.index).ok_or_else(|| Fault::Vanished { name: name.to_owned() })
        };
        let host_index = index(&mut self.host, &veth.host_name)?;
        let pod_index = index(&mut self.pod, &veth.pod_name)?;
        Ok(Made { veth: veth.clone(), host_index, pod_index })
    }

    /// A veth whose sides are both up gets its queue when the kernel's link watch runs, a moment later; packets before
    /// that are lost. One that takes longer is a busy kernel and no fault.
    fn await_carrier(&mut self, veth: &Veth) -> Result<(), Fault> {
        let until = Instant::now() + CARRIER;
        let running = |netlink: &mut Netlink, name: &str| -> Result<(), Fault> {
            while !netlink.link(name)?.is_some_and(|link| link.running) && Instant::now() < until {
                std::thread::sleep(Duration::from_micros(500));
            }
            Ok(())
        };
        running(&mut self.host, &veth.host_name)?;
        running(&mut self.pod, &veth.pod_name)
    }
}

fn table_number(table: Table, pod_index: u32) -> u32 {
    match table {
        Table::Main => MAIN,
        Table::Own => OWN_TABLE + pod_index,
    }
}

fn write(interface: &str, settings: &[Setting]) -> Result<(), sysctl::SysctlError> {
    settings.iter().try_for_each(|setting| sysctl::set(interface, *setting))
}

#[cfg(test)]
mod tests {
    use ferrule_api::plugin::ReservedAddress;

    use super::*;

    fn reserved(addresses: &[(&str, &str)]) -> ReserveResponse {
        let address = |(address, gateway): &(&str, &str)| ReservedAddress {
            address: address.parse().unwrap(),
            gateway: gateway.parse().unwrap(),
        };
        ReserveResponse {
            host_ifname: "fr0".into(),
            host_mac: "02:00:00:00:00:01".into(),
            pod_mac: "02:00:00:00:00:02".into(),
            mtu: 1450,
            addresses: addresses.iter().map(address).collect(),
        }
    }

    const V4: (&str, &str) = ("10.1.0.5/32", "169.254.1.1");
    const V6: (&str, &str) = ("fd00::5/128", "fe80::1");

    fn check(addresses: &[(&str, &str)], expected: &[&str]) {
        let found: Vec<_> =
            plan(&reserved(addresses), "eth0", &[]).unwrap().iter().map(|step| format!("{step:?}")).collect();
        let show = |lines: &[String]| lines.join("\n");
        assert!(
            found.len() == expected.len() && found.iter().zip(expected).all(|(step, begin)| step.starts_with(begin)),
            "{}",
            show(&found)
        );
    }

    #[test]
    fn the_pods_side_goes_up_only_after_the_agent_has_attached_its_programs() {
        check(
            &[V4],
            &[
                "Veth(",
                "NoLinkLocal",
                "Settings(Host, [RefuseRouters, TrustAddresses])",
                "Settings(Pod, [RefuseRouters, TrustAddresses])",
                "Address(Pod, V4(Ipv4Network { addr: 10.1.0.5, prefix: 32 }))",
                "Up(Host)",
                "Activate",
                "LoopbackUp",
                "Up(Pod)",
                "Neighbour(169.254.1.1)",
                "Route { destination: V4(Ipv4Network { addr: 169.254.1.1, prefix: 32 }), gateway: None, table: Main }",
                "Route { destination: V4(Ipv4Network { addr: 0.0.0.0, prefix: 0 }), gateway: Some(169.254.1.1), table: Main }",
                "Carrier",
            ],
        );
    }

    #[test]
    fn only_the_families_asked_for_are_made() {
        check(
            &[V6],
            &[
                "Veth(",
                "NoLinkLocal",
                "Settings(Host, [EnableIpv6, RefuseRouters, TrustAddresses])",
                "Settings(Pod, [EnableIpv6, RefuseRouters, TrustAddresses])",
                "Address(Pod, V6(Ipv6Network { addr: fd00::5, prefix: 128 }))",
                "Up(Host)",
                "Address(Host, V6(Ipv6Network { addr: fe80::1, prefix: 64 }))",
                "Activate",
                "LoopbackUp",
                "Up(Pod)",
                "Neighbour(fe80::1)",
                "Route { destination: V6(Ipv6Network { addr: fe80::1, prefix: 128 }), gateway: None, table: Main }",
                "Route { destination: V6(Ipv6Network { addr: ::, prefix: 0 }), gateway: Some(fe80::1), table: Main }",
                "Carrier",
            ],
        );
    }

    #[test]
    fn a_second_interface_has_a_table_of_its_own() {
        let steps = plan(&reserved(&[V4, V6]), "eth1", &[Family::V4, Family::V6]).unwrap();
        let main = |step: &Step| matches!(step, Step::Route { table: Table::Main, .. });
        assert!(!steps.iter().any(main), "{steps:?}");
        assert!(steps.contains(&Step::SourceRule("10.1.0.5".parse().unwrap())));
        assert!(steps.contains(&Step::SourceRule("fd00::5".parse().unwrap())));
    }

    fn check_error(change: impl FnOnce(&mut ReserveResponse), expected: &str) {
        let mut response = reserved(&[V4, V6]);
        change(&mut response);
        let error = plan(&response, "eth0", &[]).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn an_answer_that_makes_no_veth_is_refused_before_anything_is_made() {
        check_error(|response| response.host_ifname = "a/b".into(), "host_ifname");
        check_error(|response| response.host_mac = "x".into(), "MAC");
        check_error(|response| response.mtu = 1279, "below 1280");
        check_error(|response| response.addresses.clear(), "no address");
        check_error(|response| response.addresses[0].gateway = "fe80::1".parse().unwrap(), "two families");
    }
}
