//! A client of the container runtime interface: what a kubelet asks of containerd, over its unix socket.

pub mod message;

use std::{sync::Arc, time::Duration};

use prost::Message;
use tokio::runtime::Runtime;
use tonic::{
    Request, Status,
    client::Grpc,
    transport::{Channel, Endpoint, Uri},
};
use tonic_prost::ProstCodec;

use self::message::{
    Empty, ListPodSandboxResponse, PodSandboxConfig, PodSandboxStatusResponse, RunPodSandboxRequest, SandboxId,
    StatusResponse, VersionResponse,
};

/// A kubelet gives a sandbox four minutes; a test that waits as long tells nobody anything.
const LIMIT: Duration = Duration::from_secs(60);

/// A connection, made anew when it broke. Clones share it.
#[derive(Clone)]
pub struct Cri {
    channel: Channel,
    runtime: Arc<Runtime>,
}

impl Cri {
    /// The runtime at a socket; connects when asked something.
    pub fn at(socket: &str) -> Self {
        let runtime = Runtime::new().expect("a tokio runtime can be made");
        let endpoint = Endpoint::from_shared(format!("unix:{socket}")).expect("a path makes an endpoint");
        let channel = runtime.block_on(async { endpoint.timeout(LIMIT).connect_lazy() });
        Self { channel, runtime: Arc::new(runtime) }
    }

    /// The runtime's name and version.
    pub fn version(&self) -> Result<VersionResponse, Status> {
        self.ask("/runtime.v1.RuntimeService/Version", Empty {})
    }

    /// That the runtime has a network configuration that it can use; else why not.
    pub fn network_ready(&self) -> Result<(), Status> {
        let answer: StatusResponse = self.ask("/runtime.v1.RuntimeService/Status", Empty {})?;
        let conditions = answer.status.unwrap_or_default().conditions;
        match conditions.into_iter().find(|condition| condition.kind == "NetworkReady") {
            Some(network) if network.status => Ok(()),
            network => Err(Status::unavailable(network.unwrap_or_default().message)),
        }
    }

    /// Starts a sandbox; its id.
    pub fn run(&self, config: PodSandboxConfig) -> Result<String, Status> {
        let request = RunPodSandboxRequest { config: Some(config) };
        let answer: SandboxId = self.ask("/runtime.v1.RuntimeService/RunPodSandbox", request)?;
        Ok(answer.pod_sandbox_id)
    }

    /// Asks for a sandbox, and gives up after a while, as a kubelet does.
    pub fn run_within(&self, config: PodSandboxConfig, limit: Duration) -> Result<String, Status> {
        let mut request = Request::new(RunPodSandboxRequest { config: Some(config) });
        request.set_timeout(limit);
        let answer: SandboxId = self.send("/runtime.v1.RuntimeService/RunPodSandbox", request)?;
        Ok(answer.pod_sandbox_id)
    }

    /// Ends a sandbox's processes and network.
    pub fn stop(&self, id: &str) -> Result<(), Status> {
        self.ask("/runtime.v1.RuntimeService/StopPodSandbox", sandbox(id)).map(|_: Empty| ())
    }

    /// Removes what is left of a sandbox.
    pub fn remove(&self, id: &str) -> Result<(), Status> {
        self.ask("/runtime.v1.RuntimeService/RemovePodSandbox", sandbox(id)).map(|_: Empty| ())
    }

    /// A sandbox's state, addresses and first process.
    pub fn status(&self, id: &str) -> Result<PodSandboxStatusResponse, Status> {
        self.ask("/runtime.v1.RuntimeService/PodSandboxStatus", SandboxId { verbose: true, ..sandbox(id) })
    }

    /// Every sandbox's id.
    pub fn list(&self) -> Result<Vec<String>, Status> {
        let answer: ListPodSandboxResponse = self.ask("/runtime.v1.RuntimeService/ListPodSandbox", Empty {})?;
        Ok(answer.items.into_iter().map(|item| item.id).collect())
    }

    fn ask<Q, A>(&self, path: &'static str, request: Q) -> Result<A, Status>
    where
        Q: Message + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        self.send(path, Request::new(request))
    }

    fn send<Q, A>(&self, path: &'static str, request: Request<Q>) -> Result<A, Status>
    where
        Q: Message + Send + Sync + 'static,
        A: Message + Default + Send + Sync + 'static,
    {
        let mut grpc = Grpc::new(self.channel.clone());
        self.runtime.block_on(async {
            grpc.ready().await.map_err(|error| Status::unavailable(format!("{error:?}")))?;
            let method = Uri::from_static(path).path_and_query().cloned().expect("a method has a path");
            Ok(grpc.unary(request, method, ProstCodec::<Q, A>::default()).await?.into_inner())
        })
    }
}

fn sandbox(id: &str) -> SandboxId {
    SandboxId { pod_sandbox_id: id.into(), verbose: false }
}
