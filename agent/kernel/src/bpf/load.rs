//! Loads the object once for the node: adopts pinned maps of the same layout, or makes and pins new ones.

use aya::{
    Ebpf, EbpfLoader,
    maps::{Map, MapInfo, MapType},
    programs::{
        SchedClassifier, TcAttachType,
        tc::{NlOptions, TcAttachOptions},
    },
};
use ferrule_common::{
    Program,
    layout::{self, Kind},
    sweep,
};

use super::{
    EndpointMaps, Events, FlowTable, Globals, Metrics, OwnerMaps, Pins, PolicyMaps, Programs, RemoteMaps, ServiceMaps,
    cgroup, error::LoadError, memlock, object::classifier, policy_maps::RawPolicyMaps, service_maps::RawServiceMaps,
};

/// The compiled programs.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/ferrule-ebpf"));

/// Everything that loading gives.
pub struct Loaded {
    /// The programs.
    pub programs: Programs,
    /// Local pods.
    pub endpoints: EndpointMaps,
    /// Everybody else.
    pub remote: RemoteMaps,
    /// Counters.
    pub metrics: Metrics,
    /// What may pass.
    pub policy: PolicyMaps,
    /// Services.
    pub services: ServiceMaps,
    /// Whose sockets ask them.
    pub owners: OwnerMaps,
    /// Flows.
    pub flows: FlowTable,
    /// What programs tell of single packets.
    pub events: Events,
    /// The maps were there before: what they hold is in force.
    pub adopted: bool,
}

/// Loads programs and maps; what `globals` say is fixed until the next load.
///
/// # Errors
/// See [`LoadError`]; what was pinned before is left as it was.
pub fn load(pins: &Pins, globals: &Globals) -> Result<Loaded, LoadError> {
    pins.prepare()?;
    lift_limit();
    let adopted = pins.has_maps();
    check_layout(pins)?;
    let mut loader = EbpfLoader::new();
    for map in layout::MAPS {
        loader.map_pin_path(map.name, pins.map(map.name));
    }
    let globals = match MapInfo::from_pin(pins.map("fr_conntrack")) {
        Ok(there) => globals.beside(there.max_entries()),
        Err(_) => *globals,
    };
    globals.apply(&mut loader);
    let mut ebpf = loader.load(OBJECT).map_err(LoadError::Object)?;
    start_log(&mut ebpf);
    for program in Program::ALL {
        classifier(&mut ebpf, program)?.load().map_err(|source| LoadError::Program { name: program.name(), source })?;
    }
    if globals.serves() {
        cgroup::load(&mut ebpf)?;
    }
    let flows = FlowTable::new(
        map(&mut ebpf, "fr_conntrack")?,
        map(&mut ebpf, "fr_shares")?,
        map(&mut ebpf, "fr_tenants")?,
        sweeper(&mut ebpf)?,
    )?;
    Ok(Loaded {
        endpoints: EndpointMaps::new(
            map(&mut ebpf, "fr_endpoints")?,
            map(&mut ebpf, "fr_links")?,
            map(&mut ebpf, "fr_sources")?,
            map(&mut ebpf, "fr_quota")?,
            flows.capacity(),
        )?,
        remote: RemoteMaps::new(
            map(&mut ebpf, "fr_nodes")?,
            map(&mut ebpf, "fr_peers")?,
            map(&mut ebpf, "fr_routes")?,
            map(&mut ebpf, "fr_cidrs")?,
        )?,
        metrics: Metrics::new(map(&mut ebpf, "fr_metrics")?)?,
        policy: PolicyMaps::new(RawPolicyMaps {
            words: map(&mut ebpf, "fr_ep_state")?,
            tables: map(&mut ebpf, "fr_tables")?,
            rules: map(&mut ebpf, "fr_policy")?,
            classes: map(&mut ebpf, "fr_classes")?,
            blocks: map(&mut ebpf, "fr_blocks")?,
        })?,
        services: ServiceMaps::new(RawServiceMaps {
            services: map(&mut ebpf, "fr_services")?,
            backends: map(&mut ebpf, "fr_backends")?,
            members: map(&mut ebpf, "fr_svc_members")?,
            affinity: map(&mut ebpf, "fr_affinity")?,
            sockets: map(&mut ebpf, "fr_svc_socks")?,
            streams: map(&mut ebpf, "fr_svc_tcp")?,
        })?,
        owners: OwnerMaps::new(map(&mut ebpf, "fr_svc_owners")?, map(&mut ebpf, "fr_svc_totals")?)?,
        flows,
        events: Events::new(map(&mut ebpf, "fr_events")?, map(&mut ebpf, "fr_watch")?)?,
        programs: Programs::new(ebpf, pins.clone()),
        adopted,
    })
}

/// Loads everything without pinning it and puts each program on both hooks of a device of the calling thread's network
/// namespace, which has a clsact qdisc; how many there are. Programs and maps go again; filters go with the device.
///
/// # Errors
/// What the kernel refuses.
pub fn rehearse(globals: &Globals, device: &str) -> anyhow::Result<usize> {
    lift_limit();
    let mut loader = EbpfLoader::new();
    globals.apply(&mut loader);
    let mut ebpf = loader.load(OBJECT).map_err(LoadError::Object)?;
    for program in Program::ALL {
        let classifier = classifier(&mut ebpf, program)?;
        classifier.load().map_err(|source| LoadError::Program { name: program.name(), source })?;
        for hook in [TcAttachType::Ingress, TcAttachType::Egress] {
            classifier.attach_with_options(device, hook, TcAttachOptions::Netlink(NlOptions::default()))?;
        }
    }
    if globals.serves() {
        cgroup::load(&mut ebpf)?;
    }
    Ok(Program::ALL.len())
}

/// Where it counts and cannot be lifted, the maps may fit nonetheless; the kernel says so then.
fn lift_limit() {
    if memlock::counts()
        && let Err(error) = memlock::raise()
    {
        tracing::warn!(%error, "the limit on locked memory could not be lifted");
    }
}

/// The program that sweeps flows, loaded; it is attached nowhere.
fn sweeper(ebpf: &mut Ebpf) -> Result<&SchedClassifier, LoadError> {
    let name = sweep::PROGRAM;
    let program = ebpf.program_mut(name).ok_or(LoadError::Missing(name))?;
    let Ok(program) = <&mut SchedClassifier>::try_from(program) else { return Err(LoadError::Missing(name)) };
    program.load().map_err(|source| LoadError::Program { name, source })?;
    Ok(program)
}

fn map(ebpf: &mut Ebpf, name: &'static str) -> Result<Map, LoadError> {
    ebpf.take_map(name).ok_or(LoadError::Missing(name))
}

/// Debug builds of the object (its feature `log`) carry a log; the object that ships has none.
fn start_log(ebpf: &mut Ebpf) {
    if ebpf.map("AYA_LOGS").is_none() {
        return;
    }
    match aya_log::EbpfLogger::init(ebpf) {
        Ok(mut logger) => {
            tokio::spawn(async move {
                loop {
                    logger.flush();
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            });
        }
        Err(error) => tracing::warn!(%error, "the programs' debug log cannot be read"),
    }
}

fn check_layout(pins: &Pins) -> Result<(), LoadError> {
    for map in layout::MAPS {
        let path = pins.map(map.name);
        if !path.exists() {
            continue;
        }
        let info = MapInfo::from_pin(&path).map_err(|source| LoadError::Map { name: map.name.into(), source })?;
        let kind = match map.kind {
            Kind::Hash => MapType::Hash,
            Kind::Array => MapType::Array,
            Kind::PerCpuArray => MapType::PerCpuArray,
            Kind::LpmTrie => MapType::LpmTrie,
            Kind::LruHash => MapType::LruHash,
            Kind::Queue => MapType::Queue,
            Kind::RingBuf => MapType::RingBuf,
        };
        let found = info.map_type().map_err(|source| LoadError::Map { name: map.name.into(), source })?;
        differ(&path, "kind", format!("{found:?}"), format!("{kind:?}"))?;
        differ(&path, "key size", info.key_size().to_string(), map.key.to_string())?;
        differ(&path, "value size", info.value_size().to_string(), map.value.to_string())?;
        // The operator says how large these two are; a table that is there keeps its size.
        if !matches!(map.name, "fr_conntrack" | "fr_flow_queue") {
            differ(&path, "entries", info.max_entries().to_string(), map.entries.to_string())?;
        }
    }
    Ok(())
}

fn differ(path: &std::path::Path, field: &'static str, found: String, wanted: String) -> Result<(), LoadError> {
    if found == wanted { Ok(()) } else { Err(LoadError::Layout { path: path.to_owned(), field, found, wanted }) }
}
