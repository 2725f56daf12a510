//! The versions of LLVM that bpf-linker, and with it the compiler, may have.

/// LLVM's major versions that bpf-linker can be built against.
pub const VERSIONS: [u32; 3] = [23, 22, 21];

/// The newest of them.
pub const NEWEST: u32 = VERSIONS[0];
