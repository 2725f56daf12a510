//! What a former agent left, or somebody damaged, brought to what the leases say.

use std::sync::{Arc, atomic::Ordering};

use ferrule_api::chain::chain;
use ferrule_kernel::net::{link, survey::Survey};

use super::{AttachmentError, Attachments, blocking, now_ms, subject, sweep::who};
use crate::lease::Lease;

impl Attachments {
    /// Writes the map entries of every attachment that stands, once: before programs read them that never did.
    ///
    /// # Errors
    /// Where links or maps cannot be read or written.
    pub async fn fill_once(self: &Arc<Self>) -> Result<(), AttachmentError> {
        if self.filled.load(Ordering::Acquire) {
            return Ok(());
        }
        let links = link::all(&self.net).await?;
        self.resume(&links)?;
        for lease in self.leases().into_iter().filter(|lease| lease.is_active()) {
            let _turn = self.turn(&lease.id).await;
            let device = links.iter().find(|link| link.name == lease.host_ifname);
            let (Some(device), Some(lease)) = (device, self.leases.get(&lease.id)) else { continue };
            self.policy.know(lease.endpoint_index, subject(&lease));
            let (all, pod) = (Arc::clone(self), self.local_pod(&lease, device.ifindex));
            blocking(move || {
                let mut maps = all.maps();
                if maps.differences(&pod).is_empty() {
                    return Ok(());
                }
                maps.insert(&pod).map_err(|source| AttachmentError::Map { source })
            })
            .await?;
        }
        let all = Arc::clone(self);
        blocking(move || {
            let endpoints = all.tenants().endpoints();
            all.maps().share_out(endpoints).map_err(|source| AttachmentError::Map { source })
        })
        .await?;
        self.policy.all_known();
        self.filled.store(true, Ordering::Release);
        Ok(())
    }

    /// A lease that is merely reserved and has its link was activated, and a crash lost the word; or its ADD goes on, and
    /// activates it again.
    fn resume(&self, links: &[link::Device]) -> Result<(), AttachmentError> {
        for lease in self.leases().into_iter().filter(|lease| !lease.is_active()) {
            if let Some(device) = links.iter().find(|link| link.name == lease.host_ifname) {
                self.leases.activate(&lease.id, device.ifindex, now_ms())?;
            }
        }
        Ok(())
    }

    /// One round: applies notes, ends leases that nobody can need, mends what live ones lack, removes links and map
    /// entries without a lease. Gives a sentence for each failure, and for what cannot be mended.
    pub async fn heal(self: &Arc<Self>) -> Vec<String> {
        self.apply_notes().await;
        let survey = match Survey::take(&self.net).await {
            Ok(survey) => survey,
            Err(error) => return vec![chain(&error)],
        };
        self.note_inhabited(&survey);
        let mut errors = self.end_stale(&survey).await;
        for lease in self.leases().into_iter().filter(|lease| lease.is_active()) {
            let outcome = match self.examine(&lease, &survey).await {
                Ok(damage) if damage.is_empty() => continue,
                Ok(_) => self.mend(&lease).await,
                Err(error) => Err(error),
            };
            errors.extend(outcome.err().map(|error| format!("{}: {}", who(&lease), chain(&error))));
        }
        errors.extend(self.sweep(&survey).await);
        errors
    }

    /// Whether every pod that has its link runs this agent's programs. A pod without a lease keeps what it has.
    ///
    /// # Errors
    /// Where links or filters cannot be read.
    pub async fn has_taken_over(self: &Arc<Self>) -> Result<bool, AttachmentError> {
        let links = link::all(&self.net).await?;
        for lease in self.leases().into_iter().filter(|lease| lease.is_active()) {
            if let Some(device) = links.iter().find(|link| link.name == lease.host_ifname)
                && !self.compare_programs(&lease, device).await?.is_empty()
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Looks again with the attachment's turn: it may have come or gone since it was looked at. Then mends it.
    async fn mend(self: &Arc<Self>, lease: &Arc<Lease>) -> Result<(), AttachmentError> {
        let _turn = self.turn(&lease.id).await;
        let Some(lease) = self.leases.get(&lease.id).filter(|lease| lease.is_active()) else { return Ok(()) };
        let survey = Survey::take(&self.net).await?;
        let damage = self.examine(&lease, &survey).await?;
        if damage.is_empty() {
            return Ok(());
        }
        let words: Vec<String> = damage.iter().map(|damage| damage.words.clone()).collect();
        let Some(device) = survey.links.get(&lease.host_ifname) else {
            // Without its entries the pod's addresses are unreachable, and swallow nothing.
            self.forget(&lease).await?;
            return Err(AttachmentError::Damaged(words));
        };
        if !lease.enforce_only {
            link::restore(&self.net, device, lease.host_mac.0, lease.mtu).await?;
        }
        self.connect(&lease, device.ifindex).await?;
        if lease.host_ifindex != device.ifindex {
            self.leases.activate(&lease.id, device.ifindex, now_ms())?;
        }
        tracing::warn!(pod = who(&lease), damage = words.join("; "), "mended");
        Ok(())
    }
}
