//! TAP links with virtio-net headers: the kernel's end sits in a container, this end is a descriptor.
//! One read or write is one frame, a super-frame included. Whoever holds the descriptor pins the namespace it was
//! opened in, so it is opened in the host's and the link is moved.

use std::ffi::{c_int, c_short, c_uint};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;

use wire::{Frame, Offload};

use crate::ifreq;
use crate::{Error, Received, Sent};

/// How a TAP link is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TapOptions {
    /// Frames written go through the kernel's NAPI: more throughput for one bulk stream, a lower rate of small frames.
    pub napi: bool,
}

/// What the kernel may leave undone in frames read from a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offloads {
    /// Transport checksums.
    pub csum: bool,
    /// Cutting TCP over IPv4.
    pub tso4: bool,
    /// Cutting TCP over IPv6.
    pub tso6: bool,
    /// Cutting UDP over either IP version into datagrams; also whether the kernel takes such super-frames. Linux 6.2.
    pub uso: bool,
}

/// A TAP link's descriptor. The link lives as long as it does.
#[derive(Debug)]
pub struct Tap {
    file: File,
    offloads: Offloads,
}

/// How many frames that the kernel could not describe are passed over in one call. Each one was taken off its queue.
const PASS_OVER: usize = 64;

impl Tap {
    /// Creates link `name` in the calling thread's network namespace, down, without addresses.
    ///
    /// # Errors
    /// The name is not one or is taken, there is no `/dev/net/tun`, or CAP_NET_ADMIN is missing.
    pub fn create(name: &str, options: &TapOptions) -> Result<Tap, Error> {
        if !is_link_name(name) {
            return Err(Error::LinkName { name: name.to_owned() });
        }
        let failed = |step| move |source| Error::Tap { name: name.to_owned(), step, source };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
            .open("/dev/net/tun")
            .map_err(failed("open /dev/net/tun"))?;

        // EXCL: never take over a persistent link that somebody else made.
        let mut flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR | libc::IFF_TUN_EXCL;
        if options.napi {
            flags |= libc::IFF_NAPI;
        }
        // The field is 16 bits wide and EXCL its highest bit: the cast keeps the bits.
        ifreq::ask(file.as_fd(), libc::TUNSETIFF, name, flags as c_short).map_err(failed("create the link"))?;
        set_header_size(file.as_fd(), Offload::LEN).map_err(failed("set the offload header's size"))?;
        let offloads = set_offloads(file.as_fd()).map_err(failed("set offloads"))?;
        Ok(Tap { file, offloads })
    }

    /// What the kernel took.
    pub fn offloads(&self) -> Offloads {
        self.offloads
    }

    /// Reads one frame, with its offload metadata. What was in `frame` is lost in any case.
    ///
    /// # Errors
    /// What no running kernel is known to return; the port can be used further.
    pub fn receive(&mut self, frame: &mut Frame) -> io::Result<Received> {
        let mut passed_over = 0;
        loop {
            let error = match rustix::io::read(&self.file, frame.receive_area()) {
                Ok(len) if frame.received(len) => return Ok(Received::Frame),
                // Shorter than its offload header.
                Ok(_) => io::Error::from(io::ErrorKind::UnexpectedEof),
                Err(error) => io::Error::from(error),
            };
            frame.clear();
            match error.raw_os_error() {
                Some(libc::EAGAIN) => return Ok(Received::Empty),
                Some(libc::EBADFD | libc::ENODEV) => return Ok(Received::Gone),
                Some(libc::EINTR) => {}
                // A kind of super-frame that the header cannot express: the kernel has dropped it, the next may be good.
                Some(libc::EINVAL) if passed_over < PASS_OVER => passed_over += 1,
                _ => return Err(error),
            }
        }
    }

    /// Writes `frame` and its offload metadata. The frame is only borrowed mutably to lay the header before it.
    ///
    /// # Errors
    /// What no running kernel is known to return; the frame is lost, the port can be used further.
    pub fn send(&mut self, frame: &mut Frame) -> io::Result<Sent> {
        loop {
            let Err(error) = rustix::io::write(&self.file, frame.with_offload()).map_err(io::Error::from) else {
                return Ok(Sent::Done);
            };
            match error.raw_os_error() {
                Some(libc::EINTR) => {}
                Some(libc::EAGAIN | libc::ENOBUFS | libc::ENOMEM) => return Ok(Sent::Full),
                Some(libc::EIO) => return Ok(Sent::Down),
                Some(libc::EINVAL) => return Ok(Sent::Refused),
                Some(libc::EBADFD | libc::ENODEV) => return Ok(Sent::Gone),
                _ => return Err(error),
            }
        }
    }
}

impl AsFd for Tap {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl AsRawFd for Tap {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

/// The kernel's own rule (`dev_valid_name`), without `%`, which asks it to make up a number.
fn is_link_name(name: &str) -> bool {
    (1..libc::IFNAMSIZ).contains(&name.len())
        && name != "."
        && name != ".."
        && !name
            .bytes()
            .any(|byte| matches!(byte, b'/' | b':' | b'%' | 0) || byte.is_ascii_whitespace() || byte == 0x0b)
}

fn set_header_size(fd: BorrowedFd<'_>, len: usize) -> io::Result<()> {
    let len = len as c_int;
    // SAFETY: TUNSETVNETHDRSZ reads one int through the pointer, which is valid for the call.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETVNETHDRSZ, &raw const len) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Sets all that the kernel knows. A kernel refuses the whole set for one bit that it does not know (USO before 6.2).
fn set_offloads(fd: BorrowedFd<'_>) -> io::Result<Offloads> {
    let tso = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6 | libc::TUN_F_TSO_ECN;
    let uso = libc::TUN_F_USO4 | libc::TUN_F_USO6;
    let taken = Offloads { csum: true, tso4: true, tso6: true, uso: true };
    match set_offload_bits(fd, tso | uso) {
        Ok(()) => Ok(taken),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            set_offload_bits(fd, tso).map(|()| Offloads { uso: false, ..taken })
        }
        Err(error) => Err(error),
    }
}

fn set_offload_bits(fd: BorrowedFd<'_>, bits: c_uint) -> io::Result<()> {
    // SAFETY: TUNSETOFFLOAD takes its argument by value; no memory is touched.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETOFFLOAD, libc::c_ulong::from(bits)) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_names_follow_the_kernels_rule() {
        for good in ["a", "eth0", "vs-0123456789ab", "ä0"] {
            assert!(is_link_name(good), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a b", "tap%d", "a:1", "sixteen-letters-", "nul\0"] {
            assert!(!is_link_name(bad), "{bad}");
            assert!(matches!(Tap::create(bad, &TapOptions::default()), Err(Error::LinkName { .. })));
        }
    }
}
