//! Reading a whole map by `BPF_MAP_LOOKUP_BATCH`, and writing and removing many entries by `BPF_MAP_UPDATE_BATCH` and
//! `BPF_MAP_DELETE_BATCH` (hashes since Linux 5.6, tries since 5.13), for which aya has no call: many times faster than one
//! key after another.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
};

use super::sys::bpf;

const MAP_LOOKUP_BATCH: libc::c_int = 24;
/// Entries of one call.
const CHUNK: usize = 4096;
/// The kernel's own ENOTSUPP, which libc has no name for.
const NOT_SUPPORTED: i32 = 524;

const MAP_UPDATE_BATCH: libc::c_int = 26;
const MAP_DELETE_BATCH: libc::c_int = 27;

/// Every entry of a hash as bytes, whatever its types are.
///
/// # Errors
/// The kernel's.
pub fn raw_entries(map: BorrowedFd<'_>, key: usize, value: usize) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut found = Vec::new();
    let (mut cursor, mut first) = ([0_u8; 64], true);
    loop {
        let (mut keys, mut values) = (vec![0_u8; CHUNK * key], vec![0_u8; CHUNK * value]);
        let mut next = [0_u8; 64];
        let mut batch = Batch {
            in_batch: if first { 0 } else { cursor.as_ptr() as u64 },
            out_batch: next.as_mut_ptr() as u64,
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_ptr() as u64,
            count: u32::try_from(CHUNK).unwrap_or(u32::MAX),
            fd: map.as_raw_fd().cast_unsigned(),
            ..Batch::default()
        };
        let ended = match bpf(MAP_LOOKUP_BATCH, &mut batch) {
            Ok(_) => false,
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => true,
            Err(error) => return Err(error),
        };
        let entries = keys.chunks(key).zip(values.chunks(value)).take(batch.count as usize);
        found.extend(entries.map(|(key, value)| (key.to_vec(), value.to_vec())));
        if ended {
            return Ok(found);
        }
        (cursor, first) = (next, false);
    }
}

/// Inserts or replaces entries of a hash; false where the kernel has no such call.
///
/// # Errors
/// The kernel's; some entries may have been written.
pub fn insert<K: aya::Pod, V: aya::Pod>(map: BorrowedFd<'_>, entries: &[(K, V)]) -> io::Result<bool> {
    let keys: Vec<K> = entries.iter().map(|(key, _)| *key).collect();
    let values: Vec<V> = entries.iter().map(|(_, value)| *value).collect();
    let mut done = 0;
    while done < entries.len() {
        let count = (entries.len() - done).min(CHUNK);
        let mut batch = Batch {
            keys: keys[done..].as_ptr() as u64,
            values: values[done..].as_ptr() as u64,
            count: u32::try_from(count).unwrap_or(u32::MAX),
            fd: map.as_raw_fd().cast_unsigned(),
            ..Batch::default()
        };
        match bpf(MAP_UPDATE_BATCH, &mut batch) {
            Ok(_) => done += count,
            Err(error) => match error.raw_os_error() {
                Some(libc::EINVAL | NOT_SUPPORTED | libc::EOPNOTSUPP) if done == 0 => return Ok(false),
                _ => return Err(error),
            },
        }
    }
    Ok(true)
}

/// Removes entries of a hash, those that are there; false where the kernel has no such call.
///
/// # Errors
/// The kernel's; some entries may have been removed.
pub fn remove<K: aya::Pod>(map: BorrowedFd<'_>, keys: &[K]) -> io::Result<bool> {
    let mut done = 0;
    while done < keys.len() {
        let count = (keys.len() - done).min(CHUNK);
        let mut batch = Batch {
            keys: keys[done..].as_ptr() as u64,
            count: u32::try_from(count).unwrap_or(u32::MAX),
            fd: map.as_raw_fd().cast_unsigned(),
            ..Batch::default()
        };
        match bpf(MAP_DELETE_BATCH, &mut batch) {
            Ok(_) => done += count,
            Err(error) => match error.raw_os_error() {
                // The call ends at a key that is not there, and tells how many went before.
                Some(libc::ENOENT) => done += (batch.count as usize).min(count) + 1,
                Some(libc::EINVAL | NOT_SUPPORTED | libc::EOPNOTSUPP) if done == 0 => return Ok(false),
                _ => return Err(error),
            },
        }
    }
    Ok(true)
}

#[repr(C)]
#[derive(Default)]
struct Batch {
    in_batch: u64,
    out_batch: u64,
    keys: u64,
    values: u64,
    count: u32,
    fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// Every entry; `None` where the kernel has no such call for this kind of map.
///
/// # Errors
/// The kernel's.
pub fn entries<K: aya::Pod, V: aya::Pod>(map: BorrowedFd<'_>) -> io::Result<Option<Vec<(K, V)>>> {
    let mut found = Vec::new();
    Ok(each(map, |keys, values| found.extend(keys.iter().copied().zip(values.iter().copied())))?.then_some(found))
}

/// How many entries have a key that is `wanted`; `None` as in [`entries`].
///
/// # Errors
/// The kernel's.
pub fn count<K: aya::Pod, V: aya::Pod>(map: BorrowedFd<'_>, wanted: impl Fn(&K) -> bool) -> io::Result<Option<usize>> {
    let mut found = 0;
    let look = |keys: &[K], _: &[V]| found += keys.iter().filter(|key| wanted(key)).count();
    Ok(each(map, look)?.then_some(found))
}

/// Looks at every entry, some thousand at a time; false where the kernel has no such call for this kind of map.
fn each<K: aya::Pod, V: aya::Pod>(map: BorrowedFd<'_>, mut look: impl FnMut(&[K], &[V])) -> io::Result<bool> {
    // Where a call ended: a key of the map, or a number of a bucket.
    let mut cursor = [0_u8; 64];
    assert!(size_of::<K>() <= cursor.len());
    let mut chunk = CHUNK;
    let mut first = true;
    let (mut keys, mut values) = (Vec::<K>::new(), Vec::<V>::new());
    loop {
        keys.clear();
        values.clear();
        keys.reserve(chunk);
        values.reserve(chunk);
        let mut next = [0_u8; 64];
        let mut batch = Batch {
            in_batch: if first { 0 } else { cursor.as_ptr() as u64 },
            out_batch: next.as_mut_ptr() as u64,
            keys: keys.as_mut_ptr() as u64,
            values: values.as_mut_ptr() as u64,
            count: u32::try_from(chunk).unwrap_or(u32::MAX),
            fd: map.as_raw_fd().cast_unsigned(),
            ..Batch::default()
        };
        let ended = match bpf(MAP_LOOKUP_BATCH, &mut batch) {
            Ok(_) => false,
            Err(error) => match error.raw_os_error() {
                Some(libc::ENOENT) => true,
                // A bucket holds more than the room that was given.
                Some(libc::ENOSPC) => {
                    chunk *= 2;
                    continue;
                }
                Some(libc::EINVAL | NOT_SUPPORTED | libc::EOPNOTSUPP) if first => return Ok(false),
                _ => return Err(error),
            },
        };
        let count = (batch.count as usize).min(chunk);
        // SAFETY: the kernel wrote `count` keys and values; both are plain old data.
        unsafe {
            keys.set_len(count);
            values.set_len(count);
        }
        look(&keys, &values);
        if ended {
            return Ok(true);
        }
        (cursor, first) = (next, false);
    }
}
