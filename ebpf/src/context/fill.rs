//! What is known of a packet goes into the context.

use super::state::{End, PacketContext};
use crate::parse::packet::Packet;

impl PacketContext {
    /// Takes down whose packet it is.
    #[inline(always)]
    pub fn look(&mut self, packet: &Packet, source: End, destination: End) {
        (self.source, self.destination) = (source, destination);
        (self.from, self.to) = (packet.source, packet.destination);
    }

    /// Takes down what is known of a packet; the flow has no name yet.
    #[inline(always)]
    pub fn ask(&mut self, packet: &Packet, source: End, destination: End, message: u32, flags: u32, program: u32) {
        self.look(packet, source, destination);
        (self.message, self.flags, self.program) = (message, flags, program);
    }
}
