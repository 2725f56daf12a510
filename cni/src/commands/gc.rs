//! GC: what is not listed goes, of this network only. The agent and a delegated IPAM plugin are both asked, whatever
//! the other says.

use ferrule_api::plugin::GcRequest;

use super::Context;
use crate::{
    delegate::DelegateError,
    fault::Fault,
    spec::{attachment, config::ConfigError, version::Version},
};

pub(super) fn gc(context: &mut Context) -> Result<(), Fault> {
    context.require("GC", Version::V1_1_0)?;
    let valid = context.conf.valid_attachments().map_err(ConfigError::from)?;
    let valid = valid.ok_or(Fault::Needs { command: "GC", field: attachment::VALID })?;
    let delegate = context.delegate();

    let answered = context.agent.gc(&GcRequest { network: context.conf.name.clone(), valid });
    let delegated = match delegate {
        Ok(Some(delegate)) => delegate.run(&context.conf.raw).map(drop),
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    report(answered, delegated, &mut context.notes)
}

fn report(
    answered: Result<ferrule_api::plugin::GcResponse, ferrule_api::client::AgentError>,
    delegated: Result<(), DelegateError>,
    notes: &mut Vec<String>,
) -> Result<(), Fault> {
    match (answered, delegated) {
        (Ok(response), delegated) => {
            notes.extend(response.removed.iter().map(|id| format!("removed {} {}", id.container_id, id.ifname)));
            match (response.errors, delegated) {
                (errors, Ok(())) if errors.is_empty() => Ok(()),
                (errors, Err(error)) if errors.is_empty() => Err(error.into()),
                (mut errors, delegated) => {
                    errors.extend(delegated.err().map(|error| error.to_string()));
                    Err(Fault::Garbage { errors })
                }
            }
        }
        (Err(error), Ok(())) => Err(error.into()),
        (Err(error), Err(delegated)) => Err(Fault::Garbage { errors: vec![error.to_string(), delegated.to_string()] }),
    }
}
