//! Pods.

use std::net::IpAddr;

use anyhow::{Context, Result};
use serde_json::Value;

use super::Netns;

/// A pod that the plugin connected. Its namespace goes when this is dropped; its lease goes with `Node::del`.
#[derive(Debug)]
pub struct Pod {
    /// Its name, which is the container's id too.
    pub name: String,
    /// Its network namespace.
    pub netns: Netns,
    /// IPv4 first.
    pub addresses: Vec<IpAddr>,
    /// What ADD answered.
    pub result: Value,
}

impl Pod {
    /// From ADD's answer.
    ///
    /// # Errors
    /// Where it names no address.
    pub fn new(name: &str, netns: Netns, result: Value) -> Result<Self> {
        let addresses = addresses(&result).with_context(|| format!("ADD of {name} answered {result}"))?;
        Ok(Self { name: name.into(), netns, addresses, result })
    }

    /// The name of its veth's host side.
    ///
    /// # Errors
    /// Where ADD's answer does not tell.
    pub fn host_link(&self) -> Result<String> {
        let interfaces = self.result["interfaces"].as_array().context("ADD named no interfaces")?;
        let host = interfaces.iter().find(|interface| interface["sandbox"].as_str().is_none_or(str::is_empty));
        Ok(host.and_then(|host| host["name"].as_str()).context("ADD named no host side")?.to_owned())
    }

    /// Its address of a family.
    #[must_use]
    pub fn address(&self, v4: bool) -> Option<IpAddr> {
        self.addresses.iter().copied().find(|address| address.is_ipv4() == v4)
    }
}

fn addresses(result: &Value) -> Result<Vec<IpAddr>> {
    let ips = result["ips"].as_array().context("it has no ips")?;
    ips.iter()
        .map(|ip| {
            let text = ip["address"].as_str().context("an ip has no address")?;
            Ok(text.split('/').next().unwrap_or(text).parse()?)
        })
        .collect()
}
