//! Leases over time, restarts included.

use std::{fs, os::unix::fs::PermissionsExt};

use ferrule_api::plugin::{HostSide, PodRef};
use ferrule_model::ipam::Pools;

use super::*;

/// A state directory, opened as often as a test likes.
pub(super) struct Bench {
    pub(super) dir: tempfile::TempDir,
    pub(super) pools: Pools,
}

pub(super) fn request(container_id: &str) -> ReserveRequest {
    ReserveRequest {
        id: AttachmentId { container_id: container_id.into(), ifname: "eth0".into() },
        netns: format!("/var/run/netns/{container_id}"),
        network: "pods".into(),
        pod: Some(PodRef { namespace: "default".into(), name: container_id.into(), uid: None }),
        requested_ips: vec![],
        mac: None,
        delegated_ips: None,
        shaped: false,
        bandwidth: None,
        shaper: Default::default(),
        enforce_only: None,
    }
}

pub(super) fn id(container_id: &str) -> AttachmentId {
    request(container_id).id
}

pub(super) fn terms(pools: &Pools, now_ms: u64) -> Terms<'_> {
    Terms { pools, mtu: 1450, endpoint_capacity: 1000, now_ms, is_held: &|_| false, is_index_held: &|_| false }
}

impl Bench {
    pub(super) fn new(cidrs: &str) -> Self {
        let cidrs: Vec<_> = cidrs.split_whitespace().map(|cidr| cidr.parse().unwrap()).collect();
        Self { dir: tempfile::tempdir().unwrap(), pools: Pools::new(&cidrs).unwrap() }
    }

    fn open(&self) -> Leases {
        Leases::open(self.dir.path(), 1_000_000, "boot-1").unwrap()
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("leases.redb")
    }
}

fn addresses(lease: &Lease) -> String {
    lease.addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// Runs `SECONDS reserve|release|activate CONTAINER`, reopening the file before each line; each must answer what
/// follows its `=`.
fn check(cidrs: &str, script: &str) {
    let bench = Bench::new(cidrs);
    for line in script.lines().map(str::trim) {
        let (command, expected) = line.split_once(" = ").unwrap();
        let words: Vec<&str> = command.split(' ').collect();
        let now_ms = 1_000_000 + words[0].parse::<u64>().unwrap() * 1000;
        let leases = Leases::open(bench.dir.path(), now_ms, "boot-1").unwrap();
        let answer = match words[1] {
            "reserve" => match leases.reserve(&request(words[2]), &terms(&bench.pools, now_ms)) {
                Ok((lease, fresh)) => {
                    let fresh = if fresh { "fresh" } else { "again" };
                    format!("{} index {} {fresh}", addresses(&lease), lease.endpoint_index)
                }
                Err(error) => error.to_string(),
            },
            "release" => leases.release(&id(words[2]), now_ms).unwrap().map_or("none".into(), |one| addresses(&one)),
            "activate" => match leases.activate(&id(words[2]), 7, now_ms) {
                Ok(lease) => format!("{:?} {}", lease.state, lease.host_ifindex),
                Err(error) => error.to_string(),
            },
            _ => panic!("{line}"),
        };
        assert_eq!(answer, expected, "{line}\n{:#?}", leases.list());
    }
}

#[test]
fn leases_the_round_robin_and_what_rests_outlive_the_agent() {
    check(
        "10.1.0.0/24 fd00::/64",
        "0 reserve a = 10.1.0.2 fd00::2 index 1 fresh
         0 reserve a = 10.1.0.2 fd00::2 index 1 again
         0 reserve b = 10.1.0.3 fd00::3 index 2 fresh
         0 activate b = Active 7
         1 release a = 10.1.0.2 fd00::2
         1 release a = none
         2 reserve c = 10.1.0.4 fd00::4 index 3 fresh
         31 reserve d = 10.1.0.5 fd00::5 index 1 fresh
         31 reserve b = 10.1.0.3 fd00::3 index 2 again
         31 activate a = container a has no lease for eth0; the runtime must ADD it first",
    );
}

#[test]
fn a_short_pool_takes_what_rests_and_an_empty_one_says_so() {
    check(
        "10.1.0.0/30",
        "0 reserve a = 10.1.0.2 index 1 fresh
         0 reserve b = IPv4 pod CIDRs 10.1.0.0/30 are used up: 1 of 1 addresses leased, 0 held without a lease; give the node another pod CIDR or delete pods
         1 release a = 10.1.0.2
         2 reserve b = 10.1.0.2 index 2 fresh",
    );
}

#[test]
fn a_lease_keeps_all_that_it_was_given() {
    let bench = Bench::new("10.1.0.0/24");
    let asked = ReserveRequest { mac: Some("0a:00:00:00:00:07".into()), ..request("a") };
    let (given, _) = bench.open().reserve(&asked, &terms(&bench.pools, 5)).unwrap();
    assert_eq!(bench.open().list(), [Arc::clone(&given)]);
    assert_eq!((given.pod_mac.to_string().as_str(), given.mtu), ("0a:00:00:00:00:07", 1450));
    assert_eq!(given.host_ifname, ferrule_api::plugin::host_ifname("a", "eth0"));
    assert_ne!(given.pod_mac, given.host_mac);
    assert_eq!((given.state, given.created_ms, given.boot_id.as_str()), (State::Reserved, 5, "boot-1"));
}

#[test]
fn every_end_of_every_attachment_has_its_own_mac() {
    let bench = Bench::new("10.1.0.0/24");
    let leases = bench.open();
    for number in 0..50 {
        leases.reserve(&request(&number.to_string()), &terms(&bench.pools, 0)).unwrap();
    }
    let macs: std::collections::BTreeSet<Mac> =
        leases.list().iter().flat_map(|lease| [lease.pod_mac, lease.host_mac]).collect();
    assert_eq!(macs.len(), 100);
}

/// The request, changed, after container `a` got its lease, must fail so and change nothing.
fn refused(change: impl FnOnce(&mut ReserveRequest), expected: &str) {
    let bench = Bench::new("10.1.0.0/24");
    let leases = bench.open();
    leases.reserve(&request("a"), &terms(&bench.pools, 0)).unwrap();
    let mut request = request("b");
    change(&mut request);
    let before = leases.list();
    let error = leases.reserve(&request, &terms(&bench.pools, 0)).unwrap_err();
    assert_eq!(error.to_string(), expected);
    assert_eq!(leases.list(), before);
    drop(leases);
    assert_eq!(bench.open().list(), before);
}

#[test]
fn what_cannot_be_leased_is_refused_with_the_reason() {
    refused(
        |request| *request = ReserveRequest { netns: "/proc/7/ns/net".into(), ..super::tests::request("a") },
        "container a has eth0 already, in netns /var/run/netns/a and not /proc/7/ns/net; delete it there first",
    );
    refused(
        |request| request.requested_ips = vec!["10.1.0.2".parse().unwrap()],
        "address 10.1.0.2 is leased to container a; delete that pod first or ask for another address",
    );
    refused(
        |request| request.delegated_ips = Some(vec!["10.1.0.2".parse().unwrap()]),
        "address 10.1.0.2 is leased to container a; delete that pod first or ask for another address",
    );
    refused(
        |request| request.mac = Some("01:00:00:00:00:07".into()),
        "mac: \"01:00:00:00:00:07\" is a multicast MAC; the first pair must be even",
    );
    refused(
        |request| request.delegated_ips = Some(vec![]),
        "the delegated IPAM plugin gave no address; check its configuration",
    );
    refused(
        |request| {
            *request = super::tests::request("a");
            request.delegated_ips = Some(vec!["192.0.2.7".parse().unwrap()]);
        },
        "container a has eth0 already, with other addresses (10.1.0.2); delete it first",
    );
}

#[test]
fn a_delegated_lease_needs_no_pool() {
    let bench = Bench::new("10.1.0.0/24");
    let leases = bench.open();
    let delegated = Some(vec!["2001:db8::7".parse().unwrap(), "192.0.2.7".parse().unwrap()]);
    let asked = ReserveRequest { delegated_ips: delegated, ..request("a") };
    let terms = terms(&bench.pools, 0);
    let (lease, _) = leases.reserve(&asked, &Terms { pools: &Pools::default(), ..terms }).unwrap();
    assert_eq!((addresses(&lease).as_str(), lease.delegated), ("192.0.2.7 2001:db8::7", true));
    assert!(!leases.reserve(&asked, &terms).unwrap().1);
}

#[test]
fn another_plugins_link_keeps_its_name_macs_and_mtu() {
    let bench = Bench::new("10.1.0.0/24");
    let leases = bench.open();
    let side = HostSide { name: "veth1".into(), mac: "0a:00:00:00:00:08".into(), mtu: 1400 };
    let asked = ReserveRequest {
        delegated_ips: Some(vec!["192.0.2.7".parse().unwrap()]),
        mac: Some("0a:00:00:00:00:07".into()),
        enforce_only: Some(side.clone()),
        ..request("a")
    };
    let terms = terms(&bench.pools, 0);
    let (lease, _) = leases.reserve(&asked, &terms).unwrap();
    let found = (lease.host_ifname.as_str(), lease.host_mac.to_string(), lease.pod_mac.to_string(), lease.mtu);
    assert_eq!(found, ("veth1", side.mac.clone(), "0a:00:00:00:00:07".into(), 1400));
    assert!(!leases.reserve(&asked, &terms).unwrap().1);
    for other in [Some(HostSide { name: "veth2".into(), ..side.clone() }), None] {
        let error = leases.reserve(&ReserveRequest { enforce_only: other, ..asked.clone() }, &terms).unwrap_err();
        assert_eq!(error.to_string(), "container a has eth0 already, on the link veth1; delete it first");
    }
    let bad = ReserveRequest { enforce_only: Some(HostSide { mac: "x".into(), ..side }), ..asked };
    assert!(matches!(leases.reserve(&ReserveRequest { id: id("b"), ..bad }, &terms), Err(LeaseError::Mac(_))));
}

#[test]
fn addresses_in_use_without_a_lease_are_passed_over() {
    let bench = Bench::new("10.1.0.0/24");
    let is_held = |address: IpAddr| address.to_string() == "10.1.0.2";
    let terms = Terms { is_held: &is_held, ..terms(&bench.pools, 0) };
    let (lease, _) = bench.open().reserve(&request("a"), &terms).unwrap();
    assert_eq!(addresses(&lease), "10.1.0.3");
}

#[test]
fn endpoints_that_do_not_fit_are_refused() {
    let bench = Bench::new("10.1.0.0/24");
    let leases = bench.open();
    let terms = Terms { endpoint_capacity: 1, ..terms(&bench.pools, 0) };
    leases.reserve(&request("a"), &terms).unwrap();
    let error = leases.reserve(&request("b"), &terms).unwrap_err();
    assert!(matches!(error, LeaseError::EndpointsFull { capacity: 1, .. }), "{error}");
    leases.release(&id("a"), 0).unwrap();
    assert!(leases.reserve(&request("b"), &terms).is_err());
    leases.reserve(&request("b"), &Terms { now_ms: 30_000, ..terms }).unwrap();
}

#[test]
fn leases_of_another_boot_and_abandoned_ones_are_stale() {
    let bench = Bench::new("10.1.0.0/24");
    let leases = bench.open();
    for name in ["alive", "abandoned", "active"] {
        leases.reserve(&request(name), &terms(&bench.pools, 0)).unwrap();
    }
    leases.activate(&id("active"), 7, 0).unwrap();
    let is_alive = |lease: &Lease| lease.id.container_id == "alive";
    let stale =
        |leases: &Leases| leases.stale(&is_alive).iter().map(|one| one.id.container_id.clone()).collect::<Vec<_>>();
    assert_eq!(stale(&leases), ["abandoned"]);
    drop(leases);
    assert_eq!(stale(&bench.open()), ["abandoned"], "an activation is written when the agent stops");
    let next_boot = Leases::open(bench.dir.path(), 1_000_000, "boot-2").unwrap();
    assert_eq!(stale(&next_boot), ["abandoned", "active", "alive"]);
    let (lease, fresh) = next_boot.reserve(&request("alive"), &terms(&bench.pools, 1_000_000)).unwrap();
    assert!(fresh && lease.boot_id == "boot-2");
}

#[test]
fn a_second_agent_is_refused_and_told_who_is_there() {
    let bench = Bench::new("10.1.0.0/24");
    let first = bench.open();
    let error = Leases::open(bench.dir.path(), 0, "boot-1").unwrap_err();
    let expected = format!(
        "another agent (pid {}) uses {}; stop it, or give this one another --state-dir",
        std::process::id(),
        bench.dir.path().display()
    );
    assert_eq!(error.to_string(), expected);
    drop(first);
    bench.open();
}

#[test]
fn the_state_is_roots_alone() {
    let bench = Bench::new("10.1.0.0/24");
    let state = bench.dir.path().join("state");
    drop(Leases::open(&state, 0, "boot-1").unwrap());
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(
        (mode(state.clone()), mode(state.join("leases.redb")), mode(state.join("agent.lock"))),
        (0o700, 0o600, 0o600)
    );
}

#[test]
fn a_damaged_file_is_named_and_left_as_it_is() {
    let bench = Bench::new("10.1.0.0/24");
    bench.open().reserve(&request("a"), &terms(&bench.pools, 0)).unwrap();
    let good = fs::read(bench.file()).unwrap();
    let mut flipped = good.clone();
    let at = good.windows(9).rposition(|window| window == b"endpoint_").unwrap();
    flipped[at] ^= 0xff;
    let damages = [
        ("empty", vec![]),
        ("text", b"leases: none\n".repeat(1000)),
        ("cut short", good[..good.len() / 2].to_vec()),
        ("cut very short", good[..100].to_vec()),
        ("zeroed", vec![0; good.len()]),
        ("a changed byte", flipped),
    ];
    for (damage, bytes) in damages {
        fs::write(bench.file(), &bytes).unwrap();
        let error = Leases::open(bench.dir.path(), 0, "boot-1").expect_err(damage);
        assert!(matches!(error, LeaseError::Damaged { .. }), "{damage}: {error:?}");
        let text = error.to_string();
        assert!(text.contains("leases.redb is damaged") && text.contains("move the file away"), "{damage}: {text}");
        assert!(fs::read(bench.file()).unwrap() == bytes, "{damage}: the file was changed");
    }
    fs::write(bench.file(), good).unwrap();
    assert_eq!(bench.open().list().len(), 1);
}

#[test]
fn a_record_of_another_version_is_refused() {
    let record = r#"{"version": 2, "container_id": "a"}"#;
    let error = Book::load(vec![("lease/a/eth0".into(), record.into())], 0).unwrap_err();
    assert_eq!(error, "row lease/a/eth0: it has version 2, and this release reads 1: run the release that wrote it");
}

#[test]
fn rows_that_contradict_each_other_are_refused() {
    let bench = Bench::new("10.1.0.0/24");
    let (lease, _) = bench.open().reserve(&request("a"), &terms(&bench.pools, 0)).unwrap();
    let other = Lease { id: id("b"), ..Lease::clone(&lease) };
    let moved = Lease { addresses: vec!["10.1.0.9".parse().unwrap()], ..other.clone() };
    let load = |second: &Lease| {
        let rows = [&*lease, second].map(|one| (format!("lease/{}/eth0", one.id.container_id), one.to_json()));
        Book::load(rows.to_vec(), 0).unwrap_err()
    };
    assert!(load(&other).contains("10.1.0.2 is leased"), "{}", load(&other));
    assert!(load(&moved).contains("endpoint index 1 is container a's too"), "{}", load(&moved));
}

#[test]
fn parallel_calls_never_share_an_address() {
    let bench = Bench::new("10.1.0.0/26 fd00::/64");
    let leases = bench.open();
    std::thread::scope(|scope| {
        for worker in 0..8 {
            let (leases, bench) = (&leases, &bench);
            scope.spawn(move || {
                for round in 0..10 {
                    let name = format!("{worker}-{round}");
                    leases.reserve(&request(&name), &terms(&bench.pools, 0)).unwrap();
                    leases.activate(&id(&name), 7, 0).unwrap();
                    if round % 2 == 0 {
                        leases.release(&id(&name), 0).unwrap();
                    }
                }
            });
        }
    });
    let listed = leases.list();
    let distinct: std::collections::BTreeSet<IpAddr> =
        listed.iter().flat_map(|lease| lease.addresses.clone()).collect();
    assert_eq!((listed.len(), distinct.len()), (40, 80));
    drop(leases);
    assert_eq!(bench.open().list(), listed);
}

#[test]
#[ignore = "measures; run with --release --ignored --nocapture"]
fn latency_of_a_lease() {
    let measure = |workers: usize| {
        let bench = Bench {
            dir: tempfile::tempdir_in(std::env::var("LEASE_DIR").unwrap_or("/var/tmp".into())).unwrap(),
            ..Bench::new("10.1.0.0/16 fd00::/64")
        };
        let leases = bench.open();
        let start = std::time::Instant::now();
        let mut times: Vec<[u128; 3]> = std::thread::scope(|scope| {
            let handles: Vec<_> = (0..workers)
                .map(|worker| {
                    let (leases, bench) = (&leases, &bench);
                    scope.spawn(move || {
                        let one = |round: u64| {
                            let name = format!("{worker}-{round}");
                            let start = std::time::Instant::now();
                            let terms = Terms { endpoint_capacity: 10_000, ..terms(&bench.pools, round) };
                            leases.reserve(&request(&name), &terms).unwrap();
                            let reserved = start.elapsed().as_micros();
                            leases.activate(&id(&name), 7, round).unwrap();
                            let activated = start.elapsed().as_micros();
                            leases.release(&id(&name), round).unwrap();
                            [reserved, activated - reserved, start.elapsed().as_micros() - activated]
                        };
                        (0..100).map(one).collect::<Vec<_>>()
                    })
                })
                .collect();
            handles.into_iter().flat_map(|handle| handle.join().unwrap()).collect()
        });
        let took = start.elapsed();
        for (at, name) in ["reserve", "activate", "release"].into_iter().enumerate() {
            times.sort_by_key(|time| time[at]);
            let (median, worst) = (times[times.len() / 2][at], times[times.len() * 99 / 100][at]);
            eprintln!("{workers} at once: {name} median {median} µs, p99 {worst} µs");
        }
        eprintln!("{workers} at once: {} lease cycles in {took:?}", times.len());
    };
    measure(1);
    measure(50);
}

#[test]
fn the_revision_is_another_whenever_a_lease_came_or_went() {
    let bench = Bench::new("10.1.0.0/24");
    let leases = bench.open();
    let mut last = leases.revision();
    let mut check = |what: &str, moved: bool| {
        assert_eq!(leases.revision() != last, moved, "{what}");
        last = leases.revision();
    };
    let terms = terms(&bench.pools, 1_000_000);
    leases.reserve(&request("a"), &terms).unwrap();
    check("reserved", true);
    leases.reserve(&request("a"), &terms).unwrap();
    check("reserved again", false);
    leases.activate(&id("a"), 7, 1_000_000).unwrap();
    check("activated", false);
    leases.release(&id("a"), 1_000_000).unwrap();
    check("released", true);
    leases.release(&id("a"), 1_000_000).unwrap();
    check("released again", false);
}
