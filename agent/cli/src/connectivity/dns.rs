//! One question to a name server, and its answer (RFC 1035): what the test asks, and no resolver.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Record types.
pub(super) const A: u16 = 1;
pub(super) const AAAA: u16 = 28;
const HEADER: usize = 12;

/// The message that asks for a name's records, with recursion desired.
///
/// # Errors
/// Where the name cannot be one: a sentence.
pub(super) fn question(id: u16, name: &str, kind: u16) -> Result<Vec<u8>, String> {
    let mut message = Vec::with_capacity(HEADER + name.len() + 6);
    for word in [id, 0x0100, 1, 0, 0, 0] {
        message.extend(word.to_be_bytes());
    }
    for label in name.trim_end_matches('.').split('.') {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length));
        message.push(length.ok_or_else(|| format!("{name:?} is no name"))?);
        message.extend(label.as_bytes());
    }
    message.push(0);
    for word in [kind, 1] {
        message.extend(word.to_be_bytes());
    }
    Ok(message)
}

/// The addresses of an answer to the question with this id.
///
/// # Errors
/// Where it is no answer to it, or says that there is none: a sentence.
pub(super) fn addresses(message: &[u8], id: u16) -> Result<Vec<IpAddr>, String> {
    let word = |at: usize| Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]));
    let short = || "the answer is cut short".to_owned();
    if word(0) != Some(id) || message.get(2).is_none_or(|flags| flags & 0x80 == 0) {
        return Err("what came is not the answer".into());
    }
    match message[2..].get(1).map(|flags| flags & 0x0f) {
        Some(0) => {}
        Some(2) => return Err("SERVFAIL: the name server cannot answer".into()),
        Some(3) => return Err("NXDOMAIN: there is no such name".into()),
        Some(5) => return Err("REFUSED: the name server does not answer us".into()),
        code => return Err(format!("the name server answers with code {}", code.unwrap_or_default())),
    }
    let (questions, answers) = (word(4).ok_or_else(short)?, word(6).ok_or_else(short)?);
    let mut at = HEADER;
    for _ in 0..questions {
        at = behind_name(message, at).ok_or_else(short)? + 4;
    }
    let mut found = Vec::new();
    for _ in 0..answers {
        let fixed = behind_name(message, at).ok_or_else(short)?;
        let (kind, length) = (word(fixed).ok_or_else(short)?, word(fixed + 8).ok_or_else(short)?);
        at = fixed + 10 + usize::from(length);
        let data = message.get(fixed + 10..at).ok_or_else(short)?;
        match kind {
            A => found.extend(<[u8; 4]>::try_from(data).ok().map(|octets| IpAddr::from(Ipv4Addr::from(octets)))),
            AAAA => found.extend(<[u8; 16]>::try_from(data).ok().map(|octets| IpAddr::from(Ipv6Addr::from(octets)))),
            _ => {}
        }
    }
    Ok(found)
}

/// Where the name that begins at `at` ends: labels, or a pointer to some.
fn behind_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            length if length & 0xc0 == 0xc0 => return Some(at + 2),
            length => at += 1 + usize::from(length),
        }
    }
}

/// What a pod's `/etc/resolv.conf` says: name servers, and the cluster's own domain (`svc.cluster.local`).
pub(super) fn resolver(text: &str) -> (Vec<IpAddr>, Option<String>) {
    let words = |key: &'static str| text.lines().filter_map(move |line| line.trim().strip_prefix(key));
    let servers = words("nameserver ").filter_map(|word| word.trim().parse().ok()).collect();
    let domains = words("search ").flat_map(str::split_whitespace);
    (servers, domains.into_iter().find(|domain| domain.starts_with("svc.")).map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(code: u8, records: &[(u16, &[u8])]) -> Vec<u8> {
        let mut message = question(7, "web.shop.svc.cluster.local", A).unwrap();
        (message[2], message[3]) = (0x81, code);
        message[7] = u8::try_from(records.len()).unwrap();
        for (kind, data) in records {
            message.extend([0xc0, 12]);
            message.extend(kind.to_be_bytes());
            message.extend([0, 1, 0, 0, 0, 5]);
            message.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
            message.extend(*data);
        }
        message
    }

    #[test]
    fn addresses_are_read_and_other_records_passed_over() {
        let records: [(u16, &[u8]); 3] = [(5, &[1, b'a', 0]), (A, &[10, 0, 0, 1]), (AAAA, &[0xfd; 16])];
        let found = addresses(&answer(0, &records), 7).unwrap();
        assert_eq!(found, ["10.0.0.1".parse::<IpAddr>().unwrap(), IpAddr::from([0xfd; 16])]);
    }

    #[test]
    fn what_the_server_refuses_is_said() {
        for (code, word) in [(2, "SERVFAIL"), (3, "NXDOMAIN"), (5, "REFUSED"), (4, "code 4")] {
            let words = addresses(&answer(code, &[]), 7).unwrap_err();
            assert!(words.contains(word), "{words}");
        }
        assert!(addresses(&answer(0, &[]), 8).unwrap_err().contains("not the answer"));
        assert!(addresses(&[], 7).is_err());
    }

    #[test]
    fn no_message_that_is_cut_short_is_read_beyond_its_end() {
        let whole = answer(0, &[(A, &[10, 0, 0, 1])]);
        for length in 0..whole.len() {
            assert!(addresses(&whole[..length], 7).is_err(), "{length}");
        }
    }

    #[test]
    fn names_have_labels() {
        assert!(question(1, "a..b", A).is_err() && question(1, &"x".repeat(64), A).is_err());
        assert!(question(1, "a.b.", A).is_ok());
    }

    #[test]
    fn the_cluster_has_a_domain() {
        let text =
            "search shop.svc.example svc.example example\nnameserver 10.96.0.10\nnameserver fd00::a\noptions ndots:5\n";
        let (servers, domain) = resolver(text);
        assert_eq!(servers.len(), 2);
        assert_eq!(domain.as_deref(), Some("svc.example"));
    }
}
