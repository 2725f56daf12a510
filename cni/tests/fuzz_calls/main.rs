//! What runtimes hand to the plugin, as nobody would write it: `cargo xtask fuzz calls` goes on for longer.
//!
//! An input is the environment, a variable a line, then a line `---`, then stdin. Whatever it holds, the call is understood
//! or refused with a code of the specification's and words that help; what is understood keeps to the specification's rules.

use std::{collections::BTreeSet, ffi::OsString, os::unix::ffi::OsStringExt};

use ferrule_api::plugin::AttachmentId;
use ferrule_cni::{
    commands,
    fault::Fault,
    spec::{
        args::Args,
        config::{NetConf, Wishes},
        env,
        env::Call,
        error::CniError,
        result::AddResult,
        version::Version,
    },
};
use ferrule_fuzz::Target;

/// Words that the parser knows, one a line.
const WORDS: &str = include_str!("../corpus/calls.words");

#[test]
fn every_call_is_understood_or_refused_with_a_code() {
    let words: Vec<&str> = WORDS.lines().collect();
    let target = Target {
        name: "calls",
        corpus: concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/calls"),
        scratch: env!("CARGO_TARGET_TMPDIR"),
        words: &words,
        longest: 8192,
        cases: 50_000,
    };
    let summary = target.run(outcome);
    assert!(summary.outcomes > 100, "only {} outcomes: the corpus reaches too little", summary.outcomes);
}

fn outcome(input: &[u8]) -> String {
    let (variables, stdin) = parts(input);
    let answer = commands::version(stdin);
    assert!(answer["cniVersion"].is_string() && answer["supportedVersions"].is_array(), "VERSION answers {answer}");
    let call = env::parse(|name| variable(variables, name));
    let called = match &call {
        Err(error) => return refused(error.to_string(), &Fault::from(error.clone()), &[4]),
        Ok(Call::Add(target) | Call::Check(target)) => {
            names_an_attachment(&target.id);
            assert!(!target.netns.is_empty(), "a call without a network namespace");
            "target"
        }
        Ok(Call::Del(id)) => {
            names_an_attachment(id);
            "del"
        }
        Ok(_) => "other",
    };
    let args = match &call {
        Ok(Call::Add(target) | Call::Check(target)) => Args::parse(&target.args),
        _ => Ok(Args::default()),
    };
    let args = match args {
        Ok(args) => args,
        Err(error) => return refused(error.to_string(), &Fault::Environment(error.into()), &[4]),
    };
    let conf = match NetConf::parse(stdin.to_vec()) {
        Ok(conf) => conf,
        Err(error) => return refused(error.to_string(), &error.into(), &[1, 6, 7]),
    };
    assert_eq!(conf.raw, stdin, "a delegated plugin gets what the runtime sent");
    assert!(conf.agent_socket.is_absolute() && conf.log_file.is_absolute(), "{conf:?}");
    assert!(env::is_identifier(&conf.name), "{:?}", conf.name);
    if let Some(plugin) = &conf.ipam {
        assert!(!plugin.contains('/') && !["", ".", ".."].contains(&plugin.as_str()), "{plugin:?} leads elsewhere");
    }
    if let Err(error) = conf.valid_attachments() {
        return refused(error.to_string(), &Fault::Config(error.into()), &[7]);
    }
    if let Some(value) = conf.prev_result() {
        match AddResult::read("prevResult", value) {
            Ok(result) => reads_back(&result),
            Err(error) => return refused(error.to_string(), &Fault::PrevResult(error), &[6]),
        }
    }
    match conf.wishes(&args) {
        Ok(wishes) => {
            is_one_a_family(&wishes);
            format!("{called} {:?} {} {} {}", conf.version, wishes.ips.len(), wishes.mac.is_some(), args.pod.is_some())
        }
        Err(error) => refused(error.to_string(), &error.into(), &[7]),
    }
}

/// The environment and stdin.
fn parts(input: &[u8]) -> (&[u8], &[u8]) {
    const LINE: &[u8] = b"---\n";
    let at = input.windows(LINE.len()).position(|window| window == LINE);
    at.map_or((input, &[]), |at| (&input[..at], &input[at + LINE.len()..]))
}

fn variable(lines: &[u8], name: &str) -> Option<OsString> {
    let own = |line: &[u8]| Some(line.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?.to_vec());
    lines.split(|byte| *byte == b'\n').find_map(own).map(OsString::from_vec)
}

/// One line, not too long, with a code that such errors have.
fn refused(text: String, fault: &Fault, codes: &[u32]) -> String {
    assert!(!text.is_empty() && !text.contains('\n'), "{text:?} is no line");
    assert!(codes.contains(&fault.code()), "{text:?} has the code {}", fault.code());
    let object = CniError::new(Version::LATEST, fault.code(), fault);
    assert!(object.msg == text, "the runtime is told {:?}", object.msg);
    // Values and numbers aside, so that each kind of error counts once.
    let quoted: String = text.split(['"', '`']).step_by(2).collect();
    let end = quoted.find(", and is ").unwrap_or(quoted.len());
    quoted[..end].chars().filter(|letter| !letter.is_ascii_digit()).take(80).collect()
}

/// `^[A-Za-z0-9][A-Za-z0-9_.-]*$`, and a name of an interface.
fn names_an_attachment(AttachmentId { container_id, ifname }: &AttachmentId) {
    let letters = |byte: u8| byte.is_ascii_alphanumeric();
    let mut bytes = container_id.bytes();
    assert!(bytes.next().is_some_and(letters), "{container_id:?}");
    assert!(bytes.all(|byte| letters(byte) || byte == b'_' || byte == b'.' || byte == b'-'), "{container_id:?}");
    assert!((1..16).contains(&ifname.len()) && ifname != "." && ifname != "..", "{ifname:?}");
    assert!(
        !ifname.bytes().any(|byte| byte == b'/' || byte == b':' || byte.is_ascii_whitespace() || byte == 0),
        "{ifname:?}"
    );
}

/// In the widest version nothing is lost; in any, what is written is read again and written the same.
fn reads_back(result: &AddResult) {
    for version in Version::ALL {
        let written = result.write(version);
        assert_eq!(written["cniVersion"], version.as_str());
        let again = AddResult::read("again", written.clone());
        let again = again.unwrap_or_else(|error| panic!("{written} cannot be read: {error}"));
        if version == Version::LATEST {
            assert_eq!(&again, result, "{written}");
        }
        assert_eq!(again.write(version), written);
    }
}

fn is_one_a_family(wishes: &Wishes) {
    let families: BTreeSet<bool> = wishes.ips.iter().map(std::net::IpAddr::is_ipv4).collect();
    assert_eq!(families.len(), wishes.ips.len(), "{:?}", wishes.ips);
    assert!(wishes.config_dir.is_absolute(), "{:?}", wishes.config_dir);
}
