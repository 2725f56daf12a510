//! Results as any version from 0.3.0 on sends them. Versions differ in what a reader may find, not in what it means, so
//! one reader serves all; `ips[].version` is dropped, since the address says it.

use serde_json::Value;

use super::{AddResult, Dns, Interface, Ip, Route};
use crate::spec::fields::{FieldError, Fields};

impl AddResult {
    /// Reads a result; `path` is where it stands, such as `prevResult`.
    ///
    /// # Errors
    /// A field of the specification is not what it says.
    pub fn read(path: &str, value: Value) -> Result<Self, FieldError> {
        let mut fields = Fields::new(path, value)?;
        fields.take("cniVersion");
        let result = Self {
            interfaces: fields.objects("interfaces")?.into_iter().map(interface).collect::<Result<_, _>>()?,
            ips: fields.objects("ips")?.into_iter().map(ip).collect::<Result<_, _>>()?,
            routes: fields.objects("routes")?.into_iter().map(route).collect::<Result<_, _>>()?,
            dns: Dns::read(fields.object("dns")?)?,
            other: fields.rest(),
        };
        let count = result.interfaces.len();
        match result.ips.iter().enumerate().find(|(_, ip)| ip.interface.is_some_and(|index| index >= count)) {
            Some((position, ip)) => Err(FieldError::new(
                format!("{path}.ips[{position}].interface"),
                "an index into interfaces",
                &ip.interface.into(),
            )),
            None => Ok(result),
        }
    }
}

impl Dns {
    /// Reads `dns`.
    ///
    /// # Errors
    /// A field is not what the specification says.
    pub fn read(mut fields: Fields) -> Result<Self, FieldError> {
        Ok(Self {
            nameservers: fields.strings("nameservers")?,
            domain: text(&mut fields, "domain")?,
            search: fields.strings("search")?,
            options: fields.strings("options")?,
            other: fields.rest(),
        })
    }
}

fn interface(mut fields: Fields) -> Result<Interface, FieldError> {
    Ok(Interface {
        name: fields.string("name")?.unwrap_or_default(),
        mac: text(&mut fields, "mac")?,
        mtu: fields.number("mtu")?,
        sandbox: text(&mut fields, "sandbox")?,
        socket_path: text(&mut fields, "socketPath")?,
        pci_id: text(&mut fields, "pciID")?,
        other: fields.rest(),
    })
}

fn ip(mut fields: Fields) -> Result<Ip, FieldError> {
    fields.take("version");
    Ok(Ip {
        interface: fields.read("interface", "an index into interfaces", |value| value.as_u64()?.try_into().ok())?,
        address: required(&mut fields, "address", "an address with prefix length")?,
        gateway: gateway(&mut fields, "gateway")?,
        other: fields.rest(),
    })
}

fn route(mut fields: Fields) -> Result<Route, FieldError> {
    Ok(Route {
        dst: required(&mut fields, "dst", "a network with prefix length")?,
        gw: gateway(&mut fields, "gw")?,
        mtu: fields.number("mtu")?,
        advmss: fields.number("advmss")?,
        priority: fields.number("priority")?,
        table: fields.number("table")?,
        scope: fields.number("scope")?,
        other: fields.rest(),
    })
}

fn text(fields: &mut Fields, key: &str) -> Result<Option<String>, FieldError> {
    Ok(fields.string(key)?.filter(|text| !text.is_empty()))
}

fn required<T: std::str::FromStr>(fields: &mut Fields, key: &str, expected: &'static str) -> Result<T, FieldError> {
    fields
        .read(key, expected, |value| value.as_str()?.parse().ok())?
        .ok_or_else(|| FieldError::new(fields.path(key), expected, &Value::Null))
}

fn gateway(fields: &mut Fields, key: &str) -> Result<Option<std::net::IpAddr>, FieldError> {
    let gateway = fields.read(key, "an address", |value| match value.as_str()? {
        "" => Some(None),
        text => text.parse().ok().map(Some),
    })?;
    Ok(gateway.flatten())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_error_names_the_field() {
        let check = |value: Value, path: &str| {
            assert_eq!(AddResult::read("prevResult", value).map_err(|error| error.path), Err(path.to_owned()));
        };
        check(json!("garbage"), "prevResult");
        check(json!({"ips": [{}]}), "prevResult.ips[0].address");
        check(json!({"ips": [{"address": "10.0.0.1/33"}]}), "prevResult.ips[0].address");
        check(json!({"ips": [{"address": "10.0.0.1/24", "interface": 0}]}), "prevResult.ips[0].interface");
        check(json!({"ips": [{"address": "10.0.0.1/24", "interface": -1}]}), "prevResult.ips[0].interface");
        check(json!({"routes": [{"dst": "10.0.0.0/8", "gw": 7}]}), "prevResult.routes[0].gw");
        check(json!({"interfaces": {}}), "prevResult.interfaces");
    }

    #[test]
    fn a_result_without_anything_reads() {
        assert_eq!(AddResult::read("r", json!({"cniVersion": "0.4.0", "dns": {}})), Ok(AddResult::default()));
    }
}
