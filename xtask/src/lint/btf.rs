//! The types of an eBPF object, as `bpftool btf dump` tells them.

use std::{collections::HashMap, path::Path, process::Command};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::workspace::program;

/// One BTF type; what a kind has no use for is zero or empty.
#[derive(Debug, Clone, Deserialize)]
pub struct Type {
    id: u32,
    /// `STRUCT`, `INT`, `PTR`, …
    pub kind: String,
    /// `(anon)` where it has none.
    #[serde(default)]
    pub name: String,
    /// Bytes.
    #[serde(default)]
    pub size: u32,
    /// What it points to, or consists of.
    #[serde(default)]
    pub type_id: u32,
    /// Of an array.
    #[serde(default)]
    pub nr_elems: u32,
    /// Of a struct.
    #[serde(default)]
    pub members: Vec<Member>,
    /// Of a section.
    #[serde(default)]
    pub vars: Vec<Var>,
}

/// A struct's field.
#[derive(Debug, Clone, Deserialize)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Its type.
    pub type_id: u32,
    /// Where it begins, in bits.
    pub bits_offset: u32,
}

/// A variable of a section.
#[derive(Debug, Clone, Deserialize)]
pub struct Var {
    /// Its `VAR`.
    pub type_id: u32,
}

/// All types of an object.
#[derive(Debug)]
pub struct Types {
    by_id: HashMap<u32, Type>,
}

#[derive(Deserialize)]
struct Dump {
    types: Vec<Type>,
}

impl Types {
    /// Reads an object's.
    ///
    /// # Errors
    /// Where bpftool does not read it.
    pub fn of(object: &Path) -> Result<Self> {
        let bpftool = program("bpftool").context("bpftool is missing; run `cargo xtask setup`")?;
        let output = Command::new(bpftool).args(["-j", "btf", "dump", "file"]).arg(object).output()?;
        if !output.status.success() {
            let said = [output.stdout, output.stderr].concat();
            bail!("bpftool cannot read {}: {}", object.display(), String::from_utf8_lossy(&said).trim());
        }
        Self::parse(&output.stdout).with_context(|| format!("bpftool's output for {}", object.display()))
    }

    /// From bpftool's JSON.
    ///
    /// # Errors
    /// Where it is not that.
    pub fn parse(json: &[u8]) -> Result<Self> {
        let dump: Dump = serde_json::from_slice(json)?;
        Ok(Self { by_id: dump.types.into_iter().map(|found| (found.id, found)).collect() })
    }

    /// The type of this number.
    ///
    /// # Errors
    /// Where there is none.
    pub fn get(&self, id: u32) -> Result<&Type> {
        self.by_id.get(&id).with_context(|| format!("BTF has no type {id}"))
    }

    /// The section of this name.
    ///
    /// # Errors
    /// Where there is none.
    pub fn section(&self, name: &str) -> Result<&Type> {
        let found = self.by_id.values().find(|found| found.kind == "DATASEC" && found.name == name);
        found.with_context(|| format!("BTF has no section {name}"))
    }
}
