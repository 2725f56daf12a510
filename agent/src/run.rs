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
use ferrule_source::{kubernetes::Health, store};
use tokio::{
    net::UnixListener,
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::{
    api::{self, App},
    attachment::now_ms,
    cluster,
    config::{Config, SourceConfig},
    controllers::{Controllers, Ground, Written},
    descriptors,
    install::conflist,
    lease::Leases,
    monitor::Monitor,
    path_mtu, preflight,
    reconcile::Reconciler,
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
    let (writer, reader) =
        store::store(Own { node_name: config.node_name.clone(), ranges: config.ranges(), leased: leases.addresses() });
    let ground = Ground {
        config: Arc::clone(config),
        net,
        programs: Arc::new(Mutex::new(loaded.programs)),
        pins: pins.clone(),
        store: reader.clone(),
        changes: Arc::clone(&changes),
        state: state_reader.clone(),
    };
    let written = Written {
        endpoints: loaded.endpoints,
        flows: loaded.flows,
        policy: loaded.policy,
        services: loaded.services,
        owners: loaded.owners,
    };
    let controllers = Arc::new(Controllers::new(ground, written, leases));
    controllers.start();
    let monitor = Arc::new(Monitor::new(loaded.events));
    tokio::spawn(read_events(Arc::clone(&monitor)));
    let server = match &config.source {
        SourceConfig::Files(folder) => {
            tokio::spawn(ferrule_source::files::run(folder.clone(), writer));
            None
        }
        SourceConfig::Kubernetes(access) => {
            let health = Arc::new(Health::default());
            let (access, told) = (access.clone(), Arc::clone(&controllers));
            tokio::spawn(cluster::run(access, Arc::clone(&health), writer, told));
            Some(health)
        }
    };
    tokio::spawn(path_mtu::watch(pins, changes));
    tokio::spawn(Reconciler::new(Arc::clone(&controllers), state, loaded.remote).run(reader));
    tokio::spawn(heartbeat(plugin::heartbeat(&config.socket)));
    let conf_state = state_reader.clone();
    tokio::spawn(announce(state_reader));

    if let Some(folder) = &config.cni_conf_dir {
        tokio::spawn(conflist::keep(Arc::clone(config), folder.clone(), conf_state));
    }
    let app = Arc::new(App {
        controllers,
        server,
        monitor,
        listening: api::Listening::default(),
        recent: api::Recent::default(),
        metrics: Mutex::new(loaded.metrics),
        times: api::Times::default(),
        adopted: loaded.adopted,
    });
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
