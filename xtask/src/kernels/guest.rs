//! One virtual machine, from its start to its end.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::{console::Results, package::Kernel};
use crate::arch::Arch;

/// How long a guest may take.
const LIMIT: Duration = Duration::from_secs(1_500);
/// How long it may be silent: the longest test, and some time to boot without acceleration.
const SILENCE: Duration = Duration::from_secs(240);

/// What the emulator says where the hardware's virtualisation lacks something that only a running guest meets.
const BROKEN_KVM: &str = "KVM internal error";

/// Whether a guest has shown that this machine's KVM does not work.
static KVM_IS_BROKEN: AtomicBool = AtomicBool::new(false);

/// Boots it, reads what it says until it powers off, and keeps that in `log`.
///
/// # Errors
/// Where the emulator cannot be started. What goes wrong within is in the results.
pub fn run(kernel: &Kernel, initramfs: &Path, log: &Path) -> Result<Results> {
    let results = boot(kernel, initramfs, log)?;
    if results.has_said(BROKEN_KVM) && !KVM_IS_BROKEN.swap(true, Ordering::Relaxed) {
        println!("     {}: /dev/kvm is there and does not work ({BROKEN_KVM}); emulating", kernel.release.label);
        return boot(kernel, initramfs, log);
    }
    Ok(results)
}

fn boot(kernel: &Kernel, initramfs: &Path, log: &Path) -> Result<Results> {
    let mut command = emulator(kernel.release.arch);
    command.arg("-kernel").arg(&kernel.image).arg("-initrd").arg(initramfs);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("{command:?} cannot be started"))?;
    let results = listen(&mut child, log);
    // It has powered off, or has to.
    let _ = child.kill();
    child.wait()?;
    results
}

fn listen(child: &mut Child, log: &Path) -> Result<Results> {
    let mut log = File::create(log).with_context(|| log.display().to_string())?;
    let (sender, lines) = mpsc::channel();
    let stdout = child.stdout.take().map(|pipe| Box::new(pipe) as Box<dyn std::io::Read + Send>);
    let stderr = child.stderr.take().map(|pipe| Box::new(pipe) as Box<dyn std::io::Read + Send>);
    for pipe in [stdout, stderr].into_iter().flatten() {
        let sender = sender.clone();
        thread::spawn(move || {
            for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
                if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    break;
                }
            }
        });
    }
    drop(sender);
    let (start, mut results) = (Instant::now(), Results::default());
    loop {
        let left = LIMIT.saturating_sub(start.elapsed());
        match lines.recv_timeout(SILENCE.min(left)) {
            Ok(line) => {
                writeln!(log, "{}", line.trim_end())?;
                results.read(&line);
                // The machine stands still then.
                if line.contains(BROKEN_KVM) {
                    return Ok(results);
                }
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(results),
            Err(RecvTimeoutError::Timeout) => {
                let (total, silent) = (start.elapsed().as_secs(), SILENCE.as_secs());
                results.read(&format!("(ended by xtask after {total} s; a guest may be silent for {silent} s)"));
                return Ok(results);
            }
        }
    }
}

fn emulator(arch: Arch) -> Command {
    let mut command = Command::new(arch.qemu().0);
    command.args(["-nodefaults", "-no-user-config", "-display", "none", "-serial", "stdio", "-no-reboot"]);
    command.args(["-m", "1536"]).args(acceleration(arch));
    let console = match arch {
        Arch::Amd64 => "ttyS0",
        Arch::Arm64 => {
            command.args(["-machine", "virt"]);
            "ttyAMA0"
        }
    };
    // A panic ends the machine at once, and so does an oops.
    command.args(["-append", &format!("console={console} loglevel=4 panic=-1 oops=panic")]);
    command
}

/// Whether KVM is there and rests on the processor: without its help it is slower than an emulator.
fn has_kvm() -> bool {
    let helps = |text: String| text.split_whitespace().any(|flag| flag == "vmx" || flag == "svm");
    fs::exists("/dev/kvm").unwrap_or(false)
        && (Arch::host() == Arch::Arm64 || fs::read_to_string("/proc/cpuinfo").is_ok_and(helps))
}

/// Hardware's where it works, which only trying tells: a virtual machine may offer it and lack a part.
fn acceleration(arch: Arch) -> &'static [&'static str] {
    const KVM: [&[&str]; 2] = [
        &["-accel", "kvm", "-smp", "2", "-cpu", "max"],
        &["-accel", "kvm", "-smp", "2", "-cpu", "max,arch-capabilities=off"],
    ];
    let works = |arguments: &&&[&str]| {
        let mut command = Command::new(arch.qemu().0);
        command.args(["-nodefaults", "-display", "none", "-S", "-m", "64", "-monitor", "stdio"]).args(**arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(mut child) = command.spawn() else { return false };
        if let Some(mut monitor) = child.stdin.take() {
            // One that has ended already does not listen.
            let _ = monitor.write_all(b"quit\n");
        }
        child.wait().is_ok_and(|status| status.success())
    };
    if !KVM_IS_BROKEN.load(Ordering::Relaxed)
        && arch == Arch::host()
        && has_kvm()
        && let Some(found) = KVM.iter().find(works)
    {
        return found;
    }
    match arch {
        // One CPU: with several, emulators lose the kernel's patching of its own code (int3). And no cmpxchg16b, whose
        // flags older ones spoil.
        Arch::Amd64 => &["-accel", "tcg", "-smp", "1", "-cpu", "max,cx16=off"],
        // `max` signs pointers, which costs an emulator much.
        Arch::Arm64 => &["-accel", "tcg", "-smp", "1", "-cpu", "cortex-a72"],
    }
}
