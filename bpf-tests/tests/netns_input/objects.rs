//! Objects that cannot be used, and pods that cannot have what they ask for.

use crate::support::{issue, not_added, one_node, says};

fn node(name: &str, cidrs: &[&str], ip: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: Node\nmetadata: {{name: {name}}}\nspec: {{podCIDRs: {cidrs:?}}}\n\
         status: {{addresses: [{{type: InternalIP, address: \"{ip}\"}}]}}\n"
    )
}

#[test]
fn a_node_without_pod_cidr_is_reported_and_its_pods_get_an_error() {
    let cluster = one_node();
    let n1 = &cluster.nodes[0];
    let ip = n1.addresses[0].to_string();
    cluster.manifests.write("nodes", &node("n1", &[], &ip)).expect("it can be written");
    n1.start().expect("it starts");
    issue(n1, "n1");
    says(&not_added(n1.add("a")), &["100", "podCIDR"]);
}

#[test]
fn a_node_without_its_object_answers_with_try_again() {
    let cluster = one_node();
    let n1 = &cluster.nodes[0];
    n1.start().expect("it starts");
    n1.add("a").expect("the node is there");
    n1.stop().expect("it ends");
    cluster.manifests.write("nodes", &node("n9", &["10.244.9.0/24"], "172.30.0.99")).expect("it can be written");
    let said = crate::support::without_node(n1);
    says(&said, &["11", "n1"]);
}

#[test]
fn overlapping_cidrs_of_two_nodes_are_reported_and_the_first_keeps_them() {
    let cluster = one_node();
    let n1 = &cluster.nodes[0];
    let ip = n1.addresses[0].to_string();
    let objects = node("n1", &["10.244.1.0/24"], &ip) + &node("n2", &["10.244.1.128/25"], "172.30.0.77");
    cluster.manifests.write("nodes", &objects).expect("it can be written");
    n1.start().expect("it starts");
    says(&issue(n1, "10.244.1.128/25"), &["n2", "10.244.1.0/24"]);
    n1.add("a").expect("its own CIDR is in force");
}

#[test]
fn an_exhausted_cidr_says_so_and_leases_again_after_a_release() {
    let cluster = one_node();
    let n1 = &cluster.nodes[0];
    let ip = n1.addresses[0].to_string();
    // Six addresses between network and broadcast, of which the first is the gateway's.
    cluster.manifests.write("nodes", &node("n1", &["10.244.1.0/29"], &ip)).expect("it can be written");
    n1.start().expect("it starts");
    let pods: Vec<_> = (0..5).map(|at| n1.add(&format!("p{at}")).expect("there is room")).collect();
    says(&not_added(n1.add("late")), &["100", "10.244.1.0/29", "5 of 5"]);
    n1.del(&pods[0]).expect("it goes");
    // The pool is short, so that the address does not rest.
    assert_eq!(n1.add("again").expect("there is room").addresses, pods[0].addresses);
}

#[test]
fn a_broken_file_keeps_the_last_good_state_of_its_objects() {
    let cluster = one_node();
    let n1 = &cluster.nodes[0];
    n1.start().expect("it starts");
    let ip = n1.addresses[0].to_string();
    cluster.manifests.write("more", &node("n2", &["10.244.2.0/24"], "172.30.0.12")).expect("it can be written");
    let nodes = || n1.ferrule("node list").map_or(0, |list| list.as_array().map_or(0, Vec::len));
    test_kit::topology::until("the second node", nodes, |count| *count == 1).expect("it is seen");
    cluster.manifests.write("more", "kind: Node\nspec: [unclosed\n").expect("it can be written");
    issue(n1, "more");
    assert_eq!(nodes(), 1, "the last good state stands");
    cluster.manifests.write("more", &node("n2", &["10.244.2.0/99"], &ip)).expect("it can be written");
    issue(n1, "podCIDRs[0]");
    assert_eq!(nodes(), 1, "the last good state stands");
}
