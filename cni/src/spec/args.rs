//! `CNI_ARGS`: `KEY=value` pairs with semicolons, in any order. The keys that matter are the pod's (kubelet's runtimes
//! send them) and `IP` and `MAC` (podman does); all others are tolerated.

use ferrule_api::plugin::PodRef;

/// What `CNI_ARGS` says, as text still.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Args {
    /// The pod, where namespace and name are there.
    pub pod: Option<PodRef>,
    /// `IP`: addresses with commas.
    pub ip: Option<String>,
    /// `MAC`.
    pub mac: Option<String>,
}

/// A piece of `CNI_ARGS` without `=` (code 4).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("CNI_ARGS must be KEY=value pairs with semicolons, and {piece:?} has no '='")]
pub struct ArgsError {
    /// The piece.
    pub piece: String,
}

impl Args {
    /// Reads `CNI_ARGS`. Values keep any further `=`; empty values are unset; the last of two equal keys wins.
    ///
    /// # Errors
    /// A piece has no `=`.
    pub fn parse(text: &str) -> Result<Self, ArgsError> {
        let (mut namespace, mut name, mut uid) = (None, None, None);
        let mut args = Self::default();
        for piece in text.split(';').map(str::trim).filter(|piece| !piece.is_empty()) {
            let (key, value) = piece.split_once('=').ok_or_else(|| ArgsError { piece: piece.to_owned() })?;
            let value = Some(value.to_owned()).filter(|value| !value.is_empty());
            match key {
                "K8S_POD_NAMESPACE" => namespace = value,
                "K8S_POD_NAME" => name = value,
                "K8S_POD_UID" => uid = value,
                "IP" => args.ip = value,
                "MAC" => args.mac = value,
                _ => {}
            }
        }
        args.pod = namespace.zip(name).map(|(namespace, name)| PodRef { namespace, name, uid });
        Ok(args)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(namespace: &str, name: &str, uid: Option<&str>) -> Option<PodRef> {
        Some(PodRef { namespace: namespace.into(), name: name.into(), uid: uid.map(Into::into) })
    }

    fn check(text: &str, expected: Args) {
        assert_eq!(Args::parse(text), Ok(expected), "{text:?}");
    }

    #[test]
    fn keys_come_in_any_order_beside_unknown_ones() {
        let full = Args { pod: pod("shop", "web-0", Some("ab12")), ..Args::default() };
        check("IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;K8S_POD_UID=ab12", full.clone());
        check("K8S_POD_UID=ab12;K8S_POD_NAME=web-0;K8S_POD_INFRA_CONTAINER_ID=77;K8S_POD_NAMESPACE=shop;", full);
    }

    #[test]
    fn a_value_keeps_its_equals_signs() {
        check(
            "FOO=a=b;IP=10.1.0.5;MAC=02:00:00:00:00:01",
            Args { ip: Some("10.1.0.5".into()), mac: Some("02:00:00:00:00:01".into()), ..Args::default() },
        );
        check("K8S_POD_NAMESPACE=n;K8S_POD_NAME=a=b", Args { pod: pod("n", "a=b", None), ..Args::default() });
    }

    #[test]
    fn empty_text_and_empty_values_are_unset() {
        check("", Args::default());
        check(";;", Args::default());
        check("IP=;K8S_POD_NAMESPACE=;K8S_POD_NAME=x", Args::default());
    }

    #[test]
    fn a_piece_without_an_equals_sign_is_named() {
        assert_eq!(Args::parse("IP=1;nonsense"), Err(ArgsError { piece: "nonsense".into() }));
    }
}
