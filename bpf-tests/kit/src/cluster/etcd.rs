//! What a test asks etcd itself, by its JSON gateway (<https://etcd.io/docs/v3.5/dev-guide/api_grpc_gateway/>).

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::Control;
use crate::topology::Netns;

/// Its answers come within a moment.
const LIMIT: Duration = Duration::from_secs(5);

impl Control {
    /// Throws all of etcd's history away: whoever knows an older state can only list anew. Gives the revision that is left.
    ///
    /// # Errors
    /// Where etcd does not answer or refuses.
    pub fn compact(&self) -> Result<u64> {
        let status = self.etcd("maintenance/status", &json!({}))?;
        let revision = status["header"]["revision"].as_str().context("etcd tells its revision")?.parse()?;
        self.etcd("kv/compaction", &json!({"revision": revision, "physical": true}))?;
        Ok(revision)
    }

    /// Writes a value past the API server and all that it checks: `key` is below `/registry`, `value` an object's JSON, or
    /// what the API server cannot read at all.
    ///
    /// # Errors
    /// Where etcd does not answer or refuses.
    pub fn write_unchecked(&self, key: &str, value: &str) -> Result<()> {
        let (key, value) = (base64(&format!("/registry/{key}"))?, base64(value)?);
        self.etcd("kv/put", &json!({"key": key, "value": value})).map(drop)
    }

    /// Removes a value past the API server; nothing where there is none.
    ///
    /// # Errors
    /// Where etcd does not answer or refuses.
    pub fn remove_unchecked(&self, key: &str) -> Result<()> {
        let key = base64(&format!("/registry/{key}"))?;
        self.etcd("kv/deleterange", &json!({"key": key})).map(drop)
    }

    fn etcd(&self, path: &str, question: &Value) -> Result<Value> {
        let (netns, body) = (Netns::known(&self.fabric.control()), question.to_string());
        let answer = netns.enter(|| -> Result<String> {
            let mut stream = TcpStream::connect_timeout(&"127.0.0.1:2379".parse()?, LIMIT)?;
            stream.set_read_timeout(Some(LIMIT))?;
            let head = format!("POST /v3/{path} HTTP/1.0\r\nContent-Length: {}\r\n\r\n", body.len());
            stream.write_all(format!("{head}{body}").as_bytes())?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        })?;
        let answer = answer.with_context(|| format!("etcd's {path}"))?;
        let (head, body) = answer.split_once("\r\n\r\n").context("an answer by HTTP")?;
        ensure!(head.split(' ').nth(1) == Some("200"), "etcd's {path}: {answer}");
        serde_json::from_str(body).with_context(|| format!("etcd's {path}: {answer}"))
    }
}

fn base64(text: &str) -> Result<String> {
    let mut program = Command::new("base64").arg("-w0").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
    program.stdin.take().context("a pipe")?.write_all(text.as_bytes())?;
    let output = program.wait_with_output()?;
    ensure!(output.status.success(), "base64 failed");
    Ok(String::from_utf8(output.stdout)?)
}
