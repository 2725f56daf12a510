//! Clients that send half of a request, and those who want an answer meanwhile.

use std::time::Instant;

use axum::routing::get;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
};

use super::*;

async fn tcp(terms: Terms) -> (std::net::SocketAddr, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, closed) = (listener.local_addr().unwrap(), Arc::new(AtomicU64::new(0)));
    let router = Router::new().route("/livez", get(|| async { "ok\n" }));
    let router = router.route("/slow", get(std::future::pending::<()>));
    tokio::spawn(serve(listener, router, terms, Arc::clone(&closed), std::future::pending()));
    (address, closed)
}

async fn ask(address: std::net::SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: n\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    answer
}

/// Until the other side has closed it; how long that took.
async fn until_closed(stream: &mut TcpStream) -> Duration {
    let start = Instant::now();
    let mut buffer = [0; 512];
    while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
    start.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_half_sent_requests_keep_nobody_from_an_answer() {
    let (address, closed) = tcp(Terms::ANYBODY).await;
    let before = descriptors();
    let mut half = Vec::new();
    for number in 0..3_000 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost").await.unwrap();
        if number % 100 == 0 {
            let start = Instant::now();
            assert!(ask(address, "/livez").await.ends_with("ok\n"), "after {number}");
            assert!(start.elapsed() < Duration::from_secs(1), "{:?} after {number}", start.elapsed());
        }
        half.push(stream);
    }
    // Of both sides, since they are one process: ours stay open, those of the server do not.
    let servers = descriptors() - before - half.len();
    assert!(servers <= 32 + 4, "{servers} descriptors");
    assert!(closed.load(Relaxed) > 2_900, "{closed:?}");
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[tokio::test]
async fn a_request_has_its_time() {
    let terms = Terms { header: Duration::from_millis(300), whole: Some(Duration::from_millis(900)), ..Terms::ANYBODY };
    let (address, closed) = tcp(terms).await;
    let mut silent = TcpStream::connect(address).await.unwrap();
    let took = until_closed(&mut silent).await;
    assert!(took >= Duration::from_millis(250) && took < Duration::from_secs(5), "{took:?}");
    // A byte now and then is no way around it.
    let mut slow = TcpStream::connect(address).await.unwrap();
    let start = Instant::now();
    while slow.write_all(b"G").await.is_ok() && start.elapsed() < Duration::from_secs(5) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(start.elapsed() < Duration::from_secs(5));
    let start = Instant::now();
    assert_eq!(ask(address, "/slow").await, "");
    assert!(start.elapsed() >= Duration::from_millis(800), "{:?}", start.elapsed());
    assert!(closed.load(Relaxed) >= 2, "{closed:?}");
    // One request is what a connection is for.
    assert!(ask(address, "/livez").await.contains("connection: close"));
}

#[tokio::test]
async fn who_is_root_waits_and_is_not_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let listener = UnixListener::bind(&path).unwrap();
    let terms = Terms { all: 2, ..Terms::ROOT };
    let (stop, mut stopped) = watch::channel(false);
    let closed = Arc::new(AtomicU64::new(0));
    let router = Router::new().route("/livez", get(|| async { "ok\n" }));
    let until = async move { _ = stopped.wait_for(|stopped| *stopped).await };
    let server = tokio::spawn(serve(listener, router, terms, Arc::clone(&closed), until));
    let mut open = Vec::new();
    for _ in 0..2 {
        let mut stream = UnixStream::connect(&path).await.unwrap();
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: n\r\n\r\n").await.unwrap();
        let mut answer = [0; 512];
        assert!(stream.read(&mut answer).await.unwrap() > 0);
        open.push(stream);
    }
    let mut third = UnixStream::connect(&path).await.unwrap();
    third.write_all(b"GET /livez HTTP/1.1\r\nHost: n\r\n\r\n").await.unwrap();
    let mut answer = [0; 512];
    let early = tokio::time::timeout(Duration::from_millis(200), third.read(&mut answer)).await;
    assert!(early.is_err(), "there is no room");
    open.pop();
    assert!(third.read(&mut answer).await.unwrap() > 0, "now there is");
    stop.send_replace(true);
    tokio::time::timeout(Duration::from_secs(10), server).await.expect("it ends").unwrap();
    assert_eq!(closed.load(Relaxed), 0);
}
