//! Manifests, as YAML and as JSON, that nobody wrote: `cargo xtask fuzz manifests` goes on for longer.
//!
//! Whatever a file holds, it is read or refused with words that help, each object by itself
//! and whatever the order of its fields; what is read keeps to the model's rules, and the compiler takes it.

mod rules;

use std::collections::BTreeSet;

use ferrule_fuzz::Target;
use ferrule_model::{
    objects::Identity,
    policy::{Change, Endpoint, Engine, Limits},
};
use ferrule_source::{
    decode::Object,
    manifest::{self, Item, SyntaxError},
};
use rules::keeps_the_rules;
use serde_json::Value;

/// Words that the parser knows, one a line.
const WORDS: &str = include_str!("../corpus/manifests.words");

#[test]
fn every_manifest_is_read_or_refused_with_words_that_help() {
    let words: Vec<&str> = WORDS.lines().collect();
    let target = Target {
        name: "manifests",
        corpus: concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/manifests"),
        scratch: env!("CARGO_TARGET_TMPDIR"),
        words: &words,
        longest: 8192,
        cases: 20_000,
    };
    let summary = target.run(outcome);
    assert!(summary.outcomes > 60, "only {} outcomes: the corpus reaches too little", summary.outcomes);
}

fn outcome(input: &[u8]) -> String {
    // A file that is no text is refused before any parser sees it.
    let Ok(text) = std::str::from_utf8(input) else { return "no text".into() };
    let (yaml, json) = (manifest::yaml(text), manifest::json(text));
    for found in [&yaml, &json] {
        match found {
            Ok(items) => items.iter().for_each(is_sound),
            Err(SyntaxError { message, .. }) => assert!(!message.trim().is_empty(), "a syntax error without words"),
        }
    }
    if let (Ok(yaml), Ok(json)) = (&yaml, &json)
        && !json.is_empty()
    {
        assert_eq!(shown(yaml), shown(json), "JSON is YAML, and says the same");
    }
    if let Ok(json) = &json
        && let Some(sorted) = in_order(text)
    {
        assert_eq!(shown(json), shown(&sorted), "the order of an object's fields says nothing");
    }
    let items = yaml.as_deref().or(json.as_deref());
    if let Ok(items) = items {
        compiles(items);
    }
    class_of(items)
}

/// What a JSON file says where every object's fields are sorted; none where a part that nobody reads is no text.
fn in_order(text: &str) -> Option<Vec<Item>> {
    let values: Result<Vec<Value>, _> = serde_json::Deserializer::from_str(text).into_iter().collect();
    // A `Value` keeps its members sorted.
    let sorted: String = values.ok()?.into_iter().map(|value| format!("{value}\n")).collect();
    Some(manifest::json(&sorted).unwrap_or_else(|error| panic!("it cannot be read again: {error}")))
}

fn shown(items: &[Item]) -> String {
    format!("{items:#?}")
}

fn is_sound(item: &Item) {
    match item {
        Item::Object(identity, object) => keeps_the_rules(identity, object),
        Item::Unused { kind } => assert!(!kind.is_empty(), "a kind without a name"),
        Item::Bad { error, .. } => {
            let text = error.to_string();
            assert!(!error.field.is_empty() && !error.message.is_empty(), "{text:?} names no field or no fault");
            assert!(!text.contains('\n'), "{text:?} is more than one line");
            assert!(text.chars().count() <= 400, "{text:?} is too long to read");
        }
    }
}

/// The compiler takes all that decodes, with every pod an endpoint, and takes it back.
fn compiles(items: &[Item]) {
    let mut engine = Engine::new(Limits::default(), 1, BTreeSet::new());
    let (mut changes, mut index) = (Vec::new(), 0);
    for item in items {
        let Item::Object(_, object) = item else { continue };
        let change = match object.clone() {
            Object::Node(_) | Object::Service(_) | Object::EndpointSlice(_) => continue,
            Object::Namespace(one) => Change::Namespace(one.name.clone(), Some(one.into())),
            Object::NetworkPolicy(one) => Change::Policy(one.name.clone(), Some(one.into())),
            Object::Pod(one) => {
                index += 1;
                let (addresses, pod, uid) = (one.ips.clone(), Some(one.name.clone()), Some(one.uid.clone()));
                changes.push(Change::Endpoint(index, Some(Endpoint { addresses, pod, uid })));
                Change::Pod(one.name.clone(), Some(one.into()))
            }
        };
        changes.push(change);
    }
    let back: Vec<Change> = changes
        .iter()
        .map(|change| match change {
            Change::Namespace(name, _) => Change::Namespace(name.clone(), None),
            Change::Pod(name, _) => Change::Pod(name.clone(), None),
            Change::Policy(name, _) => Change::Policy(name.clone(), None),
            Change::Endpoint(index, _) => Change::Endpoint(*index, None),
        })
        .collect();
    engine.apply(changes).iter().for_each(|step| drop(step.to_string()));
    engine.issues().iter().for_each(|issue| drop(issue.to_string()));
    engine.apply(back);
    // What is superseded rests for a grace, and what then goes may supersede more.
    for _ in 0..10 {
        engine.retire();
    }
    assert!(engine.is_settled(), "it never settles");
    let left = engine.summary();
    let nothing = Engine::new(Limits::default(), 1, BTreeSet::new()).summary();
    assert_eq!(format!("{left:?}"), format!("{nothing:?}"), "something stays when everything has gone");
}

/// What became of a file: its kinds, the fields that are bad, and why.
fn class_of(items: Result<&[Item], &SyntaxError>) -> String {
    let parts: BTreeSet<String> = match items {
        Err(error) => [plain(&error.message)].into(),
        Ok(items) => items
            .iter()
            .map(|item| match item {
                Item::Object(Identity { kind, .. }, _) => format!("{kind:?}"),
                Item::Unused { .. } => "unused".into(),
                Item::Bad { error, .. } => plain(&error.to_string()),
            })
            .collect(),
    };
    // Two at most: else every mixture would be a class of its own.
    parts.into_iter().take(2).collect::<Vec<_>>().join(" + ")
}

/// A message without what a file says: numbers, and what stands in quotes.
fn plain(message: &str) -> String {
    let quoted = message.split(['"', '`', '\'']).step_by(2).collect::<String>();
    quoted.chars().filter(|letter| !letter.is_ascii_digit()).take(60).collect()
}
