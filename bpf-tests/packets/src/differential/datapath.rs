//! The loaded programs, once for each way of judging what pods send to their own node.

use std::net::IpAddr;

use anyhow::{Context, Result};
use aya::{
    Ebpf, EbpfLoader,
    programs::{SchedClassifier, TestRun, TestRunOptions},
};
use ferrule_common::{settings, sweep};
use ferrule_model::oracle::OwnNodeEgress;

use crate::maps::{DEVICE, Maps, OVERLAY};

/// The programs.
pub struct Datapaths {
    allow: Datapath,
    policed: Datapath,
}

/// One loaded object.
pub struct Datapath {
    ebpf: Ebpf,
    /// Its maps.
    pub maps: Maps,
}

/// By which program a packet is judged.
#[derive(Debug, Clone, Copy)]
pub enum Way {
    /// A pod sends it.
    FromPod {
        /// Which.
        endpoint: u32,
    },
    /// The node's stack delivers it.
    ToPod {
        /// The node made it itself.
        own: bool,
    },
    /// It comes by the overlay, from the node with this address.
    FromOverlay {
        /// The outer source.
        node: [u8; 4],
    },
}

/// The uapi's `struct __sk_buff`, as far as a test run reads and writes it.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct SkBuff {
    before: [u32; 9],
    ingress_ifindex: u32,
    ifindex: u32,
    tc_index: u32,
    cb: [u32; 5],
    after: [u32; 31],
}

const SHOT: i32 = 2;

impl Datapaths {
    /// Loads them.
    pub fn load() -> Result<Self> {
        Ok(Self { allow: Datapath::load(0)?, policed: Datapath::load(1)? })
    }

    /// The one that judges so.
    pub const fn of(&mut self, own_node_egress: OwnNodeEgress) -> &mut Datapath {
        match own_node_egress {
            OwnNodeEgress::Allow => &mut self.allow,
            OwnNodeEgress::Policed => &mut self.policed,
        }
    }
}

impl Datapath {
    fn load(policed: u8) -> Result<Self> {
        let path = packet_tests::ebpf_folder().join("ferrule-ebpf-tests");
        let mut ebpf = EbpfLoader::new()
            .override_global(settings::OWN_NODE_POLICED, &policed, true)
            .map_max_entries("fr_conntrack", 4096)
            .map_max_entries("fr_flow_queue", 8192)
            .load_file(&path)
            .with_context(|| format!("{}; build it with `cargo xtask build-ebpf`", path.display()))?;
        for name in ["test_from_pod", "test_to_pod", "test_from_overlay", sweep::PROGRAM] {
            classifier(&mut ebpf, name)?.load().with_context(|| name.to_owned())?;
        }
        let maps = Maps::of(&mut ebpf)?;
        Ok(Self { ebpf, maps })
    }

    /// Whether a frame passes.
    pub fn passes(&mut self, way: Way, frame: &[u8]) -> Result<bool> {
        let mut context = SkBuff { ifindex: DEVICE, ..SkBuff::default() };
        let name = match way {
            Way::FromPod { endpoint } => {
                context.cb[1] = endpoint;
                "test_from_pod"
            }
            Way::ToPod { own } => {
                // Not the pod's own link; the one that leads to the other nodes' pods.
                context.ingress_ifindex = if own { 0 } else { OVERLAY };
                "test_to_pod"
            }
            Way::FromOverlay { node } => {
                context.cb[1..4].copy_from_slice(&[4, settings::VNI, u32::from_be_bytes(node)]);
                context.ingress_ifindex = DEVICE;
                "test_from_overlay"
            }
        };
        let (returned, _) = self.run(name, frame, &context)?;
        Ok(returned != SHOT)
    }

    /// What the agent's broom does: all flows, those of an address, or those that lost an end.
    pub fn sweep(&mut self, what: u32, address: Option<IpAddr>) -> Result<()> {
        let mut frame = [0_u8; 54];
        frame[12..15].copy_from_slice(&[0x86, 0xdd, 0x60]);
        if let Some(address) = address {
            frame[22..38].copy_from_slice(&ferrule_common::Address::from(address).octets);
        }
        let mut context = SkBuff::default();
        context.cb[0] = what;
        // A case has fewer flows than these runs look at.
        for _ in 0..4 {
            let (_, after) = self.run(sweep::PROGRAM, &frame, &context)?;
            if after.cb[1] == 0 && after.cb[3] == 0 {
                break;
            }
        }
        Ok(())
    }

    fn run(&mut self, name: &str, frame: &[u8], context: &SkBuff) -> Result<(i32, SkBuff)> {
        let mut after = SkBuff::default();
        let options = TestRunOptions {
            data_in: Some(frame),
            ctx_in: Some(bytes(context)),
            ctx_out: Some(bytes_mut(&mut after)),
            ..TestRunOptions::new()
        };
        let result = classifier(&mut self.ebpf, name)?.test_run(options)?;
        Ok((result.return_value.cast_signed(), after))
    }
}

fn classifier<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut SchedClassifier> {
    let program = ebpf.program_mut(name).with_context(|| format!("the object has no {name}"))?;
    Ok(program.try_into()?)
}

fn bytes(context: &SkBuff) -> &[u8] {
    // SAFETY: repr(C) made of integers of one size; any byte may be read.
    unsafe { std::slice::from_raw_parts(std::ptr::from_ref(context).cast(), size_of::<SkBuff>()) }
}

fn bytes_mut(context: &mut SkBuff) -> &mut [u8] {
    // SAFETY: as above, and every bit pattern is a value.
    unsafe { std::slice::from_raw_parts_mut(std::ptr::from_mut(context).cast(), size_of::<SkBuff>()) }
}
