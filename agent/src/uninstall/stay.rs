//! `ferrule-agent cleanup --stay`: cleans up until it has worked, and then waits to be ended, so that the kubelet's probes
//! tell when this node is clean.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use axum::{Router, extract::State, http::StatusCode, routing::get};
use ferrule_source::{kubernetes, kubernetes::Health};
use tokio::{sync::watch, time::sleep};

use crate::{
    api::probes::serve_router,
    cleanup::cleanup,
    cluster,
    config::{Config, SourceConfig},
    run::stopped,
};

/// How soon what failed is tried again.
const AGAIN: Duration = Duration::from_secs(2);

/// Why this node is not clean; none when it is.
type Why = watch::Receiver<Option<String>>;

/// Cleans up this node, tells the API server, and stays until a signal comes.
///
/// # Errors
/// Where the probes cannot be served. What cannot be removed is tried again, and is what `/readyz` says.
pub async fn clean_and_stay(config: &Config) -> Result<()> {
    let (say, why) = watch::channel(Some("the node is being cleaned up".to_owned()));
    serve(&config.listen, &why).await?;
    let work = async {
        while let Err(error) = clean(config).await {
            tracing::error!("{error:#}; tried again");
            say.send_replace(Some(format!("{error:#}")));
            sleep(AGAIN).await;
        }
        tracing::info!("this node is clean; nothing of Ferrule is left to do here");
        say.send_replace(None);
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = work => {}
        () = stopped() => {}
    }
    Ok(())
}

async fn clean(config: &Config) -> Result<()> {
    cleanup(config).await?;
    if let SourceConfig::Kubernetes(access) = &config.source {
        let client = kubernetes::connect(access, &Arc::new(Health::default())).await?;
        let told = cluster::forget_node(&client, &config.node_name).await;
        told.context("the Node object cannot be told that Ferrule is gone")?;
    }
    Ok(())
}

async fn serve(addresses: &[SocketAddr], why: &Why) -> Result<()> {
    for address in addresses {
        let router = Router::new().route("/livez", get(|| async { "ok\n" })).route("/readyz", get(ready));
        let router = router.with_state(why.clone());
        serve_router(*address, router).await.with_context(|| format!("listen: {address}"))?;
    }
    Ok(())
}

async fn ready(State(why): State<Why>) -> (StatusCode, String) {
    match &*why.borrow() {
        None => (StatusCode::OK, "clean\n".into()),
        Some(words) => (StatusCode::SERVICE_UNAVAILABLE, format!("{words}\n")),
    }
}
