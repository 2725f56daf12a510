//! Network policies.

use ferrule_model::{
    cidr,
    objects::{Direction, IpBlock, NetworkPolicy, ObjectName, PolicyPeer, PolicyPort, PolicyRule, PortMatch, Protocol},
    policy::{self, Excess},
    selector::{Requirement, Selector, Test},
};
use ipnetwork::{IpNetwork, Ipv4Network};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;

use super::{
    budget::read,
    error::FieldError,
    metadata::Metadata,
    object::{Object, Raw},
    scalar::{Maybe, Meaning, Needed, one_of, text},
    shape::{List, Part, Strings},
};

#[derive(Deserialize)]
pub(super) struct RawPolicy {
    metadata: Part<Metadata>,
    spec: Part<Spec>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    pod_selector: Part<RawSelector, Selector>,
    policy_types: List<Needed<Direction>>,
    ingress: List<Part<Rule>>,
    egress: List<Part<Rule>>,
}

#[derive(Deserialize)]
struct Rule {
    from: List<Part<RawPeer, PolicyPeer>>,
    to: List<Part<RawPeer, PolicyPeer>>,
    ports: List<Part<RawPort, PolicyPort>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawPeer {
    pod_selector: Option<Part<RawSelector, Selector>>,
    namespace_selector: Option<Part<RawSelector, Selector>>,
    ip_block: Option<Part<RawBlock, IpBlock>>,
}

#[derive(Deserialize)]
struct RawBlock {
    cidr: Needed<IpNetwork>,
    except: List<Needed<IpNetwork>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawPort {
    port: Maybe<PortOrName>,
    end_port: Maybe<u16>,
    protocol: Maybe<Protocol>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawSelector {
    match_labels: Strings,
    match_expressions: List<Part<Expression, Requirement>>,
}

#[derive(Deserialize)]
struct Expression {
    key: Needed<String>,
    operator: Needed<String>,
    values: List<Maybe<String>>,
}

impl Raw for RawPolicy {
    fn metadata(&mut self) -> &mut Metadata {
        &mut self.metadata.0
    }

    fn object(self, name: ObjectName) -> Result<Object, FieldError> {
        let spec = self.spec.0;
        let policy = NetworkPolicy {
            name,
            pod_selector: spec.pod_selector.0,
            isolates: directions(spec.policy_types, !spec.egress.0.is_empty()),
            ingress: spec.ingress.parts().map(|rule| compose(rule.from, rule.ports)).collect(),
            egress: spec.egress.parts().map(|rule| compose(rule.to, rule.ports)).collect(),
        };
        if let Some((direction, Excess { measure, asked, limit })) = policy::excess(&policy) {
            let list = if direction == Direction::Ingress { "spec.ingress" } else { "spec.egress" };
            let words =
                format!("asks for {asked} {measure}, and a policy may have {limit}; name fewer peers and ports");
            return Err(FieldError::new(list, words));
        }
        Ok(Object::NetworkPolicy(policy))
    }
}

/// Some members of a policy.
#[derive(Deserialize)]
struct Of<T> {
    spec: Part<T>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Whom {
    pod_selector: Part<RawSelector, Selector>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Types {
    policy_types: List<Needed<Direction>>,
}

#[derive(Deserialize)]
struct Rules {
    egress: List<IgnoredAny>,
}

/// What stands for a policy that cannot be read: what it may select lets nobody in or out by it. Policies only add up, so that
/// others' rules allow what they allow.
pub(super) fn closed(name: &ObjectName, json: &str, most: usize) -> NetworkPolicy {
    let has_egress = read::<Of<Rules>>(json, most).is_ok_and(|of| !of.spec.0.egress.0.is_empty());
    let types = read::<Of<Types>>(json, most).map(|of| directions(of.spec.0.policy_types, has_egress));
    NetworkPolicy {
        name: name.clone(),
        pod_selector: read::<Of<Whom>>(json, most).map(|of| of.spec.0.pod_selector.0).unwrap_or_default(),
        isolates: types.unwrap_or_else(|_| vec![Direction::Ingress, Direction::Egress]),
        ingress: Vec::new(),
        egress: Vec::new(),
    }
}

/// `policyTypes`; where it is absent, ingress always and egress where there are rules for it.
fn directions(listed: List<Needed<Direction>>, has_egress: bool) -> Vec<Direction> {
    if listed.0.is_empty() {
        return [Direction::Ingress].into_iter().chain(has_egress.then_some(Direction::Egress)).collect();
    }
    listed.values().collect()
}

fn compose(peers: List<Part<RawPeer, PolicyPeer>>, ports: List<Part<RawPort, PolicyPort>>) -> PolicyRule {
    PolicyRule { peers: peers.parts().collect(), ports: ports.parts().collect() }
}

impl TryFrom<RawPeer> for PolicyPeer {
    type Error = FieldError;

    fn try_from(raw: RawPeer) -> Result<Self, FieldError> {
        let failed = |message: &str| Err(FieldError::new("", message));
        match (raw.ip_block, raw.pod_selector, raw.namespace_selector) {
            (Some(block), None, None) => Ok(Self::Block(block.0)),
            (Some(_), ..) => failed("ipBlock stands beside a selector; give each an entry of its own"),
            (None, None, None) => failed("names nobody; give it podSelector, namespaceSelector or ipBlock"),
            (None, pods, namespaces) => Ok(Self::Pods {
                namespaces: namespaces.map(|selector| selector.0),
                pods: pods.map(|selector| selector.0).unwrap_or_default(),
            }),
        }
    }
}

impl TryFrom<RawBlock> for IpBlock {
    type Error = FieldError;

    fn try_from(raw: RawBlock) -> Result<Self, FieldError> {
        let whole = unmapped(raw.cidr.0);
        let mut except = Vec::new();
        for (index, part) in raw.except.values().map(unmapped).enumerate() {
            if part.prefix() <= whole.prefix() || !whole.contains(part.network()) {
                let words = format!("{part} is not a part of {whole}");
                return Err(FieldError::new(format_args!(".except[{index}]"), words));
            }
            except.push(cidr::normalised(part));
        }
        Ok(Self { cidr: cidr::normalised(whole), except })
    }
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

impl TryFrom<RawPort> for PolicyPort {
    type Error = FieldError;

    fn try_from(raw: RawPort) -> Result<Self, FieldError> {
        let failed = |message: String| Err(FieldError::new(".endPort", message));
        let port = match (raw.port.0, raw.end_port.0) {
            (Some(PortOrName::Port(first)), last) => match last.unwrap_or(first) {
                last if last < first => return failed(format!("is below port {first}")),
                last => PortMatch::Range(first, last),
            },
            (_, Some(_)) => return failed("needs a port that is a number".to_owned()),
            (Some(PortOrName::Name(name)), None) => PortMatch::Named(name),
            (None, None) => PortMatch::Any,
        };
        Ok(Self { protocol: raw.protocol.0.unwrap_or_default(), port })
    }
}

enum PortOrName {
    Port(u16),
    Name(String),
}

/// A port's name as the API server takes it (`IsValidPortName` of apimachinery, RFC 6335 5.1): what is none would match nothing.
impl Meaning for PortOrName {
    fn of(value: Value) -> Result<Self, String> {
        if value.is_number() {
            return u16::of(value).map(Self::Port);
        }
        let name = text(value)?;
        if name.is_empty() {
            return Err("is missing".to_owned());
        }
        if name.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(format!("{name:?} is a number in quotes, and a name has a letter; write {name}"));
        }
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let edge = name.starts_with('-') || name.ends_with('-') || name.contains("--");
        let letter = name.bytes().any(|byte| byte.is_ascii_lowercase());
        if name.len() > 15 || edge || !name.bytes().all(allowed) || !letter {
            return Err(format!(
                "{name:?} is not a port's name: lower case letters, at least one, digits and single '-' within, at most 15"
            ));
        }
        Ok(Self::Name(name))
    }
}

impl From<RawSelector> for Selector {
    fn from(raw: RawSelector) -> Self {
        let equal = |(key, value)| Requirement { key, test: Test::In(vec![value]) };
        Self::new(raw.match_labels.0.into_iter().map(equal).chain(raw.match_expressions.parts()).collect())
    }
}

impl TryFrom<Expression> for Requirement {
    type Error = FieldError;

    fn try_from(raw: Expression) -> Result<Self, FieldError> {
        let values: Vec<String> = raw.values.0.into_iter().map(|value| value.0.unwrap_or_default()).collect();
        let (field, message) = match (&*raw.operator.0, values.is_empty()) {
            ("In", false) => return Ok(Self { key: raw.key.0, test: Test::In(values) }),
            ("NotIn", false) => return Ok(Self { key: raw.key.0, test: Test::NotIn(values) }),
            ("Exists", true) => return Ok(Self { key: raw.key.0, test: Test::Exists }),
            ("DoesNotExist", true) => return Ok(Self { key: raw.key.0, test: Test::DoesNotExist }),
            (word @ ("In" | "NotIn"), true) => (".values", format!("is empty, but {word} needs values")),
            (word @ ("Exists" | "DoesNotExist"), false) => (".values", format!("has no meaning with {word}")),
            (other, _) => (".operator", format!("{other:?} is not an operator (In, NotIn, Exists, DoesNotExist)")),
        };
        Err(FieldError::new(field, message))
    }
}

impl Meaning for Direction {
    fn of(value: Value) -> Result<Self, String> {
        one_of(value, "a policy type", &[("Ingress", Self::Ingress), ("Egress", Self::Egress)])
    }
}
