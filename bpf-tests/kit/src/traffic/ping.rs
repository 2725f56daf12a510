//! ICMP and ICMPv6 echo, through the system's `ping`.

use std::{
    net::IpAddr,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::topology::{Netns, patience};

/// Echo requests to an address.
#[derive(Debug, Clone)]
pub struct Ping {
    to: IpAddr,
    arguments: Vec<String>,
}

/// Echo requests on their way.
#[derive(Debug)]
pub struct Pinging {
    process: Child,
}

impl Ping {
    /// To an address.
    #[must_use]
    pub fn to(to: IpAddr) -> Self {
        Self { to, arguments: vec!["-n".into(), format!("-W{}", patience(Duration::from_secs(1)).as_secs())] }
    }

    /// With this time to live, or hop limit.
    #[must_use]
    pub fn ttl(mut self, hops: u8) -> Self {
        self.arguments.push(format!("-t{hops}"));
        self
    }

    /// With so many bytes of payload, and not to be fragmented.
    #[must_use]
    pub fn size(mut self, bytes: u32) -> Self {
        self.arguments.extend([format!("-s{bytes}"), "-Mdo".into()]);
        self
    }

    /// Sends one; the time until its answer.
    ///
    /// # Errors
    /// What `ping` says where no answer comes, an ICMP error for instance.
    pub fn once(&self, from: &Netns) -> Result<Duration> {
        let output = self.command(from).arg("-c1").output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            bail!("{}{}", text.trim(), String::from_utf8_lossy(&output.stderr).trim());
        }
        let (_, rest) = text.split_once("time=").context(text.clone())?;
        let milliseconds: f64 = rest.split_whitespace().next().context("ping names no time")?.parse()?;
        Ok(Duration::from_secs_f64(milliseconds / 1000.0))
    }

    /// Sends one each five milliseconds, or what [`patience`] makes of them, `count` in all.
    ///
    /// # Errors
    /// Where `ping` cannot be started.
    pub fn many(&self, from: &Netns, count: u32) -> Result<Pinging> {
        let mut command = self.command(from);
        let pause = patience(Duration::from_millis(5)).as_secs_f32();
        command.args(["-q", &format!("-i{pause}"), &format!("-c{count}")]);
        Ok(Pinging { process: command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()? })
    }

    fn command(&self, from: &Netns) -> Command {
        let mut command = from.command("ping");
        command.args(&self.arguments).arg(self.to.to_string()).env("LC_ALL", "C");
        command
    }
}

impl Pinging {
    /// Waits for the end; how many were sent and how many answered.
    ///
    /// # Errors
    /// Where `ping` sums up nothing.
    pub fn end(self) -> Result<(u32, u32)> {
        let output = self.process.wait_with_output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        summary(&text).with_context(|| format!("{text}{}", String::from_utf8_lossy(&output.stderr)))
    }
}

/// From `400 packets transmitted, 399 received, 0.25% packet loss, time 2001ms`.
fn summary(text: &str) -> Option<(u32, u32)> {
    let line = text.lines().find(|line| line.contains(" packets transmitted, "))?;
    let (sent, rest) = line.split_once(" packets transmitted, ")?;
    Some((sent.trim().parse().ok()?, rest.split(' ').next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_tells_what_was_sent_and_answered() {
        let text =
            "--- 10.0.0.1 ping statistics ---\n400 packets transmitted, 399 received, 0.25% packet loss, time 9ms\n";
        assert_eq!(summary(text), Some((400, 399)));
        assert_eq!(summary("3 packets transmitted, 0 received, +3 errors, 100% packet loss"), Some((3, 0)));
        assert_eq!(summary("ping: connect: Network is unreachable"), None);
    }
}
