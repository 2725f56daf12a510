//! The test's own namespace in the cluster, from its making to its end.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use k8s_openapi::api::{
    core::v1::{Namespace, Pod, Service},
    discovery::v1::EndpointSlice,
    networking::v1::NetworkPolicy,
};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{
    objects,
    plan::{Place, World},
};
use crate::operator::Agent;

/// How often what is waited for is looked at.
const PERIOD: Duration = Duration::from_millis(200);

/// The namespace.
pub(super) struct Stage {
    pub client: Client,
    pub namespace: String,
    /// How long pods may take to run, and the namespace to go.
    pub patience: Duration,
}

impl Stage {
    pub fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub fn policies(&self) -> Api<NetworkPolicy> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Makes everything, and waits until it can be asked.
    ///
    /// # Errors
    /// What the API server refuses, or what does not run in time: which pod, and why.
    pub async fn set(&self, agents: &[&Agent], image: &str) -> Result<World> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let object = serde_json::from_value(objects::namespace(&self.namespace))?;
        let made = namespaces.create(&PostParams::default(), &object).await;
        made.with_context(|| {
            format!("namespace {} cannot be made; a kubeconfig of an administrator is needed", self.namespace)
        })?;
        let mut pods = Vec::new();
        for (number, agent) in agents.iter().enumerate() {
            // Two on the first node, which are near each other.
            let near: &[&str] = if number == 0 { &["a", "b"] } else { &["c"] };
            pods.extend(near.iter().map(|name| ((*name).to_owned(), agent.node.clone(), false)));
            pods.push((format!("host-{}", number + 1), agent.node.clone(), true));
        }
        for (name, node, host) in &pods {
            self.make(&objects::pod(name, node, image, *host)).await?;
        }
        let services: Api<Service> = Api::namespaced(self.client.clone(), &self.namespace);
        let service = services.create(&PostParams::default(), &serde_json::from_value(objects::service())?).await?;
        let mut places = Vec::new();
        for (pod, node, host) in pods {
            let ips = self.running(&pod).await?;
            places.push(Place { pod, node, host, ips });
        }
        let ips = service.spec.and_then(|spec| spec.cluster_ips).unwrap_or_default();
        let service = ips.iter().map(|ip| ip.parse()).collect::<Result<Vec<_>, _>>()?;
        self.served(places.iter().filter(|place| !place.host).count(), service.len()).await?;
        Ok(World { namespace: self.namespace.clone(), places, service })
    }

    /// A namespace's service account comes a moment after it; before, pods are refused.
    async fn make(&self, pod: &Value) -> Result<()> {
        let object: Pod = serde_json::from_value(pod.clone())?;
        let end = Instant::now() + self.patience;
        loop {
            match self.pods().create(&PostParams::default(), &object).await {
                Ok(_) => return Ok(()),
                Err(kube::Error::Api(status)) if status.message.contains("serviceaccount") && Instant::now() < end => {
                    sleep(PERIOD).await;
                }
                Err(error) => return Err(error).context("the API server refuses a pod of the test"),
            }
        }
    }

    async fn running(&self, name: &str) -> Result<Vec<std::net::IpAddr>> {
        let end = Instant::now() + self.patience;
        loop {
            let pod = self.pods().get(name).await?;
            let status = pod.status.clone().unwrap_or_default();
            let ips = status.pod_ips.unwrap_or_default();
            if status.phase.as_deref() == Some("Running") && !ips.is_empty() {
                return Ok(ips.iter().map(|ip| ip.ip.parse()).collect::<Result<_, _>>()?);
            }
            if Instant::now() > end || status.phase.as_deref() == Some("Failed") {
                let node = pod.spec.and_then(|spec| spec.node_name).unwrap_or_default();
                bail!("pod {name} does not run on {node}: {}", self.why(name).await);
            }
            sleep(PERIOD).await;
        }
    }

    /// What Events say of a pod that does not run.
    async fn why(&self, pod: &str) -> String {
        let events: Api<k8s_openapi::api::core::v1::Event> = Api::namespaced(self.client.clone(), &self.namespace);
        let params = ListParams::default().fields(&format!("involvedObject.name={pod}"));
        let list = events.list(&params).await.map(|list| list.items).unwrap_or_default();
        let last = list
            .iter()
            .rev()
            .filter(|event| event.type_.as_deref() == Some("Warning"))
            .find_map(|event| event.message.clone());
        last.unwrap_or_else(|| "nothing says why; `kubectl describe` it while the test waits".into())
    }

    /// Waits until the Service's slices have every server, in every family.
    async fn served(&self, servers: usize, families: usize) -> Result<()> {
        let slices: Api<EndpointSlice> = Api::namespaced(self.client.clone(), &self.namespace);
        let end = Instant::now() + self.patience;
        loop {
            let list = slices.list(&ListParams::default()).await?;
            let ready: usize = list.items.iter().map(ready_endpoints).sum();
            if ready >= servers * families {
                return Ok(());
            }
            if Instant::now() > end {
                bail!(
                    "{ready} of {} endpoints of the test's Service are ready; see kube-controller-manager",
                    servers * families
                );
            }
            sleep(PERIOD).await;
        }
    }

    /// Removes all of it, and waits until it has gone.
    ///
    /// # Errors
    /// Where it does not go: what to do.
    pub async fn clear(&self) -> Result<()> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let by_hand = || format!("namespace {} stays; `kubectl delete namespace {0}` removes it", self.namespace);
        let end = Instant::now() + self.patience;
        loop {
            match namespaces.delete(&self.namespace, &DeleteParams::background()).await {
                Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
                // It is going already, or the server was away for a moment.
                Err(error) if Instant::now() > end => return Err(error).with_context(by_hand),
                Ok(_) if Instant::now() > end => bail!(by_hand()),
                _ => sleep(PERIOD * 2).await,
            }
        }
    }
}

/// The endpoints of a slice that are ready.
pub(super) fn ready_endpoints(slice: &EndpointSlice) -> usize {
    let ready = |endpoint: &&k8s_openapi::api::discovery::v1::Endpoint| {
        endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true)
    };
    let endpoints: &[_] = slice.endpoints.as_ref();
    endpoints.iter().filter(ready).count()
}
