//! One kind's watch: what the API server says of it, and pauses after failures.

use std::time::Duration;

use ferrule_model::objects::Kind;
use futures::StreamExt;
use kube::{
    Api, Client,
    runtime::{
        utils::Backoff,
        watcher::{self, Event, ExponentialBackoff, watcher},
    },
};
use tokio::{sync::mpsc, time::sleep};

use super::item::{Item, KIND};
use crate::decode::Decoded;

/// How long a watch may last, in seconds.
const WATCH: u32 = 240;
/// Objects in a page of a list, which is in memory as a whole: few of what a tenant can make as large as the API server
/// lets objects be.
const fn page(kind: Kind) -> u32 {
    match kind {
        Kind::NetworkPolicy | Kind::Service | Kind::EndpointSlice => 40,
        Kind::Pod => 250,
        Kind::Node | Kind::Namespace => 500,
    }
}
/// The first pause after a failure, and the longest; each with as much again by chance, so that the nodes of a cluster do
/// not come back all at once.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(8));

/// What a watch said, or failed with.
pub(super) type Said = (Kind, watcher::Result<Event<Decoded>>);

/// Reads what the API server says of one kind, until nobody listens.
pub(super) async fn watch(client: Client, kind: Kind, sender: mpsc::Sender<Said>) {
    let api = Api::<Item>::all_with(client, &kind);
    let config = watcher::Config::default().page_size(page(kind)).timeout(WATCH);
    let mut events = watcher(api, config).boxed();
    let mut pauses = pauses();
    while let Some(event) = KIND.scope(kind, events.next()).await {
        let pause = match &event {
            Err(_) => pauses.next(),
            // Said before each attempt to list; what comes of it is not known yet.
            Ok(Event::Init | Event::InitApply(_)) => None,
            Ok(Event::InitDone | Event::Apply(_) | Event::Delete(_)) => {
                pauses.reset();
                None
            }
        };
        if sender.send((kind, event.map(decoded))).await.is_err() {
            return;
        }
        if let Some(pause) = pause {
            sleep(pause).await;
        }
    }
}

fn pauses() -> ExponentialBackoff {
    let builder = backon::ExponentialBuilder::default().with_min_delay(PAUSES.0).with_max_delay(PAUSES.1).with_jitter();
    builder.without_max_times().into()
}

fn decoded(event: Event<Item>) -> Event<Decoded> {
    match event {
        Event::Apply(item) => Event::Apply(item.decoded),
        Event::Delete(item) => Event::Delete(item.decoded),
        Event::Init => Event::Init,
        Event::InitApply(item) => Event::InitApply(item.decoded),
        Event::InitDone => Event::InitDone,
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        time::Instant,
    };

    use http::{Request, Response};
    use kube::client::Body;

    use super::*;

    /// A server whose lists begin with a good page and end with what is not found.
    fn half(asked: Arc<AtomicUsize>) -> Client {
        let answer = move |request: Request<Body>| {
            let whole = !request.uri().query().unwrap_or_default().contains("continue");
            asked.fetch_add(usize::from(whole), Ordering::Relaxed);
            let page = r#"{"metadata": {"resourceVersion": "1", "continue": "more"}, "items": [{"metadata": {"name": "n1"}}]}"#;
            let (number, text) = if whole { (200, page) } else { (404, "404 page not found") };
            let response = Response::builder().status(number).body(Body::from(text.as_bytes().to_vec()));
            async move { Ok::<_, Infallible>(response.expect("a response")) }
        };
        Client::new(tower::service_fn(answer), "default")
    }

    #[tokio::test]
    async fn lists_that_fail_are_tried_after_growing_pauses_however_well_they_begin() {
        let asked = Arc::new(AtomicUsize::new(0));
        let (sender, mut events) = mpsc::channel(64);
        let began = Instant::now();
        let watching = tokio::spawn(watch(half(Arc::clone(&asked)), Kind::Node, sender));
        let mut failures = 0;
        while failures < 4 {
            let (_, event) = events.recv().await.expect("it goes on");
            failures += usize::from(event.is_err());
        }
        watching.abort();
        // 0.5, 1 and 2 s at least.
        assert!(began.elapsed() >= Duration::from_millis(3_500), "{:?}", began.elapsed());
        assert_eq!(asked.load(Ordering::Relaxed), 4);
    }
}
