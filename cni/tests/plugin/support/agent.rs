//! An agent that keeps leases in memory, deletes links as the real one does, and can be told to hang or to refuse.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::IpAddr,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use ferrule_api::{
    plugin as api,
    plugin::{ApiError, AttachmentId, ReleaseRequest, ReserveRequest, ReserveResponse, ReservedAddress},
};
use serde_json::{Value, json};

/// What the agent knows and does; tests read and change it.
#[derive(Debug, Default)]
pub struct State {
    pub leases: BTreeMap<AttachmentId, ReserveRequest>,
    pub active: BTreeMap<AttachmentId, u32>,
    /// Path and body of all requests.
    pub requests: Vec<(String, Value)>,
    /// What a request answers instead: status and body; 0 never answers.
    pub answers: BTreeMap<String, (u16, Value)>,
    pub families: Families,
    /// It does not know `enforce_only`.
    pub is_older: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Families {
    #[default]
    Both,
    V4,
    V6,
}

/// A running agent; dropped, it stops listening.
#[derive(Debug)]
pub struct FakeAgent {
    socket: PathBuf,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// As a status: the request's connection ends without an answer, once.
pub const DIES: u16 = 1;
pub const GATEWAYS: (&str, &str) = ("169.254.1.1", "fe80::1");

impl FakeAgent {
    /// Listens at `socket`; links are deleted in the network namespace `host`.
    pub fn start(socket: &Path, host: &str, state: Arc<Mutex<State>>) -> Self {
        let _ = std::fs::remove_file(socket);
        let listener = UnixListener::bind(socket).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::spawn({
            let (state, stop, host) = (Arc::clone(&state), Arc::clone(&stop), host.to_owned());
            move || {
                for stream in listener.incoming().flatten() {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    let (state, host) = (Arc::clone(&state), host.clone());
                    std::thread::spawn(move || serve(stream, &state, &host));
                }
            }
        });
        Self { socket: socket.to_owned(), stop, thread: Some(thread) }
    }
}

impl Drop for FakeAgent {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = UnixStream::connect(&self.socket);
        let _ = self.thread.take().map(JoinHandle::join);
        let _ = std::fs::remove_file(&self.socket);
    }
}

fn serve(stream: UnixStream, state: &Mutex<State>, host: &str) {
    let mut reader = BufReader::new(&stream);
    let mut line = String::new();
    if reader.read_line(&mut line).unwrap_or(0) == 0 {
        return;
    }
    let path = line.split(' ').nth(1).unwrap().to_owned();
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).unwrap();
        if let Some((name, value)) = header.trim().split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap();
        }
        if header.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let body: Value = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
    let told = {
        let mut state = state.lock().unwrap();
        state.requests.push((path.clone(), body.clone()));
        state.answers.get(&path).cloned()
    };
    let (status, answer) = told.unwrap_or_else(|| answer(&path, body, state, host));
    if status == DIES {
        state.lock().unwrap().answers.remove(&path);
        return;
    }
    if status == 0 {
        std::thread::sleep(Duration::from_secs(60));
        return;
    }
    let answer = answer.to_string();
    let _ = (&stream).write_all(
        format!(
            "HTTP/1.1 {status} x\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{answer}",
            answer.len()
        )
        .as_bytes(),
    );
}

fn answer(path: &str, body: Value, state: &Mutex<State>, host: &str) -> (u16, Value) {
    match path {
        api::RESERVE => {
            let request: ReserveRequest = serde_json::from_value(body).unwrap();
            let mut state = state.lock().unwrap();
            if state.leases.get(&request.id).is_some_and(|lease| lease.netns != request.netns) {
                let error = ApiError { code: api::code::EXISTS, msg: "exists".into(), details: "elsewhere".into() };
                return (409, serde_json::to_value(error).unwrap());
            }
            let response = reserve(&request, &state);
            state.leases.insert(request.id.clone(), request);
            (200, serde_json::to_value(response).unwrap())
        }
        api::ACTIVATE => {
            let request: api::ActivateRequest = serde_json::from_value(body).unwrap();
            state.lock().unwrap().active.insert(request.id, request.host_ifindex);
            (200, json!({}))
        }
        api::RELEASE => {
            let request: ReleaseRequest = serde_json::from_value(body).unwrap();
            release(&request.id, state, host);
            (200, json!({}))
        }
        api::CHECK => (200, json!({"a_later_releases_field": 1})),
        api::GC => {
            let request: api::GcRequest = serde_json::from_value(body).unwrap();
            let leases: Vec<_> = state.lock().unwrap().leases.values().cloned().collect();
            let removed: Vec<_> = leases
                .into_iter()
                .filter(|lease| lease.network == request.network && !request.valid.contains(&lease.id))
                .map(|lease| lease.id)
                .collect();
            removed.iter().for_each(|id| release(id, state, host));
            (200, json!({"removed": removed, "errors": []}))
        }
        api::STATUS => (200, json!({"ready": true, "datapath": true})),
        other => (404, json!({"code": 103, "msg": format!("no such path {other}")})),
    }
}

/// As the agent does with a request, and with a note.
pub fn release(id: &AttachmentId, state: &Mutex<State>, host: &str) {
    let known = {
        let mut state = state.lock().unwrap();
        state.active.remove(id);
        state.leases.remove(id)
    };
    if known.is_some() {
        let link = api::host_ifname(&id.container_id, &id.ifname);
        let _ = Command::new("ip").args(["-n", host, "link", "del", &link]).output();
    }
}

fn reserve(request: &ReserveRequest, state: &State) -> ReserveResponse {
    let bytes = request.id.container_id.bytes().chain(request.id.ifname.bytes());
    let last = bytes.fold(7_u8, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte)).clamp(2, 250);
    let mut ips: Vec<IpAddr> = request.delegated_ips.clone().unwrap_or_default();
    if ips.is_empty() {
        let asked = |v4: bool| request.requested_ips.iter().copied().find(|ip| ip.is_ipv4() == v4);
        if state.families != Families::V6 {
            ips.push(asked(true).unwrap_or_else(|| IpAddr::from([10, 77, 0, last])));
        }
        if state.families != Families::V4 {
            ips.push(asked(false).unwrap_or_else(|| format!("fd77::{last:x}").parse().unwrap()));
        }
    }
    let address = |ip: IpAddr| ReservedAddress {
        address: ip.into(),
        gateway: if ip.is_ipv4() { GATEWAYS.0 } else { GATEWAYS.1 }.parse().unwrap(),
    };
    ReserveResponse {
        host_ifname: match &request.enforce_only {
            Some(side) if !state.is_older => side.name.clone(),
            _ => api::host_ifname(&request.id.container_id, &request.id.ifname),
        },
        host_mac: "02:fe:00:00:00:01".into(),
        pod_mac: request.mac.clone().unwrap_or_else(|| format!("02:fe:00:00:01:{last:02x}")),
        mtu: 1450,
        addresses: ips.into_iter().map(address).collect(),
    }
}
