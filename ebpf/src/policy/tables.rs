//! What a table says of a peer, a protocol and a port.
//!
//! Functions with a prefix are global: the verifier reads each once, whoever calls it. Their arguments are numbers.

use aya_ebpf::btf_maps::lpm_trie::Key;
use ferrule_common::{
    policy::{ANY_POD, ANY_PROTOCOL, ANYONE, BY_ANYONE, BY_CLASS, BY_POD, ClassKey, FIRST_CLASS, RuleKey},
    prefix::{self, PrefixKey},
};

use crate::{
    context::{PacketContext, V4},
    maps::{BLOCKS, CLASSES, POLICY, TABLES},
};

/// No rule allows it.
pub const DENIED: u32 = u32::MAX;
/// Of [`RuleKey::port_bits`].
const LONGEST: u32 = 16;

/// What is asked of a table: a protocol with a destination port.
#[inline(always)]
pub const fn port(protocol: u8, port_be: u16) -> u32 {
    (protocol as u32) << 16 | u16::from_be(port_be) as u32
}

/// What is asked of a table: something that only a rule for every protocol allows.
pub const ANYTHING: u32 = 0;
/// For [`fr_allows`]: the peer is the context's sender.
pub const SENDER: u32 = 0;
/// For [`fr_allows`]: the peer is the context's receiver.
pub const RECEIVER: u32 = 1;

/// The number of the rule of `table` that allows the peer at one end of the context, or [`DENIED`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn fr_allows(table: u32, peer: u32, asked: u32) -> u32 {
    let Some(context) = PacketContext::current() else { return DENIED };
    let PacketContext { from, to, flags, classed, blocked, .. } = context;
    let peer = if peer == SENDER { from } else { to };
    let Some(found) = TABLES.get(table) else { return DENIED };
    let (uses, generation) = (found.uses, found.generation);
    let (mut class, mut pod) = (ANYONE, 0);
    if uses & (BY_CLASS | BY_POD) != 0 {
        *classed = ClassKey::of(*peer, generation);
        // SAFETY: four bytes each; an entry that is being replaced has the value before or after.
        if let Some(found) = unsafe { CLASSES.get(&*classed) } {
            class = found.class;
            pod = found.pod;
        } else if uses & BY_CLASS != 0 {
            *blocked = prefix::Lookup::of_generation(*peer, *flags & V4 != 0, generation);
            class = block(blocked);
        }
    }
    if uses & BY_CLASS != 0 && class >= FIRST_CLASS {
        let rule = fr_rule(table, class, uses, asked);
        if rule != DENIED {
            return rule;
        }
    }
    if uses & BY_POD != 0 && pod != 0 {
        let rule = fr_rule(table, ANY_POD, uses, asked);
        if rule != DENIED {
            return rule;
        }
    }
    if uses & BY_ANYONE != 0 { fr_rule(table, ANYONE, uses, asked) } else { DENIED }
}

/// The class of an address that is no pod's.
#[inline(always)]
fn block(context: &prefix::Lookup) -> u32 {
    const { assert!(size_of::<prefix::Lookup>() == size_of::<Key<PrefixKey>>()) };
    // SAFETY: the same fields in the same order and of the same size, and `Key` asks for no alignment.
    let key: &Key<PrefixKey> = unsafe { &*core::ptr::from_ref(context).cast() };
    BLOCKS.get(key).map_or(ANYONE, |block| block.class)
}

/// The rule for one class: every protocol first, then the longest port prefix in use.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn fr_rule(table: u32, class: u32, uses: u32, asked: u32) -> u32 {
    if uses & ANY_PROTOCOL != 0 {
        let rule = fr_key(table, class, ANYTHING, 0);
        if rule != DENIED {
            return rule;
        }
    }
    if asked == ANYTHING {
        return DENIED;
    }
    let port = asked & 0xffff;
    for shorter in 0..=LONGEST {
        let bits = LONGEST - shorter;
        if uses >> bits & 1 == 0 {
            continue;
        }
        let rule = fr_key(table, class, asked & !0xffff | port >> shorter << shorter, bits);
        if rule != DENIED {
            return rule;
        }
    }
    DENIED
}

/// The rule under one key. A function of its own, so that the verifier reads it once, and not once for each length.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn fr_key(table: u32, class: u32, asked: u32, bits: u32) -> u32 {
    let protocol = (asked >> 16) as u8;
    let key = RuleKey { table, class, port: asked as u16, port_bits: bits as u8, protocol };
    // SAFETY: as in `fr_allows`.
    unsafe { POLICY.get(&key) }.map_or(DENIED, |found| found.rule)
}
