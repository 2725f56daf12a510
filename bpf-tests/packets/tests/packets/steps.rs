//! The compiler's steps, carried out on real maps by the agent's own hand.

use ferrule_kernel::bpf::{PolicyMaps, policy_maps::RawPolicyMaps};
use ferrule_model::policy::{PortPrefix, RuleKey, Step};

use crate::run::Bench;

#[test]
fn many_rules_come_and_go_whether_all_of_them_are_there_or_not() {
    // More than one call takes.
    const MANY: u32 = 10_000;
    let mut bench = Bench::alone();
    let mut take = |name: &str| bench.ebpf().take_map(name).expect("the object has it");
    let mut maps = PolicyMaps::new(RawPolicyMaps {
        words: take("fr_ep_state"),
        tables: take("fr_tables"),
        rules: take("fr_policy"),
        classes: take("fr_classes"),
        blocks: take("fr_blocks"),
    })
    .expect("they are the agent's maps");
    let key = |class: u32| RuleKey { table: 1, class, port: PortPrefix::one(6, 80) };
    maps.apply(&Step::InsertRules((0..MANY).map(|class| (key(class), 1)).collect()), 1).expect("there is room");
    assert_eq!(maps.count(1).expect("it is readable").0.keys, MANY as usize);
    // Of each three keys one was never there, the first and the last of all among them.
    let some = (0..MANY).filter(|class| class % 3 != 0);
    let keys =
        some.flat_map(|class| if class % 3 == 1 { vec![key(class + MANY), key(class)] } else { vec![key(class)] });
    let keys: Vec<RuleKey> = keys.chain([key(2 * MANY)]).collect();
    maps.apply(&Step::RemoveRules(keys.clone()), 1).expect("what is not there is gone");
    assert_eq!(maps.count(1).expect("it is readable").0.keys, MANY.div_ceil(3) as usize);
    maps.apply(&Step::RemoveRules(keys), 1).expect("it may be done again");
    assert_eq!(maps.count(1).expect("it is readable").0.keys, MANY.div_ceil(3) as usize);
}
