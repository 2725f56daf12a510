//! How it stands between the agent and the API server: what was listed, what was heard last, what does not work.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use ferrule_model::objects::Kind;
use http::{Request, Response, Uri};
use kube::runtime::watcher;
use tower::{Layer, Service};

use super::refusal::{self, Refusal};

/// Shared by the source, which writes it, and everybody who asks.
#[derive(Debug, Default)]
pub struct Health(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Kinds that were not listed yet; none before the first list of any.
    missing: Option<BTreeSet<Kind>>,
    /// When an answer came last.
    answered: Option<SystemTime>,
    /// When the objects were last brought up to date.
    synced_at: Option<SystemTime>,
    /// Since when there is no way to ask it, and why.
    no_way: Option<(SystemTime, String)>,
    /// Since when a kind's watch does not work, and why.
    broken: BTreeMap<Kind, (SystemTime, Refusal)>,
    /// Since when the API server does not take what it is told, by resource, and why.
    untold: BTreeMap<&'static str, (SystemTime, String)>,
}

/// What [`Health`] says at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Everything in use was listed once.
    pub synced: bool,
    /// When the API server answered last; none where it never did.
    pub answered: Option<SystemTime>,
    /// When the objects were last brought up to date by what a list or a watch said.
    pub synced_at: Option<SystemTime>,
    /// What does not work, a sentence each.
    pub problems: Vec<String>,
}

impl Health {
    /// The kinds that were not listed yet.
    pub(super) fn listed(&self, missing: impl Iterator<Item = Kind>) {
        self.state().missing = Some(missing.collect());
    }

    /// What the watches said is what the agent goes by from now on.
    pub(super) fn synced(&self) {
        self.state().synced_at = Some(SystemTime::now());
    }

    /// A watch said something.
    pub(super) fn heard(&self, kind: Kind) {
        let mut state = self.state();
        state.answered = Some(SystemTime::now());
        if let Some((since, _)) = state.broken.remove(&kind) {
            tracing::info!(?kind, seconds = age(since), "the API server is watched again");
        }
    }

    /// A watch failed, and is tried again.
    pub(super) fn failed(&self, kind: Kind, error: &watcher::Error) {
        let refusal = Refusal::of(kind, error);
        let mut state = self.state();
        let known = state.broken.get(&kind);
        // Again where another answer comes: a server that was away may be another one when it is back.
        if known.is_none_or(|(_, last)| last.code != refusal.code) {
            tracing::warn!(?kind, error = refusal.words, "the API server cannot be watched; what it said last stands");
        }
        let since = known.map_or_else(SystemTime::now, |(since, _)| *since);
        state.broken.insert(kind, (since, refusal));
    }

    /// Whether there is a way to ask the API server: credentials that can be used.
    pub fn way(&self, words: Option<String>) {
        let mut state = self.state();
        let since = state.no_way.as_ref().map_or_else(SystemTime::now, |(since, _)| *since);
        if let Some(error) = words.as_deref()
            && state.no_way.as_ref().is_none_or(|(_, last)| last != error)
        {
            tracing::error!(error, "the API server cannot be asked; tried again");
        }
        state.no_way = words.map(|words| (since, words));
    }

    /// The API server was told something of a resource, and took it or refused.
    pub fn told(&self, resource: &'static str, error: Option<&kube::Error>) {
        let mut state = self.state();
        match error {
            Some(error) => {
                let since = state.untold.get(resource).map_or_else(SystemTime::now, |(since, _)| *since);
                state.untold.insert(resource, (since, refusal::words(error)));
            }
            None => _ = state.untold.remove(resource),
        }
    }

    /// A request was granted. A kind's watch works then; a page of its list says nothing about the next one.
    fn granted(&self, uri: &Uri) {
        let watches = uri.query().is_some_and(|query| query.split('&').any(|one| one == "watch=true"));
        let kind = Kind::ALL.into_iter().find(|kind| uri.path().ends_with(&format!("/{}", plural(*kind))));
        match kind.filter(|_| watches) {
            Some(kind) => self.heard(kind),
            None => self.state().answered = Some(SystemTime::now()),
        }
    }

    /// As of now.
    #[must_use]
    pub fn report(&self) -> Report {
        let state = self.state();
        let no_way = state.no_way.iter();
        let no_way = no_way.map(|(since, words)| format!("cannot be asked for {} s: {words}", age(*since)));
        let broken = state.broken.iter().map(|(kind, (since, refusal))| {
            format!("{} cannot be watched for {} s: {}", plural(*kind), age(*since), refusal.words)
        });
        let untold = state
            .untold
            .iter()
            .map(|(resource, (since, words))| format!("{resource} cannot be written for {} s: {words}", age(*since)));
        Report {
            synced: state.missing.as_ref().is_some_and(BTreeSet::is_empty),
            answered: state.answered,
            synced_at: state.synced_at,
            problems: no_way.chain(broken).chain(untold).collect(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn plural(kind: Kind) -> std::borrow::Cow<'static, str> {
    use kube::Resource;
    super::item::Item::plural(&kind).into_owned().into()
}

/// In seconds.
pub fn age(since: SystemTime) -> u64 {
    since.elapsed().unwrap_or(Duration::ZERO).as_secs()
}

/// Tells [`Health`] of every answer: a watch that works again may have nothing to say for long.
#[derive(Clone)]
pub(super) struct Listen(Arc<Health>);

impl Listen {
    pub(super) fn new(health: Arc<Health>) -> Self {
        Self(health)
    }
}

impl<S> Layer<S> for Listen {
    type Service = Listening<S>;

    fn layer(&self, inner: S) -> Listening<S> {
        Listening { inner, health: Arc::clone(&self.0) }
    }
}

/// A service whose answers are told.
#[derive(Clone)]
pub(super) struct Listening<S> {
    inner: S,
    health: Arc<Health>,
}

impl<S, Body, Answer> Service<Request<Body>> for Listening<S>
where
    S: Service<Request<Body>, Response = Response<Answer>>,
    S::Future: Send + 'static,
{
    type Response = Response<Answer>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (uri, health) = (request.uri().clone(), Arc::clone(&self.health));
        let answer = self.inner.call(request);
        Box::pin(async move {
            let response = answer.await?;
            if response.status().is_success() {
                health.granted(&uri);
            }
            Ok(response)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_credentials_it_cannot_be_asked() {
        let health = Health::default();
        health.way(Some("no credentials".into()));
        assert_eq!(health.report().problems, ["cannot be asked for 0 s: no credentials"]);
        health.way(None);
        assert!(health.report().problems.is_empty());
    }

    #[test]
    fn it_is_synced_when_nothing_is_missing() {
        let health = Health::default();
        assert!(!health.report().synced && health.report().answered.is_none());
        health.listed([Kind::Pod].into_iter());
        assert!(!health.report().synced);
        health.listed(std::iter::empty());
        assert!(health.report().synced);
    }

    #[test]
    fn what_is_broken_is_told_until_it_answers_again() {
        let health = Health::default();
        health.failed(Kind::Pod, &watcher::Error::NoResourceVersion);
        health.failed(Kind::Service, &watcher::Error::NoResourceVersion);
        let problems = health.report().problems;
        assert!(problems[0].starts_with("pods cannot be watched for 0 s: "), "{problems:?}");
        health.granted(&Uri::from_static("/api/v1/pods?&limit=500"));
        assert_eq!(health.report().problems.len(), 2, "a list may fail at its next page");
        health.granted(&Uri::from_static("/api/v1/pods?&watch=true&timeoutSeconds=240"));
        let problems = health.report().problems;
        assert!(problems.len() == 1 && problems[0].starts_with("services "), "{problems:?}");
    }

    #[test]
    fn what_is_not_taken_is_told_until_it_is() {
        let health = Health::default();
        health.told("pods/status", Some(&kube::Error::LinesCodecMaxLineLengthExceeded));
        health.told("events", None);
        let problems = health.report().problems;
        assert!(problems.len() == 1 && problems[0].starts_with("pods/status cannot be written"), "{problems:?}");
        health.told("pods/status", None);
        assert!(health.report().problems.is_empty());
    }
}
