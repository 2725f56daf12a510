//! What CHECK asks of the agent.

use std::sync::Arc;

use ferrule_api::plugin::CheckRequest;
use ferrule_kernel::net::survey::Survey;

use super::{AttachmentError, Attachments};
use crate::lease::Lease;

impl Attachments {
    /// Compares everything that an attachment needs with what is there.
    ///
    /// # Errors
    /// [`AttachmentError::Damaged`] with a phrase for each difference.
    pub async fn check(self: &Arc<Self>, request: &CheckRequest) -> Result<(), AttachmentError> {
        let _turn = self.turn(&request.id).await;
        let lease = self.lease(&request.id)?;
        let mut damage = compare_lease(&lease, request);
        let found = self.examine(&lease, &Survey::take(&self.net).await?).await?;
        damage.extend(found.into_iter().map(|damage| damage.words));
        if damage.is_empty() { Ok(()) } else { Err(AttachmentError::Damaged(damage)) }
    }
}

fn compare_lease(lease: &Lease, request: &CheckRequest) -> Vec<String> {
    let mut damage = Vec::new();
    if !lease.is_active() {
        damage.push("its ADD did not end".into());
    }
    if lease.netns != request.netns {
        damage.push(format!("its netns is {} and not {}", lease.netns, request.netns));
    }
    for address in request.addresses.iter().filter(|ip| !lease.addresses.contains(ip)) {
        damage.push(format!("{address} is not leased to it"));
    }
    damage
}
