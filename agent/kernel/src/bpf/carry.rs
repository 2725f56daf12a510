//! Flows of another version's table, taken along: field by field, by name.
//!
//! What they were decided by means nothing here, so that the next packet of each has its opener judged anew; who opened
//! it, and whether its answers go through the stack, is what must not be lost.

use std::{
    collections::BTreeSet,
    io,
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use aya::{
    Pod,
    maps::{MapData, MapError},
};
use ferrule_common::{
    flow::{Flow, FlowKey, INCOMING, POOLED, QueuedFlow, Quota, Share, Tenant, UNDECIDED},
    owner::NOBODY,
    service::{Affinity, AffinityKey, Socket, SocketKey},
    source::Source,
    wire::protocol::TCP,
};

use super::{
    batch,
    btf::{Fields, shape},
    pins::Pins,
    sys,
};

/// Takes along the flows of every other layout's table; how many. Those that are there already stay as they are.
///
/// # Errors
/// The kernel's; what was taken stays.
pub fn carry(pins: &Pins) -> io::Result<usize> {
    let name = "fr_conntrack";
    let mut carried = 0;
    for folder in pins.other_layouts() {
        let path = folder.join(name);
        if path.exists() {
            carried += from(&path, pins)?;
        }
    }
    Ok(carried)
}

fn from(path: &Path, pins: &Pins) -> io::Result<usize> {
    let (theirs, ours) = (open(path)?, open(&pins.map("fr_conntrack"))?);
    let (queue, shares) = (open(&pins.map("fr_flow_queue"))?, open(&pins.map("fr_shares"))?);
    let (tenants, sources) = (open(&pins.map("fr_tenants"))?, open(&pins.map("fr_sources"))?);
    let (their_shape, our_shape) = (shape(theirs.as_fd())?, shape(ours.as_fd())?);
    let mut quota = Quota(0);
    sys::lookup(open(&pins.map("fr_quota"))?.as_fd(), &0_u32, &mut quota)?;
    let mut carried = 0;
    for (key, value) in batch::raw_entries(theirs.as_fd(), their_shape.key_size, their_shape.value_size)? {
        let key: FlowKey = converted(&key, &their_shape.key, &our_shape.key);
        let mut flow: Flow = converted(&value, &their_shape.value, &our_shape.value);
        let incoming = if flow.counted & INCOMING != 0 || is_incoming(&flow) { INCOMING } else { 0 };
        let mut share = Share::default();
        sys::lookup(shares.as_fd(), &flow.charged, &mut share)?;
        let reserved = *share.count(incoming) < quota.reserve();
        flow.counted = incoming | if reserved { 0 } else { POOLED };
        let mut source = Source::FREE;
        sys::lookup(sources.as_fd(), &flow.charged, &mut source)?;
        flow.tenant = source.tenant;
        for word in [&mut flow.lower_word, &mut flow.higher_word] {
            *word = if *word == 0 { 0 } else { UNDECIDED };
        }
        if !sys::insert_new(ours.as_fd(), &key, &flow)? {
            continue;
        }
        sys::push(queue.as_fd(), &QueuedFlow { key, stamp: flow.stamp })?;
        *share.count(flow.counted) += 1;
        sys::update(shares.as_fd(), &flow.charged, &share)?;
        for tenant in BTreeSet::from([0, flow.tenant]).into_iter().filter(|_| !reserved) {
            let mut pool = Tenant::default();
            sys::lookup(tenants.as_fd(), &tenant, &mut pool)?;
            pool.pooled += 1;
            sys::update(tenants.as_fd(), &tenant, &pool)?;
        }
        carried += 1;
    }
    Ok(carried)
}

/// Whether the endpoint that a flow is charged to did not open it.
const fn is_incoming(flow: &Flow) -> bool {
    let opener = if flow.opened_by_higher != 0 { flow.higher_endpoint } else { flow.lower_endpoint };
    opener != flow.charged
}

/// Takes along what sockets asked Services for, and which backends clients had; how many entries. Those that are there
/// already stay as they are.
///
/// # Errors
/// The kernel's; what was taken stays.
pub fn carry_sockets(pins: &Pins) -> io::Result<usize> {
    let mut carried = 0;
    for folder in pins.other_layouts() {
        // Before layout 9 those of TCP were among the others.
        for sockets in ["fr_svc_socks", "fr_svc_tcp"].map(|name| folder.join(name)).iter().filter(|path| path.exists())
        {
            carried += sockets_of(sockets, pins)?;
        }
        let clients = folder.join("fr_affinity");
        if clients.exists() {
            let ours = open(&pins.map("fr_affinity"))?;
            for (key, mut last) in entries::<AffinityKey, Affinity>(&clients, &ours)? {
                last.owner = NOBODY;
                carried += usize::from(sys::insert_new(ours.as_fd(), &key, &last)?);
            }
        }
    }
    Ok(carried)
}

fn sockets_of(theirs: &Path, pins: &Pins) -> io::Result<usize> {
    let (sockets, streams) = (open(&pins.map("fr_svc_socks"))?, open(&pins.map("fr_svc_tcp"))?);
    let mut carried = 0;
    for (key, mut socket) in entries::<SocketKey, Socket>(theirs, &sockets)? {
        // Set 0 is none, so that a socket asks whether its backend is still there.
        socket.set = 0;
        // Programs count while this goes on; what counts nowhere cannot be counted twice.
        socket.owner = NOBODY;
        let ours = if socket.frontend.protocol == TCP { &streams } else { &sockets };
        carried += usize::from(sys::insert_new(ours.as_fd(), &key, &socket)?);
    }
    Ok(carried)
}

/// Another layout's entries in the shape of ours.
fn entries<K: Pod, V: Pod>(theirs: &Path, ours: &OwnedFd) -> io::Result<Vec<(K, V)>> {
    let theirs = open(theirs)?;
    let (their_shape, our_shape) = (shape(theirs.as_fd())?, shape(ours.as_fd())?);
    let raw = batch::raw_entries(theirs.as_fd(), their_shape.key_size, their_shape.value_size)?;
    let converted = raw.iter().map(|(key, value)| {
        (converted(key, &their_shape.key, &our_shape.key), converted(value, &their_shape.value, &our_shape.value))
    });
    Ok(converted.collect())
}

fn open(path: &Path) -> io::Result<OwnedFd> {
    let map = MapData::from_pin(path).map_err(|error| match error {
        MapError::IoError(error) => error,
        other => io::Error::other(other),
    })?;
    map.fd().as_fd().try_clone_to_owned()
}

/// Their bytes in our shape; what they do not have is zero.
fn converted<T: Pod>(bytes: &[u8], theirs: &Fields, ours: &Fields) -> T {
    let mut out = vec![0_u8; size_of::<T>()];
    for (name, (at, size)) in ours {
        let Some((from, available)) = theirs.get(name) else { continue };
        let size = *size.min(available);
        if let (Some(to), Some(from)) = (out.get_mut(*at..at + size), bytes.get(*from..from + size)) {
            to.copy_from_slice(from);
        }
    }
    // SAFETY: as many bytes as the type has, and every bit pattern is a value of plain old data.
    unsafe { out.as_ptr().cast::<T>().read_unaligned() }
}
