//! What a Service does not offer is refused at once.

use std::{io, net::SocketAddr};

use anyhow::{Context, Result, bail, ensure};
use test_kit::topology::Layout;

use super::{
    client::{Answer, Client},
    shop::{at_once, open},
};

/// `ECONNREFUSED`, where the kernel lets a program choose the error (5.18).
fn expected() -> io::ErrorKind {
    let release = nix::sys::utsname::uname().expect("a kernel").release().to_string_lossy().into_owned();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse::<u32>().unwrap_or_default());
    let version = (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default());
    if version >= (5, 18) { io::ErrorKind::ConnectionRefused } else { io::ErrorKind::PermissionDenied }
}

fn is_refused(answer: io::Result<Answer>) -> Result<()> {
    match answer {
        Err(error) if error.kind() == expected() => Ok(()),
        other => bail!("{other:?} is not {:?}", expected()),
    }
}

fn refused(client: Client<'_>, to: SocketAddr) -> Result<()> {
    at_once("TCP", || client.tcp(to))??
        .map_or_else(|error| is_refused(Err(error)), |answer| is_refused(Ok(answer)))
        .context("TCP")?;
    is_refused(at_once("UDP", || client.udp(to))??).context("UDP, connected")?;
    is_refused(at_once("UDP", || client.loose(to))??).context("UDP, not connected")
}

#[test]
fn a_port_that_a_service_lacks_is_refused_at_once() {
    open(&Layout::default(), |shop| {
        for (who, client) in shop.clients() {
            for address in shop.addresses() {
                let to = SocketAddr::new(address.ip(), 81);
                refused(client, to).with_context(|| format!("{who} to {to}"))?;
                refused(client, super::client::mapped(to)).with_context(|| format!("{who} to {to}, mapped"))?;
            }
        }
        Ok(())
    });
}

#[test]
fn a_service_without_endpoints_is_refused_at_once_and_serves_again() {
    open(&Layout::default(), |shop| {
        shop.serve("", &shop.endpoints(&[("a", ", conditions: {ready: false}")]))?;
        shop.leads_to("web", &[])?;
        for (who, client) in shop.clients() {
            for to in shop.addresses() {
                refused(client, to).with_context(|| format!("{who} to {to}"))?;
            }
        }
        shop.serve("", &shop.all())?;
        shop.leads_to("web", &["a", "b", "c"])?;
        shop.client().tcp(shop.addresses()[0])??;
        Ok(())
    });
}

#[test]
fn a_service_that_goes_is_nobodys_any_more() {
    open(&Layout::default(), |shop| {
        let [v4, _] = shop.addresses();
        let backend = SocketAddr::new(shop.endpoints(&[("a", "")])[0].0, super::shop::LISTENS);
        shop.cluster.manifests.remove("web")?;
        let entries = || shop.node(0).ferrule("map dump fr_services").unwrap_or_default();
        let gone =
            |map: &serde_json::Value| map.as_array().is_some_and(|all| all.iter().all(|one| one["address"] == "-"));
        test_kit::topology::until("fr_services to be empty", entries, gone)?;
        ensure!(shop.client().tcp(v4)?.is_err(), "{v4} still answers");
        shop.client().tcp(backend)??;
        let sets = || shop.node(0).ferrule("map dump fr_backends").unwrap_or_default();
        test_kit::topology::until("sets to go", sets, |map| map.as_array().is_some_and(Vec::is_empty))?;
        Ok(())
    });
}
