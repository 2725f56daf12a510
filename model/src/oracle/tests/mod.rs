//! Each rule of the documentation as a sentence, with tables of packets.

mod blocks;
mod documentation;
mod flows;
mod isolation;
mod nodes;
mod owners;
mod peers;
mod ports;
mod random;

use super::{Judgement, judge};
use crate::testing::{cluster, packet};

/// Asks for each line `PACKET: EXPECTED` whether the packet passes in a cluster; expected are `pass`, `no egress`, `no
/// ingress`, `neither`.
fn check(text: &str, lines: &str) {
    let cluster = cluster(text);
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (what, expected) = line.rsplit_once(": ").unwrap();
        let packet = packet(&cluster, what);
        let judgement = judge(&cluster.world(), &packet, cluster.sender(packet.source));
        assert_eq!(verdict(&judgement), expected, "{what}\n{judgement:#?}\n{cluster:#?}");
    }
}

fn verdict(judgement: &Judgement) -> &'static str {
    let denies = |end: &Option<super::End>| end.as_ref().is_some_and(|end| !end.allowed);
    match (denies(&judgement.egress), denies(&judgement.ingress)) {
        (false, false) => "pass",
        (true, false) => "no egress",
        (false, true) => "no ingress",
        (true, true) => "neither",
    }
}

/// Two pods of this node and one of another, two namespaces.
const SMALL: &str = "
    node a 192.168.0.1,fd00:2::1
    node b 192.168.0.2,fd00:2::2
    namespace default team=blue
    namespace other team=red
    pod default/web a 10.1.0.5,fd00:1::5 app=web
    pod default/db a 10.1.0.6,fd00:1::6 app=db
    pod other/far b 10.1.1.5,fd00:1:0:1::5 app=web
";

/// [`SMALL`] with more lines.
fn small(lines: &str) -> String {
    format!("{SMALL}{lines}")
}
