//! Where the fields of a pinned map's key and value stand, by name: what another version's map holds can be read without
//! knowing that version (BTF, the kernel's Documentation/bpf/btf.rst).

use std::{
    collections::BTreeMap,
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

use super::sys::{bpf, info};

const BTF_GET_FD_BY_ID: libc::c_int = 19;
const STRUCT: u32 = 4;

/// A struct's fields, those of structs in it as `outer.inner`: name to offset and size, in bytes.
pub(super) type Fields = BTreeMap<String, (usize, usize)>;

/// The kernel's `struct bpf_map_info`, up to what is asked for.
#[repr(C)]
#[derive(Default)]
struct MapInfo {
    kind: u32,
    id: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
    name: [u8; 16],
    ifindex: u32,
    vmlinux_value_type: u32,
    netns: [u64; 2],
    btf_id: u32,
    key_type: u32,
    value_type: u32,
}

/// The kernel's `struct bpf_btf_info`, up to what is asked for.
#[repr(C)]
#[derive(Default)]
struct BtfInfo {
    data: u64,
    size: u32,
    id: u32,
}

#[repr(C)]
#[derive(Default)]
struct ById {
    id: u32,
    next_id: u32,
    flags: u32,
}

/// The shape of a map's entries.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Bytes of a key.
    pub key_size: usize,
    /// Bytes of a value.
    pub value_size: usize,
    /// The key's fields.
    pub key: Fields,
    /// The value's fields.
    pub value: Fields,
}

/// The shape of a map.
///
/// # Errors
/// The kernel's; `InvalidData` where the map has no BTF, or one that cannot be read.
pub(super) fn shape(map: BorrowedFd<'_>) -> io::Result<Shape> {
    let mut about = MapInfo::default();
    info(map, &mut about)?;
    let mut ask = ById { id: about.btf_id, ..ById::default() };
    let fd = bpf(BTF_GET_FD_BY_ID, &mut ask)?;
    // SAFETY: BPF_BTF_GET_FD_BY_ID gave a descriptor that nothing else owns.
    let btf = unsafe { OwnedFd::from_raw_fd(fd) };
    let mut size = BtfInfo::default();
    info(borrowed(&btf), &mut size)?;
    let mut data = vec![0_u8; size.size as usize];
    let mut whole = BtfInfo { data: data.as_mut_ptr() as u64, size: size.size, id: 0 };
    info(borrowed(&btf), &mut whole)?;
    let fields = |id| fields(&data, id).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData));
    Ok(Shape {
        key_size: about.key_size as usize,
        value_size: about.value_size as usize,
        key: fields(about.key_type)?,
        value: fields(about.value_type)?,
    })
}

fn borrowed(fd: &OwnedFd) -> BorrowedFd<'_> {
    // SAFETY: it is open for as long as the borrow.
    unsafe { BorrowedFd::borrow_raw(fd.as_raw_fd()) }
}

/// The fields of the struct with a type number. Structs of maps have no hidden padding: a field ends where the next one
/// begins.
fn fields(data: &[u8], wanted: u32) -> Option<Fields> {
    nested(data, wanted, DEPTH)
}

/// How deep structs lie in each other at most; a type that holds itself has no size.
const DEPTH: u32 = 4;

fn nested(data: &[u8], wanted: u32, depth: u32) -> Option<Fields> {
    let mut all = Fields::new();
    for (name, (at, size, kind)) in members(data, wanted)? {
        let inner = if depth == 0 { None } else { nested(data, kind, depth - 1) };
        match inner {
            Some(inner) => {
                all.extend(inner.into_iter().map(|(part, (from, size))| (format!("{name}.{part}"), (at + from, size))));
            }
            None => _ = all.insert(name, (at, size)),
        }
    }
    Some(all)
}

/// A struct's own members: offset, size and the number of the type; none where it is no struct.
fn members(data: &[u8], wanted: u32) -> Option<BTreeMap<String, (usize, usize, u32)>> {
    let word = |at: usize| Some(u32::from_ne_bytes(data.get(at..at + 4)?.try_into().ok()?));
    let header = word(4)? as usize;
    let (types, types_size) = (header + word(8)? as usize, word(12)? as usize);
    let strings = header + word(16)? as usize;
    let text = |offset: u32| {
        let bytes = data.get(strings + offset as usize..)?;
        let end = bytes.iter().position(|byte| *byte == 0)?;
        String::from_utf8(bytes[..end].to_vec()).ok()
    };
    let (mut at, mut id) = (types, 0);
    while at < types + types_size {
        id += 1;
        let about = word(at + 4)?;
        let (kind, count) = (about >> 24 & 0x1f, (about & 0xffff) as usize);
        let size = word(at + 8)? as usize;
        if id == wanted {
            if kind != STRUCT {
                return None;
            }
            let mut found: Vec<(usize, String, u32)> = (0..count)
                .map(|member| {
                    let at = at + 12 + member * 12;
                    Some(((word(at + 8)? & 0x00ff_ffff) as usize / 8, text(word(at)?)?, word(at + 4)?))
                })
                .collect::<Option<_>>()?;
            found.sort();
            let ends: Vec<usize> = found.iter().skip(1).map(|(offset, ..)| *offset).chain([size]).collect();
            let sized = found.into_iter().zip(ends);
            return Some(sized.map(|((offset, name, kind), end)| (name, (offset, end - offset, kind))).collect());
        }
        at += 12 + trailing(kind, count)?;
    }
    None
}

/// Bytes that follow a type's first twelve.
const fn trailing(kind: u32, count: usize) -> Option<usize> {
    Some(match kind {
        // Integers, variables, declaration tags.
        1 | 14 | 17 => 4,
        // Arrays.
        3 => 12,
        // Structs, unions, 64-bit enumerations; sections of data.
        4 | 5 | 15 | 19 => 12 * count,
        // Enumerations; functions' parameters.
        6 | 13 => 8 * count,
        2 | 7..=12 | 16 | 18 => 0,
        _ => return None,
    })
}
