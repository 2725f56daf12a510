//! Results in each version: what a version can carry comes back as it went.

use ferrule_cni::spec::{
    result::{AddResult, Dns, Interface, Ip, Route},
    version::Version,
};
use ipnetwork::IpNetwork;
use proptest::{collection::vec, option, prelude::*};
use serde_json::{Map, Value};

fn network() -> impl Strategy<Value = IpNetwork> {
    prop_oneof![
        (any::<[u8; 4]>(), 0..=32_u8).prop_map(|(ip, prefix)| IpNetwork::new(ip.into(), prefix).unwrap()),
        (any::<[u8; 16]>(), 0..=128_u8).prop_map(|(ip, prefix)| IpNetwork::new(ip.into(), prefix).unwrap()),
    ]
}

fn text() -> impl Strategy<Value = String> {
    "[a-z0-9:./]{1,12}"
}

fn other() -> impl Strategy<Value = Map<String, Value>> {
    vec(("x-[a-z]{1,5}", any::<i32>()), 0..3)
        .prop_map(|pairs| pairs.into_iter().map(|(key, value)| (key, value.into())).collect())
}

fn interface() -> impl Strategy<Value = Interface> {
    (
        text(),
        option::of(text()),
        option::of(any::<u32>()),
        option::of(text()),
        option::of(text()),
        option::of(text()),
        other(),
    )
        .prop_map(|(name, mac, mtu, sandbox, socket_path, pci_id, other)| Interface {
            name,
            mac,
            mtu,
            sandbox,
            socket_path,
            pci_id,
            other,
        })
}

fn route() -> impl Strategy<Value = Route> {
    let numbers = (
        option::of(any::<u32>()),
        option::of(any::<u32>()),
        option::of(any::<u32>()),
        option::of(any::<u32>()),
        option::of(any::<u32>()),
    );
    (network(), option::of(network()), numbers, other()).prop_map(
        |(dst, gw, (mtu, advmss, priority, table, scope), other)| Route {
            dst,
            gw: gw.map(|gw| gw.ip()),
            mtu,
            advmss,
            priority,
            table,
            scope,
            other,
        },
    )
}

fn dns() -> impl Strategy<Value = Dns> {
    (vec(text(), 0..3), option::of(text()), vec(text(), 0..3), vec(text(), 0..3), other())
        .prop_map(|(nameservers, domain, search, options, other)| Dns { nameservers, domain, search, options, other })
}

fn result() -> impl Strategy<Value = AddResult> {
    let ips = vec((option::of(0..4_usize), network(), option::of(network()), other()), 0..4);
    (vec(interface(), 0..4), ips, vec(route(), 0..3), dns(), other()).prop_map(
        |(interfaces, ips, routes, dns, other)| {
            let count = interfaces.len();
            let ips = ips.into_iter().map(|(interface, address, gateway, other)| Ip {
                interface: interface.filter(|index| *index < count),
                address,
                gateway: gateway.map(|gateway| gateway.ip()),
                other,
            });
            AddResult { ips: ips.collect(), interfaces, routes, dns, other }
        },
    )
}

/// What a version can carry of a result.
fn carried(mut result: AddResult, version: Version) -> AddResult {
    if version < Version::V1_1_0 {
        for interface in &mut result.interfaces {
            *interface = Interface { mtu: None, socket_path: None, pci_id: None, ..interface.clone() };
        }
        for route in &mut result.routes {
            *route = Route { other: route.other.clone(), ..Route::new(route.dst, route.gw) };
        }
    }
    result
}

proptest! {
    #[test]
    fn what_a_version_can_carry_comes_back(result in result(), index in 0..Version::ALL.len()) {
        let version = Version::ALL[index];
        let written = result.write(version);
        prop_assert_eq!(&written["cniVersion"], version.as_str());
        prop_assert_eq!(AddResult::read("prevResult", written).unwrap(), carried(result, version));
    }

    #[test]
    fn each_version_marks_families_as_it_must(result in result(), index in 0..Version::ALL.len()) {
        let version = Version::ALL[index];
        let written = result.write(version);
        for ip in written["ips"].as_array().into_iter().flatten() {
            let family = if ip["address"].as_str().unwrap().contains(':') { "6" } else { "4" };
            let expected = if version < Version::V1_0_0 { Value::from(family) } else { Value::Null };
            prop_assert_eq!(&ip["version"], &expected);
        }
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "\\PC{0,60}") {
        if let Ok(value) = serde_json::from_str::<Value>(&text) {
            let _ = AddResult::read("prevResult", value);
        }
    }

    #[test]
    fn appending_keeps_what_was_there(first in result(), second in result()) {
        let mut both = first.clone();
        both.append(second.clone());
        prop_assert_eq!(&both.interfaces[..first.interfaces.len()], &first.interfaces[..]);
        prop_assert_eq!(&both.ips[..first.ips.len()], &first.ips[..]);
        for (moved, ip) in both.ips[first.ips.len()..].iter().zip(&second.ips) {
            prop_assert_eq!(moved.interface, ip.interface.map(|index| index + first.interfaces.len()));
        }
    }
}
