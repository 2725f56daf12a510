//! STATUS: whether ADD would work. containerd asks at every kubelet poll, and code 50 makes the Node NotReady, which
//! takes its pods out of EndpointSlices. So an agent that restarts is no fault: pods keep their connectivity, and ADD
//! waits for it.

use std::{
    path::Path,
    time::{Duration, SystemTime},
};

use ferrule_api::{client::AgentError, plugin as api};

use super::Context;
use crate::{fault::Fault, spec::version::Version};

/// How long an agent may be away.
const GRACE: Duration = Duration::from_secs(60);

pub(super) fn status(context: &mut Context) -> Result<(), Fault> {
    context.require("STATUS", Version::V1_1_0)?;
    match context.agent.status() {
        Ok(status) if !status.datapath => {
            let message = status.message.unwrap_or_else(|| "the datapath is damaged; see the agent's log".into());
            return Err(Fault::LimitedConnectivity(message));
        }
        Ok(status) if !status.ready => {
            let message = status.message.unwrap_or_else(|| "the agent cannot serve ADD; see its log".into());
            return Err(Fault::NotAvailable(message));
        }
        Ok(_) => {}
        Err(error @ (AgentError::Away { .. } | AgentError::Forbidden { .. } | AgentError::Silent { .. })) => {
            let absence = absence(&api::heartbeat(&context.conf.agent_socket), SystemTime::now());
            if let Some(fault) = fault(absence, &error) {
                return Err(fault);
            }
            context.notes.push(error.to_string());
        }
        Err(error) => return Err(Fault::NotAvailable(error.to_string())),
    }
    if let Some(delegate) = context.delegate()? {
        delegate.run(&context.conf.raw)?;
    }
    Ok(())
}

/// How long ago the agent's heart beat last; none where it never did. A clock that was set does not count as absence
/// in one direction only: a beat far in the future is as old as it is far.
fn absence(heartbeat: &Path, now: SystemTime) -> Option<Duration> {
    let beat = heartbeat.metadata().and_then(|file| file.modified()).ok()?;
    Some(now.duration_since(beat).unwrap_or_else(|ahead| ahead.duration()))
}

fn fault(absence: Option<Duration>, error: &AgentError) -> Option<Fault> {
    match absence {
        Some(absence) if absence < GRACE => None,
        Some(absence) => Some(Fault::NotAvailable(format!("for {} s: {error}", absence.as_secs()))),
        None => Some(Fault::NotAvailable(format!("since the node started: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(absence: Option<u64>, expected: Option<u32>) {
        let error = AgentError::Away { socket: "/s".into(), source: std::io::ErrorKind::NotFound.into() };
        let found = fault(absence.map(Duration::from_secs), &error);
        assert_eq!(found.map(|fault| fault.code()), expected, "{absence:?}");
    }

    #[test]
    fn an_agent_may_be_away_for_less_than_a_minute() {
        check(Some(0), None);
        check(Some(59), None);
        check(Some(60), Some(50));
        check(Some(1_000_000), Some(50));
        check(None, Some(50));
    }

    #[test]
    fn a_beat_is_as_old_as_it_is_far_from_now_in_either_direction() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let beat = file.path().metadata().unwrap().modified().unwrap();
        let minute = Duration::from_secs(60);
        assert_eq!(absence(file.path(), beat + minute), Some(minute));
        assert_eq!(absence(file.path(), beat - minute), Some(minute));
        assert_eq!(absence(Path::new("/nowhere.alive"), beat), None);
    }
}
