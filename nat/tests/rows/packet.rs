//! Packets for tests, built by etherparse with right lengths and checksums, and a full check of what became of them.

use std::net::{IpAddr, SocketAddr};

use etherparse::{IcmpEchoHeader, Icmpv4Type, Icmpv6Type, PacketBuilder, PacketBuilderStep, TcpHeader};
use nat::{End, Rewrite, ipv4_header_is_sound};
use wire::{Frame, Gso, Headers, Layer3, Offload, checksum, protocol};

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const ACK: u8 = 16;
pub(crate) const URG: u8 = 32;

pub(crate) fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

pub(crate) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(crate) fn end(text: &str) -> End {
    let address = at(text);
    End { ip: address.ip(), port: address.port() }
}

/// A rewrite from addresses with ports; an empty text leaves an end alone.
pub(crate) fn rewrite(src: &str, dst: &str) -> Rewrite {
    let one = |text: &str| (!text.is_empty()).then(|| end(text));
    Rewrite { src: one(src), dst: one(dst) }
}

fn link(src: IpAddr, dst: IpAddr) -> PacketBuilderStep<etherparse::IpHeaders> {
    let link = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    match (src, dst) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => link.ipv4(src.octets(), dst.octets(), 64),
        (IpAddr::V6(src), IpAddr::V6(dst)) => link.ipv6(src.octets(), dst.octets(), 64),
        _ => panic!("{src} and {dst} are of two families"),
    }
}

pub(crate) fn udp(src: &str, dst: &str, payload: &[u8]) -> Frame {
    let (src, dst) = (at(src), at(dst));
    let mut out = Vec::new();
    link(src.ip(), dst.ip()).udp(src.port(), dst.port()).write(&mut out, payload).unwrap();
    Frame::from_bytes(&out)
}

/// A TCP segment, described by what the tracker looks at.
#[derive(Clone, Copy)]
pub(crate) struct Segment<'a> {
    pub(crate) flags: u8,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) window: u16,
    pub(crate) scale: Option<u8>,
    pub(crate) payload: &'a [u8],
}

pub(crate) fn segment(flags: u8, seq: u32, ack: u32) -> Segment<'static> {
    Segment { flags, seq, ack, window: 1000, scale: None, payload: &[] }
}

pub(crate) fn tcp(src: &str, dst: &str, segment: Segment<'_>) -> Frame {
    let (src, dst) = (at(src), at(dst));
    let mut header = TcpHeader::new(src.port(), dst.port(), segment.seq, segment.window);
    header.acknowledgment_number = segment.ack;
    header.fin = segment.flags & FIN != 0;
    header.syn = segment.flags & SYN != 0;
    header.rst = segment.flags & RST != 0;
    header.ack = segment.flags & ACK != 0;
    header.urg = segment.flags & URG != 0;
    if let Some(scale) = segment.scale {
        header.set_options_raw(&[2, 4, 5, 180, 1, 3, 3, scale]).unwrap();
    }
    let mut out = Vec::new();
    link(src.ip(), dst.ip()).tcp_header(header).write(&mut out, segment.payload).unwrap();
    Frame::from_bytes(&out)
}

pub(crate) fn echo(src: &str, dst: &str, id: u16, answer: bool) -> Frame {
    let (src, dst) = (ip(src), ip(dst));
    let header = IcmpEchoHeader { id, seq: 1 };
    let mut out = Vec::new();
    let step = link(src, dst);
    match (src.is_ipv4(), answer) {
        (true, false) => step.icmpv4(Icmpv4Type::EchoRequest(header)).write(&mut out, b"ping").unwrap(),
        (true, true) => step.icmpv4(Icmpv4Type::EchoReply(header)).write(&mut out, b"ping").unwrap(),
        (false, false) => step.icmpv6(Icmpv6Type::EchoRequest(header)).write(&mut out, b"ping").unwrap(),
        (false, true) => step.icmpv6(Icmpv6Type::EchoReply(header)).write(&mut out, b"ping").unwrap(),
    }
    Frame::from_bytes(&out)
}

/// An ICMP message of any type: four bytes behind the checksum, then `body`.
pub(crate) fn icmp(src: &str, dst: &str, kind: (u8, u8), rest: [u8; 4], body: &[u8]) -> Frame {
    let (src, dst) = (ip(src), ip(dst));
    let mut out = Vec::new();
    let step = link(src, dst);
    if src.is_ipv4() {
        step.icmpv4_raw(kind.0, kind.1, rest).write(&mut out, body).unwrap();
    } else {
        step.icmpv6_raw(kind.0, kind.1, rest).write(&mut out, body).unwrap();
    }
    Frame::from_bytes(&out)
}

/// The IP packet in a frame, cut to at most `len` bytes: what an ICMP error quotes.
pub(crate) fn quote(frame: &Frame, len: usize) -> Vec<u8> {
    let packet = &frame.bytes()[14..];
    packet[..packet.len().min(len)].to_vec()
}

/// Time exceeded (or, for IPv6, the same there) about `about`.
pub(crate) fn time_exceeded(src: &str, dst: &str, about: &Frame) -> Frame {
    let kind = if ip(src).is_ipv4() { 11 } else { 3 };
    icmp(src, dst, (kind, 0), [0; 4], &quote(about, 120))
}

/// A packet without transport that the crate knows: an IP header and a payload.
pub(crate) fn other(src: &str, dst: &str, number: u8, payload: &[u8]) -> Frame {
    let mut out = Vec::new();
    link(ip(src), ip(dst)).write(&mut out, number.into(), payload).unwrap();
    Frame::from_bytes(&out)
}

pub(crate) fn parse(frame: &Frame) -> Headers {
    wire::parse(frame.bytes()).unwrap()
}

/// Whether every checksum of the packet is right, by full computation.
pub(crate) fn is_sound(frame: &Frame) -> bool {
    let headers = parse(frame);
    ipv4_header_is_sound(frame.bytes(), &headers)
        && checksum::verify_transport(frame.bytes(), &headers).is_none_or(|sound| sound)
}

/// Makes the checksum partial, as a container's kernel hands a packet over.
pub(crate) fn make_partial(frame: &mut Frame, gso: Gso, size: u16) {
    let headers = parse(frame);
    let offset = if headers.key.protocol() == protocol::TCP { 16 } else { 6 };
    let len = headers.end - u32::from(headers.l4);
    let l3 = usize::from(headers.l3);
    let bytes = frame.bytes_mut();
    let addresses = if headers.layer3 == Layer3::Ipv4 { l3 + 12..l3 + 20 } else { l3 + 8..l3 + 40 };
    let mut sum = checksum::sum(&bytes[addresses]) + len + u32::from(headers.key.protocol());
    sum = u32::from(checksum::fold(sum));
    let field = usize::from(headers.l4) + offset;
    bytes[field..field + 2].copy_from_slice(&(sum as u16).to_be_bytes());
    frame.offload = match gso {
        Gso::None => Offload::partial(headers.l4, offset as u16),
        gso => Offload::segmented(gso, size, headers.payload, headers.l4, offset as u16),
    };
}

/// The fragments of a packet, `size` bytes (a multiple of 8) of payload each; `id` names the datagram.
pub(crate) fn fragments(frame: &Frame, size: usize, id: u32) -> Vec<Frame> {
    let headers = parse(frame);
    let (l3, l4) = (usize::from(headers.l3), usize::from(headers.l4));
    let payload = &frame.bytes()[l4..headers.end as usize];
    let count = payload.len().div_ceil(size);
    let one = |(index, part): (usize, &[u8])| {
        let offset = (index * size / 8) as u16;
        let more = u16::from(index + 1 != count);
        let mut out = frame.bytes()[..l4].to_vec();
        if headers.layer3 == Layer3::Ipv4 {
            out[l3 + 2..l3 + 4].copy_from_slice(&((l4 - l3 + part.len()) as u16).to_be_bytes());
            out[l3 + 4..l3 + 6].copy_from_slice(&(id as u16).to_be_bytes());
            out[l3 + 6..l3 + 8].copy_from_slice(&(more << 13 | offset).to_be_bytes());
            let sum = checksum::ipv4_header(&out[l3..l4]);
            out[l3 + 10..l3 + 12].copy_from_slice(&sum.to_be_bytes());
        } else {
            out[l3 + 4..l3 + 6].copy_from_slice(&((8 + part.len()) as u16).to_be_bytes());
            let next = std::mem::replace(&mut out[l3 + 6], 44);
            out.extend([next, 0]);
            out.extend((offset << 3 | more).to_be_bytes());
            out.extend(id.to_be_bytes());
        }
        out.extend(part);
        Frame::from_bytes(&out)
    };
    payload.chunks(size).enumerate().map(one).collect()
}

/// The packet that fragments were cut from; they may have been translated.
pub(crate) fn reassemble(fragments: &[Frame]) -> Frame {
    let first = &fragments[0];
    let headers = parse(first);
    let l3 = usize::from(headers.l3);
    let mut out = first.bytes()[..usize::from(headers.l4)].to_vec();
    if headers.layer3 == Layer3::Ipv6 {
        out[l3 + 6] = out[l3 + 40];
        out.truncate(l3 + 40);
    }
    let header_len = out.len();
    for fragment in fragments {
        let headers = parse(fragment);
        out.extend(&fragment.bytes()[usize::from(headers.l4)..headers.end as usize]);
    }
    let payload = out.len() - header_len;
    if headers.layer3 == Layer3::Ipv4 {
        let total = (payload + header_len - l3) as u16;
        out[l3 + 2..l3 + 4].copy_from_slice(&total.to_be_bytes());
        out[l3 + 6..l3 + 8].copy_from_slice(&[0, 0]);
        let sum = checksum::ipv4_header(&out[l3..header_len]);
        out[l3 + 10..l3 + 12].copy_from_slice(&sum.to_be_bytes());
    } else {
        out[l3 + 4..l3 + 6].copy_from_slice(&(payload as u16).to_be_bytes());
    }
    Frame::from_bytes(&out)
}
