//! What holds for every packet in random clusters, and that they are as random as they should be.

use std::sync::Arc;

use proptest::prelude::*;

use crate::{
    objects::NetworkPolicy,
    oracle::{
        flows::{Flows, Role},
        judge,
    },
    testing::{Step, cases, generate},
};

proptest! {
    #[test]
    fn what_no_policy_isolates_passes_and_what_no_rule_allows_does_not(mut case in cases(1..40)) {
        for step in case.steps {
            match step {
                Step::Event(event) => case.cluster.apply(event),
                Step::Packet(packet) => {
                    let judgement = judge(&case.cluster.world(), &packet, case.cluster.sender(packet.source));
                    for end in judgement.egress.iter().chain(&judgement.ingress) {
                        prop_assert_eq!(end.isolated, !end.selected_by.is_empty());
                        prop_assert_eq!(end.allowed, end.exempt.is_some() || !end.isolated || !end.by.is_empty());
                        prop_assert!(end.by.iter().all(|rule| end.selected_by.contains(&rule.policy)));
                    }
                }
            }
        }
    }

    #[test]
    fn a_removed_policy_that_allows_nothing_only_opens(mut case in cases(1..40)) {
        for step in case.steps {
            match step {
                Step::Event(event) => case.cluster.apply(event),
                Step::Packet(packet) => {
                    let sender = case.cluster.sender(packet.source);
                    let before = judge(&case.cluster.world(), &packet, sender).passes();
                    let mut without = case.cluster.clone();
                    let allows = |policy: &NetworkPolicy| !policy.ingress.is_empty() || !policy.egress.is_empty();
                    let policies = case.cluster.objects.policies.iter().filter(|(_, policy)| allows(policy));
                    without.objects.policies =
                        policies.map(|(name, policy)| (name.clone(), Arc::clone(policy))).collect();
                    prop_assert!(!before || judge(&without.world(), &packet, sender).passes());
                }
            }
        }
    }
}

#[test]
fn a_seed_gives_the_same_case_each_time() {
    for seed in 0..5 {
        let (one, two) = (generate(seed), generate(seed));
        assert_eq!(one.cluster, two.cluster);
        assert_eq!(one.steps, two.steps);
    }
    assert_ne!(generate(1).steps, generate(2).steps);
}

/// Nothing is tested by packets that all pass.
#[test]
fn random_cases_meet_every_verdict_and_role() {
    let mut counts = [[0; 2]; 4];
    for mut case in (0..300).map(generate) {
        let mut flows = Flows::default();
        for step in case.steps {
            match step {
                Step::Event(event) => {
                    case.cluster.apply(event);
                    flows.changed(&case.cluster.world());
                }
                Step::Packet(packet) => {
                    let sender = case.cluster.sender(packet.source);
                    let outcome = flows.see(&case.cluster.world(), &packet, sender);
                    let role = match outcome.role {
                        Role::New => 0,
                        Role::Opener => 1,
                        Role::Reply => 2,
                        Role::Related => 3,
                    };
                    counts[role][usize::from(outcome.passes())] += 1;
                }
            }
        }
    }
    assert!(counts.iter().flatten().all(|count| *count > 50), "{counts:?}");
}
