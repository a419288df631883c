//! Packets byte by byte, odd ones too. Checksums are computed here, not by what is tested.

use std::net::IpAddr;

use crate::ends::Ends;

/// Protocol numbers.
pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ICMPV6: u8 = 58;
const FRAGMENT: u8 = 44;

/// The Internet checksum.
pub(crate) fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u64;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u64::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Everything about an IP packet but what it carries.
#[derive(Clone, Debug)]
pub(crate) struct Envelope {
    pub(crate) src: IpAddr,
    pub(crate) dst: IpAddr,
    pub(crate) ttl: u8,
    pub(crate) tos: u8,
    pub(crate) id: u16,
    pub(crate) df: bool,
    /// IPv4 options, a multiple of 4 bytes.
    pub(crate) options: Vec<u8>,
    /// IPv6 extension headers: number, and all of the header but its first byte.
    pub(crate) extensions: Vec<(u8, Vec<u8>)>,
}

impl Envelope {
    /// The same between other ends.
    pub(crate) fn between(&self, ends: Ends) -> Envelope {
        Envelope { src: ends.src.0, dst: ends.dst.0, ..self.clone() }
    }

    fn pseudo(&self, protocol: u8, len: usize) -> Vec<u8> {
        let mut bytes = octets(self.src);
        bytes.extend(octets(self.dst));
        bytes.extend((len as u32).to_be_bytes());
        bytes.extend(u32::from(protocol).to_be_bytes());
        bytes
    }

    /// The packet with a message whose checksum stands at `at`.
    pub(crate) fn sealed(&self, protocol: u8, mut message: Vec<u8>, at: usize) -> Vec<u8> {
        self.seal(protocol, &mut message, at);
        self.packet(protocol, &message)
    }

    /// Puts the checksum in.
    pub(crate) fn seal(&self, protocol: u8, message: &mut [u8], at: usize) {
        message[at..at + 2].fill(0);
        // The kernel refuses (REJECT) a packet of a protocol that it does not know only if such a sum is right.
        let bare = self.src.is_ipv4() && !matches!(protocol, TCP | UDP);
        let pseudo = if bare { Vec::new() } else { self.pseudo(protocol, message.len()) };
        let sum = match checksum(&[&pseudo, message]) {
            0 if protocol == UDP => 0xffff,
            sum => sum,
        };
        message[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    }

    /// The packet with that payload.
    pub(crate) fn packet(&self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        match (self.src, self.dst) {
            (IpAddr::V4(_), _) => self.v4(protocol, payload, u16::from(self.df) << 14),
            _ => self.v6(protocol, payload, None),
        }
    }

    /// The packet in pieces, cut at these offsets, multiples of 8.
    pub(crate) fn pieces(&self, protocol: u8, payload: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
        let starts = std::iter::once(0).chain(cuts.iter().copied());
        let ends = cuts.iter().copied().chain([payload.len()]);
        let piece = |(start, end): (usize, usize)| {
            let (data, more) = (&payload[start..end], end < payload.len());
            match self.src {
                IpAddr::V4(_) => self.v4(protocol, data, (start / 8) as u16 | u16::from(more) << 13),
                IpAddr::V6(_) => self.v6(protocol, data, Some(start as u16 | u16::from(more))),
            }
        };
        starts.zip(ends).map(piece).collect()
    }

    fn v4(&self, protocol: u8, payload: &[u8], fragment: u16) -> Vec<u8> {
        let header = 20 + self.options.len();
        let mut bytes = vec![0x40 | (header / 4) as u8, self.tos];
        bytes.extend(((header + payload.len()) as u16).to_be_bytes());
        bytes.extend(self.id.to_be_bytes());
        bytes.extend(fragment.to_be_bytes());
        bytes.extend([self.ttl, protocol, 0, 0]);
        bytes.extend(octets(self.src));
        bytes.extend(octets(self.dst));
        bytes.extend(&self.options);
        let sum = checksum(&[&bytes]);
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        bytes.extend(payload);
        bytes
    }

    fn v6(&self, protocol: u8, payload: &[u8], fragment: Option<u16>) -> Vec<u8> {
        let mut headers = self.extensions.clone();
        if let Some(word) = fragment {
            let mut rest = vec![0];
            rest.extend(word.to_be_bytes());
            rest.extend(u32::from(self.id).to_be_bytes());
            headers.push((FRAGMENT, rest));
        }
        let numbers: Vec<u8> = headers.iter().map(|(number, _)| *number).chain([protocol]).collect();
        let mut body = Vec::new();
        for ((_, rest), next) in headers.iter().zip(&numbers[1..]) {
            body.push(*next);
            body.extend(rest);
        }
        body.extend(payload);
        let mut bytes = (6 << 28 | u32::from(self.tos) << 20).to_be_bytes().to_vec();
        bytes.extend((body.len() as u16).to_be_bytes());
        bytes.extend([numbers[0], self.ttl]);
        bytes.extend(octets(self.src));
        bytes.extend(octets(self.dst));
        bytes.extend(body);
        bytes
    }
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

/// A TCP segment without its checksum, which stands at 16.
pub(crate) fn tcp(
    ports: (u16, u16),
    flags: u8,
    numbers: (u32, u32),
    window: u16,
    options: &[u8],
    data: &[u8],
) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(ports.0.to_be_bytes());
    bytes.extend(ports.1.to_be_bytes());
    bytes.extend(numbers.0.to_be_bytes());
    bytes.extend(numbers.1.to_be_bytes());
    bytes.extend([(((20 + options.len()) / 4) << 4) as u8, flags]);
    bytes.extend(window.to_be_bytes());
    bytes.extend([0; 4]);
    bytes.extend(options);
    bytes.extend(data);
    bytes
}

/// A UDP datagram without its checksum, which stands at 6.
pub(crate) fn udp(ports: (u16, u16), data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(ports.0.to_be_bytes());
    bytes.extend(ports.1.to_be_bytes());
    bytes.extend((8 + data.len() as u16).to_be_bytes());
    bytes.extend([0; 2]);
    bytes.extend(data);
    bytes
}

/// An ICMP or ICMPv6 message without its checksum, which stands at 2.
pub(crate) fn icmp(kind: u8, code: u8, word: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, code, 0, 0];
    bytes.extend(word.to_be_bytes());
    bytes.extend(data);
    bytes
}

/// A frame.
pub(crate) fn frame(src: [u8; 6], dst: [u8; 6], packet: &[u8]) -> Vec<u8> {
    let ethertype: u16 = if packet[0] >> 4 == 4 { 0x0800 } else { 0x86dd };
    let mut bytes = dst.to_vec();
    bytes.extend(src);
    bytes.extend(ethertype.to_be_bytes());
    bytes.extend(packet);
    bytes
}
