//! Whether a packet may pass: by its flow while that stands, else by the policies of both ends.
//!
//! ```text
//! flow found, its ends' words unchanged ─────────────▶ as it was decided
//! flow found, a word changed ── its opener is judged ─▶ as decided now, and remembered
//! no flow ────── the packet's sender is judged ───────▶ a flow of its own
//! ```

use aya_ebpf::{bindings::__sk_buff, helpers::bpf_get_prandom_u32, programs::TcContext};
use ferrule_common::{
    Address, Drop,
    flow::{self, DENIED_EGRESS, DENIED_INGRESS, EXEMPT_EGRESS, EXEMPT_INGRESS, Flow, FlowKey, QueuedFlow},
    peer,
    policy::{ClassKey, Word, is_lower},
    prefix,
    wire::protocol,
};

use crate::{
    clock, conntrack, event, fragment,
    maps::{EP_STATE, JIFFIES, PEERS, QUESTION},
    packet::Packet,
    policy::{self, DENIED, RECEIVER, SENDER},
    recent, related,
    sweep::Swept,
    transport::{self, ECHO_REPLY, ECHO_REQUEST, ENDS, ERROR, KIND, OPENS, RESETS, Transport},
};

/// One end of a packet's way.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct End {
    /// What holds for it now; 0 where it is no pod of this node.
    pub word: u64,
    /// Its endpoint index; 0 where it is no pod of this node.
    pub endpoint: u32,
    pad: u32,
}

impl End {
    /// Not a pod of this node.
    pub const REMOTE: Self = Self { word: 0, endpoint: 0, pad: 0 };

    /// A pod of this node.
    #[inline(always)]
    pub fn local(endpoint: u32) -> Self {
        let word = EP_STATE.get(endpoint).map_or(0, |word| word.0);
        Self { word, endpoint, pad: 0 }
    }

    #[inline(always)]
    const fn is_unknown(&self) -> bool {
        self.endpoint != 0 && self.word == 0
    }

    /// Nothing isolates it.
    #[inline(always)]
    pub const fn is_open(&self) -> bool {
        let word = Word(self.word);
        word.ingress() == 0 && word.egress() == 0
    }
}

/// All that a decision rests on. It lies in a map, one for each CPU, so that functions share it and the stack stays small.
#[repr(C)]
pub struct Question {
    /// The flow.
    pub key: FlowKey,
    /// The sender.
    pub source: End,
    /// The receiver.
    pub destination: End,
    /// The packet's source address.
    pub from: Address,
    /// The packet's destination address.
    pub to: Address,
    /// 1 if the sender is the key's lower end.
    pub source_is_lower: u32,
    /// As in [`Transport`].
    pub message: u32,
    /// [`BY_NODE`], [`OWN_NODE`], [`CARRIED`], [`QUOTED`], [`V4`].
    pub circumstances: u32,
    /// As in `ferrule_common::Program`.
    pub program: u32,
    /// Of the fragment header that was read last.
    pub fragment_id: u32,
    pad: u32,
    /// The entry that is about to be made.
    pub draft: Flow,
    /// Its place in the queue.
    pub queued: QueuedFlow,
    /// The place that the clock's hand points at.
    pub popped: QueuedFlow,
    /// What the sweep did so far.
    pub swept: Swept,
    /// The peer whose class is asked for.
    pub classed: ClassKey,
    /// The same, where it is no pod.
    pub blocked: prefix::Question,
}

/// This CPU's question.
#[inline(always)]
pub fn question() -> Option<&'static mut Question> {
    // SAFETY: this CPU's own slot, and a classifier is not interrupted by another run on the same CPU; each function
    // takes it anew.
    QUESTION.get_ptr_mut(0).map(|question| unsafe { &mut *question })
}

/// The receiver's own node made the packet: it passes.
pub const BY_NODE: u32 = 1;
/// A pod's packet to its own node, which passes.
pub const OWN_NODE: u32 = 2;
/// The host's stack carried it: a new flow is answered through the stack.
pub const CARRIED: u32 = 4;
/// It is not this packet, but one that an ICMP error quotes.
pub const QUOTED: u32 = 8;
/// IPv4.
pub const V4: u32 = 16;

/// How a packet that may pass goes on.
#[derive(Clone, Copy)]
pub struct Passage {
    /// Its flow goes through the host's stack.
    pub via_stack: bool,
    /// It goes back to its flow's opener, which was judged.
    pub answers: bool,
}

/// In [`fr_decide`]'s answer: it may pass.
pub const PASSES: u32 = 1 << 16;
/// In [`fr_decide`]'s answer: through the stack.
pub const VIA_STACK: u32 = 1 << 17;
/// In [`fr_decide`]'s answer: back to the flow's opener.
pub const ANSWERS: u32 = 1 << 19;
/// [`fr_decide`]'s answer where a quoted packet has no flow.
pub const NO_FLOW: u32 = 1 << 18;

/// Decides on a packet between two ends.
#[inline(always)]
pub fn between(
    ctx: &TcContext,
    packet: &Packet,
    source: End,
    destination: End,
    circumstances: u32,
    program: ferrule_common::Program,
) -> Result<Passage, Drop> {
    if source.is_unknown() || destination.is_unknown() {
        return Err(Drop::PolicyUnknown);
    }
    let question = question().ok_or(Drop::Malformed)?;
    let transport = if packet.later_fragment {
        question.look(packet, source, destination);
        match fragment::recall(packet) {
            Some(transport) => transport,
            None if circumstances & BY_NODE != 0 || source.is_open() && destination.is_open() => {
                return Ok(Passage { via_stack: false, answers: false });
            }
            None => return Err(Drop::FragmentUnknown),
        }
    } else {
        Transport::parse(ctx, packet)?
    };
    let removals = recent::removals();
    let may_be_recent = recent::may_be(packet, transport);
    if may_be_recent && let Some(answer) = recent::recall(packet, transport, &source, &destination, removals) {
        return passage(answer);
    }
    let program = program as u32;
    let circumstances = circumstances | if packet.v4 { V4 } else { 0 };
    question.ask(packet, source, destination, transport.message, circumstances, program);
    if transport.message == ERROR {
        if circumstances & BY_NODE != 0 {
            return Ok(Passage { via_stack: false, answers: false });
        }
        if related::fr_related(ctx.skb.skb, packet.l4) != related::NO_FLOW {
            let answer = fr_decide(ctx.skb.skb);
            if answer != NO_FLOW {
                return passage(answer);
            }
        }
        question.ask(packet, source, destination, ERROR, circumstances, program);
    }
    question.name(transport, packet.protocol);
    if transport.message & RESETS != 0 {
        recent::part(packet, transport);
    }
    let answer = match conntrack::find(&question.key) {
        Some(flow) if stands(question, flow) => {
            // SAFETY: as in `stands`.
            let flow = unsafe { &*flow };
            let answer = passes(question, flow);
            // The end that reset it lives on at its next packet, which the table has to see.
            if may_be_recent && (flow.lower_tcp | flow.higher_tcp) & flow::RST == 0 {
                let told = answer | u32::from(packet.protocol);
                recent::fr_remember(transport.ports(), told, flow.seen, removals);
            }
            answer
        }
        _ => fr_decide(ctx.skb.skb),
    };
    if packet.first_fragment && answer & PASSES != 0 {
        fragment::remember(packet, transport);
    }
    passage(answer)
}

/// Decides on a packet without its flow: its addresses are not of two ends alone (to many, or of the link), or the host's NAT
/// hid its sender, whom the flow does not name. Nothing is remembered of it.
#[inline(always)]
pub fn alone(
    ctx: &TcContext,
    packet: &Packet,
    source: End,
    destination: End,
    circumstances: u32,
    program: ferrule_common::Program,
) -> Result<(), Drop> {
    if source.is_unknown() || destination.is_unknown() {
        return Err(Drop::PolicyUnknown);
    }
    if Word(source.word).egress() == 0 && Word(destination.word).ingress() == 0 {
        return Ok(());
    }
    let question = question().ok_or(Drop::Malformed)?;
    if packet.later_fragment {
        question.look(packet, source, destination);
        return fragment::recall(packet).map(drop).ok_or(Drop::FragmentUnknown);
    }
    let transport = Transport::parse(ctx, packet)?;
    let circumstances = circumstances | if packet.v4 { V4 } else { 0 };
    question.ask(packet, source, destination, transport.message, circumstances, program as u32);
    question.name(transport, packet.protocol);
    passage(fr_judge()).map(drop)
}

/// Judges the packet's sender, and remembers nothing. Gives the number of a [`Drop`], or [`PASSES`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn fr_judge() -> u32 {
    let Some(question) = question() else { return DENIED_BY_INGRESS };
    match judge(question, &question.source, &question.destination, FORWARD, exempt(question)) & REASON {
        0 => PASSES,
        reason => reason,
    }
}

#[inline(always)]
fn passage(answer: u32) -> Result<Passage, Drop> {
    if answer & PASSES != 0 {
        return Ok(Passage { via_stack: answer & VIA_STACK != 0, answers: answer & ANSWERS != 0 });
    }
    Err(match answer {
        DENIED_BY_EGRESS => Drop::PolicyEgress,
        FULL => Drop::ConntrackFull,
        SHARE_FULL => Drop::ConntrackShare,
        _ => Drop::PolicyIngress,
    })
}

const DENIED_BY_EGRESS: u32 = Drop::PolicyEgress as u32;
const DENIED_BY_INGRESS: u32 = Drop::PolicyIngress as u32;
const FULL: u32 = Drop::ConntrackFull as u32;
const SHARE_FULL: u32 = Drop::ConntrackShare as u32;

impl Question {
    /// Takes down whose packet it is.
    #[inline(always)]
    fn look(&mut self, packet: &Packet, source: End, destination: End) {
        (self.source, self.destination) = (source, destination);
        (self.from, self.to) = (packet.source, packet.destination);
    }

    /// Takes down what is known of a packet; the flow has no name yet.
    #[inline(always)]
    fn ask(&mut self, packet: &Packet, source: End, destination: End, message: u32, circumstances: u32, program: u32) {
        self.look(packet, source, destination);
        (self.message, self.circumstances, self.program) = (message, circumstances, program);
    }

    /// Names the flow from `from` to `to`.
    #[inline(always)]
    pub fn name(&mut self, transport: Transport, protocol: u8) {
        let (source_port, destination_port) = (transport.source_port_be, transport.destination_port_be);
        let source_is_lower = is_lower(&self.from, source_port, &self.to, destination_port);
        let key = &mut self.key;
        if source_is_lower {
            (key.lower, key.higher) = (self.from, self.to);
            (key.lower_port_be, key.higher_port_be) = (source_port, destination_port);
        } else {
            (key.lower, key.higher) = (self.to, self.from);
            (key.lower_port_be, key.higher_port_be) = (destination_port, source_port);
        }
        (key.protocol, key.pad) = (protocol, 0);
        key.kind = match transport.message & KIND {
            transport::PORTS => flow::PORTS,
            ECHO_REQUEST if source_is_lower => flow::ECHO_FROM_LOWER,
            ECHO_REQUEST => flow::ECHO_FROM_HIGHER,
            ECHO_REPLY if source_is_lower => flow::ECHO_FROM_HIGHER,
            ECHO_REPLY => flow::ECHO_FROM_LOWER,
            _ => flow::BARE,
        };
        self.source_is_lower = source_is_lower.into();
    }

    /// The key's ends: lower, higher.
    #[inline(always)]
    fn ends(&self) -> (&End, &End) {
        if self.source_is_lower != 0 { (&self.source, &self.destination) } else { (&self.destination, &self.source) }
    }

    /// Whether the sender is the end that opened `flow`.
    #[inline(always)]
    fn is_by_opener(&self, flow: &Flow) -> bool {
        (flow.opened_by_higher == 0) == (self.source_is_lower != 0)
    }
}

/// Whether the decision on a flow stands; then the packet has been written into the entry.
#[inline(always)]
fn stands(question: &Question, entry: *mut Flow) -> bool {
    // SAFETY: a value of the map: this program may read and write it while it runs. Others write single fields of it
    // at the same time, each of which is seen as before or as after.
    let flow = unsafe { &mut *entry };
    let (lower, higher) = question.ends();
    if flow.lower_word != lower.word || flow.higher_word != higher.word || flow.denied != 0 {
        return false;
    }
    let by_opener = question.is_by_opener(flow);
    if question.message & OPENS != 0 && !by_opener {
        return false;
    }
    if question.circumstances & QUOTED != 0 {
        return true;
    }
    let now = clock::now();
    let age = now.wrapping_sub(flow.seen);
    if age >= JIFFIES.load() {
        if age > clock::timeout(flow, question.key.protocol) {
            return false;
        }
        flow.seen = now;
    }
    note(question, flow, by_opener, now);
    true
}

/// Writes what a packet means for its flow.
#[inline(always)]
fn note(question: &Question, flow: &mut Flow, by_opener: bool, now: u32) {
    let message = question.message;
    if !by_opener && flow.answered == 0 && message & RESETS == 0 {
        flow.answered = 1;
    }
    if message & (ENDS | RESETS | OPENS) == 0 && (flow.lower_tcp | flow.higher_tcp) & flow::RST == 0 {
        return;
    }
    if message & OPENS != 0 {
        if flow.lower_tcp | flow.higher_tcp != 0 {
            // The same ports again.
            (flow.lower_tcp, flow.higher_tcp, flow.answered, flow.opened) = (0, 0, 0, now);
        }
        return;
    }
    let own = if question.source_is_lower != 0 { &mut flow.lower_tcp } else { &mut flow.higher_tcp };
    if message & ENDS != 0 {
        *own |= flow::FIN;
        flow.seen = now;
    }
    if message & RESETS != 0 {
        *own |= flow::RST;
        flow.seen = now;
    } else {
        // An end that goes on has not reset it.
        *own &= !flow::RST;
    }
}

/// Decides where no flow stands: on the flow's opener where there is a flow, else on the packet's sender. Gives the number
/// of a [`Drop`], or [`PASSES`] with [`VIA_STACK`] and [`ANSWERS`], or [`NO_FLOW`].
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn fr_decide(skb: *mut __sk_buff) -> u32 {
    let Some(question) = question() else { return DENIED_BY_INGRESS };
    let now = clock::now();
    let by_node = question.circumstances & BY_NODE != 0;
    if let Some(entry) = conntrack::find(&question.key) {
        // SAFETY: as in `stands`.
        let flow = unsafe { &mut *entry };
        let (lower, higher) = question.ends();
        let same_ends = flow.lower_endpoint == lower.endpoint && flow.higher_endpoint == higher.endpoint;
        let by_opener = question.is_by_opener(flow);
        let reopened = question.message & OPENS != 0 && !by_opener && !by_node;
        if same_ends && !reopened && !clock::is_expired(flow, question.key.protocol, now) {
            if by_node {
                // What the node makes passes; what answers it goes by what was decided of its opener.
                return passes(question, flow);
            }
            let denied = if flow.opened_by_higher != 0 {
                judge(question, higher, lower, opened_by(question, flow), flow.exempt.into())
            } else {
                judge(question, lower, higher, opened_by(question, flow), flow.exempt.into())
            };
            let reason = denied & REASON;
            flow.denied = match reason {
                DENIED_BY_EGRESS => DENIED_EGRESS,
                DENIED_BY_INGRESS => DENIED_INGRESS,
                _ => 0,
            };
            // Only what was allowed is recorded, under the words that allow it: of two CPUs that decide on it at once, while
            // words change, neither can leave a decision that nobody made. What is denied is judged at each packet.
            flow.lower_word = recorded(lower, reason);
            flow.higher_word = recorded(higher, reason);
            if question.circumstances & QUOTED == 0 {
                flow.seen = now;
                note(question, flow, by_opener, now);
            }
            return if reason == 0 { passes(question, flow) } else { reason };
        }
        if question.circumstances & QUOTED != 0 {
            return NO_FLOW;
        }
        if reopened && same_ends {
            // Judged first: who may not open it anew changes nothing.
            let reason = judge(question, &question.source, &question.destination, FORWARD, exempt(question)) & REASON;
            if reason != 0 {
                return reason;
            }
        }
        let charged = flow.charged;
        conntrack::remove(&question.key, charged);
        recent::forget();
    } else if question.circumstances & QUOTED != 0 {
        return NO_FLOW;
    }
    open(skb, question, now)
}

/// The word that an entry gets for one of its ends.
#[inline(always)]
const fn recorded(end: &End, reason: u32) -> u64 {
    if reason == 0 || end.word == 0 { end.word } else { flow::UNDECIDED }
}

const REASON: u32 = 0xff;
/// For [`judge`]: the packet goes from the flow's opener to its target.
const FORWARD: u32 = 0;
/// For [`judge`]: it goes back.
const BACK: u32 = 1;

#[inline(always)]
fn opened_by(question: &Question, flow: &Flow) -> u32 {
    if question.is_by_opener(flow) { FORWARD } else { BACK }
}

/// The answer where a packet of `flow` may pass.
#[inline(always)]
fn passes(question: &Question, flow: &Flow) -> u32 {
    let way = if flow.via_stack != 0 { VIA_STACK } else { 0 };
    PASSES | way | if question.is_by_opener(flow) { 0 } else { ANSWERS }
}

#[inline(always)]
const fn exempt(question: &Question) -> u32 {
    let egress = if question.circumstances & OWN_NODE != 0 { EXEMPT_EGRESS as u32 } else { 0 };
    let ingress = if question.circumstances & BY_NODE != 0 { EXEMPT_INGRESS as u32 } else { 0 };
    egress | ingress
}

/// What a flow opened by `opener` towards `target` meets: 0, or the number of a [`Drop`]. The number of the rule that
/// allows it stands above.
#[inline(always)]
fn judge(question: &Question, opener: &End, target: &End, direction: u32, exempt: u32) -> u32 {
    let opener_is_lower = (question.source_is_lower != 0) == (direction == FORWARD);
    let port_be = if opener_is_lower { question.key.higher_port_be } else { question.key.lower_port_be };
    let asked = match question.key.protocol {
        protocol::TCP | protocol::UDP | protocol::SCTP => policy::port(question.key.protocol, port_be),
        _ => policy::ANYTHING,
    };
    let (opener_address, target_address) = if direction == FORWARD { (SENDER, RECEIVER) } else { (RECEIVER, SENDER) };
    let mut rule = 0;
    let egress = Word(opener.word).egress();
    if egress != 0 && exempt & u32::from(EXEMPT_EGRESS) == 0 {
        rule = policy::fr_allows(egress, target_address, asked);
        if rule == DENIED {
            return DENIED_BY_EGRESS;
        }
    }
    let ingress = Word(target.word).ingress();
    if ingress != 0 && exempt & u32::from(EXEMPT_INGRESS) == 0 {
        rule = policy::fr_allows(ingress, opener_address, asked);
        if rule == DENIED {
            return DENIED_BY_INGRESS;
        }
    }
    rule << 8
}

/// Judges the packet's sender, and makes an entry for what may pass.
#[inline(always)]
fn open(skb: *mut __sk_buff, question: &mut Question, now: u32) -> u32 {
    let (source, destination) = (question.source, question.destination);
    let exempt = exempt(question);
    let judged = judge(question, &source, &destination, FORWARD, exempt);
    let by_node = question.circumstances & BY_NODE != 0;
    if judged & REASON != 0 {
        return judged & REASON;
    }
    let kind = question.message & KIND;
    // What answers nobody, and what ends what nobody began, opens nothing.
    if kind == ERROR || kind == ECHO_REPLY || question.message & RESETS != 0 {
        return PASSES;
    }
    let carried = question.circumstances & CARRIED != 0 && !by_node;
    let (lower, higher) = question.ends();
    let (lower, higher) = (*lower, *higher);
    question.draft = Flow {
        lower_word: lower.word,
        higher_word: higher.word,
        lower_endpoint: lower.endpoint,
        higher_endpoint: higher.endpoint,
        seen: now,
        // SAFETY: takes nothing and gives a number.
        stamp: unsafe { bpf_get_prandom_u32() },
        charged: if source.endpoint != 0 { source.endpoint } else { destination.endpoint },
        opened: now,
        opened_by_higher: u8::from(question.source_is_lower == 0),
        denied: 0,
        lower_tcp: 0,
        higher_tcp: 0,
        answered: 0,
        via_stack: carried.into(),
        remote_pod: is_remote_pod(question).into(),
        exempt: exempt as u8,
    };
    let full = conntrack::fr_insert();
    if full != conntrack::DONE && !by_node {
        return full;
    }
    event::fr_allowed(skb, judged >> 8);
    if carried { PASSES | VIA_STACK } else { PASSES }
}

/// Whether the end that is no pod of this node is a known pod.
#[inline(always)]
fn is_remote_pod(question: &Question) -> bool {
    let remote = if question.source.endpoint == 0 {
        &question.from
    } else if question.destination.endpoint == 0 {
        &question.to
    } else {
        return false;
    };
    // SAFETY: eight bytes, of which one field is read.
    unsafe { PEERS.get(remote) }.is_some_and(|peer| peer.kind == peer::POD)
}
