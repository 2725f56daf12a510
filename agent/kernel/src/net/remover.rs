//! Removes pods' links. Removing one waits 30 ms for RCU with RTNL held; links that go in one batch share that wait, so
//! that those which arrive while others go are put into one link group, and the group is removed.

use netlink_packet_route::link::{LinkAttribute, LinkMessage};
use rtnetlink::{Handle, LinkUnspec, packet_route::link::InfoKind};
use tokio::sync::{mpsc, oneshot};

use super::{NetError, errno, link};

/// The link group that a batch is put in. Nothing else may use it.
const GROUP: u32 = 0x6665_7272;

type Answer = oneshot::Sender<Result<(), NetError>>;
type Request = (String, Answer);

/// Takes removals; cheap to clone.
#[derive(Debug, Clone)]
pub struct Remover {
    requests: mpsc::Sender<Request>,
}

impl Remover {
    /// Starts the remover's task.
    #[must_use]
    pub fn start(handle: Handle) -> Self {
        let (requests, received) = mpsc::channel(1024);
        tokio::spawn(serve(handle, received));
        Self { requests }
    }

    /// Removes the veth `name`; none is fine. Returns when it is gone.
    ///
    /// # Errors
    /// The kernel's. A device of that name that is no veth is left alone, with [`NetError::NotVeth`].
    pub async fn remove(&self, name: &str) -> Result<(), NetError> {
        let (done, answer) = oneshot::channel();
        let gone = || NetError::NoDevice(name.to_owned());
        self.requests.send((name.to_owned(), done)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }
}

async fn serve(handle: Handle, mut requests: mpsc::Receiver<Request>) {
    while let Some(first) = requests.recv().await {
        let mut batch = vec![first];
        while let Ok(request) = requests.try_recv() {
            batch.push(request);
        }
        remove_batch(&handle, batch).await;
    }
}

async fn remove_batch(handle: &Handle, batch: Vec<Request>) {
    let mut present = Vec::new();
    for (name, done) in batch {
        match link::by_name(handle, &name).await {
            Ok(Some(device)) if device.kind == Some(InfoKind::Veth) => present.push((device.ifindex, name, done)),
            Ok(Some(_)) => answer(done, Err(NetError::NotVeth(name))),
            Ok(None) => answer(done, Ok(())),
            Err(error) => answer(done, Err(error)),
        }
    }
    if present.len() > 1 && remove_group(handle, &present).await.is_ok() {
        present.into_iter().for_each(|(_, _, done)| answer(done, Ok(())));
        return;
    }
    // One alone, or a group that failed for one of them: each for itself.
    for (ifindex, name, done) in present {
        answer(done, remove_one(handle, ifindex, &name).await);
    }
}

async fn remove_group(handle: &Handle, present: &[(u32, String, Answer)]) -> Result<(), rtnetlink::Error> {
    for (ifindex, _, _) in present {
        match handle.link().set(LinkUnspec::new_with_index(*ifindex).link_group(GROUP).build()).execute().await {
            Err(error) if errno(&error) != Some(libc::ENODEV) => return Err(error),
            _ => {}
        }
    }
    let mut message = LinkMessage::default();
    message.attributes.push(LinkAttribute::Group(GROUP));
    match rtnetlink::LinkDelRequest::new_with_message(handle.clone(), message).execute().await {
        // All of them were gone already.
        Err(error) if errno(&error) == Some(libc::ENODEV) => Ok(()),
        other => other,
    }
}

async fn remove_one(handle: &Handle, ifindex: u32, name: &str) -> Result<(), NetError> {
    match handle.link().del(ifindex).execute().await {
        Err(error) if errno(&error) == Some(libc::ENODEV) => Ok(()),
        other => other.map_err(NetError::netlink(format!("link {name} could not be removed"))),
    }
}

fn answer(done: Answer, result: Result<(), NetError>) {
    // The asker may have gone away; the link is gone all the same.
    let _ = done.send(result);
}
