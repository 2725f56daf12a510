//! Services at the socket: real sockets of pods and of a node's own processes.

mod answers;
mod beside;
mod changes;
mod choice;
mod client;
mod lasting;
mod reach;
mod refused;
mod seen;
mod shares;
mod shop;
mod stranded;
mod translated;
mod upkeep;
