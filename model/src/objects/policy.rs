//! `networking.k8s.io/v1` NetworkPolicy (<https://kubernetes.io/docs/concepts/services-networking/network-policies/>).

use ipnetwork::IpNetwork;

use super::{ObjectName, Pod, Protocol};
use crate::selector::Selector;

/// A NetworkPolicy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkPolicy {
    /// `metadata.namespace` and `metadata.name`.
    pub name: ObjectName,
    /// `spec.podSelector`, within the policy's namespace.
    pub pod_selector: Selector,
    /// The directions that it isolates: `spec.policyTypes`, or what Kubernetes derives where that is absent (ingress
    /// always, egress where there are egress rules).
    pub isolates: Vec<Direction>,
    /// `spec.ingress`.
    pub ingress: Vec<PolicyRule>,
    /// `spec.egress`.
    pub egress: Vec<PolicyRule>,
}

impl NetworkPolicy {
    /// Whether it applies to this pod; policies say nothing about host-networked pods.
    #[must_use]
    pub fn selects(&self, pod: &Pod) -> bool {
        !pod.host_network && pod.name.namespace == self.name.namespace && self.pod_selector.matches(&pod.labels)
    }
}

/// A direction, seen from the pod that a policy selects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Into the pod.
    Ingress,
    /// Out of the pod.
    Egress,
}

/// What one rule allows: any of its peers on any of its ports.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PolicyRule {
    /// `from` or `to`; empty means everyone.
    pub peers: Vec<PolicyPeer>,
    /// `ports`; empty means every port and protocol.
    pub ports: Vec<PolicyPort>,
}

/// One entry of `from` or `to`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicyPeer {
    /// Pods.
    Pods {
        /// `namespaceSelector`; none means the policy's own namespace.
        namespaces: Option<Selector>,
        /// `podSelector`; empty means every pod.
        pods: Selector,
    },
    /// `ipBlock`.
    Block(IpBlock),
}

/// `ipBlock`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IpBlock {
    /// `cidr`.
    pub cidr: IpNetwork,
    /// `except`, each within `cidr`.
    pub except: Vec<IpNetwork>,
}

/// One entry of `ports`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyPort {
    /// `protocol`.
    pub protocol: Protocol,
    /// `port` and `endPort`.
    pub port: PortMatch,
}

/// `port` and `endPort`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortMatch {
    /// No `port`: every port of the protocol.
    Any,
    /// From `port` to `endPort`, both included.
    Range(u16, u16),
    /// A container port's name.
    Named(String),
}

#[cfg(test)]
mod tests {
    use super::{super::Phase, *};
    use crate::selector::{Requirement, Test};

    fn check(namespace: &str, labels: &[(&str, &str)], host_network: bool, expected: bool) {
        let policy = NetworkPolicy {
            name: ObjectName::new("shop", "only-web"),
            pod_selector: Selector::new(vec![Requirement { key: "app".into(), test: Test::In(vec!["web".into()]) }]),
            isolates: vec![Direction::Ingress],
            ingress: vec![],
            egress: vec![],
        };
        let pod = Pod {
            name: ObjectName::new(namespace, "p"),
            uid: String::new(),
            labels: labels.iter().copied().collect(),
            created: 0,
            static_uid: None,
            announced: false,
            terminating: false,
            node: None,
            host_network,
            phase: Phase::Running,
            ips: vec![],
            ports: vec![],
        };
        assert_eq!(policy.selects(&pod), expected, "{pod:?}");
    }

    #[test]
    fn a_policy_selects_pods_of_its_namespace_by_label() {
        check("shop", &[("app", "web")], false, true);
        check("shop", &[("app", "db")], false, false);
        check("other", &[("app", "web")], false, false);
    }

    #[test]
    fn a_policy_never_selects_a_host_networked_pod() {
        check("shop", &[("app", "web")], true, false);
    }
}
