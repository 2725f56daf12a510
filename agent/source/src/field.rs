//! A value in a decoded document together with the way to it, so that every error names its field.

use std::{net::IpAddr, str::FromStr};

use ipnetwork::IpNetwork;
use serde_json::Value;

/// A field with a bad value. Shown as `spec.podCIDRs[1]: …`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct FieldError {
    /// The way to the field: `spec.podCIDRs[1]`.
    pub field: String,
    /// What is wrong with its value.
    pub message: String,
}

/// A field, perhaps absent. Null counts as absent, as Kubernetes has it.
#[derive(Debug, Clone)]
pub struct Field<'a> {
    value: Option<&'a Value>,
    path: String,
}

impl<'a> Field<'a> {
    /// A whole part of an object, such as `spec`.
    #[must_use]
    pub fn root(name: &str, value: &'a Value) -> Self {
        Self { value: Some(value).filter(|value| !value.is_null()), path: name.to_owned() }
    }

    /// A member; that of an absent field is absent.
    ///
    /// # Errors
    /// When the field is there and not an object.
    pub fn get(&self, name: &str) -> Result<Self, FieldError> {
        let value = match self.value {
            None => None,
            Some(Value::Object(members)) => members.get(name).filter(|value| !value.is_null()),
            Some(_) => return Err(self.error("is not an object")),
        };
        Ok(Self { value, path: format!("{}.{name}", self.path) })
    }

    /// Whether it is there.
    #[must_use]
    pub const fn is_some(&self) -> bool {
        self.value.is_some()
    }

    /// The elements of a list; none where it is absent.
    ///
    /// # Errors
    /// When it is not a list.
    pub fn list(&self) -> Result<Vec<Self>, FieldError> {
        match self.value {
            None => Ok(vec![]),
            Some(Value::Array(elements)) => Ok(elements
                .iter()
                .enumerate()
                .map(|(index, value)| Self::root(&format!("{}[{index}]", self.path), value))
                .collect()),
            Some(_) => Err(self.error("is not a list")),
        }
    }

    /// The members of an object of strings, such as labels; none where it is absent.
    ///
    /// # Errors
    /// When it is not an object, or has a member that is not a string.
    pub fn strings(&self) -> Result<Vec<(&'a str, &'a str)>, FieldError> {
        let members = match self.value {
            None => return Ok(vec![]),
            Some(Value::Object(members)) => members,
            Some(_) => return Err(self.error("is not an object")),
        };
        members
            .iter()
            .map(|(name, value)| match value {
                Value::String(text) => Ok((name.as_str(), text.as_str())),
                _ => Err(FieldError {
                    field: format!("{}[{name}]", self.path),
                    message: format!("{value} is not a string; put it in quotes"),
                }),
            })
            .collect()
    }

    /// A string, where it is there.
    ///
    /// # Errors
    /// When it is not a string.
    pub fn optional_text(&self) -> Result<Option<&'a str>, FieldError> {
        match self.value {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(value) => Err(self.error(format!("{} is not a string; put it in quotes", excerpt(value)))),
        }
    }

    /// A string.
    ///
    /// # Errors
    /// When it is absent or empty, or not a string.
    pub fn text(&self) -> Result<&'a str, FieldError> {
        self.optional_text()?.filter(|text| !text.is_empty()).ok_or_else(|| self.error("is missing"))
    }

    /// A boolean; false where it is absent.
    ///
    /// # Errors
    /// When it is not a boolean.
    pub fn flag(&self) -> Result<bool, FieldError> {
        Ok(self.optional_flag()?.unwrap_or_default())
    }

    /// A boolean, where it is there.
    ///
    /// # Errors
    /// When it is not a boolean.
    pub fn optional_flag(&self) -> Result<Option<bool>, FieldError> {
        match self.value {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(value) => Err(self.error(format!("{} is not true or false", excerpt(value)))),
        }
    }

    /// A port number, from 1 to 65535, where it is there and a number.
    ///
    /// # Errors
    /// When it is another number.
    pub fn optional_port(&self) -> Result<Option<u16>, FieldError> {
        let Some(Value::Number(number)) = self.value else { return Ok(None) };
        let port = number.as_u64().and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0);
        port.map(Some).ok_or_else(|| self.error(format!("{number} is not a port, which is from 1 to 65535")))
    }

    /// A whole number within bounds, both included, where it is there.
    ///
    /// # Errors
    /// When it is something else.
    pub fn optional_number(&self, least: u32, most: u32) -> Result<Option<u32>, FieldError> {
        let Some(value) = self.value else { return Ok(None) };
        let number = value.as_u64().and_then(|number| u32::try_from(number).ok());
        let number = number.filter(|number| (least..=most).contains(number));
        number.map(Some).ok_or_else(|| self.error(format!("{} is not between {least} and {most}", excerpt(value))))
    }

    /// An address that something can have.
    ///
    /// # Errors
    /// When it is not an address, or one that no pod or node can have.
    pub fn address(&self) -> Result<IpAddr, FieldError> {
        let address: IpAddr = self.parse_address("an IP address")?;
        if let IpAddr::V6(v6) = address
            && let Some(v4) = v6.to_ipv4_mapped()
        {
            return Err(self.error(format!("{address} is an IPv4 address written as IPv6; write {v4}")));
        }
        if address.is_unspecified() || address.is_loopback() || address.is_multicast() {
            return Err(self.error(format!("{address} is not an address that a pod or node can have")));
        }
        Ok(address)
    }

    /// A prefix, with its length.
    ///
    /// # Errors
    /// When it is not a prefix.
    pub fn cidr(&self) -> Result<IpNetwork, FieldError> {
        if let Some(text) = self.optional_text()?
            && !text.contains('/')
        {
            return Err(self.error(format!("{text:?} has no prefix length; write it like 10.1.0.0/24")));
        }
        self.parse_address("a CIDR")
    }

    /// An error about this field.
    pub fn error(&self, message: impl Into<String>) -> FieldError {
        FieldError { field: self.path.clone(), message: message.into() }
    }

    /// An address or a prefix, as the API server reads them (`ParseIPSloppy` and `ParseCIDRSloppy` of k8s.io/utils/net): zeros
    /// before a number of an IPv4 address mean nothing.
    fn parse_address<T: FromStr>(&self, what: &str) -> Result<T, FieldError> {
        let text = self.text()?;
        let parsed = text.parse().or_else(|error| without_zeros(text).map_or(Err(error), |text| text.parse()));
        parsed.map_err(|_| self.error(format!("{text:?} is not {what}")))
    }
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

/// A value as an error shows it: not more than one line.
fn excerpt(value: &Value) -> String {
    match value {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn cidr(text: &str) -> Result<String, String> {
        let value = json!({"cidr": text});
        let read = Field::root("spec", &value).get("cidr").and_then(|field| field.cidr());
        read.map(|cidr| cidr.to_string()).map_err(|error| error.to_string())
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
