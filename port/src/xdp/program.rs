//! The program at an interface that is a port, and attaching XDP programs by links: an attachment goes with its descriptor,
//! so that a daemon that crashed leaves nothing. Attaching knows no program; see bpf/port.c for the one here.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use aya::maps::{MapData, PerCpuArray, XskMap};
use aya::programs::{ProgramError, Xdp};
use aya::{Ebpf, EbpfError, EbpfLoader};

use crate::bpf::{self, Attributes, bpf, cause};

/// Queues of an interface that can have a socket. Repeated in bpf/port.c and bpf/catch.c.
pub(crate) const QUEUES: u32 = 64;

const PROGRAM: &str = "vsw_port";
const LONG: &str = "vsw_port_long";
const SOCKETS: &str = "vsw_sockets";
const UNCLAIMED: &str = "vsw_unclaimed";

/// Where in the kernel an XDP program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XdpMode {
    /// In the driver, before anything else is done with a frame.
    Native,
    /// In the network stack: every driver, at some cost.
    Generic,
}

const LINK_CREATE: libc::c_int = 28;
const BPF_XDP: u32 = 37;
const FLAG_GENERIC: u32 = 1 << 1;
const FLAG_NATIVE: u32 = 1 << 2;

#[repr(C)]
#[derive(Default)]
struct LinkCreate {
    program: u32,
    target: u32,
    kind: u32,
    flags: u32,
}
impl Attributes for LinkCreate {}

/// A program at an interface, for as long as this lives. It survives neither the process nor the interface.
#[derive(Debug)]
pub(crate) struct Attachment {
    _link: OwnedFd,
}

impl Attachment {
    /// Attaches an XDP program to interface `ifindex` of the calling thread's network namespace.
    ///
    /// # Errors
    /// EBUSY or EEXIST: another program is there. Others: the driver does not take one in that mode, or rights are missing.
    pub(crate) fn new(program: BorrowedFd<'_>, ifindex: u32, mode: XdpMode) -> io::Result<Attachment> {
        let flags = if mode == XdpMode::Native { FLAG_NATIVE } else { FLAG_GENERIC };
        let program = bpf::number(program);
        let fd = bpf(LINK_CREATE, &mut LinkCreate { program, target: ifindex, kind: BPF_XDP, flags })?;
        // SAFETY: the kernel has just made this descriptor for the caller, and nobody else knows it.
        Ok(Attachment { _link: unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) } })
    }
}

/// The program of a port, loaded, with its map of sockets.
pub(super) struct Program {
    fd: OwnedFd,
    sockets: XskMap<MapData>,
    unclaimed: PerCpuArray<MapData, u64>,
}

impl Program {
    /// `long`: for frames of several buffers, too.
    pub(super) fn load(long: bool) -> io::Result<Program> {
        Program::load_object(if long { LONG } else { PROGRAM }).map_err(cause)
    }

    fn load_object(name: &str) -> Result<Program, EbpfError> {
        let mut object = EbpfLoader::new()
            // Nothing here depends on the layout of the kernel's own structures.
            .btf(None)
            .load(aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/port.o")))?;
        let mut take = |name: &str| {
            let unknown = || aya::maps::MapError::InvalidName { name: name.to_owned() };
            object.take_map(name).ok_or_else(unknown)
        };
        let sockets = XskMap::try_from(take(SOCKETS)?)?;
        let unclaimed = PerCpuArray::try_from(take(UNCLAIMED)?)?;
        Ok(Program { fd: load(&mut object, name)?, sockets, unclaimed })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// From now on the frames of a queue go to a socket.
    pub(super) fn claim(&mut self, queue: u32, socket: BorrowedFd<'_>) -> io::Result<()> {
        self.sockets.set(queue, socket.as_raw_fd(), 0).map_err(|error| cause(error.into()))
    }

    /// Frames of queues without a socket.
    pub(super) fn unclaimed(&self) -> u64 {
        self.unclaimed.get(&0, 0).map_or(0, |each| each.iter().sum())
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program").field("fd", &self.fd).finish_non_exhaustive()
    }
}

/// Loads an object's XDP program.
pub(crate) fn load(object: &mut Ebpf, name: &str) -> Result<OwnedFd, EbpfError> {
    let program = object.program_mut(name).ok_or(ProgramError::InvalidName { name: name.to_owned() })?;
    let program: &mut Xdp = program.try_into()?;
    program.load()?;
    let fd = program.fd()?.as_fd().try_clone_to_owned();
    fd.map_err(|error| ProgramError::IOError(error).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::namespace::{ip, within};

    #[test]
    fn frames_of_queues_without_a_socket_are_counted_and_go_no_further() {
        within(|| {
            ip("link add x0 type veth peer name x1");
            ip("link set x0 up");
            ip("link set x1 up");
            let program = Program::load(false).unwrap();
            let attachment = Attachment::new(program.fd(), ifindex("x0"), XdpMode::Generic).unwrap();
            ip("addr add 10.9.0.1/24 dev x1");
            ip("neigh add 10.9.0.9 lladdr ff:ff:ff:ff:ff:ff dev x1");
            std::net::UdpSocket::bind("10.9.0.1:0").unwrap().send_to(&[7; 10], "10.9.0.9:53").unwrap();
            crate::namespace::eventually("a frame", || (program.unclaimed() > 0).then_some(()));
            let second = Attachment::new(program.fd(), ifindex("x0"), XdpMode::Generic).unwrap_err();
            assert_eq!(second.raw_os_error(), Some(libc::EBUSY));
            drop(attachment);
            Attachment::new(program.fd(), ifindex("x0"), XdpMode::Native).unwrap();
        });
    }

    fn ifindex(name: &str) -> u32 {
        nix::net::if_::if_nametoindex(name).unwrap()
    }
}
