//! The few bpf(2) questions that aya has no call for.

use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

const MAP_LOOKUP: libc::c_int = 1;
const MAP_UPDATE: libc::c_int = 2;
const PROG_LOAD: libc::c_int = 5;
const OBJ_GET: libc::c_int = 7;
const PROG_TEST_RUN: libc::c_int = 10;
const OBJ_GET_INFO_BY_FD: libc::c_int = 15;
const LINK_UPDATE: libc::c_int = 29;

#[repr(C)]
struct ObjGet {
    path: u64,
    fd: u32,
    flags: u32,
}

#[repr(C)]
struct InfoByFd {
    fd: u32,
    length: u32,
    info: u64,
}

/// The head of `struct bpf_link_info` and its `tcx` member.
#[repr(C)]
#[derive(Debug, Default)]
pub struct LinkInfo {
    kind: u32,
    id: u32,
    /// The id of the program that runs.
    pub program: u32,
    pad: u32,
    /// The interface of a TCX link, 0 when it is gone; of a cgroup link the lower half of the cgroup's id.
    pub ifindex: u32,
    higher: u32,
    reserved: [u32; 8],
}

impl LinkInfo {
    /// The id of a cgroup link's cgroup; 0 when it is gone.
    #[must_use]
    pub fn cgroup(&self) -> u64 {
        u64::from(self.ifindex) | u64::from(self.higher) << 32
    }
}

/// What a pinned link is attached to.
///
/// # Errors
/// The system calls'.
pub fn pinned_link(path: &Path) -> io::Result<LinkInfo> {
    let link = pinned(path)?;
    let mut info = LinkInfo::default();
    let mut ask = InfoByFd {
        fd: link.as_raw_fd().cast_unsigned(),
        length: u32::try_from(size_of::<LinkInfo>()).unwrap_or(u32::MAX),
        info: (&raw mut info) as u64,
    };
    bpf(OBJ_GET_INFO_BY_FD, &mut ask)?;
    Ok(info)
}

fn pinned(path: &Path) -> io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut open = ObjGet { path: path.as_ptr() as u64, fd: 0, flags: 0 };
    let fd = bpf(OBJ_GET, &mut open)?;
    // SAFETY: BPF_OBJ_GET gave a descriptor that nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[repr(C)]
struct LinkUpdate {
    link: u32,
    program: u32,
    flags: u32,
    former: u32,
}

/// Gives a pinned link another program, without a gap.
///
/// # Errors
/// The system calls'.
pub fn update_link(path: &Path, program: BorrowedFd<'_>) -> io::Result<()> {
    let link = pinned(path)?;
    let mut update = LinkUpdate {
        link: link.as_raw_fd().cast_unsigned(),
        program: program.as_raw_fd().cast_unsigned(),
        flags: 0,
        former: 0,
    };
    bpf(LINK_UPDATE, &mut update).map(|_| ())
}

/// The part of `union bpf_attr` that the oldest program load has, as far as a rehearsal needs it.
#[repr(C)]
struct ProgLoad {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log: [u64; 2],
    version: u32,
    flags: u32,
    name: [u8; 16],
    ifindex: u32,
    /// `expected_attach_type`.
    hook: u32,
}

/// Whether the verifier accepts a program of this kind for this hook.
///
/// # Errors
/// The kernel's, except that it does not know something of the program.
fn accepts(kind: u32, hook: u32, program: &[u64]) -> io::Result<bool> {
    load(kind, hook, program).map(|program| program.is_some())
}

/// A program of this kind for this hook; `None` where the verifier does not accept it.
fn load(kind: u32, hook: u32, program: &[u64]) -> io::Result<Option<OwnedFd>> {
    let mut load = ProgLoad {
        kind,
        count: u32::try_from(program.len()).unwrap_or(u32::MAX),
        instructions: program.as_ptr() as u64,
        license: c"GPL".as_ptr() as u64,
        log: [0; 2],
        version: 0,
        flags: 0,
        name: [0; 16],
        ifindex: 0,
        hook,
    };
    match bpf(PROG_LOAD, &mut load) {
        Ok(fd) => {
            // SAFETY: BPF_PROG_LOAD gave a descriptor that nothing else owns.
            Ok(Some(unsafe { OwnedFd::from_raw_fd(fd) }))
        }
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => Ok(None),
        Err(error) => Err(error),
    }
}

/// `BPF_PROG_TYPE_CGROUP_SOCK_ADDR`.
const SOCKET_ADDRESS: u32 = 18;
/// `BPF_CGROUP_INET4_CONNECT`.
const CONNECT4: u32 = 10;

/// Whether a socket program can say why it refuses (`bpf_set_retval`), which came with Linux 5.18.
///
/// # Errors
/// The kernel's, except that it does not know the helper.
pub fn accepts_set_retval() -> io::Result<bool> {
    /// r1 = -111; call bpf_set_retval; r0 = 0; exit
    const PROGRAM: [u64; 4] = [0xffff_ff91_0000_01b7, 0xbb_0000_0085, 0xb7, 0x95];
    accepts(SOCKET_ADDRESS, CONNECT4, &PROGRAM)
}

/// Whether a socket program is told which socket of MPTCP one belongs to (`bpf_skc_to_mptcp_sock`), since Linux 5.19.
///
/// # Errors
/// The kernel's, except that it does not know the helper.
pub fn tells_mptcp() -> io::Result<bool> {
    /// r1 = ctx->sk; if r1 == 0 go on behind the call; call bpf_skc_to_mptcp_sock; r0 = 0; exit
    const PROGRAM: [u64; 5] = [0x0040_1179, 0x0001_0115, 0xc4_0000_0085, 0xb7, 0x95];
    accepts(SOCKET_ADDRESS, CONNECT4, &PROGRAM)
}

/// Whether the verifier accepts an atomic compare-and-exchange, which came with Linux 5.12.
///
/// # Errors
/// The kernel's, except that it does not know the instruction.
pub fn accepts_cmpxchg() -> io::Result<bool> {
    /// r0 = 0; *(u64 *)(r10 - 8) = r0; r1 = 1; r0 = cmpxchg(r10 - 8, r0, r1); r0 = 0; exit
    const PROGRAM: [u64; 6] = [0xb7, 0xfff8_0a7b, 0x1_0000_01b7, 0xf1_fff8_1adb, 0xb7, 0x95];
    accepts(CLASSIFIER, 0, &PROGRAM)
}

/// `BPF_PROG_TYPE_SCHED_CLS`.
const CLASSIFIER: u32 = 3;

/// Whether a program can say from which address the tunnel's packets come (`local_ipv4` of `bpf_tunnel_key`), since Linux 6.0.
/// The verifier does not tell: a program is run that tries.
///
/// # Errors
/// The kernel's.
pub fn takes_outer_source() -> io::Result<bool> {
    /// 48 bytes of stack = 0; r0 = bpf_skb_set_tunnel_key(r1, r10 - 48, 44, 0); exit
    const PROGRAM: [u64; 12] = [
        0xffd0_0a7a,
        0xffd8_0a7a,
        0xffe0_0a7a,
        0xffe8_0a7a,
        0xfff0_0a7a,
        0xfff8_0a7a,
        0xa2bf,
        0xffff_ffd0_0000_0207,
        0x2c_0000_03b7,
        0x04b7,
        0x15_0000_0085,
        0x95,
    ];
    gives_zero(&PROGRAM, &[0; 64])
}

/// Whether the verifier accepts a classifier, and it gives 0 for a frame.
///
/// # Errors
/// The kernel's.
pub(super) fn gives_zero(program: &[u64], frame: &[u8]) -> io::Result<bool> {
    let Some(program) = load(CLASSIFIER, 0, program)? else { return Ok(false) };
    let mut run = TestRun {
        program: program.as_raw_fd().cast_unsigned(),
        size_in: u32::try_from(frame.len()).unwrap_or(u32::MAX),
        data_in: frame.as_ptr() as u64,
        ..TestRun::default()
    };
    bpf(PROG_TEST_RUN, &mut run)?;
    Ok(run.returned == 0)
}

/// The uapi's `__sk_buff`, as far as a test run of a program reads and writes its control block.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Context {
    before: [u32; 12],
    /// The control block.
    pub cb: [u32; 5],
    after: [u32; 31],
}

#[repr(C)]
#[derive(Default)]
struct TestRun {
    program: u32,
    returned: u32,
    size_in: u32,
    size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    context_size_in: u32,
    context_size_out: u32,
    context_in: u64,
    context_out: u64,
}

/// Runs a classifier once on a frame, and gives the control block that it leaves.
///
/// # Errors
/// The kernel's.
pub fn run(program: BorrowedFd<'_>, frame: &[u8], context: &Context) -> io::Result<Context> {
    let mut after = Context::default();
    let size = u32::try_from(size_of::<Context>()).unwrap_or(u32::MAX);
    let mut run = TestRun {
        program: program.as_raw_fd().cast_unsigned(),
        size_in: u32::try_from(frame.len()).unwrap_or(u32::MAX),
        data_in: frame.as_ptr() as u64,
        context_size_in: size,
        context_size_out: size,
        context_in: std::ptr::from_ref(context) as u64,
        context_out: std::ptr::from_mut(&mut after) as u64,
        ..TestRun::default()
    };
    bpf(PROG_TEST_RUN, &mut run)?;
    Ok(after)
}

/// Asks what the kernel knows of an object.
///
/// # Errors
/// The kernel's.
pub(super) fn info<T>(object: BorrowedFd<'_>, answer: &mut T) -> io::Result<()> {
    let mut ask = InfoByFd {
        fd: object.as_raw_fd().cast_unsigned(),
        length: u32::try_from(size_of::<T>()).unwrap_or(u32::MAX),
        info: std::ptr::from_mut(answer) as u64,
    };
    bpf(OBJ_GET_INFO_BY_FD, &mut ask).map(|_| ())
}

#[repr(C)]
struct Element {
    map: u32,
    pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

fn element<K, V>(
    command: libc::c_int,
    map: BorrowedFd<'_>,
    key: *const K,
    value: *const V,
    flags: u64,
) -> io::Result<()> {
    let map = map.as_raw_fd().cast_unsigned();
    let mut element = Element { map, pad: 0, key: key as u64, value: value as u64, flags };
    bpf(command, &mut element).map(|_| ())
}

/// Reads an entry.
///
/// # Errors
/// The kernel's.
pub(super) fn lookup<K: aya::Pod, V: aya::Pod>(map: BorrowedFd<'_>, key: &K, value: &mut V) -> io::Result<()> {
    element(MAP_LOOKUP, map, std::ptr::from_ref(key), std::ptr::from_mut(value).cast_const(), 0)
}

/// Writes an entry.
///
/// # Errors
/// The kernel's.
pub(super) fn update<K: aya::Pod, V: aya::Pod>(map: BorrowedFd<'_>, key: &K, value: &V) -> io::Result<()> {
    element(MAP_UPDATE, map, std::ptr::from_ref(key), std::ptr::from_ref(value), 0)
}

/// Makes an entry; false where there is one.
///
/// # Errors
/// The kernel's.
pub(super) fn insert_new<K: aya::Pod, V: aya::Pod>(map: BorrowedFd<'_>, key: &K, value: &V) -> io::Result<bool> {
    const NO_EXIST: u64 = 1;
    match element(MAP_UPDATE, map, std::ptr::from_ref(key), std::ptr::from_ref(value), NO_EXIST) {
        Err(error) if error.raw_os_error() == Some(libc::EEXIST) => Ok(false),
        other => other.map(|()| true),
    }
}

/// Puts a value at a queue's end.
///
/// # Errors
/// The kernel's.
pub(super) fn push<V: aya::Pod>(queue: BorrowedFd<'_>, value: &V) -> io::Result<()> {
    element(MAP_UPDATE, queue, std::ptr::null::<u8>(), std::ptr::from_ref(value), 0)
}

pub(super) fn bpf<T>(command: libc::c_int, attributes: &mut T) -> io::Result<i32> {
    // SAFETY: `attributes` is the command's part of `union bpf_attr`, its size is given, and all that it points to
    // outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(i32::try_from(result).unwrap_or(i32::MAX)) }
}
