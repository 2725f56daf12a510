//! Pods' entries, policies, Services and programs come into force, in this order. What a former agent left stays in force until
//! all is known that replaces it.

use ferrule_api::chain::chain;
use ferrule_kernel::{bpf, net::overlay};
use ferrule_model::desired::fits;

use super::{Failure, Reconciler, devices};
use crate::state::NodeState;

impl Reconciler {
    /// Whether the round may go on; what it waits for is in the state.
    pub(super) async fn enforce(
        &mut self,
        whole: bool,
        successor: bool,
        state: &mut NodeState,
    ) -> Result<bool, Failure> {
        // The programs that are about to run may read other maps than those that ran before.
        self.controllers.attachments.fill_once().await?;
        if successor {
            self.carry();
        }
        if let Err(error) = self.controllers.policy.synced().await {
            // What is in force goes on; so does what does not need this.
            if !self.enforced {
                return Err(error.into());
            }
            self.failures.push(error.into());
        }
        if !self.controllers.policy.is_ready() {
            state.waiting = Some(format!(
                "the policies of a former agent are in force, and stay until all of the source can be read: {}",
                state.blame()
            ));
            return Ok(false);
        }
        self.controllers.services.synced().await;
        if !self.controllers.services.is_settled() {
            let former = "the Services of a former agent are in force, and stay until all of the source can be read";
            let error = self.controllers.services.error();
            state.waiting = Some(error.unwrap_or_else(|| format!("{former}: {}", state.blame())));
            return Ok(false);
        }
        let attachments = &self.controllers.attachments;
        let is_pod = |name: &str, ifindex| attachments.is_pod_link(name, ifindex);
        let devices::Attached { all: attached, others, errors } =
            devices::attach(&self.controllers.programs, &self.ways, whole, &is_pod);
        self.errors.devices = errors;
        state.other_devices = others;
        let small = fits(state.mtu, state.pod_cidrs.iter()).err().map(|error| error.to_string());
        state.ready = attached && small.is_none();
        state.waiting = if attached { small } else { Some(self.errors.devices.join("; ")) };
        self.enforced |= attached;
        if let Some(device) = self.ways.overlay.as_ref().filter(|_| attached) {
            // Not before: what comes through it is judged by the programs alone. Where it cannot come up, since somebody has its
            // UDP port, all that does not need it goes on.
            self.errors.overlay = overlay::up(&self.controllers.net, device).await.err().map(|error| chain(&error));
        }
        Ok(true)
    }

    /// Nothing of another map layout's version is needed once all that it had is here.
    pub(super) async fn take_over(&self) -> Result<(), Failure> {
        if self.controllers.services.has_taken_over() && self.controllers.attachments.has_taken_over().await? {
            // Those that were opened while the programs were being replaced.
            self.carry();
            self.controllers.pins.remove_other_layouts()?;
            tracing::info!("took over from a version with another map layout");
        }
        Ok(())
    }

    /// Takes along the flows of another version's table, so that connections go on.
    fn carry(&self) {
        match bpf::carry::carry(&self.controllers.pins) {
            Ok(0) => {}
            Ok(flows) => tracing::info!(flows, "took flows along from another version's table"),
            Err(error) => {
                tracing::error!(%error, "flows of another version's table cannot be read: connections that only answer may break");
            }
        }
    }
}
