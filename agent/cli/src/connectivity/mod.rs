//! `ferrule connectivity test`: pods of its own on two nodes, which ask each other, a Service, the name server and the nodes,
//! with and without policies; and in words what does not work.
//!
//! ```text
//! agents' nodes ─▶ stage: namespace, pods, Service ─▶ plan: who asks whom ─▶ ask, in each pod ─▶ findings
//!                                                └──▶ policy: watched while policies come and go ─┘
//! ```
//! The pods run Ferrule's own image; the API server is all that the test itself talks to.

pub mod ask;
mod dns;
mod names;
mod objects;
mod plan;
mod policy;
pub mod serve;
mod stage;
pub mod watch;

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, bail};
use ask::Answer;
use ferrule_agent::{run::stopped, say};
use ferrule_api::view::{Finding, Severity};
use plan::{Asked, World};
use stage::Stage;

use crate::{operator, operator::Agent};

/// How the test is made.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Who asks the API server.
    #[command(flatten)]
    pub access: operator::Credentials,
    /// The nodes to test between, two at most [default: the first two whose agents are ready]
    #[arg(long, value_delimiter = ',', value_name = "NAME,…")]
    pub nodes: Vec<String>,
    /// The image that the pods run [default: the agents']
    #[arg(long)]
    pub image: Option<String>,
    /// How long pods may take to run, and to go
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    pub timeout: u64,
}

/// Runs it, and removes what it made, also when it is interrupted.
///
/// # Errors
/// Where the test cannot be made. What it finds broken is a finding.
pub async fn run(options: &Options) -> Result<Vec<Finding>> {
    let client = options.access.client().await?;
    let agents = operator::agents(&client).await?;
    let mut findings = agents_checked(&agents);
    let chosen = chosen(&agents, &options.nodes)?;
    let image = options.image.clone().unwrap_or_else(|| chosen[0].image.clone());
    let namespace = format!("ferrule-test-{:x}", std::process::id());
    let stage = Stage { client, namespace, patience: Duration::from_secs(options.timeout) };
    let names: Vec<&str> = chosen.iter().map(|agent| agent.node.as_str()).collect();
    say::complaint(&format!("testing between pods on {}, in namespace {}", names.join(" and "), stage.namespace));
    let outcome = tokio::select! {
        outcome = check(&stage, &chosen, &image) => outcome,
        () = stopped() => Err(anyhow::anyhow!("interrupted")),
    };
    let cleared = stage.clear().await;
    findings.extend(outcome?);
    cleared?;
    if chosen.len() < 2 {
        let words = "there is one node with a ready agent: ways between nodes were not tested";
        findings.push(Finding::warning("other node", "", words, "run it again when there are two"));
    }
    Ok(findings)
}

fn agents_checked(agents: &[Agent]) -> Vec<Finding> {
    let (ready, behind): (Vec<&Agent>, Vec<&Agent>) = agents.iter().partition(|agent| agent.ready);
    let mut findings = vec![Finding::ok("agents", format!("{} of {} agents are ready", ready.len(), agents.len()))];
    findings.extend(behind.iter().map(|agent| {
        let fix = format!("`kubectl -n {} logs {}` says what it waits for", agent.namespace, agent.name);
        Finding::failure("agents", &agent.node, "the agent is not ready", fix)
    }));
    findings
}

/// The agents on whose nodes it is tested.
fn chosen<'a>(agents: &'a [Agent], asked: &[String]) -> Result<Vec<&'a Agent>> {
    if asked.len() > 2 {
        bail!("--nodes: {} are given; the test is between two", asked.len());
    }
    if asked.is_empty() {
        let ready: Vec<&Agent> = agents.iter().filter(|agent| agent.ready).take(2).collect();
        if ready.is_empty() {
            bail!(
                "no node has an agent that is ready ({} agents); `kubectl get pods -A -l app.kubernetes.io/name=ferrule`",
                agents.len()
            );
        }
        return Ok(ready);
    }
    let find = |name: &String| {
        let found = agents.iter().find(|agent| agent.node == *name);
        found.with_context(|| format!("--nodes: {name} has no agent"))
    };
    asked.iter().map(find).collect()
}

async fn check(stage: &Stage, agents: &[&Agent], image: &str) -> Result<Vec<Finding>> {
    let world = match stage.set(agents, image).await {
        Ok(world) => world,
        Err(error) => {
            let fix = "its node's agent and kubelet say more: `ferrule status`, `ferrule doctor`";
            return Ok(vec![Finding::failure("pods", "", format!("{error:#}"), fix)]);
        }
    };
    let mut findings = vec![Finding::ok("pods", format!("{} pods run", world.places.len()))];
    findings.extend(ask_all(stage, &world).await);
    findings.extend(policy::check(stage, &world).await.unwrap_or_else(|error| {
        vec![Finding::failure("policy", "", format!("not tested: {error:#}"), "see what the API server says above")]
    }));
    Ok(findings)
}

/// Every pod asks its questions, all at once.
async fn ask_all(stage: &Stage, world: &World) -> Vec<Finding> {
    let mut by_pod: BTreeMap<String, Vec<Asked>> = BTreeMap::new();
    for asked in plan::questions(world) {
        by_pod.entry(asked.by.clone()).or_default().push(asked);
    }
    let each = by_pod.into_iter().map(|(pod, asked)| async move {
        let answers = ask_in(stage, &pod, &asked).await;
        (pod, asked, answers)
    });
    let mut findings = Vec::new();
    let mut well: BTreeMap<&str, usize> = BTreeMap::new();
    for (pod, asked, answers) in futures::future::join_all(each).await {
        let answers = match answers {
            Ok(answers) => answers,
            Err(error) => {
                let fix = "the API server has to reach the nodes' kubelets, as for `kubectl exec`";
                findings.push(Finding::failure("pods", &pod, format!("cannot ask: {error:#}"), fix));
                continue;
            }
        };
        for (asked, answer) in asked.into_iter().zip(answers) {
            if answer.ok {
                *well.entry(asked.check).or_default() += 1;
                continue;
            }
            let fix = match answer.server {
                Some(server) => names::remedy(&stage.client, server).await.unwrap_or(asked.fix),
                None => asked.fix,
            };
            findings.push(Finding::failure(asked.check, asked.subject, answer.words, fix));
        }
    }
    let fine = well.into_iter().map(|(check, count)| Finding::ok(check, format!("{count} ways work")));
    fine.chain(findings).collect()
}

async fn ask_in(stage: &Stage, pod: &str, asked: &[Asked]) -> Result<Vec<Answer>> {
    let questions: Vec<&ask::Question> = asked.iter().map(|asked| &asked.question).collect();
    let questions = serde_json::to_string(&questions)?;
    let command = ["/usr/bin/ferrule", "connectivity", "ask", &questions];
    let output = operator::run(&stage.pods(), pod, "main", &command).await?;
    let answers: Vec<Answer> = serde_json::from_slice(&output).context("its answers cannot be read")?;
    if answers.len() != asked.len() {
        bail!("{} answers to {} questions", answers.len(), asked.len());
    }
    Ok(answers)
}

/// How many findings are failures.
#[must_use]
pub fn broken(findings: &[Finding]) -> usize {
    findings.iter().filter(|finding| finding.verdict == Severity::Failure).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(node: &str, ready: bool) -> Agent {
        Agent {
            namespace: "kube-system".into(),
            name: format!("ferrule-{node}"),
            node: node.into(),
            image: "i".into(),
            ready,
        }
    }

    #[test]
    fn nodes_are_those_with_ready_agents_or_those_asked_for() {
        let agents = [agent("n1", false), agent("n2", true), agent("n3", true), agent("n4", true)];
        let named = |asked: &[&str]| {
            let asked: Vec<String> = asked.iter().map(|name| (*name).to_owned()).collect();
            chosen(&agents, &asked).map(|all| all.iter().map(|agent| agent.node.clone()).collect::<Vec<_>>())
        };
        assert_eq!(named(&[]).unwrap(), ["n2", "n3"]);
        assert_eq!(named(&["n1"]).unwrap(), ["n1"]);
        assert!(named(&["n9"]).unwrap_err().to_string().contains("--nodes: n9 has no agent"));
        assert!(named(&["n1", "n2", "n3"]).unwrap_err().to_string().contains("--nodes: 3 are given"));
        assert!(chosen(&[agent("n1", false)], &[]).is_err());
    }

    #[test]
    fn an_agent_that_is_not_ready_is_a_failure() {
        let findings = agents_checked(&[agent("n1", false), agent("n2", true)]);
        assert_eq!(broken(&findings), 1);
        assert!(findings[0].words.contains("1 of 2"), "{findings:?}");
    }
}
