//! MAC addresses of both ends of an attachment's veth.
//!
//! They are derived, not drawn: the same attachment has the same MAC on a retry. They are locally administered unicast
//! addresses (IEEE 802, the second least and the least significant bit of the first octet: `x2`, `x6`, `xA`, `xE`), and
//! every end of every attachment has its own: the receiver of an encapsulated packet drops it as a loop when the inner
//! source MAC is one of its own, so that one MAC for all would not work.

use std::{fmt, str::FromStr};

use ferrule_common::hash::fnv1a;
use serde::{Deserialize, Serialize};

/// A MAC address, in the order of the wire. Shown as six hex pairs with colons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac(pub [u8; 6]);

/// A text that is not the MAC of one interface.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} {reason}")]
pub struct MacError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl Mac {
    /// The MAC that belongs to a text. `attempt` counts up while the answer is taken.
    pub(super) fn derived(text: &str, attempt: u32) -> Self {
        let bytes = text.bytes().chain(attempt.to_be_bytes());
        let hash = fnv1a(bytes);
        // FNV alone leaves similar texts similar; these two rounds spread them (the finaliser of splitmix64).
        let hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let [mut first, b, c, d, e, f, ..] = (hash ^ (hash >> 31)).to_be_bytes();
        first = (first & !0x01) | 0x02;
        Self([first, b, c, d, e, f])
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, rest @ ..] = self.0;
        write!(f, "{first:02x}")?;
        rest.iter().try_for_each(|byte| write!(f, ":{byte:02x}"))
    }
}

impl FromStr for Mac {
    type Err = MacError;

    fn from_str(text: &str) -> Result<Self, MacError> {
        let error = |reason| MacError { text: text.to_owned(), reason };
        let mut bytes = [0; 6];
        let mut pairs = text.split(':');
        for byte in &mut bytes {
            let pair =
                pairs.next().filter(|pair| pair.len() == 2 && pair.bytes().all(|digit| digit.is_ascii_hexdigit()));
            *byte = pair
                .and_then(|pair| u8::from_str_radix(pair, 16).ok())
                .ok_or_else(|| error("is not a MAC; write six hex pairs with colons"))?;
        }
        if pairs.next().is_some() {
            return Err(error("is not a MAC; write six hex pairs with colons"));
        }
        if bytes[0] & 0x01 != 0 {
            return Err(error("is a multicast MAC; the first pair must be even"));
        }
        if bytes == [0; 6] {
            return Err(error("is the zero MAC; give another"));
        }
        Ok(Self(bytes))
    }
}

impl TryFrom<String> for Mac {
    type Error = MacError;

    fn try_from(text: String) -> Result<Self, MacError> {
        text.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        let parsed = text.parse::<Mac>().map(|mac| mac.to_string());
        assert_eq!(parsed.as_deref().map_err(|error| error.reason), expected, "{text}");
    }

    #[test]
    fn unicast_macs_are_read_and_shown() {
        check("02:00:5e:10:0A:ff", Ok("02:00:5e:10:0a:ff"));
        for text in
            ["", "02:00:5e:10:0a", "02:00:5e:10:0a:ff:01", "02-00-5e-10-0a-ff", "2:0:5e:10:a:ff", "02:00:5e:10:0a:+f"]
        {
            check(text, Err("is not a MAC; write six hex pairs with colons"));
        }
        check("01:00:5e:10:0a:ff", Err("is a multicast MAC; the first pair must be even"));
        check("00:00:00:00:00:00", Err("is the zero MAC; give another"));
    }

    #[test]
    fn derived_macs_are_local_unicast_and_distinct() {
        let macs: std::collections::BTreeSet<Mac> =
            (0..10_000).map(|n| Mac::derived(&format!("pod {n}"), 0)).chain([Mac::derived("pod 0", 1)]).collect();
        assert_eq!(macs.len(), 10_001);
        assert!(macs.iter().all(|mac| mac.0[0] & 0x03 == 0x02));
    }
}
