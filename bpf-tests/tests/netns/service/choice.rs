//! Which backends a node chooses.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use test_kit::topology::Layout;

use super::{
    client::Client,
    shop::{only, open, who},
};

#[test]
fn a_client_keeps_its_backend_for_as_long_as_its_service_says() {
    open(&Layout::default(), |shop| {
        shop.serve(", sessionAffinity: ClientIP", &shop.all())?;
        shop.keeps_clients_for("10800")?;
        let [v4, v6] = shop.addresses();
        for (name, client) in shop.clients() {
            for to in [v4, v6] {
                let found = who(client, to, 20)?;
                ensure!(found.len() == 1, "{name} to {to} was led to {found:?}");
                // Another protocol is another port of the Service.
                let by_udp = |_| Ok(client.udp(to)??.name);
                let found = (0..20).map(by_udp).collect::<Result<std::collections::BTreeSet<_>>>()?;
                ensure!(found.len() == 1, "{name} to {to} by UDP was led to {found:?}");
            }
        }
        // When it goes, another takes its place.
        let kept = who(shop.client(), v4, 1)?;
        let rest: Vec<_> =
            ["a", "b", "c"].into_iter().filter(|name| !kept.contains(*name)).map(|name| (name, "")).collect();
        shop.serve(", sessionAffinity: ClientIP", &shop.endpoints(&rest))?;
        shop.leads_to("web", &rest.iter().map(|(name, _)| *name).collect::<Vec<_>>())?;
        let found = who(shop.client(), v4, 20)?;
        ensure!(found.len() == 1 && found != kept, "{found:?} after {kept:?}");
        Ok(())
    });
}

#[test]
fn a_client_that_was_away_for_long_enough_may_get_another_backend() {
    open(&Layout::default(), |shop| {
        let spec = ", sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 1}}";
        shop.serve(spec, &shop.all())?;
        shop.keeps_clients_for("1")?;
        let to = shop.addresses()[0];
        let mut found = std::collections::BTreeSet::new();
        for _ in 0..12 {
            found.extend(who(shop.client(), to, 1)?);
            std::thread::sleep(Duration::from_millis(1300));
        }
        // By chance one in 177,147.
        ensure!(found.len() > 1, "always {found:?}");
        Ok(())
    });
}

#[test]
fn an_internal_policy_of_local_leads_to_the_clients_own_node() {
    open(&Layout::default(), |shop| {
        shop.serve(", internalTrafficPolicy: Local", &shop.all())?;
        shop.node_leads_to(shop.node(0), "web", &["a", "b"])?;
        shop.node_leads_to(shop.node(1), "web", &["c"])?;
        for to in shop.addresses() {
            only(shop.client(), to, &["a", "b"])?;
            only(Client::new(shop.node(1), &shop.node(1).netns), to, &["c"])?;
        }
        shop.serve(", internalTrafficPolicy: Local", &shop.endpoints(&[("a", ", nodeName: n1")]))?;
        shop.node_leads_to(shop.node(1), "web", &[])?;
        let refused = Client::new(shop.node(1), &shop.clients[1].netns).tcp(shop.addresses()[0])?;
        ensure!(refused.is_err(), "{refused:?}");
        Ok(())
    });
}

#[test]
fn endpoints_that_end_serve_only_where_no_other_does() {
    open(&Layout::default(), |shop| {
        const ENDS: &str = ", conditions: {ready: false, serving: true, terminating: true}";
        let to = shop.addresses()[0];
        shop.serve("", &shop.endpoints(&[("a", ENDS), ("b", "")]))?;
        shop.leads_to("web", &["b"])?;
        only(shop.client(), to, &["b"])?;
        shop.serve("", &shop.endpoints(&[("a", ENDS), ("b", ", conditions: {ready: false, serving: false}")]))?;
        let chosen = || super::shop::who(shop.client(), to, 10).unwrap_or_default();
        test_kit::topology::until("the one that ends", chosen, |found| found.iter().eq(["a"]))?;
        only(shop.client(), to, &["a"]).context("it ends and serves")
    });
}
