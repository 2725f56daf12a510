//! Which of its addresses this node speaks from: outside the tunnel, and to its own pods.
//!
//! Receivers believe what is an InternalIP of the sender. One that became so a moment ago is not known everywhere yet, and one
//! that was until a moment ago still is: `Lasting` tells both.

use std::net::IpAddr;

use super::{Input, OuterSource, Path, claims::Claim};
use crate::cidr::Family;

/// The outer source for what takes a path; `None` where the kernel chooses, also since no device has an InternalIP.
pub(super) fn outer(input: Input<'_>, own: &Claim, family: Family, path: Option<&Path>) -> Option<IpAddr> {
    let chosen = path.and_then(|path| path.source);
    if input.settings.outer_source == OuterSource::WhereNeeded
        && chosen.is_some_and(|source| believed(input, own, family).contains(&source))
    {
        return None;
    }
    named(input, own, family, path)
}

/// The outer source that this node names where it is asked for one; `None` where no device has an InternalIP of the family.
pub(super) fn named(input: Input<'_>, own: &Claim, family: Family, path: Option<&Path>) -> Option<IpAddr> {
    let believed = believed(input, own, family);
    let chosen = path.and_then(|path| path.source).filter(|source| believed.contains(source));
    let at = |address: &&IpAddr| path.is_some_and(|path| input.underlay.local.get(*address) == Some(&path.ifindex));
    believed.iter().find(at).copied().or(chosen).or_else(|| believed.first().copied())
}

/// The source for what the host itself sends to pods: what clients of the node know it by.
pub(super) fn of_host(input: Input<'_>, own: &Claim, family: Family) -> Option<IpAddr> {
    believed(input, own, family).first().copied()
}

/// The addresses of a family that some device of this node has and that other nodes believe, the best ones alone.
fn believed(input: Input<'_>, own: &Claim, family: Family) -> Vec<IpAddr> {
    let here = |ip: &IpAddr| Family::of(*ip) == family && input.underlay.local.contains_key(ip);
    let (young, settled): (Vec<IpAddr>, Vec<IpAddr>) =
        own.internal_ips.iter().copied().filter(here).partition(|ip| input.lasting.young.contains(ip));
    if !settled.is_empty() {
        return settled;
    }
    let former = input.lasting.former.iter().filter(|(_, node)| &***node == input.node_name);
    let former: Vec<IpAddr> = former.map(|(ip, _)| *ip).filter(here).collect();
    if former.is_empty() { young } else { former }
}
