//! `ferrule-agent run`: puts the parts together, serves until a signal comes, and leaves the datapath running.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use ferrule_api::plugin;
use ferrule_kernel::{bpf, bpf::Pins, changes::Changes, net};
use ferrule_model::desired::Own;
use ferrule_source as source;
use ferrule_source::{kubernetes, store};
use tokio::{
    net::UnixListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::{
    api,
    api::App,
    attachment::{Attachments, Parts, now_ms},
    cluster,
    cluster::Told,
    config::{Config, SourceConfig},
    descriptors,
    flows::Flows,
    install::conflist,
    lease::Leases,
    monitor::Monitor,
    path_mtu,
    policy::Policy,
    preflight,
    reconcile::{Reconciler, With},
    services,
    services::{Owners, Services},
    state,
};

/// How often the heartbeat's time is set; the plugin's STATUS goes by it.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Runs the agent until SIGTERM or SIGINT.
///
/// # Errors
/// What keeps it from serving: see the error's words. Nothing that was there before is changed then.
pub async fn run(config: Config) -> Result<()> {
    if !nix::unistd::Uid::effective().is_root() {
        bail!("ferrule-agent run needs root: it loads eBPF programs and configures the network");
    }
    descriptors::raise();
    let config = Arc::new(config);
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").context("the boot id cannot be read")?;
    // The lock on the state directory comes first: a second agent changes nothing.
    let leases = Leases::open(&config.state_dir, now_ms(), boot_id.trim())?;
    let listener = api::bind(&config.socket).await?;
    let outcome = serve(&config, leases, listener).await;
    if outcome.is_err() {
        // Nobody shall wait for an agent that did not start.
        let _ = fs::remove_file(&config.socket);
    }
    outcome
}

async fn serve(config: &Arc<Config>, leases: Leases, listener: UnixListener) -> Result<()> {
    let net = net::connect().context("a netlink socket cannot be made")?;
    for device in &config.devices {
        if net::link::by_name(&net, device).await?.is_none() {
            return Err(net::NetError::NoDevice(device.clone()).into());
        }
    }
    let asked = Arc::clone(config);
    let checks = tokio::task::spawn_blocking(move || preflight::run(&asked, preflight::Depth::BeforeStart)).await?;
    if let Some(why) = preflight::refusal(&checks) {
        bail!("this node cannot run Ferrule; `ferrule-agent preflight` shows all that was checked:\n{why}");
    }
    let pins = Pins::new(&config.bpffs);
    let mut loaded = bpf::load(&pins, &bpf::Globals::new(&config.datapath()))?;
    let attach = loaded.programs.attach_by(config.attach.map(Into::into))?;
    tracing::info!(node = config.node_name, adopted = loaded.adopted, ?attach, "the programs are loaded");

    let changes = Arc::new(Changes::default());
    net::watch::start(Arc::clone(&changes)).context("a netlink socket cannot be made")?;
    let (state, state_reader) = watch::channel(Arc::new(state::NodeState::default()));
    let programs = Arc::new(Mutex::new(loaded.programs));
    let (writer, reader) =
        store::store(Own { node_name: config.node_name.clone(), ranges: config.ranges(), leased: leases.addresses() });
    let flows = Arc::new(Flows::new(loaded.flows));
    let policy = Arc::new(Policy::new(loaded.policy, Arc::clone(&flows), reader.clone()));
    let owners = Arc::new(Owners::new(loaded.owners));
    let parts = services::Parts {
        programs: Arc::clone(&programs),
        pins: pins.clone(),
        owners: Arc::clone(&owners),
        store: reader.clone(),
    };
    let services = Arc::new(Services::new(config, loaded.services, parts));
    let attachments = Arc::new(Attachments::new(Parts {
        leases,
        policy: Arc::clone(&policy),
        owners,
        maps: loaded.endpoints,
        programs: Arc::clone(&programs),
        net: net.clone(),
        state: state_reader.clone(),
        store: reader.clone(),
        require_pod_object: config.require_pod_object,
        changes: Arc::clone(&changes),
        notes: plugin::release_notes(&config.socket),
        host_local: config.host_local.clone(),
    }));
    let monitor = Arc::new(Monitor::new(loaded.events));
    tokio::spawn(Arc::clone(&flows).keep());
    tokio::spawn(read_events(Arc::clone(&monitor)));
    let server = match &config.source {
        SourceConfig::Files(folder) => {
            tokio::spawn(source::files::run(folder.clone(), writer));
            None
        }
        SourceConfig::Kubernetes(access) => {
            let health = Arc::new(kubernetes::Health::default());
            let told = Told {
                node_name: config.node_name.clone(),
                attachments: Arc::clone(&attachments),
                store: reader.clone(),
                state: state_reader.clone(),
            };
            tokio::spawn(cluster::run(access.clone(), Arc::clone(&health), writer, told));
            Some(health)
        }
    };
    let app = App {
        server,
        config: Arc::clone(config),
        net: net.clone(),
        programs: Arc::clone(&programs),
        changes: Arc::clone(&changes),
        attachments: Arc::clone(&attachments),
        state: state_reader.clone(),
        flows: Arc::clone(&flows),
        policy: Arc::clone(&policy),
        services: Arc::clone(&services),
        monitor,
        store: reader.clone(),
        listening: api::Listening::default(),
        recent: api::Recent::default(),
        metrics: Mutex::new(loaded.metrics),
        times: api::Times::default(),
        pins: pins.clone(),
        adopted: loaded.adopted,
    };
    tokio::spawn(Arc::clone(&services).keep(Arc::clone(&attachments), reader.clone()));
    tokio::spawn(path_mtu::watch(pins.clone(), Arc::clone(&changes)));
    let with = With {
        config: Arc::clone(config),
        net,
        programs,
        attachments,
        state,
        changes,
        pins,
        flows,
        policy: Arc::clone(&policy),
        services,
    };
    tokio::spawn(Reconciler::new(with, loaded.remote).run(reader.clone()));
    tokio::spawn(policy.keep(reader));
    tokio::spawn(heartbeat(plugin::heartbeat(&config.socket)));
    let conf_state = state_reader.clone();
    tokio::spawn(announce(state_reader));

    if let Some(folder) = &config.cni_conf_dir {
        tokio::spawn(conflist::keep(Arc::clone(config), folder.clone(), conf_state));
    }
    let app = Arc::new(app);
    api::probes::serve(&app, config.listen.clone()).context("the addresses of `listen` cannot be served")?;
    api::serve(listener, app, stopped()).await;
    tracing::info!("stopped; pods keep their network");
    Ok(())
}

async fn read_events(monitor: Arc<Monitor>) {
    if let Err(error) = monitor.read().await {
        tracing::error!(%error, "events of single packets cannot be read; restart the agent for `ferrule monitor`");
    }
}

/// Waits for the signal to end.
pub async fn stopped() {
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals cannot be received; end the agent with SIGKILL, which harms nothing");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
}

/// Tells systemd when the node is ready.
async fn announce(mut state: watch::Receiver<Arc<state::NodeState>>) {
    if state.wait_for(|state| state.ready).await.is_ok()
        && let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Ready])
    {
        tracing::warn!(%error, "systemd could not be told that the node is ready");
    }
}

async fn heartbeat(path: std::path::PathBuf) {
    loop {
        if let Err(error) = touch(&path) {
            tracing::warn!(path = %path.display(), %error, "the heartbeat cannot be written");
        }
        tokio::time::sleep(HEARTBEAT).await;
    }
}

fn touch(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let file = fs::OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)?;
    file.set_modified(std::time::SystemTime::now())
}
