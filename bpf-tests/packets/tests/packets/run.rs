//! Loads an object, fills its maps with the [`world`](crate::world), runs packets and compares.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use aya::{
    Ebpf, EbpfLoader,
    maps::{MapData, PerCpuArray},
    programs::{SchedClassifier, TestRun, TestRunOptions},
};
use ferrule_common::{Drop, Outcome, Program, metric, metric::Counter};

use crate::world;

/// `TC_ACT_UNSPEC`: on to whatever comes next.
const UNSPEC: i32 = -1;
const SHOT: i32 = 2;
const REDIRECT: i32 = 7;

/// The uapi's `struct __sk_buff`, as far as a test run reads and writes it.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct SkBuff {
    len: u32,
    pkt_type: u32,
    mark: u32,
    queue_mapping: u32,
    protocol: u32,
    vlan: [u32; 3],
    priority: u32,
    ingress_ifindex: u32,
    ifindex: u32,
    tc_index: u32,
    cb: [u32; 5],
    hash: u32,
    tc_classid: u32,
    data: [u32; 2],
    napi_id: u32,
    addresses: [u32; 10],
    ports: [u32; 2],
    data_meta: u32,
    pad: u32,
    flow_keys: u64,
    timestamp: u64,
    wire_len: u32,
    gso_segs: u32,
    sk: u64,
    gso_size: u32,
    timestamp_type: u32,
    hwtstamp: u64,
}

/// What a test asks of one packet.
#[derive(Clone, Copy)]
pub enum Expected<'a> {
    /// Left as it is, counted so.
    Passes(Outcome),
    /// Redirected to an interface index, counted so; with these bytes.
    Redirected(Outcome, u32, &'a [u8]),
    /// Dropped for this reason.
    Dropped(Drop),
}

/// What became of one packet.
#[derive(Debug, Clone)]
pub struct Seen {
    /// What the program gave: `TC_ACT_…`.
    pub returned: i32,
    /// The bytes that came out.
    pub bytes: Vec<u8>,
    /// The number of an [`Outcome`] or a [`Drop`].
    pub counted: u32,
    /// The interface that a redirect is to.
    pub target: u32,
    /// Its mark afterwards.
    pub mark: u32,
    /// What `tc_index` says afterwards, of programs whose wrapper tells.
    pub index: u32,
}

/// Where a packet came out of its tunnel.
#[derive(Clone, Copy)]
pub struct Outer {
    /// 4 or 6; 0 for no tunnel key at all.
    pub family: u32,
    /// Network identifier.
    pub vni: u32,
    /// The last four octets of the outer source.
    pub source: [u8; 4],
}

/// A loaded object with filled maps, and what the next packet carries beside its bytes.
pub struct Bench {
    object: Object,
    context: SkBuff,
}

/// Loading reads the whole kernel's BTF, and packets leave no traces in maps but in counters: objects are used again.
static IDLE: Mutex<Vec<Loaded>> = Mutex::new(Vec::new());

/// An object that returns to [`IDLE`].
struct Object(Option<Loaded>);

struct Loaded {
    name: &'static str,
    ebpf: Ebpf,
    metrics: PerCpuArray<MapData, Counter>,
    /// What the counters held last, by program.
    counted: HashMap<u32, Vec<u64>>,
    /// Its maps are a test's own.
    written: bool,
}

impl Object {
    fn take(name: &'static str) -> Self {
        let mut idle = IDLE.lock().unwrap_or_else(PoisonError::into_inner);
        let found = idle.iter().position(|loaded| loaded.name == name).map(|at| idle.swap_remove(at));
        drop(idle);
        Self(Some(found.unwrap_or_else(|| Loaded::new(name))))
    }

    fn get(&mut self) -> &mut Loaded {
        self.0.as_mut().expect("it is there until it is dropped")
    }
}

impl std::ops::Drop for Object {
    fn drop(&mut self) {
        // What a test wrote to its own maps stays with it.
        if self.0.as_ref().is_some_and(|loaded| loaded.written) {
            return;
        }
        IDLE.lock().unwrap_or_else(PoisonError::into_inner).extend(self.0.take());
    }
}

impl Bench {
    /// The object that ships.
    pub fn new() -> Self {
        Self::load("ferrule-ebpf")
    }

    /// The wrapper that sets a tunnel key first, for `from_overlay`.
    pub fn behind_tunnel(outer: Outer) -> Self {
        let mut bench = Self::load("ferrule-ebpf-tests");
        bench.come_out(outer);
        bench
    }

    /// The same, for a packet that is to be cut into segments with `size` bytes of payload.
    pub fn with_gso(mut self, size: u32) -> Self {
        self.context.gso_size = size;
        self.context.gso_segs = 2;
        self
    }

    fn load(object: &'static str) -> Self {
        // The loopback device stands for the device that a program runs on.
        let context = SkBuff { ifindex: world::HERE, ..SkBuff::default() };
        Self { object: Object::take(object), context }
    }

    /// The same object with A's class on its filter, as its clsact filters have it; without, as by TCX.
    pub fn with_class(class: u32) -> Self {
        let mut bench = Self::load("ferrule-ebpf-tests");
        bench.context.cb = [0, class, 0, 0, 0];
        bench
    }

    /// An object of the test's own, whose maps it may write; with A's class on the filter.
    pub fn alone() -> Self {
        let context = SkBuff { ifindex: world::HERE, cb: [0, world::CLASS_A, 0, 0, 0], ..SkBuff::default() };
        let mut loaded = Loaded::new("ferrule-ebpf-tests");
        world::put_together(&mut loaded.ebpf);
        loaded.written = true;
        Self { object: Object(Some(loaded)), context }
    }

    /// The object itself.
    pub fn ebpf(&mut self) -> &mut Ebpf {
        &mut self.object.get().ebpf
    }

    /// The next packets come in by this device; 0 for what the node itself makes.
    pub fn come_by(&mut self, ifindex: u32) {
        self.context.ingress_ifindex = ifindex;
    }

    /// The next packets come out of this tunnel, in an object of the test's own.
    pub fn come_out(&mut self, outer: Outer) {
        self.context.cb = [0, outer.family, outer.vni, u32::from_be_bytes(outer.source), 0];
    }

    /// The next packets are sent by this pod.
    pub fn by(&mut self, class: u32) {
        self.context.cb[1] = class;
    }

    /// Somebody said something in `tc_index` of the next packets.
    pub fn said(&mut self, index: u32) {
        self.context.cb[2] = index;
    }

    /// The next packets have this mark.
    pub fn mark(&mut self, mark: u32) {
        self.context.mark = mark;
    }

    /// Runs one packet; what it was counted as, and its mark afterwards.
    #[track_caller]
    pub fn outcome(&mut self, program: Program, frame: &[u8]) -> (u32, u32) {
        let seen = self.see(program, frame);
        (seen.counted, seen.mark)
    }

    /// Runs one packet, which is counted once.
    #[track_caller]
    pub fn see(&mut self, program: Program, frame: &[u8]) -> Seen {
        let before = self.object.get().counters(program);
        let (returned, bytes, context) = self.run(program, frame);
        let after = self.object.get().count(program);
        let counted: Vec<u32> = (0..metric::SLOTS).filter(|n| after[*n as usize] != before[*n as usize]).collect();
        assert_eq!(counted.len(), 1, "{}: one outcome for {frame:02x?}, not {counted:?}", program.name());
        Seen { returned, bytes, counted: counted[0], target: context.cb[0], mark: context.mark, index: context.cb[2] }
    }

    /// Runs one packet and compares everything.
    #[track_caller]
    pub fn check(&mut self, program: Program, frame: &[u8], expected: Expected<'_>) {
        let (number, action) = match expected {
            Expected::Passes(outcome) => (outcome as u32, UNSPEC),
            Expected::Redirected(outcome, _, _) => (outcome as u32, REDIRECT),
            Expected::Dropped(reason) => (reason as u32, SHOT),
        };
        let seen = self.see(program, frame);
        assert_eq!(
            (seen.returned, seen.counted),
            (action, number),
            "{}: action and counted outcome of {frame:02x?}",
            program.name()
        );
        match expected {
            Expected::Redirected(_, target, wanted) => {
                assert_eq!(seen.target, target, "the target of {frame:02x?}");
                assert_eq!(hex(&seen.bytes), hex(wanted), "the bytes of {frame:02x?}");
            }
            Expected::Passes(_) => assert_eq!(hex(&seen.bytes), hex(frame), "a packet left to others stays as it is"),
            Expected::Dropped(_) => {}
        }
    }

    fn run(&mut self, program: Program, frame: &[u8]) -> (i32, Vec<u8>, SkBuff) {
        let wrapped = format!("test_{}", program.name());
        let ebpf = &mut self.object.get().ebpf;
        let name = if ebpf.program(&wrapped).is_some() { wrapped.as_str() } else { program.name() };
        let classifier: &mut SchedClassifier =
            ebpf.program_mut(name).expect("the object has it").try_into().expect("a classifier");
        if classifier.fd().is_err() {
            classifier.load().unwrap_or_else(|error| panic!("{name}: {error:?}"));
        }
        let mut out = vec![0_u8; frame.len() + 256];
        let mut context_out = SkBuff::default();
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            ctx_in: Some(bytes_of(&self.context)),
            ctx_out: Some(bytes_of_mut(&mut context_out)),
            ..TestRunOptions::new()
        };
        let result = classifier.test_run(options).unwrap_or_else(|error| panic!("{name} on {frame:02x?}: {error:?}"));
        out.truncate(result.data_size_out as usize);
        (result.return_value.cast_signed(), out, context_out)
    }
}

/// The file of an object that `cargo xtask build-ebpf` made.
pub fn object(name: &str) -> PathBuf {
    packet_tests::ebpf_folder().join(name)
}

impl Loaded {
    fn new(name: &'static str) -> Self {
        assert!(nix::unistd::Uid::effective().is_root(), "packet tests load eBPF programs: run them as root");
        let path = object(name);
        let mut ebpf = EbpfLoader::new()
            .load_file(&path)
            .unwrap_or_else(|error| panic!("{}: {error:?}; build it with `cargo xtask build-ebpf`", path.display()));
        world::fill(&mut ebpf);
        let metrics = ebpf.take_map("fr_metrics").expect("the object counts").try_into().expect("a per-CPU array");
        Self { name, ebpf, metrics, counted: HashMap::new(), written: false }
    }

    /// What a program has counted so far, by outcome.
    fn counters(&mut self, program: Program) -> Vec<u64> {
        match self.counted.get(&(program as u32)) {
            Some(known) => known.clone(),
            None => self.count(program),
        }
    }

    /// The same, read anew.
    fn count(&mut self, program: Program) -> Vec<u64> {
        let counter = |number| {
            let values = self.metrics.get(&metric::index(program, number), 0).expect("the counters are readable");
            values.iter().map(|counter| counter.packets).sum()
        };
        let now: Vec<u64> = (0..metric::SLOTS).map(counter).collect();
        self.counted.insert(program as u32, now.clone());
        now
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.chunks(16).map(|row| format!("{row:02x?}\n")).collect()
}

fn bytes_of(context: &SkBuff) -> &[u8] {
    // SAFETY: repr(C) made of integers without padding between them; any byte may be read.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(context).cast(), size_of::<SkBuff>()) }
}

fn bytes_of_mut(context: &mut SkBuff) -> &mut [u8] {
    // SAFETY: as above, and every bit pattern is a value.
    unsafe { std::slice::from_raw_parts_mut(std::ptr::from_mut(context).cast(), size_of::<SkBuff>()) }
}
