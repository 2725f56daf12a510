//! A pod's door, which counts who comes in, and those who knock all the time, each time from another port.

use std::{
    collections::{BTreeMap, VecDeque},
    net::{IpAddr, TcpListener, TcpStream, UdpSocket},
    os::fd::AsRawFd,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use nix::sys::socket::{Backlog, listen};
use test_kit::topology::{Netns, Pod, patience};

use super::wires::{any, at};

/// The port that is knocked at.
pub const DOOR: u16 = 7010;

/// How often threads look whether they should end.
const TURN: Duration = Duration::from_millis(20);

/// Answers by TCP and UDP, and counts whom.
pub struct Door {
    stop: Arc<AtomicBool>,
    guests: Arc<Mutex<BTreeMap<IpAddr, u64>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Door {
    /// Opens one in a namespace, on whatever addresses it has or will have.
    pub fn open(netns: &Netns) -> Result<Self> {
        let mut door = Self { stop: Arc::default(), guests: Arc::default(), threads: Vec::new() };
        // IPv6's hears IPv4, too.
        let here = at(any(false), DOOR);
        let (listener, socket) =
            netns.enter(|| Ok::<_, std::io::Error>((TcpListener::bind(here)?, UdpSocket::bind(here)?)))??;
        listener.set_nonblocking(true)?;
        // The standard library's 128 are full where this thread has to wait for a CPU.
        listen(&listener, Backlog::new(4096)?)?;
        socket.set_read_timeout(Some(TURN))?;
        let (stop, guests) = (Arc::clone(&door.stop), Arc::clone(&door.guests));
        door.threads.push(thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((_, guest)) => count(&guests, guest.ip()),
                    Err(_) => thread::sleep(Duration::from_millis(1)),
                }
            }
        }));
        let (stop, guests) = (Arc::clone(&door.stop), Arc::clone(&door.guests));
        door.threads.push(thread::spawn(move || {
            let mut buffer = [0; 2048];
            while !stop.load(Ordering::Relaxed) {
                if let Ok((length, guest)) = socket.recv_from(&mut buffer) {
                    count(&guests, guest.ip());
                    // A guest that has gone needs no answer.
                    let _ = socket.send_to(&buffer[..length], guest);
                }
            }
        }));
        Ok(door)
    }

    /// How many came in from an address.
    pub fn guests(&self, from: IpAddr) -> u64 {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner).get(&from).copied().unwrap_or(0)
    }

    /// How many came in from a pod.
    pub fn guests_of(&self, pod: &Pod) -> u64 {
        pod.addresses.iter().map(|address| self.guests(*address)).sum()
    }
}

fn count(guests: &Mutex<BTreeMap<IpAddr, u64>>, guest: IpAddr) {
    *guests.lock().unwrap_or_else(PoisonError::into_inner).entry(guest.to_canonical()).or_default() += 1;
}

impl Drop for Door {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // One that panicked has printed why.
            let _ = thread.join();
        }
    }
}

/// What became of knocks.
#[derive(Debug, Default, Clone)]
pub struct Knocked {
    pub times: u64,
    pub answered: u64,
    /// Segments that were sent again until a connection stood: a busy machine is slow, but it loses none.
    pub repeated: u64,
    /// The longest that an answer took.
    pub longest: Duration,
    /// The first few that were not answered or took long, and when.
    pub slow: Vec<String>,
}

impl Knocked {
    fn answer(&mut self, what: &str, start: Instant, begin: Instant, answered: bool) {
        self.answered += u64::from(answered);
        let took = start.elapsed();
        self.longest = self.longest.max(took);
        if (took > SLOW || !answered) && self.slow.len() < 8 {
            self.slow.push(format!("{what} at {:?}: {took:?}, answered: {answered}", start - begin));
        }
    }
}

/// What waits for a retransmission takes longer.
const SLOW: Duration = Duration::from_millis(500);

/// Somebody who knocks until told to stop, by TCP and by UDP, by every family.
pub struct Knocking {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Result<Knocked>>>,
}

impl Knocking {
    /// Begins; who hopes waits for each answer, who does not waits for none.
    pub fn start(from: &Netns, to: &[IpAddr], hopes: bool) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads = Vec::new();
        for (address, tcp) in to.iter().flat_map(|to| [(*to, true), (*to, false)]) {
            let (stop, netns) = (Arc::clone(&stop), Netns::known(from.name()));
            threads.push(thread::spawn(move || {
                netns.enter(|| if tcp { connects(address, hopes, &stop) } else { asks(address, hopes, &stop) })?
            }));
        }
        Self { stop, threads }
    }

    /// Ends it.
    pub fn end(self) -> Result<Knocked> {
        self.stop.store(true, Ordering::Relaxed);
        let mut sum = Knocked::default();
        for thread in self.threads {
            let one = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            sum.times += one.times;
            sum.answered += one.answered;
            sum.repeated += one.repeated;
            sum.longest = sum.longest.max(one.longest);
            sum.slow.extend(one.slow);
        }
        Ok(sum)
    }

    /// Ends it: all were answered, and nothing was lost on the way.
    pub fn was_always_let_in(self) -> Result<Knocked> {
        let knocked = self.end()?;
        ensure!(knocked.times > 0 && knocked.answered == knocked.times, "not all were let in: {knocked:?}");
        ensure!(knocked.repeated == 0, "one was lost: {knocked:?}");
        Ok(knocked)
    }

    /// Ends it: none was answered.
    pub fn was_never_let_in(self) -> Result<Knocked> {
        let knocked = self.end()?;
        ensure!(knocked.times > 0 && knocked.answered == 0, "some were let in: {knocked:?}");
        Ok(knocked)
    }
}

/// How long one who hopes waits.
const HOPE: Duration = Duration::from_secs(3);
/// Between knocks.
const PAUSE: Duration = Duration::from_millis(2);

fn connects(to: IpAddr, hopes: bool, stop: &AtomicBool) -> Result<Knocked> {
    let (mut knocked, begin) = (Knocked::default(), Instant::now());
    while !stop.load(Ordering::Relaxed) {
        let (start, limit) = (Instant::now(), if hopes { patience(HOPE) } else { PAUSE });
        knocked.times += 1;
        let stream = TcpStream::connect_timeout(&at(to, DOOR), limit);
        knocked.repeated += stream.as_ref().map_or(Ok(0), repeated)?;
        if hopes || stream.is_ok() {
            knocked.answer(&format!("TCP {to}"), start, begin, stream.is_ok());
        }
        thread::sleep(PAUSE);
    }
    Ok(knocked)
}

/// How many segments were sent again on a connection.
fn repeated(stream: &TcpStream) -> Result<u64> {
    // SAFETY: all-zero is a value of this struct of integers.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut length = libc::socklen_t::try_from(size_of_val(&info))?;
    let (fd, level, option) = (stream.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_INFO);
    // SAFETY: the structure outlives the call, and its length is given.
    let read = unsafe { libc::getsockopt(fd, level, option, (&raw mut info).cast(), &raw mut length) };
    ensure!(read == 0, "{}", std::io::Error::last_os_error());
    Ok(info.tcpi_total_retrans.into())
}

fn asks(to: IpAddr, hopes: bool, stop: &AtomicBool) -> Result<Knocked> {
    let (mut knocked, mut waiting, mut buffer) = (Knocked::default(), VecDeque::new(), [0; 64]);
    let begin = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let (start, socket) = (Instant::now(), UdpSocket::bind((any(to.is_ipv4()), 0))?);
        // Before its ADD a pod has no way to anybody.
        let sent = socket.connect(at(to, DOOR)).and_then(|()| socket.send(b"knock"));
        if sent.is_ok() {
            knocked.times += 1;
        } else if hopes {
            bail!("{to}: {sent:?}");
        }
        if hopes {
            socket.set_read_timeout(Some(patience(HOPE)))?;
            knocked.answer(&format!("UDP {to}"), start, begin, socket.recv(&mut buffer).is_ok());
        } else {
            socket.set_nonblocking(true)?;
            waiting.push_back(socket);
            if waiting.len() > 50 {
                knocked.answered += u64::from(waiting.pop_front().is_some_and(|old| old.recv(&mut buffer).is_ok()));
            }
        }
        thread::sleep(PAUSE);
    }
    knocked.answered += waiting.iter().filter(|old| old.recv(&mut buffer).is_ok()).count() as u64;
    Ok(knocked)
}
