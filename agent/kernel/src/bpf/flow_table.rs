//! `fr_conntrack`: read by batches, swept by the program `sweep`. Entries are made by the programs alone, and removed by
//! programs alone, so that shares are counted in one place.

use std::{
    io,
    net::IpAddr,
    os::fd::{AsFd, OwnedFd},
};

use aya::{
    maps::{Array, HashMap, Map, MapData, MapError},
    programs::SchedClassifier,
};
use ferrule_common::{
    Address,
    flow::{Flow, FlowKey, Share, Tenant},
    sweep,
};

use super::{
    batch,
    error::LoadError,
    sys::{self, Context},
};

/// What a sweep removes beside flows that have expired or lost an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sweep {
    /// Nothing.
    Stale,
    /// Every flow.
    All,
    /// Every flow of an address.
    Address(IpAddr),
}

/// What a sweep did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Flows that it looked at.
    pub seen: u64,
    /// Flows that it removed.
    pub removed: u64,
}

/// The connection table.
pub struct FlowTable {
    flows: HashMap<MapData, FlowKey, Flow>,
    shares: Array<MapData, Share>,
    tenants: Array<MapData, Tenant>,
    /// The same maps, for batches.
    all_flows: OwnedFd,
    all_shares: OwnedFd,
    all_tenants: OwnedFd,
    sweeper: OwnedFd,
    entries: u32,
}

impl FlowTable {
    pub(super) fn new(flows: Map, shares: Map, tenants: Map, sweeper: &SchedClassifier) -> Result<Self, LoadError> {
        let failed = |name: &str| {
            let name = name.to_owned();
            move |source| LoadError::Map { name, source }
        };
        let io_failed = |name: &str, error| failed(name)(MapError::IoError(error));
        let fd = |map: &Map, name: &str| match map {
            Map::HashMap(data) | Map::Array(data) => {
                data.fd().as_fd().try_clone_to_owned().map_err(|error| io_failed(name, error))
            }
            _ => Err(io_failed(name, io::ErrorKind::InvalidInput.into())),
        };
        let (all_flows, all_shares) = (fd(&flows, "fr_conntrack")?, fd(&shares, "fr_shares")?);
        let all_tenants = fd(&tenants, "fr_tenants")?;
        let entries = match &flows {
            Map::HashMap(data) => data.info().map_err(failed("fr_conntrack"))?.max_entries(),
            _ => 0,
        };
        let program = |source| LoadError::Program { name: sweep::PROGRAM, source };
        let sweeper = sweeper.fd().map_err(program)?.as_fd().try_clone_to_owned();
        Ok(Self {
            flows: flows.try_into().map_err(failed("fr_conntrack"))?,
            shares: shares.try_into().map_err(failed("fr_shares"))?,
            tenants: tenants.try_into().map_err(failed("fr_tenants"))?,
            all_flows,
            all_shares,
            all_tenants,
            sweeper: sweeper.map_err(|error| io_failed("fr_conntrack", error))?,
            entries,
        })
    }

    /// How many flows it has room for.
    #[must_use]
    pub const fn capacity(&self) -> u32 {
        self.entries
    }

    /// What each endpoint has of the table, or was refused; index 0 is the node itself.
    ///
    /// # Errors
    /// The kernel's.
    pub fn shares(&self) -> io::Result<Vec<(u32, Share)>> {
        let every = batch::entries::<u32, Share>(self.all_shares.as_fd())?;
        let every = match every {
            Some(every) => every,
            None => (0..self.shares.len())
                .map(|index| Ok((index, self.shares.get(&index, 0).map_err(io::Error::other)?)))
                .collect::<io::Result<_>>()?,
        };
        Ok(every.into_iter().filter(|(_, share)| *share != Share::default()).collect())
    }

    /// What each tenant has of the pool, where it has any; 0 is everybody.
    ///
    /// # Errors
    /// The kernel's.
    pub fn pooled(&self) -> io::Result<Vec<(u32, u32)>> {
        let every = match batch::entries::<u32, Tenant>(self.all_tenants.as_fd())? {
            Some(every) => every,
            None => (0..self.tenants.len())
                .map(|index| Ok((index, self.tenants.get(&index, 0).map_err(io::Error::other)?)))
                .collect::<io::Result<_>>()?,
        };
        Ok(every.into_iter().filter(|(_, tenant)| tenant.pooled != 0).map(|(index, one)| (index, one.pooled)).collect())
    }

    /// Adds to an endpoint's count of a kind ([`Flow::counted`]). What programs count in this moment may be lost.
    ///
    /// # Errors
    /// The kernel's.
    pub fn correct_share(&mut self, endpoint: u32, counted: u32, by: i64) -> Result<(), MapError> {
        let mut share = self.shares.get(&endpoint, 0)?;
        let count = share.count(counted);
        *count = corrected(*count, by);
        self.shares.set(endpoint, share, 0)
    }

    /// Adds to what a tenant has of the pool. What programs count in this moment may be lost.
    ///
    /// # Errors
    /// The kernel's.
    pub fn correct_pooled(&mut self, tenant: u32, by: i64) -> Result<(), MapError> {
        let mut found = self.tenants.get(&tenant, 0)?;
        found.pooled = corrected(found.pooled, by);
        self.tenants.set(tenant, found, 0)
    }

    /// Every flow.
    ///
    /// # Errors
    /// The kernel's.
    pub fn flows(&self) -> io::Result<Vec<(FlowKey, Flow)>> {
        match batch::entries(self.all_flows.as_fd())? {
            Some(flows) => Ok(flows),
            None => self.flows.iter().map(|entry| entry.map_err(io::Error::other)).collect(),
        }
    }

    /// Looks at every flow once.
    ///
    /// # Errors
    /// The kernel's.
    pub fn sweep(&self, what: Sweep) -> io::Result<Swept> {
        let there: u64 = self.shares()?.iter().map(|(_, share)| share.flows()).sum();
        let mut swept = Swept::default();
        let mut frame = [0_u8; 14 + 40];
        frame[12..15].copy_from_slice(&[0x86, 0xdd, 0x60]);
        let mut context = Context::default();
        context.cb[0] = match what {
            Sweep::Stale => sweep::STALE,
            Sweep::All => sweep::ALL,
            Sweep::Address(address) => {
                frame[22..38].copy_from_slice(&Address::from(address).octets);
                sweep::OF_ADDRESS
            }
        };
        // Flows that come meanwhile stand behind all that were there.
        while swept.seen < there {
            let after = sys::run(self.sweeper.as_fd(), &frame, &context)?;
            let [_, seen, removed, stale, _] = after.cb;
            if seen == 0 && stale == 0 {
                break;
            }
            swept.seen += u64::from(seen);
            swept.removed += u64::from(removed);
        }
        Ok(swept)
    }
}

/// A count, which may have fallen below zero, with what is added to it; none is below zero then.
fn corrected(count: u32, by: i64) -> u32 {
    u32::try_from((i64::from(count.cast_signed()) + by).max(0)).unwrap_or_default()
}
