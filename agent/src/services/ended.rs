//! UDP sockets that are connected to a backend that left are ended, wherever they are: in the node's network namespace, in its
//! pods', and in whatever others can be seen. Each costs a listing of its sockets.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    net::SocketAddr,
    time::{Duration, Instant},
};

use ferrule_api::chain::chain;
use ferrule_kernel::net::{namespaces, sockets};
use ferrule_model::service::{Backend, Frontend};
use ferrule_netlink::netns::Netns;

/// How soon a socket that was found nowhere is looked for again; each time twice as long.
const SOON: Duration = Duration::from_secs(15);
/// The longest that it waits; and one that was ended, whose entry stays until its owner closes it.
const LATE: Duration = Duration::from_secs(600);

/// A UDP socket by its cookie, what it is connected to, and who answers.
pub(super) type Connected = ([u32; 2], Frontend, Backend);

/// Sockets that were looked for already, and when that is worth it again.
#[derive(Debug, Default)]
pub(super) struct Tried(HashMap<Connected, (Instant, Duration)>);

impl Tried {
    /// Those of `stale`, which are all whose backends serve no more, that are to be looked for now: new ones, those whose
    /// backend left just now, and those that waited for long enough.
    pub fn due(&mut self, stale: Vec<Connected>, left: &HashSet<(Frontend, Backend)>, now: Instant) -> Vec<Connected> {
        let known: HashSet<&Connected> = stale.iter().collect();
        self.0.retain(|socket, _| known.contains(socket) && !left.contains(&(socket.1, socket.2)));
        let is_due = |socket: &Connected| self.0.get(socket).is_none_or(|(next, _)| *next <= now);
        stale.into_iter().filter(is_due).collect()
    }

    /// They were looked for, and these ended.
    pub fn note(&mut self, looked: &[Connected], ended: &HashSet<[u32; 2]>, now: Instant) {
        for socket in looked {
            let last = self.0.get(socket).map(|(_, pause)| *pause * 2);
            let pause = if ended.contains(&socket.0) { LATE } else { last.unwrap_or(SOON).min(LATE) };
            self.0.insert(*socket, (now + pause, pause));
        }
    }
}

/// Ends these sockets, of the pods at these paths and of all others; which were found. Blocks: there may be many namespaces.
pub(super) fn end(sockets: &[Connected], pods: &BTreeSet<String>) -> HashSet<[u32; 2]> {
    let backend = |backend: &Backend| SocketAddr::new(backend.address, backend.port);
    let mut wanted: HashMap<[u32; 2], SocketAddr> =
        sockets.iter().map(|(cookie, _, one)| (*cookie, backend(one))).collect();
    let all = wanted.len();
    let mut ended = tell("this node", sockets::end(&wanted));
    wanted.retain(|cookie, _| !ended.contains(cookie));
    for path in pods {
        visit(path, &mut wanted, &mut ended);
    }
    if !wanted.is_empty() {
        // Another plugin's pods, other runtimes' containers, services that have a network of their own.
        for path in namespaces::others(pods.iter().map(String::as_str)) {
            if let Some(path) = path.to_str() {
                visit(path, &mut wanted, &mut ended);
            }
        }
    }
    tracing::debug!(ended = ended.len(), wanted = all, "UDP sockets of backends that left are ended");
    ended
}

fn visit(path: &str, wanted: &mut HashMap<[u32; 2], SocketAddr>, ended: &mut HashSet<[u32; 2]>) {
    if wanted.is_empty() {
        return;
    }
    match Netns::open(path).and_then(|netns| netns.run(|| sockets::end(wanted))) {
        Ok(result) => {
            let found = tell(path, result);
            wanted.retain(|cookie, _| !found.contains(cookie));
            ended.extend(found);
        }
        // It goes with its pod.
        Err(error) => tracing::debug!(path, error = chain(&error), "sockets"),
    }
}

fn tell(place: &str, result: std::io::Result<HashSet<[u32; 2]>>) -> HashSet<[u32; 2]> {
    result.unwrap_or_else(|error| {
        tracing::warn!(place, %error, "UDP sockets that are connected to a backend that left cannot be ended");
        HashSet::new()
    })
}

#[cfg(test)]
mod tests {
    use ferrule_model::objects::Protocol;

    use super::*;

    fn socket(cookie: u32) -> Connected {
        let frontend = Frontend { address: [10, 96, 0, 1].into(), port: 53, protocol: Protocol::Udp };
        ([cookie, 0], frontend, Backend { address: [10, 1, 0, 7].into(), port: 53 })
    }

    #[test]
    fn what_was_looked_for_waits_and_what_left_again_does_not() {
        let (mut tried, start, nobody) = (Tried::default(), Instant::now(), HashSet::new());
        let both = || vec![socket(1), socket(2)];
        assert_eq!(tried.due(both(), &nobody, start), both());
        // The first is ended, the second was not found.
        tried.note(&both(), &HashSet::from([[1, 0]]), start);
        assert_eq!(tried.due(both(), &nobody, start), []);
        assert_eq!(tried.due(both(), &nobody, start + SOON), [socket(2)]);
        tried.note(&[socket(2)], &HashSet::new(), start + SOON);
        assert_eq!(tried.due(both(), &nobody, start + SOON * 2), []);
        assert_eq!(tried.due(both(), &nobody, start + SOON * 3), [socket(2)]);
        assert_eq!(tried.due(both(), &nobody, start + LATE), both());
        // It came back, was asked, and left.
        tried.note(&both(), &HashSet::from([[1, 0], [2, 0]]), start);
        let (_, frontend, backend) = socket(1);
        assert_eq!(tried.due(both(), &HashSet::from([(frontend, backend)]), start), both());
        // Who is with somebody else meanwhile is forgotten.
        tried.note(&both(), &HashSet::from([[1, 0], [2, 0]]), start);
        assert_eq!(tried.due(vec![], &nobody, start), []);
        assert_eq!(tried.due(both(), &nobody, start), both());
    }

    #[test]
    fn a_pause_has_an_end() {
        let (mut tried, start) = (Tried::default(), Instant::now());
        for _ in 0..40 {
            tried.note(&[socket(1)], &HashSet::new(), start);
        }
        assert_eq!(tried.due(vec![socket(1)], &HashSet::new(), start + LATE), [socket(1)]);
    }
}
