//! A client of the API server: whose credentials, and where it is.

use std::{path::PathBuf, sync::Arc, time::Duration};

use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};

use super::{
    health::{Health, Listen},
    wire,
};

/// How long a connection may take to be made: the server's other addresses are behind one name or none.
const CONNECT: Duration = Duration::from_secs(5);

/// Where the API server is, and who asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// A kubeconfig's path; else the pod's service account.
    pub kubeconfig: Option<PathBuf>,
    /// Its URL in place of the one that the credentials name: before Services work, their address leads nowhere.
    pub api_server: Option<String>,
    /// Whether it may be asked without TLS.
    pub plain: bool,
}

/// Why there is no client. That a server does not answer is no reason.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The kubeconfig cannot be used.
    #[error("kubeconfig: {path}")]
    Kubeconfig {
        /// Its path.
        path: PathBuf,
        /// What is wrong.
        source: kube::config::KubeconfigError,
    },
    /// Neither a kubeconfig nor a service account.
    #[error("no credentials for the API server: give --kubeconfig, or run as a pod with a service account")]
    NoCredentials(#[source] kube::config::InClusterError),
    /// Not a URL.
    #[error("{url:?} is not a URL like https://10.0.0.1:6443")]
    Url {
        /// What was given.
        url: String,
    },
    /// A URL without TLS.
    #[error(
        "{url}: without TLS whoever is on the way reads the agent's token and answers in the API server's place; give an https:// \
         URL, or allow it with --allow-plain-http"
    )]
    Plain {
        /// The URL.
        url: String,
    },
    /// A kubeconfig with a proxy.
    #[error(
        "proxy-url {url}: the API server cannot be asked through a proxy; remove it, or let its address be reached"
    )]
    Proxy {
        /// The proxy.
        url: String,
    },
    /// Certificates or keys that cannot be used.
    #[error("the API server's certificates or this agent's cannot be used")]
    Client(#[source] kube::Error),
}

/// A client that reads rotated tokens anew (certificates only when the agent starts), and tells `health` of every answer.
///
/// # Errors
/// Where credentials are missing or cannot be used.
pub async fn connect(access: &Access, health: &Arc<Health>) -> Result<Client, ConnectError> {
    // One process, one provider; whoever came first chose the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut config = match &access.kubeconfig {
        Some(path) => {
            let failed = |source| ConnectError::Kubeconfig { path: path.clone(), source };
            let file = Kubeconfig::read_from(path).map_err(failed)?;
            Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.map_err(failed)?
        }
        None => Config::incluster().map_err(ConnectError::NoCredentials)?,
    };
    if let Some(url) = &access.api_server {
        config.cluster_url = parse(url)?;
    }
    guarded(&config.cluster_url, access.plain)?;
    config.connect_timeout = Some(CONNECT);
    if let Some(url) = &config.proxy_url {
        return Err(ConnectError::Proxy { url: url.to_string() });
    }
    let builder = wire::builder(&config).map_err(ConnectError::Client)?;
    Ok(builder.with_layer(&Listen::new(Arc::clone(health))).build())
}

fn parse(url: &str) -> Result<http::Uri, ConnectError> {
    let bad = || ConnectError::Url { url: url.to_owned() };
    let uri: http::Uri = url.parse().map_err(|_| bad())?;
    let usable = matches!(uri.scheme_str(), Some("https" | "http")) && uri.host().is_some();
    if usable { Ok(uri) } else { Err(bad()) }
}

/// Whether a text can be an API server's URL.
///
/// # Errors
/// Where it cannot.
pub fn check_url(url: &str, plain: bool) -> Result<(), ConnectError> {
    guarded(&parse(url)?, plain)
}

/// Refuses what nobody vouches for, unless it was asked for.
fn guarded(url: &http::Uri, plain: bool) -> Result<(), ConnectError> {
    let vouched = url.scheme_str() == Some("https");
    if vouched || plain { Ok(()) } else { Err(ConnectError::Plain { url: url.to_string() }) }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn a_url_has_a_scheme_and_a_host() {
        assert!(
            check_url("https://10.0.0.1:6443", false).is_ok() && check_url("https://[fd00::1]:6443", false).is_ok()
        );
        for bad in ["10.0.0.1:6443", "https://", "ftp://10.0.0.1", ""] {
            let words = check_url(bad, true).map_err(|error| error.to_string()).unwrap_err();
            assert!(words.contains("is not a URL"), "{words}");
        }
    }

    #[tokio::test]
    async fn without_tls_nobody_is_asked_unless_that_is_allowed() {
        let words = |outcome: Result<(), ConnectError>| outcome.unwrap_err().to_string();
        assert!(words(check_url("http://10.0.0.1:6443", false)).contains("--allow-plain-http"));
        assert!(check_url("http://10.0.0.1:6443", true).is_ok());
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("kubeconfig");
        let text = serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "it",
            "clusters": [{"name": "it", "cluster": {"server": "http://192.0.2.1:8080"}}],
            "users": [{"name": "it", "user": {"token": "secret"}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        });
        std::fs::write(&kubeconfig, text.to_string()).unwrap();
        let health = Arc::new(Health::default());
        let access = Access { kubeconfig: Some(kubeconfig), ..Access::default() };
        let refused = connect(&access, &health).await.map(drop);
        assert!(words(refused).contains("192.0.2.1:8080"));
        assert!(connect(&Access { plain: true, ..access }, &health).await.is_ok(), "a client asks nobody by itself");
    }

    #[tokio::test]
    async fn what_is_missing_is_named() {
        let health = Arc::new(Health::default());
        let access = Access { kubeconfig: Some("/nonexistent/kubeconfig".into()), ..Access::default() };
        let error = connect(&access, &health).await.map(drop).unwrap_err();
        assert!(error.to_string().contains("/nonexistent/kubeconfig"), "{error}");
        let error = connect(&Access::default(), &health).await.map(drop).unwrap_err();
        assert!(error.to_string().contains("give --kubeconfig, or run as a pod"), "{error}");
    }

    /// An API server that tells its version, and whom it was asked by.
    async fn asked_by(tokens: Arc<Mutex<Vec<String>>>) -> std::net::SocketAddr {
        let answer = move |request: axum::extract::Request| async move {
            let token = request.headers().get("authorization").and_then(|value| value.to_str().ok());
            tokens.lock().unwrap().push(token.unwrap_or_default().to_owned());
            axum::Json(serde_json::json!({
                "major": "1", "minor": "34", "gitVersion": "v1.34.2", "gitCommit": "", "gitTreeState": "", "buildDate": "",
                "goVersion": "", "compiler": "", "platform": "",
            }))
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async { axum::serve(listener, axum::Router::new().fallback(answer)).await });
        address
    }

    /// kube reads a token's file again after 50 seconds; tokens of service accounts are renewed long before they end.
    #[tokio::test]
    async fn a_token_that_rotates_is_read_again() {
        let tokens = Arc::<Mutex<Vec<String>>>::default();
        let address = asked_by(Arc::clone(&tokens)).await;
        let folder = tempfile::tempdir().unwrap();
        let (token, kubeconfig) = (folder.path().join("token"), folder.path().join("kubeconfig"));
        std::fs::write(&token, "first").unwrap();
        let text = serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "it",
            "clusters": [{"name": "it", "cluster": {"server": format!("http://{address}")}}],
            "users": [{"name": "it", "user": {"tokenFile": token}}],
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        });
        std::fs::write(&kubeconfig, text.to_string()).unwrap();
        let access = Access { kubeconfig: Some(kubeconfig), api_server: None, plain: true };
        let client = connect(&access, &Arc::new(Health::default())).await.unwrap();
        client.apiserver_version().await.unwrap();
        assert_eq!(*tokens.lock().unwrap(), ["Bearer first"]);
        std::fs::write(&token, "second").unwrap();
        let renewed = async {
            while tokens.lock().unwrap().last().is_none_or(|token| token != "Bearer second") {
                tokio::time::sleep(Duration::from_secs(1)).await;
                client.apiserver_version().await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(75), renewed).await.expect("the new token is used");
    }
}
