//! UDP frames of 60 bytes: sent below the sender's IP stack, so that it is not what is measured,
//! counted by the receiver's UDP.

use std::fs;
use std::io::IoSlice;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use etherparse::PacketBuilder;
use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, MultiHeaders, SockFlag, SockType, bind, sendmmsg, setsockopt, socket, sockopt,
};
use tests::Netns;

use crate::topology::{A, B, Side};

/// Frames of a system call.
const BATCH: usize = 64;
/// Ethernet 14, IPv4 20, UDP 8, and these make 60 bytes.
const PAYLOAD: [u8; 18] = [0; 18];
const PORT: u16 = 9_000;
/// Frames that are still on their way when the sender stops are counted after this time.
const DRAIN: Duration = Duration::from_millis(100);

/// Frames per second that reached the receiver's UDP.
pub(super) fn run(side: &Side, length: Duration) -> Result<f64> {
    let destination = link(&side.receiver)?;
    side.receiver.enter(|| {
        // A socket that nobody reads: full after a few datagrams, it counts each further one as refused. One frame
        // that carries several datagrams (UDP GSO) is split before, so this counts datagrams; the link's counters
        // would count it once.
        let sink = UdpSocket::bind((B, PORT)).context("cannot open the sink")?;
        setsockopt(&sink, sockopt::RcvBuf, &1)?;
        let before = received()?;
        let took = side.sender.enter(|| send(&destination, length))?;
        thread::sleep(DRAIN);
        Ok((received()? - before) as f64 / took.as_secs_f64())
    })
}

/// Sends for that time as fast as the link takes frames, and returns how long it really was.
fn send(destination: &LinkAddr, length: Duration) -> Result<Duration> {
    let source = own_link()?;
    let mut frame = Vec::new();
    PacketBuilder::ethernet2(mac(&source)?, mac(destination)?)
        .ipv4(A.octets(), B.octets(), 64)
        .udp(PORT, PORT)
        .write(&mut frame, &PAYLOAD)?;
    // Protocol 0: it sends, and hears nothing.
    let packet = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)
        .context("cannot open a packet socket")?;
    bind(packet.as_raw_fd(), &source).context("cannot bind to eth0")?;
    let slices = [[IoSlice::new(&frame)]; BATCH];
    let mut headers = MultiHeaders::<()>::preallocate(BATCH, None);
    let start = Instant::now();
    while start.elapsed() < length {
        match sendmmsg(packet.as_raw_fd(), &mut headers, &slices, [None; BATCH], [], MsgFlags::empty()) {
            // The link's queue is full: the frame is lost at the sender, as any other's would be.
            Ok(_) | Err(Errno::ENOBUFS) => {}
            Err(error) => return Err(error).context("cannot send frames"),
        }
    }
    Ok(start.elapsed())
}

fn link(place: &Netns) -> Result<LinkAddr> {
    place.enter(own_link)
}

/// The link address of `eth0` in the thread's namespace.
fn own_link() -> Result<LinkAddr> {
    getifaddrs()?
        .filter(|entry| entry.interface_name == "eth0")
        .find_map(|entry| entry.address?.as_link_addr().copied())
        .context("no eth0")
}

fn mac(link: &LinkAddr) -> Result<[u8; 6]> {
    link.addr().context("eth0 has no MAC address")
}

/// Datagrams that the UDP of the thread's namespace got, read or refused by their socket.
/// `/proc/net` would be the namespace of the process's first thread.
pub(crate) fn received() -> Result<u64> {
    let text = fs::read_to_string("/proc/thread-self/net/snmp")?;
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (names, values) = (lines.next().context("no UDP counters")?, lines.next().context("no UDP counters")?);
    Ok(names
        .split_whitespace()
        .zip(values.split_whitespace())
        .filter(|(name, _)| matches!(*name, "InDatagrams" | "RcvbufErrors"))
        .filter_map(|(_, value)| value.parse::<u64>().ok())
        .sum())
}
