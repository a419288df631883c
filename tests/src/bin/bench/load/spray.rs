//! Small UDP frames as fast as a link takes them, of one flow or of many in turn: sent below the sender's IP stack, so that it
//! is not what is measured. What sending costs does not depend on how many flows there are.

use std::io::IoSlice;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use etherparse::PacketBuilder;
use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{AddressFamily, LinkAddr, MsgFlags, MultiHeaders, SockFlag, SockType, bind, sendmmsg, socket};
use tests::Place;

/// Frames of a system call.
const BATCH: usize = 64;
/// Ethernet 14, IPv4 20, UDP 8, and these make 60 bytes.
const PAYLOAD: [u8; 18] = [0; 18];
/// The first port that is sent to.
pub(crate) const PORT: u16 = 9_000;
/// The first source port.
const FIRST: u16 = 2_000;
/// Source ports in use; then comes the next destination port.
const SOURCES: u32 = 60_000;

/// By what one frame differs from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vary {
    /// By source port, then destination port.
    Ports,
    /// By the lower four bytes of the source's MAC address.
    Station,
}

/// Whose frames, to whom, and how many kinds of them. Every run goes on where the last one ended.
pub(crate) struct Spray {
    frame: Vec<u8>,
    vary: Vary,
    kinds: u32,
    next: AtomicU32,
}

/// What was sent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sent {
    /// Frames that were handed to the link, also those that it refused.
    pub(crate) frames: u64,
    /// How long it took.
    pub(crate) took: Duration,
}

impl Spray {
    /// Frames from the `eth0` of one place to that of another.
    ///
    /// # Errors
    /// One of them has no `eth0`, or there are more kinds than ports.
    pub(crate) fn between(
        from: (&impl Place, Ipv4Addr),
        to: (&impl Place, Ipv4Addr),
        vary: Vary,
        kinds: u32,
    ) -> Result<Spray> {
        ensure!((1..=SOURCES * 1_000).contains(&kinds), "there cannot be {kinds} kinds of frames");
        let mut frame = Vec::new();
        PacketBuilder::ethernet2(mac(from.0)?, mac(to.0)?)
            .ipv4(from.1.octets(), to.1.octets(), 64)
            .udp(FIRST, PORT)
            .write(&mut frame, &PAYLOAD)?;
        if kinds > 1 {
            // No UDP checksum (RFC 768): it would be another one in each frame.
            frame[40..42].fill(0);
        }
        Ok(Spray { frame, vary, kinds, next: AtomicU32::new(0) })
    }

    /// The ports that somebody has to listen on.
    pub(crate) fn ports(&self) -> std::ops::Range<u16> {
        match self.vary {
            Vary::Ports => PORT..PORT + self.kinds.div_ceil(SOURCES) as u16,
            Vary::Station => PORT..PORT + 1,
        }
    }

    /// Sends from the calling thread's namespace for as long as `on` says.
    ///
    /// # Errors
    /// The kernel refuses for another reason than a full queue.
    pub(crate) fn send(&self, mut on: impl FnMut() -> bool) -> Result<Sent> {
        // Protocol 0: it sends, and hears nothing.
        let packet = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)
            .context("cannot open a packet socket")?;
        bind(packet.as_raw_fd(), &own_link()?).context("cannot bind to eth0")?;
        let mut frames: [Vec<u8>; BATCH] = std::array::from_fn(|_| self.frame.clone());
        let mut headers = MultiHeaders::<()>::preallocate(BATCH, None);
        let (start, mut sent) = (Instant::now(), 0);
        while on() {
            let mut next = self.next.load(Ordering::Relaxed);
            for frame in &mut frames {
                self.mark(frame, next);
                next = if next + 1 == self.kinds { 0 } else { next + 1 };
            }
            self.next.store(next, Ordering::Relaxed);
            let slices: [[IoSlice<'_>; 1]; BATCH] = std::array::from_fn(|number| [IoSlice::new(&frames[number])]);
            // Whom the kernel could not queue any more, it has dropped; it says so for the first frame only.
            let mut from = 0;
            while from < BATCH {
                let rest = &slices[from..];
                let none = [None; BATCH];
                from += match sendmmsg(packet.as_raw_fd(), &mut headers, rest, &none[from..], [], MsgFlags::empty()) {
                    Ok(taken) => taken.count(),
                    Err(Errno::ENOBUFS) => 1,
                    Err(error) => return Err(error).context("cannot send frames"),
                };
            }
            sent += BATCH as u64;
        }
        Ok(Sent { frames: sent, took: start.elapsed() })
    }

    /// Sends each kind of frame once, with breaks: a queue holds what a break lets pile up.
    pub(crate) fn once(&self) -> Result<Sent> {
        self.next.store(0, Ordering::Relaxed);
        let (mut calls, all) = (0, self.kinds.div_ceil(BATCH as u32));
        self.send(|| {
            calls += 1;
            if calls % 4 == 0 {
                thread::sleep(Duration::from_millis(1));
            }
            calls <= all
        })
    }

    fn mark(&self, frame: &mut [u8], number: u32) {
        match self.vary {
            Vary::Ports => {
                frame[34..36].copy_from_slice(&(FIRST + (number % SOURCES) as u16).to_be_bytes());
                frame[36..38].copy_from_slice(&(PORT + (number / SOURCES) as u16).to_be_bytes());
            }
            Vary::Station if self.kinds > 1 => frame[8..12].copy_from_slice(&number.to_be_bytes()),
            Vary::Station => {}
        }
    }
}

/// The MAC address of a place's `eth0`.
pub(crate) fn mac(place: &impl Place) -> Result<[u8; 6]> {
    place.enter(own_link)?.addr().context("eth0 has no MAC address")
}

/// The link address of `eth0` in the thread's namespace.
fn own_link() -> Result<LinkAddr> {
    getifaddrs()?
        .filter(|entry| entry.interface_name == "eth0")
        .find_map(|entry| entry.address?.as_link_addr().copied())
        .context("no eth0")
}
