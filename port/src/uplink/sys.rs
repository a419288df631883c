//! The few commands of bpf(2) for programs that are already loaded: attach to tcx, ask what is attached and what it is.
//! Loading is aya's. Knows no program by name.

use std::ffi::c_int;
use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd};

use crate::bpf::{Attributes, bpf, number};

const PROG_ATTACH: c_int = 8;
const PROG_DETACH: c_int = 9;
const PROG_GET_FD_BY_ID: c_int = 13;
const OBJ_GET_INFO_BY_FD: c_int = 15;
const PROG_QUERY: c_int = 16;

const TCX_INGRESS: u32 = 46;
const F_REPLACE: u32 = 1 << 2;
const F_BEFORE: u32 = 1 << 3;

/// So many programs at one hook of one interface are looked at; the kernel allows no more (BPF_MPROG_MAX).
const MAX_PROGRAMS: usize = 64;

#[repr(C)]
#[derive(Default)]
struct Attach {
    target: u32,
    program: u32,
    kind: u32,
    flags: u32,
    replaced: u32,
    relative: u32,
    revision: u64,
}
impl Attributes for Attach {}

#[repr(C)]
#[derive(Default)]
struct Query {
    target: u32,
    kind: u32,
    query_flags: u32,
    attach_flags: u32,
    ids: u64,
    count: u32,
    zero: u32,
    program_flags: u64,
    links: u64,
    link_flags: u64,
    revision: u64,
}
impl Attributes for Query {}

#[repr(C)]
#[derive(Default)]
struct ById {
    id: u32,
    next: u32,
    flags: u32,
}
impl Attributes for ById {}

#[repr(C)]
#[derive(Default)]
struct InfoByFd {
    fd: u32,
    len: u32,
    info: u64,
}
impl Attributes for InfoByFd {}

/// The first fields of `struct bpf_prog_info`.
#[repr(C)]
#[derive(Default)]
struct ProgramInfo {
    kind: u32,
    id: u32,
    tag: [u8; 8],
    lens: [u32; 2],
    instructions: [u64; 2],
    loaded_at: u64,
    uid: u32,
    map_count: u32,
    map_ids: u64,
    name: [u8; 16],
}

/// What the kernel says of a loaded program.
pub(super) struct Description {
    pub(super) id: u32,
    /// At most 15 bytes.
    pub(super) name: String,
    pub(super) maps: Vec<u32>,
}

/// Attaches a program to the tcx ingress of an interface before all others there, or in place of `replaced`.
pub(super) fn attach(ifindex: u32, program: BorrowedFd<'_>, replaced: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let mut attributes = Attach {
        target: ifindex,
        program: number(program),
        kind: TCX_INGRESS,
        flags: if replaced.is_some() { F_REPLACE } else { F_BEFORE },
        replaced: replaced.map_or(0, number),
        ..Attach::default()
    };
    bpf(PROG_ATTACH, &mut attributes).map(drop)
}

/// Detaches a program from the tcx ingress of an interface.
pub(super) fn detach(ifindex: u32, program: BorrowedFd<'_>) -> io::Result<()> {
    let mut attributes = Attach { target: ifindex, program: number(program), kind: TCX_INGRESS, ..Attach::default() };
    bpf(PROG_DETACH, &mut attributes).map(drop)
}

/// The ids of the programs at the tcx ingress of an interface. EINVAL: the kernel has no tcx.
pub(super) fn query(ifindex: u32) -> io::Result<Vec<u32>> {
    let mut ids = vec![0_u32; MAX_PROGRAMS];
    let mut attributes = Query {
        target: ifindex,
        kind: TCX_INGRESS,
        // The kernel writes `count` numbers at most, all within `ids`, which outlives the call.
        ids: ids.as_mut_ptr() as u64,
        count: MAX_PROGRAMS as u32,
        ..Query::default()
    };
    bpf(PROG_QUERY, &mut attributes)?;
    ids.truncate(attributes.count as usize);
    Ok(ids)
}

/// A descriptor of the program with this id.
pub(super) fn program(id: u32) -> io::Result<OwnedFd> {
    let fd = bpf(PROG_GET_FD_BY_ID, &mut ById { id, ..ById::default() })?;
    // SAFETY: the kernel has just made this descriptor for the caller, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as c_int) })
}

/// Name and maps of a program.
pub(super) fn describe(program: BorrowedFd<'_>) -> io::Result<Description> {
    let mut maps = vec![0_u32; MAX_PROGRAMS];
    // The kernel writes `map_count` ids at most, all within `maps`, which outlives the call.
    let mut info =
        ProgramInfo { map_count: maps.len() as u32, map_ids: maps.as_mut_ptr() as u64, ..ProgramInfo::default() };
    let mut attributes = InfoByFd {
        fd: number(program),
        len: size_of::<ProgramInfo>() as u32,
        // The kernel writes `len` bytes at most; every bit pattern is a valid `ProgramInfo`.
        info: std::ptr::from_mut(&mut info) as u64,
    };
    bpf(OBJ_GET_INFO_BY_FD, &mut attributes)?;
    maps.truncate(info.map_count as usize);
    let name = info.name.split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(Description { id: info.id, name: String::from_utf8_lossy(name).into_owned(), maps })
}
