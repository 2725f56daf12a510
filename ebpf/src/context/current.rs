//! This CPU's context, and what holds for the pods of this node.

use super::state::{End, PacketContext};
use crate::maps::{CONTEXT, EP_STATE};

impl PacketContext {
    /// This CPU's context.
    #[inline(always)]
    pub fn current() -> Option<&'static mut Self> {
        // SAFETY: this CPU's own slot, and a classifier is not interrupted by another run on the same CPU; each function
        // takes it anew.
        CONTEXT.get_ptr_mut(0).map(|context| unsafe { &mut *context })
    }
}

impl End {
    /// A pod of this node.
    #[inline(always)]
    pub fn local(endpoint: u32) -> Self {
        let word = EP_STATE.get(endpoint).map_or(0, |word| word.0);
        Self { word, endpoint, pad: 0 }
    }
}
