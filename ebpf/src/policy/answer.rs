//! What a decision comes to, each in one word: of functions that the verifier reads once it knows numbers alone.

use ferrule_common::Drop;

/// Whether a packet may pass, and how.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Answer(u32);

/// It may pass. Without it, the word is the number of a [`Drop`].
const PASSES: u32 = 1 << 16;
/// Through the stack.
const VIA_STACK: u32 = 1 << 17;
/// A quoted packet has no flow.
const NO_FLOW: u32 = 1 << 18;
/// Back to the flow's originator.
const REPLY: u32 = 1 << 19;
/// Of [`Answer::beside`]: where the answer stands.
const ANSWER: u32 = !0xffff;

impl Answer {
    /// A quoted packet has no flow.
    pub const NO_FLOW: Self = Self(NO_FLOW);
    /// It may pass.
    pub const PASS: Self = Self(PASSES);

    /// It may not, for the reason of this number.
    #[inline(always)]
    pub const fn denied(reason: u32) -> Self {
        Self(reason)
    }

    /// It may pass, through the stack where its flow goes there, and perhaps as a reply.
    #[inline(always)]
    pub const fn pass(via_stack: bool, reply: bool) -> Self {
        let way = if via_stack { VIA_STACK } else { 0 };
        Self(PASSES | way | if reply { REPLY } else { 0 })
    }

    /// As functions give it.
    #[inline(always)]
    pub const fn word(self) -> u32 {
        self.0
    }

    /// Of what a function gave.
    #[inline(always)]
    pub const fn of(word: u32) -> Self {
        Self(word)
    }

    /// Whether it may pass.
    #[inline(always)]
    pub const fn passes(self) -> bool {
        self.0 & PASSES != 0
    }

    /// How it goes on, or why not.
    #[inline(always)]
    pub fn passage(self) -> Result<Passage, Drop> {
        if self.passes() {
            return Ok(Passage { via_stack: self.0 & VIA_STACK != 0, is_reply: self.0 & REPLY != 0 });
        }
        Err(match self.0 {
            DENIED_BY_EGRESS => Drop::PolicyEgress,
            FULL => Drop::ConntrackFull,
            SHARE_FULL => Drop::ConntrackShare,
            _ => Drop::PolicyIngress,
        })
    }

    /// In one word with a protocol.
    #[inline(always)]
    pub const fn beside(self, protocol: u8) -> u32 {
        self.0 | protocol as u32
    }

    /// From a word that [`Answer::beside`] gave, where it is about this protocol; its flow passes or not as it did.
    #[inline(always)]
    pub const fn of_protocol(word: u32, protocol: u8) -> Option<Self> {
        if word & !ANSWER == protocol as u32 { Some(Self(word & ANSWER)) } else { None }
    }
}

/// How a packet that may pass goes on.
#[derive(Clone, Copy)]
pub struct Passage {
    /// Its flow goes through the host's stack.
    pub via_stack: bool,
    /// It goes back to its flow's originator, which was judged.
    pub is_reply: bool,
}

/// The number of a [`Drop`].
pub const DENIED_BY_EGRESS: u32 = Drop::PolicyEgress as u32;
/// The number of a [`Drop`].
pub const DENIED_BY_INGRESS: u32 = Drop::PolicyIngress as u32;
const FULL: u32 = Drop::ConntrackFull as u32;
const SHARE_FULL: u32 = Drop::ConntrackShare as u32;

/// What the policies of both ends say: the rule that allows it, or the reason why none does.
#[derive(Clone, Copy)]
pub struct Evaluation(u32);

impl Evaluation {
    /// This rule allows it; 0: no table was asked.
    #[inline(always)]
    pub const fn allowed(rule: u32) -> Self {
        Self(rule << 8)
    }

    /// No rule allows it.
    #[inline(always)]
    pub const fn denied(reason: u32) -> Self {
        Self(reason)
    }

    /// The number of a [`Drop`], or 0.
    #[inline(always)]
    pub const fn reason(self) -> u32 {
        self.0 & 0xff
    }

    /// The rule that allows it.
    #[inline(always)]
    pub const fn rule(self) -> u32 {
        self.0 >> 8
    }
}
