//! What `from_pod` takes of one packet between two pods of its node, isolated both: run again and again by the kernel
//! (BPF_PROG_TEST_RUN), less what the wrapper takes alone.

use anyhow::{Context, Result, ensure};
use aya::{
    Ebpf, EbpfLoader,
    maps::{Array, HashMap},
    programs::{SchedClassifier, TestRun, TestRunOptions},
};
use etherparse::PacketBuilder;
use ferrule_common::{
    Address, Mac,
    endpoint::Endpoint,
    policy::{BY_CLASS, Class, ClassKey, FIRST_CLASS, Rule, RuleKey, Table, Word},
    source::Source,
};

use crate::{
    row::Row,
    settings::Settings,
    statistics::{Estimate, ratios},
};

/// The first pods of `ferrule_model::testing::hard`.
const A: [u8; 4] = [10, 64, 0, 0];
const B: [u8; 4] = [10, 64, 0, 1];
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
/// Where packets go.
pub const PORT: u16 = 80;
/// Packets of one figure: fewer than one endpoint's share of the table, so that each first packet finds room.
const PACKETS: u32 = 20_000;

/// Times of an established flow's packet, and of a first one.
pub fn run(settings: &Settings) -> Result<Vec<Row>> {
    let mut ebpf = load(&["test_from_pod", "time_first", "time_wrapper", "sweep"])?;
    put_policy(&mut ebpf)?;
    put_ends(&mut ebpf)?;
    let mut values = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..settings.rounds {
        // Established: the second of two runs.
        time(&mut ebpf, "test_from_pod", 2)?;
        values[1].push(time(&mut ebpf, "test_from_pod", PACKETS)?);
        values[2].push(time(&mut ebpf, "time_first", PACKETS)?);
        values[0].push(time(&mut ebpf, "time_wrapper", PACKETS)?);
        forget(&mut ebpf)?;
    }
    let [wrapper, established, first] = &values;
    let less = |values: &[f64]| Estimate::of(values.iter().zip(wrapper).map(|(own, wrapper)| own - wrapper));
    let rows = [("run_established", established), ("run_first", first)].map(|(metric, values)| {
        Row::rounds("programs", metric, "from_pod", less(values), "ns").beside("wrapper", ratios(values, wrapper))
    });
    Ok(rows.into())
}

/// The tests' object with these programs loaded.
pub fn load(programs: &[&str]) -> Result<Ebpf> {
    let path = packet_tests::ebpf_folder().join("ferrule-ebpf-tests");
    let mut ebpf = EbpfLoader::new().load_file(&path).with_context(|| path.display().to_string())?;
    for name in programs {
        program(&mut ebpf, name)?.load().with_context(|| (*name).to_owned())?;
    }
    Ok(ebpf)
}

/// Isolates both, but for the packets.
fn put_policy(ebpf: &mut Ebpf) -> Result<()> {
    let mut words: Array<_, Word> = ebpf.map_mut("fr_ep_state").context("fr_ep_state")?.try_into()?;
    words.set(1, Word::new(1, 1, 1), 0)?;
    words.set(2, Word::new(1, 1, 2), 0)?;
    let mut tables: Array<_, Table> = ebpf.map_mut("fr_tables").context("fr_tables")?.try_into()?;
    tables.set(1, Table { uses: 1 << 16 | BY_CLASS, generation: 1 }, 0)?;
    let mut rules: HashMap<_, RuleKey, Rule> = ebpf.map_mut("fr_policy").context("fr_policy")?.try_into()?;
    let key = RuleKey { table: 1, class: FIRST_CLASS, port: PORT, port_bits: 16, protocol: 6 };
    rules.insert(key, Rule { rule: 1, pad: 0 }, 0)?;
    let mut classes: HashMap<_, ClassKey, Class> = ebpf.map_mut("fr_classes").context("fr_classes")?.try_into()?;
    for address in [A, B] {
        classes.insert(ClassKey::of(Address::v4(address), 1), Class { class: FIRST_CLASS, pod: 1 }, 0)?;
    }
    Ok(())
}

/// Makes both pods of this node, with the indices 1 and 2.
pub fn put_ends(ebpf: &mut Ebpf) -> Result<()> {
    let mut endpoints: HashMap<_, Address, Endpoint> =
        ebpf.map_mut("fr_endpoints").context("fr_endpoints")?.try_into()?;
    for (index, address) in [(1, A), (2, B)] {
        let endpoint = Endpoint { ifindex: 1, index, mtu: 1450, mac: Mac::new(MAC), flags: 0 };
        endpoints.insert(Address::v4(address), endpoint, 0)?;
    }
    let mut sources: Array<_, Source> = ebpf.map_mut("fr_sources").context("fr_sources")?.try_into()?;
    for (index, address) in [(1, A), (2, B)] {
        let (mac, v4, v6) = (Mac::new(MAC), Address::v4(address), Address::UNSPECIFIED);
        sources.set(index, Source { ifindex: 1, mac, flags: 0, v4, v6, tenant: 0 }, 0)?;
    }
    Ok(())
}

fn program<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut SchedClassifier> {
    Ok(ebpf.program_mut(name).with_context(|| format!("the object has no {name}"))?.try_into()?)
}

/// The uapi's `struct __sk_buff`: the interface index and the control block.
fn context(cb: [u32; 5]) -> [u32; 48] {
    let mut context = [0; 48];
    context[10] = 1;
    context[12..17].copy_from_slice(&cb);
    context
}

/// Nanoseconds a run, of so many one after another.
pub fn time(ebpf: &mut Ebpf, name: &str, packets: u32) -> Result<f64> {
    let mut frame = Vec::new();
    let packet = PacketBuilder::ethernet2(MAC, [4; 6]).ipv4(A, B, 64).tcp(1, PORT, 1, 1024);
    let packet = if ["test_from_pod", "time_flows"].contains(&name) { packet.ack(1) } else { packet.syn() };
    packet.write(&mut frame, &[])?;
    let given: Vec<u8> = context([0, 1, 0, 0, 0]).iter().flat_map(|word| word.to_ne_bytes()).collect();
    let options =
        TestRunOptions { data_in: Some(&frame), ctx_in: Some(&given), repeat: packets, ..TestRunOptions::new() };
    let result = program(ebpf, name)?.test_run(options)?;
    ensure!(name == "time_wrapper" || result.return_value == 7, "{name} gave {}, no redirect", result.return_value);
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    Ok(result.duration.as_nanos() as f64)
}

/// No flow is left.
fn forget(ebpf: &mut Ebpf) -> Result<()> {
    let mut frame = [0_u8; 54];
    frame[12..15].copy_from_slice(&[0x86, 0xdd, 0x60]);
    let given: Vec<u8> = context([1, 0, 0, 0, 0]).iter().flat_map(|word| word.to_ne_bytes()).collect();
    for _ in 0..=PACKETS / 64 + 1 {
        let options = TestRunOptions { data_in: Some(&frame), ctx_in: Some(&given), ..TestRunOptions::new() };
        program(ebpf, "sweep")?.test_run(options)?;
    }
    Ok(())
}
