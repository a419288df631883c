//! ICMP errors: whether one may be sent about a packet, and what it looks like.

use std::net::IpAddr;

use super::{INFORMATIONAL6, REDIRECT6};
use crate::answer::{Envelope, is_host};
use crate::{Fragment, Frame, Headers, IPV6_HEADER, Layer3, Mac, protocol};

/// Why a packet cannot be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// Its TTL or hop limit ran out (11/0; 3/0).
    TimeExceeded,
    /// There is no route (3/0; 1/0).
    NetUnreachable,
    /// There is a route, but the host does not answer (3/1; 1/3).
    HostUnreachable,
    /// Nobody listens there (3/3; 1/4).
    PortUnreachable,
    /// Forbidden by the administrator (3/13; 1/1).
    Prohibited,
    /// Unreachable for the reason that this code says (3/code; 1/code): what rules choose.
    Unreachable {
        /// As registered for ICMP type 3, or ICMPv6 type 1.
        code: u8,
    },
    /// Nobody here speaks that protocol (3/2; 4/1).
    ProtocolUnreachable {
        /// Where an IPv6 packet names it: the place of that "next header" field, in bytes from the packet's start.
        named_at: u32,
    },
    /// Too big for the next link, and not to be fragmented (3/4; 2/0).
    TooBig {
        /// What would fit, in bytes of IP packet; at most 65,535 in IPv4.
        mtu: u32,
    },
}

/// Longest error, as an IP packet: RFC 1812 section 4.3.2.3.
const LONGEST4: usize = 576;
/// Longest error, as an IP packet: the least MTU (RFC 4443 section 2.4 (c)).
const LONGEST6: usize = 1280;
/// Precedence "internetwork control" (RFC 1812 section 4.3.2.5).
const CONTROL: u8 = 0xc0;
/// The type of service, which is the packet's (RFC 1812 section 4.3.2.5).
const SERVICE: u8 = 0x1e;

impl Trouble {
    /// Type, code, and the word behind the checksum.
    fn icmp(self) -> (u8, u8, u32) {
        match self {
            Trouble::TimeExceeded => (11, 0, 0),
            Trouble::NetUnreachable => (3, 0, 0),
            Trouble::HostUnreachable => (3, 1, 0),
            Trouble::PortUnreachable => (3, 3, 0),
            Trouble::Prohibited => (3, 13, 0),
            Trouble::Unreachable { code } => (3, code, 0),
            Trouble::ProtocolUnreachable { .. } => (3, 2, 0),
            Trouble::TooBig { mtu } => (3, 4, mtu.min(0xffff)),
        }
    }

    /// Type, code, and the word behind the checksum.
    fn icmpv6(self) -> (u8, u8, u32) {
        match self {
            Trouble::TimeExceeded => (3, 0, 0),
            Trouble::NetUnreachable => (1, 0, 0),
            Trouble::HostUnreachable => (1, 3, 0),
            Trouble::PortUnreachable => (1, 4, 0),
            Trouble::Prohibited => (1, 1, 0),
            Trouble::Unreachable { code } => (1, code, 0),
            Trouble::ProtocolUnreachable { named_at } => (4, 1, named_at),
            Trouble::TooBig { mtu } => (2, 0, mtu),
        }
    }
}

/// Makes `out` the ICMP or ICMPv6 error about the packet in `about`, whose headers are `headers`: from the address `from`
/// and the MAC address `link_src` to the packet's source, with its tag. It quotes as much of the packet as may be, as it is:
/// a super-frame's lengths and a partial checksum too.
///
/// `false`, and `out` empty, where none may be sent (RFC 1122 section 3.2.2, RFC 1812 section 4.3.2.7, RFC 4443 section
/// 2.4 (e)): about an ICMP error, a later fragment, a packet to a group on the link or in IP (but IPv6 says that one is too
/// big), one whose source is no single host; and if `from` is of another family. That an address is a subnet's own
/// broadcast address is for the caller to know.
pub fn error(out: &mut Frame, about: &Frame, headers: &Headers, from: IpAddr, link_src: Mac, trouble: Trouble) -> bool {
    out.clear();
    build(out, about.bytes(), headers, from, link_src, trouble).unwrap_or(false)
}

fn build(
    out: &mut Frame,
    about: &[u8],
    headers: &Headers,
    from: IpAddr,
    link_src: Mac,
    trouble: Trouble,
) -> Option<bool> {
    let key = &headers.key;
    let (src, dst) = (key.src()?, key.dst()?);
    let packet = about.get(usize::from(headers.l3)..headers.end as usize)?;
    let v6 = match headers.layer3 {
        Layer3::Ipv4 => false,
        Layer3::Ipv6 => true,
        Layer3::Arp | Layer3::Other => return None,
    };
    // How a sender of multicast finds out what its path takes (RFC 8201 section 3).
    let to_groups = v6 && matches!(trouble, Trouble::TooBig { .. });
    let grouped = key.dst_mac().is_group() || is_group(dst);
    if headers.fragment == Fragment::Later || grouped && !to_groups {
        return None;
    }
    if !key.src_mac().is_station() || !is_host(src) || is_error(about, headers) {
        return None;
    }
    let ((kind, code, word), protocol, class, longest) = if v6 {
        (trouble.icmpv6(), protocol::ICMPV6, 0, LONGEST6 - IPV6_HEADER)
    } else {
        (trouble.icmp(), protocol::ICMP, CONTROL | packet.get(1)? & SERVICE, LONGEST4 - 20)
    };
    let mut head = [kind, code, 0, 0, 0, 0, 0, 0];
    head[4..].copy_from_slice(&word.to_be_bytes());
    let quote = &packet[..packet.len().min(longest - head.len())];
    let envelope =
        Envelope { dst_mac: key.src_mac(), src_mac: link_src, tag: headers.tag, src: from, dst: src, class, protocol };
    Some(envelope.seal(out, [&head, quote], 2))
}

fn is_group(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_multicast() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_multicast(),
    }
}

/// Whether a packet is an ICMP error, or an ICMP message that might be one: of a type that is unknown or not there.
fn is_error(about: &[u8], headers: &Headers) -> bool {
    let kind = || about.get(usize::from(headers.l4)..headers.end as usize).and_then(|message| message.first().copied());
    match headers.key.protocol() {
        // Echo, router discovery, timestamp, information, address mask; extended echo (RFC 8335).
        protocol::ICMP => !matches!(kind(), Some(0 | 8..=10 | 13..=18 | 42 | 43)),
        protocol::ICMPV6 => kind().is_none_or(|kind| kind < INFORMATIONAL6 || kind == REDIRECT6),
        _ => false,
    }
}
