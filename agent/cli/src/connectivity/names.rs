//! What is behind a name server that does not answer.

use std::net::IpAddr;

use ferrule_api::chain::chain;
use k8s_openapi::api::{core::v1::Service, discovery::v1::EndpointSlice};
use kube::{Api, Client, api::ListParams};

use super::stage::ready_endpoints;

/// What to do about the name server at this address, as far as the API server knows it; none where it is no Service.
pub(super) async fn remedy(client: &Client, server: IpAddr) -> Option<String> {
    let services: Api<Service> = Api::all(client.clone());
    let services = services.list(&ListParams::default()).await.ok()?.items;
    let address = server.to_string();
    let service = services.iter().find(|service| {
        let ips = service.spec.as_ref().and_then(|spec| spec.cluster_ips.as_deref()).unwrap_or_default();
        ips.contains(&address)
    })?;
    let (namespace, name) = (service.metadata.namespace.as_deref()?, service.metadata.name.as_deref()?);
    let slices: Api<EndpointSlice> = Api::namespaced(client.clone(), namespace);
    let own = ListParams::default().labels(&format!("kubernetes.io/service-name={name}"));
    let ready: usize = match slices.list(&own).await {
        Ok(list) => list.items.iter().map(ready_endpoints).sum(),
        Err(error) => return Some(format!("the endpoints of {namespace}/{name} cannot be listed: {}", chain(&error))),
    };
    let selector = service.spec.as_ref().and_then(|spec| spec.selector.clone()).unwrap_or_default();
    let selector: Vec<String> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let pods = format!("kubectl -n {namespace} get pods -l {}", selector.join(","));
    Some(if ready == 0 {
        format!("the name server is Service {namespace}/{name}, which has no ready endpoint: start its pods (`{pods}`)")
    } else {
        format!(
            "the name server is Service {namespace}/{name} with {ready} ready endpoints: see their logs (`{pods}`), and whether \
             policies let them be asked"
        )
    })
}
