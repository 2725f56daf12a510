//! MAC addresses as text: six hex pairs with colons.

use std::fmt;

/// A unicast Ethernet address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mac(pub [u8; 6]);

/// Text that is no MAC an interface can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a unicast MAC of six hex pairs with colons")]
pub struct MacError {
    /// The text.
    pub text: String,
}

impl Mac {
    /// Reads six hex pairs with colons (or dashes), in either case.
    ///
    /// # Errors
    /// It is something else, a multicast address, or zero.
    pub fn parse(text: &str) -> Result<Self, MacError> {
        Self::pairs(text).ok_or_else(|| MacError { text: text.to_owned() })
    }

    /// From the kernel's bytes, where they are six.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    fn pairs(text: &str) -> Option<Self> {
        let mut octets = [0; 6];
        let mut pairs = text.split([':', '-']);
        for octet in &mut octets {
            let pair =
                pairs.next().filter(|pair| pair.len() == 2 && pair.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
            *octet = u8::from_str_radix(pair, 16).ok()?;
        }
        let unicast = octets[0] & 1 == 0 && octets != [0; 6];
        (pairs.next().is_none() && unicast).then_some(Self(octets))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(Mac::parse(text).ok().map(|mac| mac.to_string()).as_deref(), expected, "{text:?}");
    }

    #[test]
    fn macs_read_in_either_case_and_print_in_lower() {
        check("02:00:00:00:00:0a", Some("02:00:00:00:00:0a"));
        check("0A:1b:2C:3d:4E:5f", Some("0a:1b:2c:3d:4e:5f"));
        check("0a-1b-2c-3d-4e-5f", Some("0a:1b:2c:3d:4e:5f"));
    }

    #[test]
    fn what_no_interface_can_have_is_refused() {
        for text in
            ["", "02:00:00:00:00", "02:00:00:00:00:0a:0b", "2:0:0:0:0:a", "+2:00:00:00:00:0a", "zz:00:00:00:00:00"]
        {
            check(text, None);
        }
        check("01:00:00:00:00:01", None);
        check("00:00:00:00:00:00", None);
    }
}
