//! The agent, as the plugin sees it: the requests of [`crate::plugin`], each with a time limit.

mod transport;

use std::{
    io,
    os::unix::fs::FileTypeExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde::{Serialize, de::DeserializeOwned};

use crate::{
    plugin as api,
    plugin::{
        ActivateRequest, ApiError, CheckRequest, GcRequest, GcResponse, ReleaseRequest, ReserveRequest,
        ReserveResponse, StatusResponse,
    },
};

/// How long ADD waits for an agent that restarts. Runtimes give a pod two minutes and more.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// One request of ADD, CHECK or GC.
const REQUEST: Duration = Duration::from_secs(10);
/// DEL's and STATUS's request: DEL can do without the agent, and STATUS is asked again.
const BRIEF: Duration = Duration::from_secs(1);
/// The first pause between tries; each is twice the one before, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// More than any answer has.
const ANSWER_LIMIT: u64 = 16 << 20;

/// A request that the agent did not serve.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// Nobody listens (code 11).
    #[error("the agent is not running: nothing answers at {}; see why its pod on this node, or its service, does not start", socket.display())]
    Away {
        /// The agent's socket.
        socket: PathBuf,
        /// What connecting, or talking, ended with.
        #[source]
        source: io::Error,
    },
    /// Something else stands there (code 7).
    #[error("agentSocket {} is {kind} and not a socket; name the agent's own, which its setting `socket` says", socket.display())]
    NoSocket {
        /// The agent's socket.
        socket: PathBuf,
        /// What it is.
        kind: &'static str,
    },
    /// The socket is not the caller's (code 11).
    #[error("{} is root's alone: run it as root", socket.display())]
    Forbidden {
        /// The agent's socket.
        socket: PathBuf,
    },
    /// Somebody listens and does not answer (code 11).
    #[error("the agent at {} did not answer {path} within {} s; it is overloaded or hangs", socket.display(), limit.as_secs())]
    Silent {
        /// The agent's socket.
        socket: PathBuf,
        /// The request.
        path: &'static str,
        /// The time limit.
        limit: Duration,
    },
    /// The answer makes no sense (code 103).
    #[error("the agent at {} answered {path} with what cannot be read; plugin and agent may be more than one release apart", socket.display())]
    Garbled {
        /// The agent's socket.
        socket: PathBuf,
        /// The request.
        path: &'static str,
        /// Why not.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The agent says no (its own code).
    #[error("{}", .0.msg)]
    Refused(ApiError),
}

impl AgentError {
    /// Whether the agent may be restarting, so that trying again helps.
    #[must_use]
    pub fn is_away(&self) -> bool {
        matches!(self, Self::Away { .. })
    }
}

/// A way to the agent.
#[derive(Debug)]
pub struct Agent {
    socket: PathBuf,
    http: ureq::Agent,
}

impl Agent {
    /// The agent at a socket; connects when asked something.
    #[must_use]
    pub fn at(socket: &Path) -> Self {
        Self { socket: socket.to_owned(), http: transport::http(socket) }
    }

    /// Asks for addresses and names, again and again until `until` while nobody listens.
    ///
    /// # Errors
    /// The agent does not serve it.
    pub fn reserve(&self, request: &ReserveRequest, until: Instant) -> Result<ReserveResponse, AgentError> {
        patiently(until, || self.post(api::RESERVE, request, REQUEST))
    }

    /// Says that the veth is there, as patiently.
    ///
    /// # Errors
    /// The agent does not serve it.
    pub fn activate(&self, request: &ActivateRequest, until: Instant) -> Result<(), AgentError> {
        patiently(until, || self.post(api::ACTIVATE, request, REQUEST)).map(|_: Empty| ())
    }

    /// Gives an attachment back; waits a second at most.
    ///
    /// # Errors
    /// The agent does not serve it.
    pub fn release(&self, request: &ReleaseRequest) -> Result<(), AgentError> {
        self.post(api::RELEASE, request, BRIEF).map(|_: Empty| ())
    }

    /// Asks whether an attachment is whole.
    ///
    /// # Errors
    /// It is not, or the agent does not serve it.
    pub fn check(&self, request: &CheckRequest) -> Result<(), AgentError> {
        self.post(api::CHECK, request, REQUEST).map(|_: Empty| ())
    }

    /// Removes what is not listed.
    ///
    /// # Errors
    /// The agent does not serve it.
    pub fn gc(&self, request: &GcRequest) -> Result<GcResponse, AgentError> {
        self.post(api::GC, request, REQUEST)
    }

    /// Asks whether ADD would work; waits a second at most.
    ///
    /// # Errors
    /// The agent does not serve it.
    pub fn status(&self) -> Result<StatusResponse, AgentError> {
        let sent = self.http.get(uri(api::STATUS)).config().timeout_global(Some(BRIEF)).build().call();
        self.answer(api::STATUS, BRIEF, sent)
    }

    /// Asks any question of the agent's API that changes nothing; for the operator's command line.
    ///
    /// # Errors
    /// The agent does not serve it.
    pub fn get<A: DeserializeOwned>(&self, path: &str, limit: Duration) -> Result<A, AgentError> {
        let sent = self.http.get(uri(path)).config().timeout_global(Some(limit)).build().call();
        self.answer("the question", limit, sent)
    }

    /// Asks the agent to do what a path says, without a body; for the operator's command line.
    ///
    /// # Errors
    /// The agent does not serve it.
    pub fn order<A: DeserializeOwned>(&self, path: &str, limit: Duration) -> Result<A, AgentError> {
        let sent = self.http.post(uri(path)).config().timeout_global(Some(limit)).build().send_empty();
        self.answer("the order", limit, sent)
    }

    /// Sends the agent something to answer; for the operator's command line.
    ///
    /// # Errors
    /// The agent does not serve it.
    pub fn send<A: DeserializeOwned>(
        &self,
        path: &'static str,
        body: &impl Serialize,
        limit: Duration,
    ) -> Result<A, AgentError> {
        self.post(path, body, limit)
    }

    /// Asks the agent to remove what a path names; for the operator's command line.
    ///
    /// # Errors
    /// The agent does not serve it.
    pub fn remove<A: DeserializeOwned>(&self, path: &str, limit: Duration) -> Result<A, AgentError> {
        let sent = self.http.delete(uri(path)).config().timeout_global(Some(limit)).build().call();
        self.answer("the order", limit, sent)
    }

    /// Listens to what a path tells, line by line, until the agent ends; for the operator's command line.
    ///
    /// # Errors
    /// The agent does not serve it.
    pub fn follow(&self, path: &str) -> Result<impl io::BufRead + use<>, AgentError> {
        let sent = self.http.get(uri(path)).call();
        let response = sent.map_err(|error| self.failed("the question", REQUEST, error))?;
        if response.status().is_success() {
            return Ok(io::BufReader::new(response.into_body().into_reader()));
        }
        match self.answer::<Empty>("the question", REQUEST, Ok(response)) {
            Err(error) => Err(error),
            Ok(Empty {}) => Err(self.garbled("the question", "no success, and no error")),
        }
    }

    fn post<A: DeserializeOwned>(
        &self,
        path: &'static str,
        request: &impl Serialize,
        limit: Duration,
    ) -> Result<A, AgentError> {
        let body = serde_json::to_vec(request).map_err(|error| self.garbled(path, error))?;
        let sent = self
            .http
            .post(uri(path))
            .content_type("application/json")
            .config()
            .timeout_global(Some(limit))
            .build()
            .send(&body[..]);
        self.answer(path, limit, sent)
    }

    fn answer<A: DeserializeOwned>(
        &self,
        path: &'static str,
        limit: Duration,
        sent: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
    ) -> Result<A, AgentError> {
        let failed = |error| self.failed(path, limit, error);
        let mut response = sent.map_err(failed)?;
        let body = response.body_mut().with_config().limit(ANSWER_LIMIT).read_to_vec().map_err(failed)?;
        if response.status().is_success() {
            return serde_json::from_slice(&body).map_err(|error| self.garbled(path, error));
        }
        match serde_json::from_slice(&body) {
            Ok(refusal) => Err(AgentError::Refused(refusal)),
            Err(_) => Err(self.garbled(path, format!("HTTP status {}", response.status()))),
        }
    }

    fn failed(&self, path: &'static str, limit: Duration, error: ureq::Error) -> AgentError {
        let socket = self.socket.clone();
        match error {
            ureq::Error::Timeout(_) => AgentError::Silent { socket, path, limit },
            ureq::Error::Io(source) if source.kind() == io::ErrorKind::PermissionDenied => {
                AgentError::Forbidden { socket }
            }
            // A connection that broke is an agent that died over the request; all requests can be repeated.
            ureq::Error::Io(source) => away(socket, source),
            ureq::Error::ConnectionFailed => away(socket, io::ErrorKind::ConnectionRefused.into()),
            other => self.garbled(path, other),
        }
    }

    fn garbled(&self, path: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> AgentError {
        AgentError::Garbled { socket: self.socket.clone(), path, source: source.into() }
    }
}

/// Nobody answers at a path: now, or never since it is no socket's.
fn away(socket: PathBuf, source: io::Error) -> AgentError {
    let kind = match std::fs::metadata(&socket).map(|metadata| metadata.file_type()) {
        Ok(kind) if kind.is_dir() => "a folder",
        Ok(kind) if !kind.is_socket() => "a file",
        _ => return AgentError::Away { socket, source },
    };
    AgentError::NoSocket { socket, kind }
}

/// An empty object, or one with fields of a later release.
#[derive(serde::Deserialize)]
struct Empty {}

fn uri(path: &str) -> String {
    format!("http://agent{path}")
}

/// Tries until it is served, refused, or `until` is over; pauses grow.
fn patiently<A>(until: Instant, mut attempt: impl FnMut() -> Result<A, AgentError>) -> Result<A, AgentError> {
    let mut pause = FIRST_PAUSE;
    loop {
        let outcome = attempt();
        let left = until.saturating_duration_since(Instant::now());
        match outcome {
            Err(error) if error.is_away() && !left.is_zero() => std::thread::sleep(pause.min(left)),
            outcome => return outcome,
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn away() -> AgentError {
        AgentError::Away { socket: "/s".into(), source: io::ErrorKind::NotFound.into() }
    }

    fn check(patience: Duration, mut outcomes: Vec<Result<u8, AgentError>>, expected: &str) {
        outcomes.reverse();
        let found = patiently(Instant::now() + patience, || outcomes.pop().unwrap_or_else(|| Err(away())));
        assert!(format!("{found:?}").starts_with(expected), "{found:?}\n{expected}");
    }

    #[test]
    fn an_agent_that_comes_back_serves() {
        check(PATIENCE, vec![Err(away()), Err(away()), Ok(7)], "Ok(7)");
    }

    #[test]
    fn an_agent_that_stays_away_is_given_up() {
        check(Duration::from_millis(50), vec![], "Err(Away");
        check(Duration::ZERO, vec![Err(away()), Ok(7)], "Err(Away");
    }

    #[test]
    fn what_is_no_socket_is_named_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        for (path, kind) in [(folder.path(), "a folder"), (&file, "a file")] {
            let error = Agent::at(path).status().unwrap_err();
            assert!(!error.is_away() && error.to_string().contains(&format!("is {kind} and not a socket")), "{error}");
        }
        let nothing = Agent::at(&folder.path().join("nothing")).status().unwrap_err();
        assert!(nothing.is_away(), "{nothing}");
    }

    #[test]
    fn what_the_agent_refuses_or_hangs_over_is_not_tried_again() {
        let refusal = ApiError { code: 100, msg: "full".into(), details: String::new() };
        check(PATIENCE, vec![Err(AgentError::Refused(refusal)), Ok(7)], "Err(Refused");
        let silent = AgentError::Silent { socket: "/s".into(), path: api::RESERVE, limit: BRIEF };
        check(PATIENCE, vec![Err(silent), Ok(7)], "Err(Silent");
    }
}
