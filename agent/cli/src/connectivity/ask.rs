//! Questions that a pod asks of others, and what came of them: `ferrule connectivity ask`, in the test's pods.

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

use super::dns;

/// How long one try may take.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// How often it is tried: a packet may be lost, and a Service's endpoints take a moment.
const TRIES: u32 = 3;

/// A question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Question {
    /// Does a server greet by TCP, and with one of these names?
    Tcp {
        /// Where it is.
        to: SocketAddr,
        /// The names of pods that may answer.
        names: Vec<String>,
    },
    /// The same by UDP.
    Udp {
        /// Where it is.
        to: SocketAddr,
        /// The names of pods that may answer.
        names: Vec<String>,
    },
    /// Does this pod's name server know a Service?
    Dns {
        /// `name.namespace` of the Service; the cluster's domain is added.
        service: String,
        /// By TCP rather than UDP.
        tcp: bool,
        /// Whether IPv6 addresses are asked for.
        v6: bool,
        /// What the answer has to hold.
        address: IpAddr,
    },
}

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// As it should be.
    pub ok: bool,
    /// In words.
    pub words: String,
    /// Whom a question for a name went to.
    #[serde(default)]
    pub server: Option<IpAddr>,
}

/// Asks all of them at once.
pub async fn ask_all(questions: Vec<Question>) -> Vec<Answer> {
    futures::future::join_all(questions.into_iter().map(ask)).await
}

async fn ask(question: Question) -> Answer {
    let mut server = None;
    let mut last = String::new();
    for _ in 0..TRIES {
        let began = Instant::now();
        let tried = async {
            match &question {
                Question::Tcp { to, names } => greeted(*to, names).await,
                Question::Udp { to, names } => answered(*to, names).await,
                Question::Dns { service, tcp, v6, address } => {
                    let text = std::fs::read_to_string("/etc/resolv.conf").map_err(|error| error.to_string())?;
                    let (servers, domain) = dns::resolver(&text);
                    let own = *servers.first().ok_or("/etc/resolv.conf names no name server")?;
                    server = Some(own);
                    let domain = domain.ok_or("/etc/resolv.conf has no domain of a cluster")?;
                    named(own, &format!("{service}.{domain}"), *tcp, *v6, *address).await
                }
            }
        };
        match timeout(PATIENCE, tried).await {
            Ok(Ok(())) => {
                let words = format!("{:.1} ms", began.elapsed().as_secs_f64() * 1e3);
                return Answer { ok: true, words, server };
            }
            Ok(Err(words)) => last = words,
            Err(_) => last = format!("no answer within {} s", PATIENCE.as_secs_f64()),
        }
        tokio::time::sleep(PATIENCE.saturating_sub(began.elapsed())).await;
    }
    Answer { ok: false, words: last, server }
}

fn io_words(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::ConnectionRefused => "refused".into(),
        std::io::ErrorKind::PermissionDenied => "refused (EPERM)".into(),
        _ => error.to_string(),
    }
}

async fn greeted(to: SocketAddr, names: &[String]) -> Result<(), String> {
    let mut stream = TcpStream::connect(to).await.map_err(|error| io_words(&error))?;
    let mut greeting = String::new();
    stream.read_to_string(&mut greeting).await.map_err(|error| io_words(&error))?;
    expected(greeting.trim(), names)
}

async fn answered(to: SocketAddr, names: &[String]) -> Result<(), String> {
    let socket = bound(to).await.map_err(|error| io_words(&error))?;
    socket.send(b"ferrule").await.map_err(|error| io_words(&error))?;
    let mut buffer = [0; 256];
    let length = socket.recv(&mut buffer).await.map_err(|error| io_words(&error))?;
    expected(&String::from_utf8_lossy(&buffer[..length]), names)
}

fn expected(name: &str, names: &[String]) -> Result<(), String> {
    if names.iter().any(|one| one == name) {
        Ok(())
    } else {
        Err(format!("{name:?} answers instead of {}", names.join(" or ")))
    }
}

/// A socket that is connected there.
pub(super) async fn bound(to: SocketAddr) -> std::io::Result<UdpSocket> {
    let any: SocketAddr = if to.is_ipv6() { ([0_u16; 8], 0).into() } else { ([0_u8; 4], 0).into() };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(to).await?;
    Ok(socket)
}

async fn named(server: IpAddr, name: &str, tcp: bool, v6: bool, address: IpAddr) -> Result<(), String> {
    let to = SocketAddr::new(server, 53);
    // One socket, one question: the number need not be hard to guess.
    let id = 1;
    let question = dns::question(id, name, if v6 { dns::AAAA } else { dns::A })?;
    let message = if tcp { by_tcp(to, &question).await } else { by_udp(to, &question).await };
    let found =
        dns::addresses(&message.map_err(|error| io_words(&error))?, id).map_err(|words| format!("{name}: {words}"))?;
    if found.contains(&address) { Ok(()) } else { Err(format!("{name} is {found:?}, not {address}")) }
}

async fn by_udp(to: SocketAddr, question: &[u8]) -> std::io::Result<Vec<u8>> {
    let socket = bound(to).await?;
    socket.send(question).await?;
    let mut buffer = vec![0; 4096];
    let length = socket.recv(&mut buffer).await?;
    buffer.truncate(length);
    Ok(buffer)
}

async fn by_tcp(to: SocketAddr, question: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(to).await?;
    let length = u16::try_from(question.len()).unwrap_or(u16::MAX);
    stream.write_all(&[&length.to_be_bytes(), question].concat()).await?;
    let length = stream.read_u16().await?;
    let mut answer = vec![0; usize::from(length)];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connectivity::serve;

    #[tokio::test]
    async fn a_server_is_known_by_its_name() {
        let to = serve::start("web", ([127, 0, 0, 1], 0).into()).await.unwrap();
        let names = |name: &str| vec![name.to_owned()];
        let asked = vec![
            Question::Tcp { to, names: names("web") },
            Question::Udp { to, names: names("web") },
            Question::Tcp { to, names: names("db") },
        ];
        let answers = ask_all(asked).await;
        assert!(answers[0].ok && answers[1].ok, "{answers:?}");
        assert!(!answers[2].ok && answers[2].words.contains("\"web\" answers instead of db"), "{answers:?}");
    }

    #[tokio::test]
    async fn nobody_is_told_apart_from_silence() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let answers = ask_all(vec![Question::Tcp { to: free, names: Vec::new() }]).await;
        assert_eq!(answers[0].words, "refused");
    }

    #[test]
    fn questions_travel_as_json() {
        let question = Question::Dns { service: "a.b".into(), tcp: true, v6: false, address: [10, 0, 0, 1].into() };
        let text = serde_json::to_string(&question).unwrap();
        assert_eq!(serde_json::from_str::<Question>(&text).unwrap(), question);
    }
}
