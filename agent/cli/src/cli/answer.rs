//! What the agent answers, read and printed.

use std::{
    io::{self, Write},
    time::Duration,
};

use anyhow::Context;
use serde_json::Value;

/// The agent answers from memory or a map.
pub(super) const LIMIT: Duration = Duration::from_secs(10);

/// Checks ask the kernel and other nodes.
pub(super) const PATIENCE: Duration = Duration::from_secs(45);

/// Reads what was asked for.
/// What the agent answered.
pub(super) fn read<T: serde::de::DeserializeOwned>(answer: Value) -> anyhow::Result<T> {
    serde_json::from_value(answer)
        .context("the agent's answer cannot be read; it and this command may be more than one release apart")
}

/// As JSON, or as a table.
pub(super) fn print<T: serde::de::DeserializeOwned>(
    value: Value,
    json: bool,
    table: impl FnOnce(T) -> String,
) -> anyhow::Result<()> {
    let text = if json { serde_json::to_string_pretty(&value)? } else { table(read(value)?) };
    writeln!(io::stdout(), "{text}")?;
    Ok(())
}
