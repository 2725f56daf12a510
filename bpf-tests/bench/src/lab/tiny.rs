//! Programs of a few instructions: one that does nothing, for what measuring itself costs, and one that redirects, for what the
//! kernel costs of a way by programs.

use std::{
    fs, io,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    path::PathBuf,
};

use anyhow::{Context, Result};
use aya::programs::{
    SchedClassifier, TcAttachType,
    tc::{self, NlOptions, TcAttachOptions},
};
use test_kit::topology::Netns;

use super::Place;

/// `return TC_ACT_UNSPEC`: r0 = -1, exit.
const EMPTY: [u64; 2] = [0xffff_ffff_0000_00b7, 0x95];

/// r1 = the interface; r2 = 0; r0 = `bpf_redirect_peer`; exit.
fn redirect(ifindex: u32) -> [u64; 4] {
    [u64::from(ifindex) << 32 | 0x01b7, 0x02b7, 0x9b_0000_0085, 0x95]
}

/// `bpf_attr` of BPF_PROG_LOAD, as far as it is used.
#[repr(C)]
#[derive(Default)]
struct Load {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log: [u32; 4],
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
}

/// `bpf_attr` of BPF_OBJ_PIN.
#[repr(C)]
struct Pin {
    pathname: u64,
    bpf_fd: u32,
    file_flags: u32,
}

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_OBJ_PIN: libc::c_int = 6;
const BPF_PROG_TYPE_SCHED_CLS: u32 = 3;

/// A program, loaded.
#[derive(Debug)]
pub struct Tiny {
    program: SchedClassifier,
    _place: Place,
}

impl Tiny {
    /// One that does nothing.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn empty() -> Result<Self> {
        Self::load("empty", &EMPTY)
    }

    /// One that gives everything to the network namespace behind a veth.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn redirect(ifindex: u32) -> Result<Self> {
        Self::load("redirect", &redirect(ifindex))
    }

    fn load(name: &str, code: &[u64]) -> Result<Self> {
        let place = Place::new();
        let pin = pinned(&place, name, code).with_context(|| format!("the program {name} cannot be loaded"))?;
        Ok(Self { program: SchedClassifier::from_pin(pin)?, _place: place })
    }

    /// Its id.
    ///
    /// # Errors
    /// The kernel's.
    pub fn id(&self) -> Result<u32> {
        Ok(self.program.info()?.id())
    }

    /// Attaches it to what arrives on a device, as pods' programs are attached to theirs.
    ///
    /// # Errors
    /// The kernel's.
    pub fn attach(&mut self, netns: &Netns, device: &str) -> Result<()> {
        netns.enter(|| {
            tc::qdisc_add_clsact(device)?;
            let options = TcAttachOptions::Netlink(NlOptions::default());
            let link = self.program.attach_with_options(device, TcAttachType::Ingress, options)?;
            // The filter goes with the namespace.
            std::mem::forget(self.program.take_link(link)?);
            Ok(())
        })?
    }
}

/// Loads the program and pins it where aya can open it: aya loads none that is in no object.
fn pinned(place: &Place, name: &str, code: &[u64]) -> Result<PathBuf> {
    let folder = place.pins();
    fs::create_dir_all(&folder).context("/sys/fs/bpf is no BPF file system; mount one there")?;
    let path = folder.join(name);
    let license = c"GPL";
    let mut load = Load {
        prog_type: BPF_PROG_TYPE_SCHED_CLS,
        insn_cnt: u32::try_from(code.len())?,
        insns: code.as_ptr() as u64,
        license: license.as_ptr() as u64,
        ..Load::default()
    };
    load.prog_name.iter_mut().zip(name.bytes()).for_each(|(octet, byte)| *octet = byte);
    let program = bpf(BPF_PROG_LOAD, &load)?;
    // SAFETY: the call has just returned this descriptor, and nobody else has it.
    let program = unsafe { OwnedFd::from_raw_fd(program) };
    let file = std::ffi::CString::new(path.display().to_string())?;
    let bpf_fd = program.as_raw_fd().cast_unsigned();
    bpf(BPF_OBJ_PIN, &Pin { pathname: file.as_ptr() as u64, bpf_fd, file_flags: 0 })?;
    Ok(path)
}

fn bpf<T>(command: libc::c_int, attributes: &T) -> Result<i32> {
    // SAFETY: the pointer is to a live struct of this size, whose own pointers the callers keep alive.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<T>()) };
    if result < 0 {
        return Err(io::Error::last_os_error().into());
    }
    Ok(i32::try_from(result)?)
}
