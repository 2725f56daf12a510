//! Where Kubernetes objects come from.

use std::path::PathBuf;

use ferrule_source::kubernetes::{Access, check_url};

use super::{ConfigError, Options, Source};

/// A source with all it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceConfig {
    /// The API server.
    Kubernetes(Access),
    /// This folder of manifests.
    Files(PathBuf),
}

impl SourceConfig {
    /// Whether it is the API server.
    #[must_use]
    pub const fn is_kubernetes(&self) -> bool {
        matches!(self, Self::Kubernetes(_))
    }
}

impl Options {
    pub(super) fn source(&self) -> Result<SourceConfig, ConfigError> {
        let asked = self.kubeconfig.is_some() || self.api_server.is_some();
        let source = self.source.unwrap_or(if asked { Source::Kubernetes } else { Source::Files });
        let of_no_use = |key, with| {
            Err(ConfigError::Value {
                key,
                problem: format!("is of no use with source = {with:?}; leave one of them out"),
            })
        };
        match source {
            Source::Files if self.kubeconfig.is_some() => of_no_use("kubeconfig", "files"),
            Source::Files if self.api_server.is_some() => of_no_use("api-server", "files"),
            Source::Kubernetes if self.manifests.is_some() => of_no_use("manifests", "kubernetes"),
            Source::Files => {
                let usual = || PathBuf::from("/etc/ferrule/manifests");
                Ok(SourceConfig::Files(self.manifests.clone().unwrap_or_else(usual)))
            }
            Source::Kubernetes => {
                let plain = self.allow_plain_http.unwrap_or_default();
                if let Some(url) = &self.api_server {
                    let bad = |problem| ConfigError::Value { key: "api-server", problem };
                    check_url(url, plain).map_err(|error| bad(error.to_string()))?;
                }
                let (kubeconfig, api_server) = (self.kubeconfig.clone(), self.api_server.clone());
                Ok(SourceConfig::Kubernetes(Access { kubeconfig, api_server, plain }))
            }
        }
    }
}
