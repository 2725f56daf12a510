//! The agent dies at random moments (SIGKILL), and sometimes its disk is full. A child process works on a state directory
//! and says on its standard output what it is about to do and what it was told; the parent kills it, opens the
//! directory, and compares.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read, Write},
    process::{Command, Stdio},
    time::Duration,
};

use super::{
    tests::{Bench, id, request, terms},
    *,
};

const DIR: &str = "FERRULE_TEST_LEASE_DIR";

/// A generator that needs no crate (xorshift64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// One line, in one write: a kill cannot cut it.
fn say(line: &str) {
    std::io::stdout().lock().write_all(format!("\n@{line}\n").as_bytes()).expect("the parent reads");
}

#[test]
#[ignore = "the child of the tests here; it runs until it is killed"]
fn worker() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let bench = Bench::new("10.1.0.0/26 fd00::/64");
    let leases = Leases::open(Path::new(&dir), 0, "boot-1").unwrap();
    say("open");
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (leases, bench) = (&leases, &bench);
            scope.spawn(move || {
                let mut dice = Dice(0x9e37_79b9 + u64::from(std::process::id()) * 4 + thread);
                for now in 0.. {
                    // Each thread has containers of its own, so that it knows what it was told of them.
                    let name = format!("{thread}-{}", dice.roll(6));
                    if dice.roll(2) == 0 {
                        say(&format!("reserving {name}"));
                        match leases.reserve(&request(&name), &terms(&bench.pools, now)) {
                            Ok((lease, _)) => say(&format!("reserved {name} {:?}", lease.addresses)),
                            Err(_) => say("failed"),
                        }
                        _ = leases.activate(&id(&name), 7, now);
                    } else {
                        say(&format!("releasing {name}"));
                        match leases.release(&id(&name), now) {
                            Ok(_) => say(&format!("released {name}")),
                            Err(_) => say("failed"),
                        }
                    }
                }
            });
        }
    });
}

/// Runs a worker for a while, kills it, and returns what it said.
fn run_and_kill(dir: &Path, patience: Duration, file_limit: Option<u64>) -> String {
    let module = module_path!().split_once("::").unwrap().1;
    let mut command = match file_limit {
        None => Command::new(std::env::current_exe().unwrap()),
        Some(kib) => {
            let mut shell = Command::new("bash");
            // bash counts in KiB; with the signal ignored a write beyond the limit fails, as on a full disk.
            let script = format!("trap '' XFSZ; ulimit -f {kib}; exec \"$0\" \"$@\"");
            shell.args(["-c", &script]).arg(std::env::current_exe().unwrap());
            shell
        }
    };
    command.args(["--exact", &format!("{module}::worker"), "--ignored", "--nocapture"]);
    let mut child = command.env(DIR, dir).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut pipe = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut said = String::new();
        pipe.read_to_string(&mut said).map(|_| said).unwrap()
    });
    std::thread::sleep(patience);
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

/// What a worker knows of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Known {
    /// It was told that these addresses are leased.
    Leased(String),
    /// It was told that the lease is gone.
    Gone,
    /// It died, or got an error, before it was told.
    Open,
}

/// Updates `known` by what was said, then compares it with what stands in the file.
fn verify(dir: &Path, said: &str, known: &mut BTreeMap<String, Known>) {
    let mut asked: BTreeMap<String, String> = BTreeMap::new();
    for line in said.lines().filter_map(|line| line.strip_prefix('@')) {
        let mut words = line.splitn(3, ' ');
        let (verb, name) = (words.next().unwrap(), words.next().unwrap_or_default().to_owned());
        match verb {
            "reserving" | "releasing" => _ = known.insert(name, Known::Open),
            "reserved" => _ = known.insert(name, Known::Leased(words.next().unwrap().to_owned())),
            "released" => _ = known.insert(name, Known::Gone),
            _ => _ = asked.insert(name, verb.to_owned()),
        }
    }
    // Opening refuses two leases of one address or of one index.
    let leases = Leases::open(dir, 0, "boot-1").unwrap();
    let standing: BTreeMap<String, String> =
        leases.list().iter().map(|one| (one.id.container_id.clone(), format!("{:?}", one.addresses))).collect();
    for (name, known) in known.iter_mut() {
        match known {
            Known::Leased(addresses) => assert_eq!(standing.get(name), Some(&*addresses), "{name} lost its lease"),
            Known::Gone => assert_eq!(standing.get(name), None, "{name} leaked its lease"),
            Known::Open => *known = standing.get(name).cloned().map_or(Known::Gone, Known::Leased),
        }
    }
    assert!(standing.keys().all(|name| known.contains_key(name)), "{standing:?}");
    let resting: BTreeSet<IpAddr> = leases.resting(0).into_iter().map(|(address, _)| address).collect();
    assert!(leases.list().iter().all(|lease| lease.addresses.iter().all(|address| !resting.contains(address))));
}

#[test]
fn a_kill_at_any_moment_neither_leaks_nor_doubles_an_address() {
    let dir = tempfile::tempdir().unwrap();
    let (mut known, mut dice, mut answers) = (BTreeMap::new(), Dice(0x5eed), 0);
    for _ in 0..15 {
        let said = run_and_kill(dir.path(), Duration::from_micros(30_000 + dice.roll(90_000)), None);
        answers += said.matches("@reserved").count();
        verify(dir.path(), &said, &mut known);
    }
    assert!(answers > 20, "the workers leased {answers} times only");
}

#[test]
fn a_full_disk_fails_calls_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    drop(Leases::open(dir.path(), 0, "boot-1").unwrap());
    let kib = std::fs::metadata(dir.path().join("leases.redb")).unwrap().len() / 1024;
    let mut known = BTreeMap::new();
    for limit in [kib, kib - 16, kib / 2, 16] {
        let said = run_and_kill(dir.path(), Duration::from_millis(100), Some(limit));
        eprintln!(
            "limit {limit} KiB: {} answers, {} failures",
            said.matches("@reserved").count(),
            said.matches("@failed").count()
        );
        verify(dir.path(), &said, &mut known);
    }
}
