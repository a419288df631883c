//! Frames to measure with: as containers send them, with right checksums, the same bytes each time.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use etherparse::{IpHeaders, PacketBuilder, PacketBuilderStep};

/// The MAC address of an endpoint: `02:42` and its IPv4 address, or the last four bytes of its IPv6 address.
pub(crate) fn mac(address: IpAddr) -> [u8; 6] {
    let [a, b, c, d] = match address {
        IpAddr::V4(address) => address.octets(),
        IpAddr::V6(address) => (u128::from(address) as u32).to_be_bytes(),
    };
    [0x02, 0x42, a, b, c, d]
}

/// The number-th address of 10.0.0.0/8.
pub(crate) fn endpoint(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(0x0a00_0000 | number)
}

/// A UDP frame from `src` to `dst`.
///
/// # Panics
/// When the two are of different families.
pub(crate) fn udp(src: SocketAddr, dst: SocketAddr, payload: &[u8]) -> Vec<u8> {
    udp_over((mac(src.ip()), mac(dst.ip())), src, dst, payload)
}

/// A UDP frame between those link addresses (source, destination).
///
/// # Panics
/// When the two ends are of different families.
pub(crate) fn udp_over(link: ([u8; 6], [u8; 6]), src: SocketAddr, dst: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let builder = ip(link, src, dst).udp(src.port(), dst.port());
    let mut bytes = Vec::with_capacity(builder.size(payload.len()));
    builder.write(&mut bytes, payload).expect("a vector takes everything");
    bytes
}

/// A TCP segment in the middle of a stream from `src` to `dst`, with the timestamps that Linux sends.
///
/// # Panics
/// When the two are of different families.
pub(crate) fn tcp(src: SocketAddr, dst: SocketAddr, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let link = (mac(src.ip()), mac(dst.ip()));
    tcp_over(link, src, dst, sequence, payload)
}

/// The same between those link addresses (source, destination).
///
/// # Panics
/// When the two ends are of different families.
pub(crate) fn tcp_over(
    link: ([u8; 6], [u8; 6]),
    src: SocketAddr,
    dst: SocketAddr,
    sequence: u32,
    payload: &[u8],
) -> Vec<u8> {
    use etherparse::TcpOptionElement::{Noop, Timestamp};
    let builder = ip(link, src, dst).tcp(src.port(), dst.port(), sequence, 501).ack(1);
    let builder = builder.options(&[Noop, Noop, Timestamp(7, 8)]).expect("twelve bytes of options");
    let mut bytes = Vec::with_capacity(builder.size(payload.len()));
    builder.write(&mut bytes, payload).expect("a vector takes everything");
    bytes
}

/// The first segment of a connection from `src` to `dst`.
///
/// # Panics
/// When the two ends are of different families.
pub(crate) fn syn_over(link: ([u8; 6], [u8; 6]), src: SocketAddr, dst: SocketAddr) -> Vec<u8> {
    let mut bytes = Vec::new();
    ip(link, src, dst).tcp(src.port(), dst.port(), 1, 64_240).syn().write(&mut bytes, &[]).expect("a vector");
    bytes
}

/// Payload that compresses badly, `len` bytes of it.
pub(crate) fn payload(len: usize) -> Vec<u8> {
    (0..len as u32).map(|n| (n.wrapping_mul(0x9e37_79b1) >> 24) as u8).collect()
}

fn ip(link: ([u8; 6], [u8; 6]), src: SocketAddr, dst: SocketAddr) -> PacketBuilderStep<IpHeaders> {
    let builder = PacketBuilder::ethernet2(link.0, link.1);
    match (src.ip(), dst.ip()) {
        (IpAddr::V4(src), IpAddr::V4(dst)) => builder.ipv4(src.octets(), dst.octets(), 64),
        (IpAddr::V6(src), IpAddr::V6(dst)) => builder.ipv6(src.octets(), dst.octets(), 64),
        _ => panic!("{src} and {dst} are of two families"),
    }
}
