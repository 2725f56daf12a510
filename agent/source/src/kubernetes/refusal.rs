//! What the API server's refusals mean, as sentences: which objects, which answer, and what to do where that is known.

use ferrule_api::chain::chain;
use ferrule_model::objects::Kind;
use kube::{Resource, core::Status, runtime::watcher};

use super::item::Item;

/// Why a kind cannot be watched.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The number of the HTTP answer; none where there was none.
    pub code: Option<u16>,
    /// A sentence.
    pub words: String,
}

impl Refusal {
    /// What a watch of a kind failed with.
    pub(super) fn of(kind: Kind, error: &watcher::Error) -> Self {
        let status = match error {
            watcher::Error::InitialListFailed(kube::Error::Api(status))
            | watcher::Error::WatchStartFailed(kube::Error::Api(status))
            | watcher::Error::WatchFailed(kube::Error::Api(status))
            | watcher::Error::WatchError(status) => status,
            other => return Self { code: None, words: chain(other) },
        };
        let words = match status.code {
            404 => absent(kind),
            500 => format!("{}; if it cannot read one of them in etcd, its log says which", answered(status)),
            _ => answered(status),
        };
        Self { code: Some(status.code), words }
    }
}

/// What a request failed with, without the inner form of the answer that kube adds.
pub(super) fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => answered(status),
        other => chain(other),
    }
}

fn answered(status: &Status) -> String {
    format!("the API server answered {}: {}", status.code, status.message)
}

/// A list of a kind that is not found: the server does not serve the kind at all.
fn absent(kind: Kind) -> String {
    let (of, plural) = (Item::api_version(&kind), Item::plural(&kind));
    let remedy = match since(kind) {
        Some(version) => format!(
            "Kubernetes serves them from {version} on, unless the API server's --runtime-config turns {of} off; Ferrule \
             needs them"
        ),
        None => "what answers there is no API server of Kubernetes; see --api-server or the kubeconfig".into(),
    };
    format!("the API server serves no {plural} of {of} (404): {remedy}")
}

/// The version of Kubernetes that serves a kind's API first; none for the core's, which every one has.
fn since(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Node | Kind::Namespace | Kind::Pod | Kind::Service => None,
        Kind::NetworkPolicy => Some("1.7"),
        Kind::EndpointSlice => Some("1.21"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(code: u16, message: &str) -> watcher::Error {
        let status = Status::failure(message, "Reason").with_code(code);
        watcher::Error::InitialListFailed(kube::Error::Api(status.boxed()))
    }

    #[test]
    fn a_kind_that_the_server_does_not_serve_is_named_with_its_group_and_version() {
        let refusal = Refusal::of(Kind::EndpointSlice, &listing(404, "404 page not found"));
        assert_eq!(refusal.code, Some(404));
        let words = "the API server serves no endpointslices of discovery.k8s.io/v1 (404): Kubernetes serves them from 1.21 on, \
                     unless the API server's --runtime-config turns discovery.k8s.io/v1 off; Ferrule needs them";
        assert_eq!(refusal.words, words);
        let refusal = Refusal::of(Kind::NetworkPolicy, &listing(404, "404 page not found"));
        assert!(refusal.words.contains("no networkpolicies of networking.k8s.io/v1 (404)"), "{}", refusal.words);
        assert!(refusal.words.contains("from 1.7 on"), "{}", refusal.words);
    }

    #[test]
    fn what_lacks_the_core_is_no_api_server() {
        let words = Refusal::of(Kind::Pod, &listing(404, "not here")).words;
        assert!(words.contains("no pods of v1 (404)") && words.contains("no API server of Kubernetes"), "{words}");
    }

    #[test]
    fn another_answer_is_told_in_the_servers_words_alone() {
        let error = watcher::Error::WatchStartFailed(kube::Error::Api(
            Status::failure("pods is forbidden", "Forbidden").with_code(403).boxed(),
        ));
        let told = Refusal { code: Some(403), words: "the API server answered 403: pods is forbidden".into() };
        assert_eq!(Refusal::of(Kind::Pod, &error), told);
        let expired = watcher::Error::WatchError(Status::failure("too old", "Expired").with_code(410).boxed());
        assert_eq!(Refusal::of(Kind::Pod, &expired).words, "the API server answered 410: too old");
    }

    #[test]
    fn what_the_server_cannot_read_itself_leads_to_its_log() {
        let words = Refusal::of(Kind::NetworkPolicy, &listing(500, "illegal base64 data at input byte 4")).words;
        assert!(words.starts_with("the API server answered 500: illegal base64 data at input byte 4; "), "{words}");
        assert!(words.ends_with("in etcd, its log says which"), "{words}");
    }

    #[test]
    fn where_nothing_answered_there_is_no_number() {
        let refusal = Refusal::of(Kind::Pod, &watcher::Error::NoResourceVersion);
        assert_eq!(refusal.code, None);
        assert!(refusal.words.contains("no metadata.resourceVersion"), "{}", refusal.words);
    }
}
