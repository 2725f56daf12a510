//! Everybody asks everybody at once: by TCP, UDP, SCTP and echo, at several ports, by both families.

mod answers;
mod raw;

use std::{collections::BTreeSet, fmt, thread, time::Duration};

use answers::Socks;
use anyhow::Result;
use ferrule_model::oracle::{Packet, Traffic};
use test_kit::topology::{Pod, patience};

/// What is asked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proto {
    Tcp,
    Udp,
    Sctp,
    Echo,
}

/// What each pod is asked.
pub const ASKED: [(Proto, u16); 8] = [
    (Proto::Tcp, 80),
    (Proto::Tcp, 81),
    (Proto::Tcp, 443),
    (Proto::Udp, 53),
    (Proto::Udp, 80),
    (Proto::Sctp, 80),
    (Proto::Sctp, 9000),
    (Proto::Echo, 0),
];

/// One question: who asks whom, by their places in the list of pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Question {
    pub from: usize,
    pub to: usize,
    pub proto: Proto,
    pub port: u16,
    pub v4: bool,
}

impl Question {
    /// All that so many pods can ask each other.
    pub fn all(pods: usize) -> Vec<Self> {
        let pairs = (0..pods).flat_map(|from| (0..pods).filter(move |to| *to != from).map(move |to| (from, to)));
        pairs
            .flat_map(|(from, to)| {
                let asked = ASKED.into_iter().flat_map(|(proto, port)| [(proto, port, true), (proto, port, false)]);
                asked.map(move |(proto, port, v4)| Self { from, to, proto, port, v4 })
            })
            .collect()
    }

    /// The packet that asks.
    pub fn packet(&self, pods: &[Pod]) -> Option<Packet> {
        let (port, source_port) = (self.port, 40_000);
        let traffic = match self.proto {
            Proto::Tcp => Traffic::Tcp { source_port, port, opens: true },
            Proto::Udp => Traffic::Udp { source_port, port },
            Proto::Sctp => Traffic::Sctp { source_port, port },
            Proto::Echo => Traffic::Echo { identifier: 1, reply: false },
        };
        let (source, destination) = (pods[self.from].address(self.v4)?, pods[self.to].address(self.v4)?);
        Some(Packet { source, destination, traffic })
    }

    /// As `x/a > y/b tcp/80`, without the family.
    pub fn words(&self, names: &[String]) -> String {
        format!("{} > {} {}", names[self.from], names[self.to], self.service())
    }

    /// As `tcp/80`.
    pub fn service(&self) -> String {
        match self.proto {
            Proto::Echo => "echo".into(),
            proto => format!("{proto}/{}", self.port),
        }
    }
}

impl fmt::Display for Proto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
            Self::Echo => "echo",
        })
    }
}

/// Pods that can ask each other.
pub struct Mesh<'a> {
    pub pods: &'a [Pod],
    pub questions: Vec<Question>,
    socks: Vec<Socks>,
}

/// What became of all questions.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Those that were answered.
    pub answered: BTreeSet<Question>,
    /// Those that were heard, where the one who was asked can tell.
    pub heard: BTreeSet<Question>,
}

/// How long what should be answered may take.
const LIMIT: Duration = Duration::from_secs(4);
/// How long is listened for what should not be heard, once all else is answered.
const SILENCE: Duration = Duration::from_millis(250);

impl<'a> Mesh<'a> {
    /// Opens every pod's sockets.
    pub fn new(pods: &'a [Pod]) -> Result<Self> {
        let socks = pods.iter().map(Socks::open).collect::<Result<_>>()?;
        Ok(Self { pods, questions: Question::all(pods.len()), socks })
    }

    /// Asks everything at once, each time from other ports; ends when all that is `expected` was answered.
    pub fn ask(&mut self, expected: &BTreeSet<Question>) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        for (place, socks) in self.socks.iter_mut().enumerate() {
            let own = self.questions.iter().enumerate().filter(|(_, question)| question.from == place);
            socks.begin(&self.pods[place], own, self.pods)?;
        }
        let turns = patience(LIMIT).as_millis() / 10;
        let mut silent = 0;
        for turn in 0..turns {
            for socks in &mut self.socks {
                socks.collect(&self.questions, &mut outcome)?;
            }
            if expected.is_subset(&outcome.answered) {
                silent += 1;
                if silent * 10 >= patience(SILENCE).as_millis() {
                    break;
                }
            } else if turn % 50 == 49 {
                // A burst may be too much for a queue.
                for (number, question) in self.questions.iter().enumerate() {
                    if expected.contains(question) && !outcome.answered.contains(question) {
                        self.socks[question.from].again(number, question, self.pods)?;
                    }
                }
            }
            thread::sleep(Duration::from_millis(10));
        }
        self.socks.iter_mut().for_each(Socks::end);
        Ok(outcome)
    }
}
