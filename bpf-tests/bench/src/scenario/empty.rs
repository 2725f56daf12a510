//! A program that does nothing, for what measuring itself costs.

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

use crate::lab::Place;

/// `return TC_ACT_UNSPEC`: r0 = -1, exit.
const CODE: [u64; 2] = [0xffff_ffff_0000_00b7, 0x95];

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

/// The program, loaded.
#[derive(Debug)]
pub struct Empty {
    program: SchedClassifier,
    _place: Place,
}

impl Empty {
    /// Loads it.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn load() -> Result<Self> {
        let place = Place::new();
        let pin = pinned(&place).context("an empty program cannot be loaded")?;
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
fn pinned(place: &Place) -> Result<PathBuf> {
    let folder = place.pins();
    fs::create_dir_all(&folder).context("/sys/fs/bpf is no BPF file system; mount one there")?;
    let path = folder.join("empty");
    let license = c"GPL";
    let mut load = Load {
        prog_type: BPF_PROG_TYPE_SCHED_CLS,
        insn_cnt: u32::try_from(CODE.len())?,
        insns: CODE.as_ptr() as u64,
        license: license.as_ptr() as u64,
        ..Load::default()
    };
    load.prog_name[..5].copy_from_slice(b"empty");
    let program = bpf(BPF_PROG_LOAD, &load)?;
    // SAFETY: the call has just returned this descriptor, and nobody else has it.
    let program = unsafe { OwnedFd::from_raw_fd(program) };
    let name = std::ffi::CString::new(path.display().to_string())?;
    let bpf_fd = program.as_raw_fd().cast_unsigned();
    bpf(BPF_OBJ_PIN, &Pin { pathname: name.as_ptr() as u64, bpf_fd, file_flags: 0 })?;
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
