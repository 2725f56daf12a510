//! NetworkPolicy between real pods of two nodes: objects in the manifests' folder, packets from real sockets.

mod added;
mod away;
mod door;
mod flows;
mod host_nat;
mod live;
mod mesh;
mod objects;
mod own_node;
mod reasons;
mod room;
mod tables;
pub(crate) mod town;
mod wires;
