//! Routing rules: a container's second interface has a table of its own, chosen by its source address.

use std::net::IpAddr;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::{
    RouteNetlinkMessage,
    rule::{RuleAction, RuleAttribute, RuleMessage},
};

use super::{Netlink, NetlinkError, address::family};

/// Before the main table's rule (32766), after the local table's (0).
const PRIORITY: u32 = 1000;

impl Netlink {
    /// Sends what has this source address to a table.
    ///
    /// # Errors
    /// Whatever the kernel says; that the rule exists is none.
    pub fn add_source_rule(&mut self, source: IpAddr, table: u32) -> Result<(), NetlinkError> {
        let mut message = RuleMessage::default();
        message.header.family = family(source);
        message.header.src_len = if source.is_ipv4() { 32 } else { 128 };
        message.header.action = RuleAction::ToTable;
        message.attributes =
            vec![RuleAttribute::Source(source), RuleAttribute::Table(table), RuleAttribute::Priority(PRIORITY)];
        let doing = format!("add the rule from {source} to table {table}");
        match self.change(&doing, RouteNetlinkMessage::NewRule(message), NLM_F_CREATE | NLM_F_EXCL) {
            Err(error) if error.is(libc::EEXIST) => Ok(()),
            result => result,
        }
    }
}
