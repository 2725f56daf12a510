//! The maps of `ferrule_common::service`: the model's steps, carried out; and what a former agent left in them. Those that
//! sockets fill are in `socket_maps`.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    io,
    net::IpAddr,
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
};

use aya::maps::{HashMap, Map, MapData, MapError};
use ferrule_common::{
    Address,
    service::{
        Affinity, AffinityKey, Backend, BackendKey, FrontendKey, Member, MemberKey, PortWord, SET_BITS, Socket,
        SocketKey,
    },
    wire::protocol::{TCP, UDP},
};
use ferrule_model::{
    objects::Protocol,
    service::{self, Found, FoundPort, Frontend, SetOf, Step},
};

use super::{absent::absent_is_fine, batch, error::LoadError};

/// The highest number of a set.
pub const SETS: u32 = (1 << SET_BITS) - 1;

/// The maps of `ferrule_common::service`.
pub struct RawServiceMaps {
    /// `fr_services`.
    pub services: Map,
    /// `fr_backends`.
    pub backends: Map,
    /// `fr_svc_members`.
    pub members: Map,
    /// `fr_affinity`.
    pub affinity: Map,
    /// `fr_svc_socks`.
    pub sockets: Map,
    /// `fr_svc_tcp`.
    pub streams: Map,
}

/// The maps' only writer.
pub struct ServiceMaps {
    services: HashMap<MapData, FrontendKey, PortWord>,
    backends: HashMap<MapData, BackendKey, Backend>,
    members: HashMap<MapData, MemberKey, Member>,
    pub(super) sockets: HashMap<MapData, SocketKey, Socket>,
    pub(super) streams: HashMap<MapData, SocketKey, Socket>,
    pub(super) clients: HashMap<MapData, AffinityKey, Affinity>,
    pub(super) all: All,
}

/// The same maps, for batches.
pub(super) struct All {
    services: OwnedFd,
    backends: OwnedFd,
    members: OwnedFd,
    pub(super) sockets: OwnedFd,
    pub(super) streams: OwnedFd,
    pub(super) clients: OwnedFd,
}

impl ServiceMaps {
    pub(super) fn new(raw: RawServiceMaps) -> Result<Self, LoadError> {
        let failed = |name: &str| {
            let name = name.to_owned();
            move |source| LoadError::Map { name, source }
        };
        let fd = |map: &Map, name: &str| match map {
            Map::HashMap(data) => {
                data.fd().as_fd().try_clone_to_owned().map_err(|error| failed(name)(MapError::IoError(error)))
            }
            _ => Err(failed(name)(MapError::IoError(io::ErrorKind::InvalidInput.into()))),
        };
        let all = All {
            services: fd(&raw.services, "fr_services")?,
            backends: fd(&raw.backends, "fr_backends")?,
            members: fd(&raw.members, "fr_svc_members")?,
            sockets: fd(&raw.sockets, "fr_svc_socks")?,
            streams: fd(&raw.streams, "fr_svc_tcp")?,
            clients: fd(&raw.affinity, "fr_affinity")?,
        };
        Ok(Self {
            services: raw.services.try_into().map_err(failed("fr_services"))?,
            backends: raw.backends.try_into().map_err(failed("fr_backends"))?,
            members: raw.members.try_into().map_err(failed("fr_svc_members"))?,
            sockets: raw.sockets.try_into().map_err(failed("fr_svc_socks"))?,
            streams: raw.streams.try_into().map_err(failed("fr_svc_tcp"))?,
            clients: raw.affinity.try_into().map_err(failed("fr_affinity"))?,
            all,
        })
    }

    /// What is there.
    ///
    /// # Errors
    /// The kernel's.
    pub fn observe(&self) -> Result<Found, MapError> {
        let mut found = Found::default();
        for (key, word) in read(&self.all.services, &self.services)? {
            if key == FrontendKey::UNSEEN {
                continue;
            }
            if let Some(frontend) = frontend(&key) {
                let affinity = Some(word.affinity()).filter(|seconds| *seconds != 0);
                found.ports.insert(frontend, FoundPort { set: word.set(), count: word.count(), affinity });
            } else {
                found.addresses.insert(key.address.to_ip());
            }
        }
        let mut sets: BTreeMap<u32, BTreeMap<u32, Backend>> = BTreeMap::new();
        for (key, backend) in read(&self.all.backends, &self.backends)? {
            sets.entry(key.set).or_default().insert(key.place, backend);
        }
        let mut members: BTreeMap<u32, HashSet<Backend>> = BTreeMap::new();
        for (key, _) in read(&self.all.members, &self.members)? {
            members.entry(key.set).or_default().insert(key.backend);
        }
        for set in sets.keys().chain(members.keys()).copied().collect::<BTreeSet<_>>() {
            let places = sets.get(&set).cloned().unwrap_or_default();
            // One with a gap is no set: nothing can want it.
            let whole = places.keys().copied().eq(0..u32::try_from(places.len()).unwrap_or(u32::MAX));
            let listed: Vec<Backend> = if whole { places.into_values().collect() } else { Vec::new() };
            let known = members.get(&set);
            let all =
                known.is_some_and(|known| known.len() == listed.len() && listed.iter().all(|b| known.contains(b)));
            // Some of them only: as damaged as a gap.
            let damaged = known.is_some() && !all;
            let backends: Arc<[_]> = if damaged { [].into() } else { listed.iter().map(model_backend).collect() };
            found.sets.insert(set, SetOf { set, backends, members: all });
        }
        Ok(found)
    }

    /// Carries out one step.
    ///
    /// # Errors
    /// The kernel's; the step may be tried again.
    pub fn apply(&mut self, step: &Step) -> Result<(), MapError> {
        match step {
            Step::WriteSet(one) => self.write_set(one),
            Step::SetFrontend { frontend, set, count, affinity } => {
                let word = PortWord::new(*set, *count, affinity.unwrap_or_default());
                self.services.insert(key(frontend), word, 0)
            }
            Step::SetAddress(ip) => self.services.insert(address(*ip), PortWord::ADDRESS, 0),
            Step::RemoveFrontend(frontend) => absent_is_fine(self.services.remove(&key(frontend))),
            Step::RemoveAddress(ip) => absent_is_fine(self.services.remove(&address(*ip))),
            Step::RemoveSet(one) => {
                for (key, backend) in places(one) {
                    absent_is_fine(self.backends.remove(&key))?;
                    if one.members {
                        absent_is_fine(self.members.remove(&MemberKey { set: one.set, backend }))?;
                    }
                }
                Ok(())
            }
        }
    }

    fn write_set(&mut self, one: &SetOf) -> Result<(), MapError> {
        let places: Vec<(BackendKey, Backend)> = places(one).collect();
        if one.members {
            let member = |(key, backend): &(BackendKey, Backend)| {
                (MemberKey { set: key.set, backend: *backend }, Member { place: key.place })
            };
            let members: Vec<_> = places.iter().map(member).collect();
            if !batch::insert(self.all.members.as_fd(), &members)? {
                members.iter().try_for_each(|(key, member)| self.members.insert(key, member, 0))?;
            }
        }
        if batch::insert(self.all.backends.as_fd(), &places)? {
            return Ok(());
        }
        places.iter().try_for_each(|(key, backend)| self.backends.insert(key, backend, 0))
    }

    /// Removes every entry of these sets, however damaged they are.
    ///
    /// # Errors
    /// The kernel's; it may be done again.
    pub fn remove_sets(&mut self, gone: &BTreeSet<u32>) -> Result<(), MapError> {
        for (key, _) in read(&self.all.backends, &self.backends)?.iter().filter(|(key, _)| gone.contains(&key.set)) {
            absent_is_fine(self.backends.remove(key))?;
        }
        for (key, _) in read(&self.all.members, &self.members)?.iter().filter(|(key, _)| gone.contains(&key.set)) {
            absent_is_fine(self.members.remove(key))?;
        }
        Ok(())
    }

    /// Says whether the host's stack translates what no socket program saw.
    ///
    /// # Errors
    /// The kernel's.
    pub fn set_stack(&mut self, translates: bool) -> Result<(), MapError> {
        if translates {
            self.services.insert(FrontendKey::UNSEEN, PortWord::STACK, 0)
        } else {
            absent_is_fine(self.services.remove(&FrontendKey::UNSEEN))
        }
    }
}

/// Every entry, at once where the kernel can.
pub(super) fn read<K: aya::Pod, V: aya::Pod>(
    all: &OwnedFd,
    map: &HashMap<MapData, K, V>,
) -> Result<Vec<(K, V)>, MapError> {
    match batch::entries(all.as_fd())? {
        Some(entries) => Ok(entries),
        None => map.iter().collect(),
    }
}

fn places(one: &SetOf) -> impl Iterator<Item = (BackendKey, Backend)> {
    let set = one.set;
    let backends = one.backends.iter().map(|one| Backend::new(Address::from(one.address), one.port.to_be()));
    (0_u32..).zip(backends).map(move |(place, backend)| (BackendKey { set, place }, backend))
}

pub(super) fn model_backend(backend: &Backend) -> service::Backend {
    service::Backend { address: backend.address.to_ip(), port: u16::from_be(backend.port_be) }
}

fn key(frontend: &Frontend) -> FrontendKey {
    let protocol = match frontend.protocol {
        Protocol::Udp => UDP,
        _ => TCP,
    };
    FrontendKey::port(frontend.address.into(), frontend.port.to_be(), protocol)
}

fn address(ip: IpAddr) -> FrontendKey {
    FrontendKey::address(ip.into())
}

/// The port of a Service that a key names; none of an address alone.
#[must_use]
pub fn frontend(key: &FrontendKey) -> Option<Frontend> {
    let protocol = match key.protocol {
        TCP => Protocol::Tcp,
        UDP => Protocol::Udp,
        _ => return None,
    };
    Some(Frontend { address: key.address.to_ip(), port: u16::from_be(key.port_be), protocol })
}
