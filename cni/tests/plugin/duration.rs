//! How long calls take, by the plugin's own log: `cargo test --test plugin duration -- --ignored --nocapture`, with
//! `FERRULE_CNI_BINARY` naming a release build.

use crate::support::{netns::Netns, node::Node};

#[test]
#[ignore = "measures; its figures depend on the machine"]
fn add_and_del_one_after_the_other() {
    let node = Node::new();
    for number in 0..50 {
        let pod = Netns::new("pod");
        node.add(&format!("c{number}"), &pod).ok();
        node.del(&format!("c{number}")).ok();
    }
    for command in ["ADD", "DEL"] {
        let mut took: Vec<f64> = node
            .log()
            .iter()
            .filter(|line| line["command"] == command)
            .map(|line| line["milliseconds"].as_f64().unwrap())
            .collect();
        took.sort_by(f64::total_cmp);
        println!("{command}: median {} ms, fastest {} ms, slowest {} ms", took[25], took[0], took[49]);
    }
}
