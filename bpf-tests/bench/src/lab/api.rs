//! Requests to an API server, many at a time, from within a network namespace.

use std::{path::PathBuf, sync::Arc};

use anyhow::{Context, Result};
use ferrule_source::kubernetes::{Access, Health, connect};
use futures::{StreamExt, TryStreamExt, stream};
use http::{Method, Request};
use serde_json::Value;
use test_kit::topology::Netns;

/// As many as one server works on at once.
pub const PARALLEL: usize = 64;

/// Who asks.
#[derive(Debug)]
pub struct Api {
    /// Where the server is reached from.
    pub netns: Netns,
    /// The administrator's.
    pub kubeconfig: PathBuf,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Call {
    method: Method,
    path: String,
    body: Value,
}

impl Call {
    /// Makes an object of a collection.
    pub fn create(collection: impl Into<String>, body: Value) -> Self {
        Self { method: Method::POST, path: collection.into(), body }
    }

    /// Lays members over an object's.
    pub fn merge(object: impl Into<String>, body: Value) -> Self {
        Self { method: Method::PATCH, path: object.into(), body }
    }

    fn request(&self) -> Result<Request<Vec<u8>>> {
        let kind = if self.method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
        let builder = Request::builder().method(&self.method).uri(&self.path).header("content-type", kind);
        Ok(builder.body(serde_json::to_vec(&self.body)?)?)
    }
}

impl Api {
    /// Does something with a client.
    ///
    /// # Errors
    /// The credentials', and its own.
    pub fn with<T: Send>(&self, work: impl AsyncFnOnce(kube::Client) -> Result<T> + Send) -> Result<T> {
        self.netns.enter(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let access = Access { kubeconfig: Some(self.kubeconfig.clone()), ..Access::default() };
                work(connect(&access, &Arc::new(Health::default())).await?).await
            })
        })?
    }

    /// Makes all calls, in no order.
    ///
    /// # Errors
    /// The first that is refused.
    pub fn all(&self, calls: Vec<Call>) -> Result<()> {
        self.with(async |client| {
            let sent = stream::iter(calls).map(|call| send(&client, call)).buffer_unordered(PARALLEL);
            sent.try_for_each(|()| async { Ok(()) }).await
        })
    }
}

/// Makes one call.
///
/// # Errors
/// Where it is refused.
pub async fn send(client: &kube::Client, call: Call) -> Result<()> {
    let answer = client.request_text(call.request()?).await;
    answer.map(drop).with_context(|| format!("{} {}", call.method, call.path))
}
