//! What the maps say of a new flow at one end, found as the programs find it.

use std::net::IpAddr;

use ferrule_model::objects::Direction;

use crate::policy::Policy;

/// What an endpoint's table says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Live {
    /// Whether it may pass.
    pub allowed: bool,
    /// The rule that allows it, where a table is asked.
    pub rule: Option<String>,
}

/// Asks the table of an endpoint's direction.
pub(super) fn ask(
    policy: &Policy,
    endpoint: u32,
    direction: Direction,
    peer: IpAddr,
    port: Option<(u8, u16)>,
) -> Result<Live, aya::maps::MapError> {
    let found = policy.ask(endpoint, direction, peer, port)?;
    Ok(match found {
        None => Live { allowed: false, rule: None },
        Some(None) => Live { allowed: true, rule: None },
        Some(Some(number)) => {
            let named = policy.rule(number).map(|rule| rule.to_string());
            Live { allowed: true, rule: Some(named.unwrap_or_else(|| format!("rule {number}"))) }
        }
    })
}
