//! Maps that are pinned on a node, read from outside of it.

use std::{fs, net::IpAddr};

use anyhow::{Context, Result};
use aya::maps::{Array, HashMap, Map, MapData};
use ferrule_common::{Address, peer::Peer, policy::Word};
use test_kit::cluster::Node;

fn open(node: &Node, name: &str) -> Result<MapData> {
    let pins = node.machine.root()?.join("sys/fs/bpf/ferrule");
    let entries = fs::read_dir(&pins).with_context(|| pins.display().to_string())?;
    let mut folders = entries.flatten().map(|entry| entry.path());
    let maps = folders.find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("maps-")));
    let path = maps.with_context(|| format!("{} holds no maps", pins.display()))?.join(name);
    MapData::from_pin(&path).with_context(|| path.display().to_string())
}

/// The words of a node's endpoints.
pub struct Words(Array<MapData, Word>);

impl Words {
    /// Opens them.
    ///
    /// # Errors
    /// Where they are not pinned.
    pub fn open(node: &Node) -> Result<Self> {
        Ok(Self(Array::try_from(Map::Array(self::open(node, "fr_ep_state")?))?))
    }

    /// Those of the first endpoints.
    ///
    /// # Errors
    /// The kernel's.
    pub fn read(&self, count: u32) -> Result<Vec<Word>> {
        (1..=count).map(|index| Ok(self.0.get(&index, 0)?)).collect()
    }
}

/// What a node knows of others' pods.
pub struct Peers(HashMap<MapData, Address, Peer>);

impl Peers {
    /// Opens it.
    ///
    /// # Errors
    /// Where it is not pinned.
    pub fn open(node: &Node) -> Result<Self> {
        Ok(Self(HashMap::try_from(Map::HashMap(self::open(node, "fr_peers")?))?))
    }

    /// Whether an address is known.
    pub fn has(&self, address: IpAddr) -> bool {
        self.0.get(&Address::from(address), 0).is_ok()
    }
}
