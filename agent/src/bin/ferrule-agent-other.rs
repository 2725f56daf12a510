//! Tests only: the agent with another layout of every map (the feature `other-layout`).

#[path = "ferrule-agent.rs"]
mod agent;

fn main() -> std::process::ExitCode {
    agent::main()
}
