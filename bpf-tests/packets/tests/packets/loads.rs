//! Every program of every object passes the verifier in every configuration: with each kind of value that the globals
//! (`ferrule_common::settings`) may be set to when the programs are loaded.

use aya::{EbpfLoader, programs::Program as Loaded};
use ferrule_common::{Program, service, settings};

use crate::run;

/// The default, IANA's, and the ends of the range.
const PORTS: [u16; 4] = [settings::DEFAULT_VXLAN_PORT, 4789, 1, u16::MAX];

/// Numbers that all others lie between.
const NUMBERS: [u32; 3] = [1, 1 << 20, u32::MAX];
const COUNTED: [&str; 10] = [
    settings::JIFFIES,
    settings::TIMEOUT_TCP,
    settings::TIMEOUT_OPENING,
    settings::TIMEOUT_CLOSING,
    settings::TIMEOUT_UDP,
    settings::TIMEOUT_STREAM,
    settings::TIMEOUT_OTHER,
    settings::FLOW_SHARE,
    settings::OPEN_MARK,
    settings::EVENTS_A_SECOND,
];

/// Whether this kernel lets a socket program say why it refuses (5.18).
fn tells() -> bool {
    ferrule_kernel::bpf::accepts_set_retval().expect("the kernel tells")
}

/// Whether it tells one which socket of MPTCP its own belongs to (5.19).
fn tells_mptcp() -> bool {
    ferrule_kernel::bpf::tells_mptcp().expect("the kernel tells")
}

fn check(object: &str, wanted: &[&str]) {
    let configurations = PORTS.iter().zip(NUMBERS.iter().cycle());
    for (&port, &number) in configurations {
        let policed = u8::from(number == 1);
        let mut loader = EbpfLoader::new();
        loader.override_global(settings::VXLAN_PORT, &port, true);
        loader.override_global(settings::OWN_NODE_POLICED, &policed, true);
        let (served, told) = (u8::from(number != 1), u8::from(number == u32::MAX && tells()));
        loader.override_global(settings::SERVICES_ON, &served, true);
        loader.override_global(settings::SET_RETVAL, &told, true);
        let (known, mptcp) = (u8::from(number != u32::MAX), u8::from(number == u32::MAX && tells_mptcp()));
        loader.override_global(settings::OWNERS_KNOWN, &known, true);
        loader.override_global(settings::MPTCP_TOLD, &mptcp, true);
        for name in COUNTED {
            loader.override_global(name, &number, true);
        }
        let mut ebpf = loader.load_file(run::object(object)).unwrap_or_else(|error| panic!("{object}: {error:?}"));
        let mut loaded = Vec::new();
        for (name, program) in ebpf.programs_mut() {
            match program {
                Loaded::SchedClassifier(program) => program.load(),
                Loaded::CgroupSockAddr(program) => program.load(),
                Loaded::CgroupSock(program) => program.load(),
                other => panic!("{name} is a {:?}", other.prog_type()),
            }
            .unwrap_or_else(|error| panic!("{object}, port {port}, numbers {number}: {name}: {error}"));
            loaded.push(name.to_owned());
        }
        for name in wanted {
            assert!(loaded.iter().any(|loaded| loaded == name), "{object} has no {name}, only {loaded:?}");
        }
    }
}

#[test]
fn what_the_agent_loads() {
    check("ferrule-ebpf", &[&Program::ALL.map(Program::name)[..], &service::PROGRAMS].concat());
}

#[test]
fn what_only_tests_load() {
    check("ferrule-ebpf-tests", &["test_from_overlay"]);
}
