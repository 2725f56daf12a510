//! Programs on the devices that stay: the overlay device and the node's own. They take pinned TCX links where the kernel
//! has them (6.6), else clsact filters; what the other way left is removed once this one is in force, so that no packet
//! goes unjudged.

use std::{collections::HashMap, fs, io, path::Path};

use aya::programs::{
    LinkOrder,
    links::{FdLink, LinkError, PinnedLink},
    tc::{SchedClassifierLink, TcAttachOptions, TcHandle},
};
use ferrule_common::{Program, service::PROGRAMS};

use super::{
    attach::Programs,
    error::AttachError,
    filters,
    hook::Direction,
    mode::{Attach, mode},
    object::classifier,
    place::{self, Place},
    sys,
};
use crate::net::filter;

impl Programs {
    /// Fixes how devices that stay are attached to.
    ///
    /// # Errors
    /// As [`mode`].
    pub fn attach_by(&mut self, wanted: Option<Attach>) -> Result<Attach, AttachError> {
        let mode = mode(wanted)?;
        self.devices.mode = Some(mode);
        Ok(mode)
    }

    /// Whether TCX links are used where there is a choice.
    #[must_use]
    pub fn is_by_tcx(&self) -> bool {
        self.devices.mode == Some(Attach::Tcx)
    }

    /// Puts a program on a device that stays, or replaces what a former agent put there without a gap. Blocks.
    ///
    /// # Errors
    /// See [`AttachError`].
    pub fn attach_device(
        &mut self,
        program: Program,
        device: &str,
        ifindex: u32,
        direction: Direction,
    ) -> Result<(), AttachError> {
        let mode = self.devices.mode.map_or_else(|| self.attach_by(None), Ok)?;
        let hook = (ifindex, direction);
        match mode {
            Attach::Tcx => {
                self.attach_tcx(program, device, ifindex, direction)?;
                if !self.devices.settled.contains(&hook) {
                    detach_filters(device, ifindex, direction)?;
                }
            }
            Attach::Clsact => {
                self.attach_clsact(program, device, ifindex, direction)?;
                if !self.devices.settled.contains(&hook) {
                    remove_pin(&self.pins.link(device, direction))?;
                }
            }
        }
        self.devices.settled.insert(hook);
        Ok(())
    }

    /// Whether a program runs on a device that stays. Blocks.
    ///
    /// # Errors
    /// Where the kernel does not tell.
    pub fn is_attached(
        &mut self,
        program: Program,
        device: &str,
        ifindex: u32,
        direction: Direction,
    ) -> Result<bool, AttachError> {
        let path = self.pins.link(device, direction);
        if path.exists() {
            let link = sys::pinned_link(&path).map_err(|source| pin_error(&path, source))?;
            return Ok(link.ifindex == ifindex && link.program == self.id(program)?);
        }
        let filters = list(device, ifindex, direction)?;
        Ok(filters.iter().any(|filter| filter.handle != 0 && filter.name.as_deref() == Some(program.name())))
    }

    /// Puts `from_pod` and `to_pod` on the host side of a pod's veth by TCX, beside which another plugin's `ingress` qdisc
    /// has room. Blocks, for each as long as an RCU grace period.
    ///
    /// # Errors
    /// See [`AttachError`].
    pub fn attach_shaped(&mut self, device: &str, ifindex: u32) -> Result<(), AttachError> {
        self.attach_tcx(Program::ToPod, device, ifindex, Direction::Egress)?;
        self.attach_tcx(Program::FromPod, device, ifindex, Direction::Ingress)
    }

    /// Puts `from_pod` and `to_pod` on a link that another plugin made for a pod, or replaces what is there without a gap;
    /// others' filters stay. The filters' class is the endpoint's `index`. Blocks.
    ///
    /// # Errors
    /// See [`AttachError`].
    pub fn attach_chained(&mut self, device: &str, ifindex: u32, index: u32) -> Result<(), AttachError> {
        let class = filters::class(index);
        self.attach_beside(Program::ToPod, device, ifindex, Direction::Egress, class)?;
        self.attach_beside(Program::FromPod, device, ifindex, Direction::Ingress, class)
    }

    /// Removes links and filters of ours from devices that are not among `devices`, and pins of pods' links that are
    /// gone. Links of pods that other plugins made keep theirs: `is_pod` knows them by name and interface index. Blocks.
    ///
    /// # Errors
    /// Where the pins' folder cannot be read, or something cannot be removed.
    pub fn detach_others(&mut self, devices: &[&str], is_pod: &dyn Fn(&str, u32) -> bool) -> Result<(), AttachError> {
        let kept: Vec<_> =
            devices.iter().flat_map(|device| Direction::ALL.map(|hook| self.pins.link(device, hook))).collect();
        let folder = self.pins.links();
        let of_sockets: Vec<_> = PROGRAMS.iter().map(|name| self.pins.socket_link(name)).collect();
        for entry in fs::read_dir(&folder).map_err(|source| AttachError::Pin { path: folder.clone(), source })? {
            let path = entry.map_err(|source| AttachError::Pin { path: folder.clone(), source })?.path();
            let gone = || sys::pinned_link(&path).is_ok_and(|link| link.ifindex == 0);
            if of_sockets.contains(&path) {
                continue;
            }
            if !kept.contains(&path) && (!is_of_pod(&path) || gone()) {
                remove_pin(&path)?;
            }
        }
        self.correct_roles()?;
        let filtered = self.devices.filtered.get_or_insert_with(every_device);
        let others: Vec<_> = filtered.iter().filter(|(_, name)| !devices.contains(&name.as_str())).collect();
        for (ifindex, name) in others.into_iter().map(|(ifindex, name)| (*ifindex, name.clone())).collect::<Vec<_>>() {
            if is_pod(&name, ifindex) {
                filtered.remove(&ifindex);
                continue;
            }
            for direction in Direction::ALL {
                detach_filters(&name, ifindex, direction)?;
                self.devices.settled.remove(&(ifindex, direction));
            }
            filtered.remove(&ifindex);
        }
        Ok(())
    }

    fn attach_clsact(
        &mut self,
        program: Program,
        device: &str,
        ifindex: u32,
        direction: Direction,
    ) -> Result<(), AttachError> {
        self.attach_beside(program, device, ifindex, direction, None)?;
        if let Some(filtered) = &mut self.devices.filtered {
            filtered.insert(ifindex, device.into());
        }
        Ok(())
    }

    /// Puts a filter beside those that others have on a device.
    fn attach_beside(
        &mut self,
        program: Program,
        device: &str,
        ifindex: u32,
        direction: Direction,
        class: Option<TcHandle>,
    ) -> Result<(), AttachError> {
        filters::add_clsact(device)?;
        let filters = list(device, ifindex, direction)?;
        let plan = place::plan(&filters, program);
        for other in &plan.before {
            let words = format!("{device} ({}): {other} runs before {}", direction.name(), program.name());
            if self.devices.told.insert(words.clone()) {
                tracing::warn!("{words}: what it does not pass on is not judged");
            }
        }
        let failed = |source| AttachError::Attach { program: program.name(), device: device.into(), direction, source };
        let classifier = classifier(&mut self.ebpf, program)?;
        if plan.replaces {
            filters::replace(classifier, device, direction, plan.place, class).map_err(failed)?;
        } else {
            filters::create(classifier, device, direction, plan.place, class).map_err(failed)?;
        }
        plan.stale.into_iter().try_for_each(|stale| filters::remove(device, direction, stale).map_err(failed))
    }

    fn attach_tcx(
        &mut self,
        program: Program,
        device: &str,
        ifindex: u32,
        direction: Direction,
    ) -> Result<(), AttachError> {
        let path = self.pins.link(device, direction);
        let failed = |source| AttachError::Attach { program: program.name(), device: device.into(), direction, source };
        let adopted = adopt(&path, ifindex)?;
        let classifier = classifier(&mut self.ebpf, program)?;
        if let Some(link) = adopted {
            let link = SchedClassifierLink::try_from(link).map_err(|error| pin_error(&path, error))?;
            let id = classifier.attach_to_link(link).map_err(failed)?;
            // The pin holds the link; dropping this descriptor changes nothing.
            drop(classifier.take_link(id).map_err(failed)?);
            return Ok(());
        }
        let options = TcAttachOptions::TcxOrder(LinkOrder::default());
        let id = classifier.attach_with_options(device, direction.attach_type(), options).map_err(failed)?;
        let link = classifier.take_link(id).map_err(failed)?;
        let link = FdLink::try_from(link).map_err(|error| pin_error(&path, error))?;
        link.pin(&path).map_err(|error| pin_error(&path, error))?;
        Ok(())
    }
}

/// Removes every clsact filter that runs a program of one of our names from a hook. Blocks.
///
/// # Errors
/// The kernel's.
pub fn detach_filters(device: &str, ifindex: u32, direction: Direction) -> Result<(), AttachError> {
    let ours: Vec<Place> = place::ours(&list(device, ifindex, direction)?);
    ours.into_iter().try_for_each(|place| detach_place(device, direction, place))
}

/// Removes one filter from a hook. Blocks.
pub(super) fn detach_filter(device: &str, direction: Direction, filter: &filter::Filter) -> Result<(), AttachError> {
    detach_place(device, direction, Place { priority: filter.priority, handle: filter.handle })
}

fn detach_place(device: &str, direction: Direction, place: Place) -> Result<(), AttachError> {
    filters::remove(device, direction, place).map_err(|source| AttachError::Attach {
        program: "a filter of ours",
        device: device.into(),
        direction,
        source,
    })
}

pub(super) fn list(device: &str, ifindex: u32, direction: Direction) -> Result<Vec<filter::Filter>, AttachError> {
    filter::list(ifindex, direction).map_err(|source| AttachError::Filters { device: device.into(), direction, source })
}

/// Whether a pin is of a pod's link: `fr…-ingress`.
fn is_of_pod(path: &Path) -> bool {
    let device = path.file_name().and_then(|name| name.to_str()?.rsplit_once('-'));
    device.is_some_and(|(device, _)| crate::net::own::is_pod_link(device))
}

/// Every device but pods' links, whose filters go with them.
fn every_device() -> HashMap<u32, String> {
    let Ok(all) = nix::net::if_::if_nameindex() else { return HashMap::new() };
    let named = all.iter().map(|one| (one.index(), one.name().to_string_lossy().into_owned()));
    named.filter(|(_, name)| !crate::net::own::is_pod_link(name)).collect()
}

/// The pinned link, where it still sits on the device; a pin of a device that is gone is removed.
fn adopt(path: &Path, ifindex: u32) -> Result<Option<FdLink>, AttachError> {
    let link = match PinnedLink::from_pin(path) {
        Ok(link) => FdLink::from(link),
        Err(LinkError::SyscallError(error)) if error.io_error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(pin_error(path, error)),
    };
    let at = sys::pinned_link(path).map_err(|source| pin_error(path, source))?.ifindex;
    if at == ifindex {
        return Ok(Some(link));
    }
    remove_pin(path)?;
    Ok(None)
}

fn pin_error(path: &Path, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> AttachError {
    AttachError::Pin { path: path.into(), source: io::Error::other(cause) }
}

/// Removes a link's pin, which detaches it; nothing where there is none.
pub(super) fn remove_pin(path: &Path) -> Result<(), AttachError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(AttachError::Pin { path: path.into(), source }),
        _ => Ok(()),
    }
}
