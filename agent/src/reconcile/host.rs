//! The host's own addresses, neighbours and routes.

use ferrule_api::chain::chain;
use ferrule_common::settings;
use ferrule_kernel::{net, net::overlay};

use super::Reconciler;
use crate::controllers::Controllers;

impl Reconciler {
    /// The host's own addresses and routes; a sentence for each that could not be made.
    pub(super) async fn host(&self, whole: bool) -> Vec<String> {
        let Some(desired) = &self.desired else { return Vec::new() };
        let Controllers { net, attachments, .. } = &*self.controllers;
        let mut errors = Vec::new();
        let carrier = self.ways.overlay.as_ref().or(self.ways.devices.first());
        if let Some(device) = carrier
            && let Err(error) = overlay::ensure_addresses(net, device.ifindex, &desired.own_addresses).await
        {
            errors.push(chain(&error));
        }
        errors.extend(net::bridge::answer(net, &desired.own_pod_cidrs).await.err().map(|error| chain(&error)));
        let overlay = self.ways.overlay.as_ref().map(|device| device.ifindex);
        let mut unread = None;
        // What is not wanted any more may only be late where the source is not whole.
        let pods = || match attachments.pod_links() {
            Ok(links) => whole.then_some(links),
            Err(error) => {
                unread = Some(chain(&error));
                None
            }
        };
        let synced = net::route::sync(net, &desired.routes, overlay, pods, u64::from(settings::VNI)).await;
        errors.extend(synced.err().map(|error| chain(&error)));
        errors.extend(unread);
        errors
    }
}
