//! All that a decision rests on: both ends of a packet's way, and its flow's name.

mod current;
mod fill;
mod state;

pub use state::{BY_NODE, CARRIED, End, HAIRPIN, OWN_NODE, PacketContext, QUOTED, Swept, V4};
