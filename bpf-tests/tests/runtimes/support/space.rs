//! Namespaces to work in: a machine's, or those of a pod on it.
//!
//! A thread enters them, works and ends, so that no other code of the test ever finds itself elsewhere. It may start
//! programs but no threads: the kernel forbids those once children go to another process namespace.

use std::{fs::File, panic, process::Command, sync::Arc, thread};

use nix::sched::{CloneFlags, setns, unshare};

use super::tool;

/// Namespaces, held open.
#[derive(Clone)]
pub struct Space {
    namespaces: Vec<(Arc<File>, CloneFlags)>,
}

impl Space {
    /// All of a process's namespaces; children started there are processes of that machine.
    pub fn of_process(pid: u32) -> Self {
        let kinds = [
            ("net", CloneFlags::CLONE_NEWNET),
            ("uts", CloneFlags::CLONE_NEWUTS),
            ("ipc", CloneFlags::CLONE_NEWIPC),
            ("pid", CloneFlags::CLONE_NEWPID),
            ("mnt", CloneFlags::CLONE_NEWNS),
        ];
        let open = |(name, kind)| {
            let path = format!("/proc/{pid}/ns/{name}");
            let file = File::open(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
            (Arc::new(file), kind)
        };
        Self { namespaces: kinds.map(open).into() }
    }

    /// A new network, and the rest as it is here.
    pub fn new_network() -> Self {
        let file = on_a_thread(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace needs root");
            File::open("/proc/thread-self/ns/net").expect("a thread can open its own namespace")
        });
        Self { namespaces: vec![(Arc::new(file), CloneFlags::CLONE_NEWNET)] }
    }

    /// This space with the network of one of its processes, given by the process's number there.
    pub fn with_network_of(&self, pid: u64) -> Self {
        let path = format!("/proc/{pid}/ns/net");
        let file = self.run(|| File::open(&path).unwrap_or_else(|error| panic!("{path}: {error}")));
        let others = self.namespaces.iter().filter(|(_, kind)| *kind != CloneFlags::CLONE_NEWNET).cloned();
        Self { namespaces: others.chain([(Arc::new(file), CloneFlags::CLONE_NEWNET)]).collect() }
    }

    /// Works in it.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        on_a_thread(|| {
            // A thread that shares its root and working directory cannot change mounts.
            unshare(CloneFlags::CLONE_FS).expect("a thread can have its own working directory");
            for (file, kind) in &self.namespaces {
                setns(&**file, *kind).unwrap_or_else(|errno| panic!("entering {kind:?}: {errno}"));
            }
            work()
        })
    }

    /// Runs a program that must succeed; its stdout.
    pub fn output(&self, command: &mut Command) -> String {
        self.run(|| tool::run(command))
    }

    /// The same for a line of words.
    pub fn tool(&self, line: &str) -> String {
        self.output(&mut tool::words(line))
    }
}

/// Works on a thread that ends with the work.
pub fn on_a_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(work).join()).unwrap_or_else(|cause| panic::resume_unwind(cause))
}
