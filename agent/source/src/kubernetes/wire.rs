//! Connections to the API server that notice within half a minute that nobody is at the other end any more, or that their own
//! address has gone: a watch is silent for long, and would else wait for the end of its time.

use std::time::Duration;

use http::{Request, Response};
use hyper_timeout::TimeoutConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use kube::{
    Config, Error,
    client::{Body, ClientBuilder, ConfigExt},
};
use tower::{BoxError, Service, ServiceBuilder};

/// After how long a silence the other end is asked, how often, and how many answers may be missing.
const SILENCE: Duration = Duration::from_secs(10);
const INTERVAL: Duration = Duration::from_secs(5);
const RETRIES: u32 = 3;
/// How long what was sent may stay unconfirmed.
const UNCONFIRMED: Duration = Duration::from_secs(25);

/// As kube's own, but for what sockets do, and without its log lines and repetitions: whoever asks here tells of failures, and
/// tries again, by itself.
///
/// # Errors
/// Where certificates, keys or tokens cannot be used.
pub(super) fn builder(
    config: &Config,
) -> Result<
    ClientBuilder<
        impl Service<Request<Body>, Response = Response<hyper::body::Incoming>, Error = BoxError, Future: Send + 'static>
        + Clone
        + Send
        + 'static,
    >,
    Error,
> {
    let mut sockets = HttpConnector::new();
    sockets.enforce_http(false);
    sockets.set_nodelay(true);
    sockets.set_keepalive(Some(SILENCE));
    sockets.set_keepalive_interval(Some(INTERVAL));
    sockets.set_keepalive_retries(Some(RETRIES));
    sockets.set_tcp_user_timeout(Some(UNCONFIRMED));
    let mut connector = TimeoutConnector::new(config.rustls_https_connector_with_connector(sockets)?);
    connector.set_connect_timeout(config.connect_timeout);
    connector.set_read_timeout(config.read_timeout);
    connector.set_write_timeout(config.write_timeout);
    connector.set_reset_reader_on_write(config.reset_reader_on_write);
    let client: Client<_, Body> = Client::builder(TokioExecutor::new()).build(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(client);
    Ok(ClientBuilder::new(service, config.default_namespace.clone()))
}
