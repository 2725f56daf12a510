//! Network policies.

use ferrule_model::{
    cidr,
    objects::{Direction, IpBlock, NetworkPolicy, ObjectName, PolicyPeer, PolicyPort, PolicyRule, PortMatch},
    policy::{self, Excess},
    selector::{Requirement, Selector, Test},
};
use ipnetwork::{IpNetwork, Ipv4Network};

use super::pod::protocol;
use crate::field::{Field, FieldError};

pub(super) fn decode(name: &ObjectName, spec: &Field<'_>) -> Result<NetworkPolicy, FieldError> {
    let rules = |list: &str, peers: &str| -> Result<Vec<PolicyRule>, FieldError> {
        spec.get(list)?.list()?.iter().map(|rule| decode_rule(rule, peers)).collect()
    };
    let (ingress, egress) = (rules("ingress", "from")?, rules("egress", "to")?);
    let policy = NetworkPolicy {
        name: name.clone(),
        pod_selector: selector(&spec.get("podSelector")?)?,
        isolates: directions(&spec.get("policyTypes")?, !egress.is_empty())?,
        ingress,
        egress,
    };
    if let Some((direction, Excess { measure, asked, limit })) = policy::excess(&policy) {
        let list = if direction == Direction::Ingress { "ingress" } else { "egress" };
        let words = format!("asks for {asked} {measure}, and a policy may have {limit}; name fewer peers and ports");
        return Err(spec.get(list)?.error(words));
    }
    Ok(policy)
}

/// What stands for a policy that cannot be read: what it may select lets nobody in or out by it. Policies only add up, so that
/// others' rules allow what they allow.
pub(super) fn closed(name: &ObjectName, spec: &Field<'_>) -> NetworkPolicy {
    let read = |field: &str| spec.get(field);
    let has_egress = read("egress").and_then(|rules| rules.list()).is_ok_and(|rules| !rules.is_empty());
    let everything = || Selector::new(Vec::new());
    NetworkPolicy {
        name: name.clone(),
        pod_selector: read("podSelector").and_then(|field| selector(&field)).unwrap_or_else(|_| everything()),
        isolates: read("policyTypes")
            .and_then(|field| directions(&field, has_egress))
            .unwrap_or_else(|_| vec![Direction::Ingress, Direction::Egress]),
        ingress: Vec::new(),
        egress: Vec::new(),
    }
}

/// `policyTypes`; where it is absent, ingress always and egress where there are rules for it.
fn directions(field: &Field<'_>, has_egress: bool) -> Result<Vec<Direction>, FieldError> {
    let listed = field.list()?;
    if listed.is_empty() {
        let egress = has_egress.then_some(Direction::Egress);
        return Ok([Direction::Ingress].into_iter().chain(egress).collect());
    }
    let direction = |field: &Field<'_>| match field.text()? {
        "Ingress" => Ok(Direction::Ingress),
        "Egress" => Ok(Direction::Egress),
        other => Err(field.error(format!("{other:?} is not a policy type (Ingress, Egress)"))),
    };
    listed.iter().map(direction).collect()
}

fn decode_rule(rule: &Field<'_>, peers: &str) -> Result<PolicyRule, FieldError> {
    Ok(PolicyRule {
        peers: rule.get(peers)?.list()?.iter().map(peer).collect::<Result<_, _>>()?,
        ports: rule.get("ports")?.list()?.iter().map(port).collect::<Result<_, _>>()?,
    })
}

fn peer(field: &Field<'_>) -> Result<PolicyPeer, FieldError> {
    let (pods, namespaces) = (field.get("podSelector")?, field.get("namespaceSelector")?);
    let block = field.get("ipBlock")?;
    match (block.is_some(), pods.is_some() || namespaces.is_some()) {
        (true, true) => Err(field.error("ipBlock stands beside a selector; give each an entry of its own")),
        (false, false) => Err(field.error("names nobody; give it podSelector, namespaceSelector or ipBlock")),
        (true, false) => Ok(PolicyPeer::Block(ip_block(&block)?)),
        (false, true) => {
            let namespaces = if namespaces.is_some() { Some(selector(&namespaces)?) } else { None };
            Ok(PolicyPeer::Pods { namespaces, pods: selector(&pods)? })
        }
    }
}

fn ip_block(field: &Field<'_>) -> Result<IpBlock, FieldError> {
    let whole = field.get("cidr")?.cidr().map(unmapped)?;
    let mut except = Vec::new();
    for field in field.get("except")?.list()? {
        let part = field.cidr().map(unmapped)?;
        if part.prefix() <= whole.prefix() || !whole.contains(part.network()) {
            return Err(field.error(format!("{part} is not a part of {whole}")));
        }
        except.push(cidr::normalised(part));
    }
    Ok(IpBlock { cidr: cidr::normalised(whole), except })
}

/// `::ffff:10.1.0.0/112` as `10.1.0.0/16`, which it means to the API server: Go's `net.IPNet` reads it so.
fn unmapped(block: IpNetwork) -> IpNetwork {
    let v4 = match block {
        IpNetwork::V6(v6) => v6.network().to_ipv4_mapped().zip(v6.prefix().checked_sub(96)),
        IpNetwork::V4(_) => None,
    };
    let read = v4.and_then(|(address, prefix)| Ipv4Network::new(address, prefix).ok());
    read.map_or(block, IpNetwork::V4)
}

fn port(field: &Field<'_>) -> Result<PolicyPort, FieldError> {
    let (first, last) = (field.get("port")?, field.get("endPort")?);
    let port = match (first.optional_port()?, last.optional_port()?) {
        (Some(first), None) => PortMatch::Range(first, first),
        (Some(first), Some(last)) if first <= last => PortMatch::Range(first, last),
        (Some(first), Some(_)) => return Err(last.error(format!("is below port {first}"))),
        (None, Some(_)) => return Err(last.error("needs a port that is a number")),
        (None, None) if first.is_some() => PortMatch::Named(port_name(&first)?.to_owned()),
        (None, None) => PortMatch::Any,
    };
    if last.is_some() && last.optional_port()?.is_none() {
        return Err(last.error("is not a number"));
    }
    Ok(PolicyPort { protocol: protocol(&field.get("protocol")?)?, port })
}

/// A port's name as the API server takes it (`IsValidPortName` of apimachinery, RFC 6335 5.1): what is none would match nothing.
fn port_name<'a>(field: &Field<'a>) -> Result<&'a str, FieldError> {
    let name = field.text()?;
    if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(field.error(format!("{name:?} is a number in quotes, and a name has a letter; write {name}")));
    }
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let edge = name.starts_with('-') || name.ends_with('-') || name.contains("--");
    if name.len() > 15 || edge || !name.bytes().all(allowed) || !name.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return Err(field.error(format!(
            "{name:?} is not a port's name: lower case letters, at least one, digits and single '-' within, at most 15"
        )));
    }
    Ok(name)
}

/// A label selector; an absent one selects everything.
fn selector(field: &Field<'_>) -> Result<Selector, FieldError> {
    let equal = |(key, value): (&str, &str)| Requirement { key: key.into(), test: Test::In(vec![value.into()]) };
    let mut requirements: Vec<Requirement> = field.get("matchLabels")?.strings()?.into_iter().map(equal).collect();
    for expression in field.get("matchExpressions")?.list()? {
        requirements.push(requirement(&expression)?);
    }
    Ok(Selector::new(requirements))
}

fn requirement(field: &Field<'_>) -> Result<Requirement, FieldError> {
    let (operator, list) = (field.get("operator")?, field.get("values")?);
    let values: Vec<String> = list
        .list()?
        .iter()
        .map(|value| Ok(value.optional_text()?.unwrap_or_default().to_owned()))
        .collect::<Result<_, _>>()?;
    let test = match (operator.text()?, values.is_empty()) {
        ("In", false) => Test::In(values),
        ("NotIn", false) => Test::NotIn(values),
        ("Exists", true) => Test::Exists,
        ("DoesNotExist", true) => Test::DoesNotExist,
        (word @ ("In" | "NotIn"), true) => return Err(list.error(format!("is empty, but {word} needs values"))),
        (word @ ("Exists" | "DoesNotExist"), false) => return Err(list.error(format!("has no meaning with {word}"))),
        (other, _) => {
            return Err(operator.error(format!("{other:?} is not an operator (In, NotIn, Exists, DoesNotExist)")));
        }
    };
    Ok(Requirement { key: field.get("key")?.text()?.to_owned(), test })
}
