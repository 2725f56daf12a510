//! The programs' stack, as kernels before 6.5 count it: a chain of calls has 512 bytes and eight frames, and each frame is
//! rounded up to 32 bytes (`check_max_stack_depth` of the kernel's verifier). The compiler knows of neither sum.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use anyhow::{Context, Result, bail, ensure};
use object::{Object, ObjectSection, ObjectSymbol, RelocationTarget, SectionKind, SymbolIndex, SymbolKind};

use crate::{ebpf, workspace::Workspace};

/// Bytes of stack that a chain of calls may use.
const LIMIT: u64 = 512;
/// Functions that may be under way at once.
const FRAMES: usize = 8;
/// What a frame is rounded up to; a frame of nothing counts as one byte.
const ROUND: u64 = 32;
/// Bytes of an instruction.
const INSTRUCTION: usize = 8;

/// Looks at every chain of calls in both objects.
///
/// # Errors
/// The chain that is too deep.
pub fn check(workspace: &Workspace) -> Result<()> {
    for object in ebpf::OBJECTS {
        let path = workspace.ebpf().join(object);
        let data = fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
        let functions = functions(&data).with_context(|| path.display().to_string())?;
        judge(&functions).with_context(|| format!("{object}, on kernels before 6.5"))?;
    }
    Ok(())
}

/// What a function uses of the stack itself, and the functions that it calls.
#[derive(Debug, Default, PartialEq, Eq)]
struct Function {
    /// Bytes.
    frame: u64,
    calls: BTreeSet<String>,
}

type Functions = BTreeMap<String, Function>;

/// Each function is the start of a chain.
fn judge(functions: &Functions) -> Result<()> {
    for name in functions.keys() {
        let mut deepest = (0, Vec::new());
        descend(functions, &mut vec![name], &mut deepest)?;
        let (bytes, chain) = deepest;
        ensure!(
            bytes <= LIMIT,
            "a chain of calls takes {bytes} of {LIMIT} bytes of stack: {}; keep what is large in the map `fr_context`",
            chain.join(", ")
        );
    }
    Ok(())
}

/// Follows the calls of the chain's last function, and keeps the deepest chain with its bytes.
fn descend<'a>(functions: &'a Functions, chain: &mut Vec<&'a String>, deepest: &mut (u64, Vec<String>)) -> Result<()> {
    let names = |chain: &[&String]| chain.iter().map(|name| (*name).clone()).collect::<Vec<_>>();
    ensure!(chain.len() <= FRAMES, "a chain of calls has more than {FRAMES} functions: {}", names(chain).join(", "));
    let function = |name: &String| functions.get(name).with_context(|| format!("the object has no function `{name}`"));
    let mut bytes = 0;
    for name in &*chain {
        bytes += function(name)?.frame.max(1).next_multiple_of(ROUND);
    }
    if bytes > deepest.0 {
        *deepest = (bytes, chain.iter().map(|name| format!("{name} {}", functions[*name].frame)).collect());
    }
    if let Some(last) = chain.last() {
        for called in &function(last)?.calls {
            chain.push(called);
            descend(functions, chain, deepest)?;
            chain.pop();
        }
    }
    Ok(())
}

/// The functions of an eBPF object.
fn functions(data: &[u8]) -> Result<Functions> {
    let file = object::File::parse(data)?;
    let mut at = BTreeMap::new();
    for symbol in file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.size() > 0) {
        let section = symbol.section_index().context("a function lies in no section")?.0;
        at.insert((section, symbol.address()), symbol.name()?.to_owned());
    }
    let mut all = Functions::new();
    for section in file.sections().filter(|section| section.kind() == SectionKind::Text) {
        let (code, index) = (section.data()?, section.index().0);
        let relocated: BTreeMap<u64, SymbolIndex> = section
            .relocations()
            .filter_map(|(offset, relocation)| match relocation.target() {
                RelocationTarget::Symbol(symbol) => Some((offset, symbol)),
                _ => None,
            })
            .collect();
        let mut own = at.range((index, 0)..=(index, u64::MAX)).peekable();
        while let Some((&(_, start), name)) = own.next() {
            let end = own.peek().map_or(code.len() as u64, |((_, next), _)| *next);
            let body =
                code.get(usize::try_from(start)?..usize::try_from(end)?).context("a function beyond its section")?;
            let mut function = Function { frame: frame(body), calls: BTreeSet::new() };
            for (place, instruction) in (0..).zip(instructions(body)).filter(|(_, one)| one.calls_a_function()) {
                let offset = start + place * INSTRUCTION as u64;
                let target = match relocated.get(&offset) {
                    Some(symbol) => called(&file, *symbol, instruction)?,
                    None => (index, distance(offset, instruction.immediate)?),
                };
                let called = at.get(&target).with_context(|| format!("{name} calls what is no function"))?;
                function.calls.insert(called.clone());
            }
            if all.insert(name.clone(), function).is_some() {
                bail!("two functions are named {name}");
            }
        }
    }
    ensure!(!all.is_empty(), "the object has no functions");
    Ok(all)
}

/// Where a relocated call leads: instructions from the symbol on, as `R_BPF_64_32` says.
fn called(file: &object::File<'_>, symbol: SymbolIndex, call: Instruction) -> Result<(usize, u64)> {
    let symbol = file.symbol_by_index(symbol)?;
    let section = symbol.section_index().with_context(|| format!("{:?} is not in the object", symbol.name()))?;
    Ok((section.0, distance(symbol.address(), call.immediate)?))
}

/// So many instructions behind the one at `offset`.
fn distance(offset: u64, immediate: i32) -> Result<u64> {
    let bytes = (i64::from(immediate) + 1) * INSTRUCTION as i64;
    offset.checked_add_signed(bytes).context("a call leads out of its section")
}

/// RFC 9669 section 3: one instruction.
#[derive(Debug, Clone, Copy)]
struct Instruction {
    opcode: u8,
    destination: u8,
    source: u8,
    offset: i16,
    immediate: i32,
}

/// The frame pointer.
const R10: u8 = 10;
/// `BPF_LDX`, `BPF_ST` and `BPF_STX`, the classes that reach memory.
const LDX: u8 = 1;
const ST: u8 = 2;
const STX: u8 = 3;
const CLASS: u8 = 7;
/// `BPF_ALU64 | BPF_MOV | BPF_X`.
const MOVE: u8 = 0xbf;
/// `BPF_ALU64 | BPF_ADD | BPF_K`.
const ADD: u8 = 0x07;
/// `BPF_JMP | BPF_CALL`, and in its source that it calls a function of the program.
const CALL: u8 = 0x85;
const PSEUDO_CALL: u8 = 1;

impl Instruction {
    const fn calls_a_function(self) -> bool {
        self.opcode == CALL && self.source == PSEUDO_CALL
    }
}

fn instructions(code: &[u8]) -> impl Iterator<Item = Instruction> {
    code.as_chunks::<INSTRUCTION>().0.iter().map(|&[opcode, registers, low, high, a, b, c, d]| Instruction {
        opcode,
        destination: registers & 0xf,
        source: registers >> 4,
        offset: i16::from_le_bytes([low, high]),
        immediate: i32::from_le_bytes([a, b, c, d]),
    })
}

/// The lowest place below the frame pointer that the code names, in bytes.
fn frame(code: &[u8]) -> u64 {
    let (mut lowest, mut copies) = (0, [false; 16]);
    for instruction in instructions(code) {
        let Instruction { opcode, destination, source, offset, immediate } = instruction;
        let copy = &mut copies[usize::from(destination)];
        let named = match (opcode & CLASS, opcode) {
            (LDX, _) if source == R10 => i32::from(offset),
            (ST | STX, _) if destination == R10 => i32::from(offset),
            (_, MOVE) => {
                *copy = source == R10;
                0
            }
            (_, ADD) if *copy => {
                *copy = false;
                immediate
            }
            _ => 0,
        };
        lowest = lowest.min(named);
    }
    lowest.unsigned_abs().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(opcode: u8, destination: u8, source: u8, offset: i16, immediate: i32) -> [u8; 8] {
        let ([low, high], [a, b, c, d]) = (offset.to_le_bytes(), immediate.to_le_bytes());
        [opcode, source << 4 | destination, low, high, a, b, c, d]
    }

    fn all(functions: &[(&str, u64, &[&str])]) -> Functions {
        let function = |(name, frame, calls): &(&str, u64, &[&str])| {
            let calls = calls.iter().map(|name| (*name).to_owned()).collect();
            ((*name).to_owned(), Function { frame: *frame, calls })
        };
        functions.iter().map(function).collect()
    }

    #[test]
    fn a_frame_reaches_to_the_lowest_place_that_is_named() {
        const STORE: u8 = 0x7b;
        const LOAD: u8 = 0x79;
        assert_eq!(frame(&[]), 0);
        assert_eq!(frame(&one(STORE, R10, 1, -24, 0)), 24);
        assert_eq!(frame(&one(LOAD, 1, R10, -16, 0)), 16);
        assert_eq!(frame(&one(LOAD, 1, 2, -16, 0)), 0);
        assert_eq!(frame(&[one(MOVE, 2, R10, 0, 0), one(ADD, 2, 0, 0, -135)].concat()), 135);
        assert_eq!(frame(&[one(MOVE, 2, 3, 0, 0), one(ADD, 2, 0, 0, -135)].concat()), 0);
        assert_eq!(frame(&[one(MOVE, 2, R10, 0, 0), one(ADD, 2, 0, 0, -8), one(ADD, 2, 0, 0, -64)].concat()), 8);
    }

    #[test]
    fn frames_are_rounded_and_the_deepest_chain_is_told() {
        // 288 + 128 + 32 + 64.
        let fits: [(&str, u64, &[&str]); 4] = [
            ("from_pod", 272, &["decide"]),
            ("decide", 128, &["allows", "key"]),
            ("allows", 0, &["key"]),
            ("key", 33, &[]),
        ];
        judge(&all(&fits)).unwrap();
        let mut more = fits;
        more[2].1 = 33;
        let error = judge(&all(&more)).unwrap_err().to_string();
        assert!(error.contains("544 of 512 bytes of stack: from_pod 272, decide 128, allows 33, key 33"), "{error}");
    }

    #[test]
    fn more_functions_than_the_verifier_follows_are_told() {
        let names: Vec<String> = (0..10).map(|number| format!("f{number}")).collect();
        let chain = |length: usize| -> Functions {
            let calls = |index: usize| names[..length].get(index + 1).into_iter().cloned().collect();
            let function = |index: usize| (names[index].clone(), Function { frame: 1, calls: calls(index) });
            (0..length).map(function).collect()
        };
        judge(&chain(8)).unwrap();
        assert!(judge(&chain(9)).unwrap_err().to_string().contains("more than 8 functions: f0, f1"));
    }
}
