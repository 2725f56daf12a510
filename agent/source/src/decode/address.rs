//! Addresses and prefixes, as the API server reads them (`ParseIPSloppy` and `ParseCIDRSloppy` of k8s.io/utils/net): zeros before
//! a number of an IPv4 address mean nothing.

use std::{net::IpAddr, str::FromStr};

use ipnetwork::IpNetwork;
use serde_json::Value;

use super::scalar::{Meaning, text};

/// An address that something can have.
impl Meaning for IpAddr {
    fn of(value: Value) -> Result<Self, String> {
        let address: Self = parse(&text(value)?, "an IP address")?;
        if let Self::V6(v6) = address
            && let Some(v4) = v6.to_ipv4_mapped()
        {
            return Err(format!("{address} is an IPv4 address written as IPv6; write {v4}"));
        }
        if address.is_unspecified() || address.is_loopback() || address.is_multicast() {
            return Err(format!("{address} is not an address that a pod or node can have"));
        }
        Ok(address)
    }
}

/// A prefix, with its length.
impl Meaning for IpNetwork {
    fn of(value: Value) -> Result<Self, String> {
        let text = text(value)?;
        if !text.contains('/') {
            return Err(format!("{text:?} has no prefix length; write it like 10.1.0.0/24"));
        }
        parse(&text, "a CIDR")
    }
}

fn parse<T: FromStr>(text: &str, what: &str) -> Result<T, String> {
    if text.is_empty() {
        return Err("is missing".to_owned());
    }
    let parsed = text.parse().or_else(|error| without_zeros(text).map_or(Err(error), |text| text.parse()));
    parsed.map_err(|_| format!("{text:?} is not {what}"))
}

/// An IPv4 address, with its prefix length if it has one, whose numbers begin with no zeros.
fn without_zeros(text: &str) -> Option<String> {
    let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
    if !address.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return None;
    }
    let numbers = address.split('.').map(|number| match number.trim_start_matches('0') {
        "" if !number.is_empty() => "0",
        short => short,
    });
    let address = numbers.collect::<Vec<_>>().join(".");
    Some(match length {
        Some(length) => format!("{address}/{length}"),
        None => address,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidr(text: &str) -> Result<String, String> {
        IpNetwork::of(text.into()).map(|cidr| cidr.to_string())
    }

    #[test]
    fn addresses_are_read_as_the_api_server_reads_them() {
        assert_eq!(cidr("10.0.0.0/8"), Ok("10.0.0.0/8".into()));
        assert_eq!(cidr("010.000.00.0/8"), Ok("10.0.0.0/8".into()));
        assert_eq!(cidr("fd00::/64"), Ok("fd00::/64".into()));
        for bad in ["10.0.0.0/99", "10..0.0/8", "0x10.0.0.0/8", "10.0.0/8", "010.0.0.256/8", "10.0.0.0"] {
            assert!(cidr(bad).is_err_and(|error| error.contains(bad)), "{bad}");
        }
    }
}
