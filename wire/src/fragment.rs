//! IPv4 fragmentation (RFC 791 section 3.2, RFC 1812 section 4.2.2.7). Not reassembly, and not IPv6, where only the sender
//! fragments (RFC 8200 section 5). Nothing is appended when splitting fails.

use crate::word::put;
use crate::{Fragment, Frame, Gso, Headers, Layer3, Pool, checksum, options};

/// Why a packet cannot be split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SplitError {
    /// not IPv4
    #[error("not IPv4")]
    NotIpv4,
    /// its sender does not want it to be fragmented
    #[error("its sender does not want it to be fragmented")]
    DontFragment,
    /// an MTU below 68 bytes
    #[error("an MTU below {LEAST_MTU} bytes")]
    Mtu,
    /// a super-frame, which is to be cut first
    #[error("a super-frame, which is to be cut first")]
    SuperFrame,
    /// a checksum that cannot be completed
    #[error("a checksum that cannot be completed")]
    Checksum,
    /// headers that do not fit the packet, or a fragment that ends past the longest datagram
    #[error("headers that do not fit the packet, or a fragment that ends past the longest datagram")]
    WrongHeaders,
}

/// What every link takes: the longest header and 8 bytes (RFC 791 section 3.2). Bounds the fragments of a packet to 1365.
const LEAST_MTU: usize = 68;
const DONT: u16 = 0x4000;
const MORE: u16 = 0x2000;
const OFFSET: u16 = 0x1fff;

/// Splits the IPv4 packet in `frame`, whose headers are `headers`, into fragments of at most `mtu` bytes each (IP header
/// included, Ethernet header not), and appends them to `out` in order. A partial checksum is completed first. A packet that
/// fits is copied; a fragment becomes smaller fragments. Link padding is left out.
///
/// # Errors
/// [`SplitError`]; then `out` is as it was.
pub fn split(
    frame: &Frame,
    headers: &Headers,
    mtu: usize,
    pool: &mut Pool,
    out: &mut Vec<Frame>,
) -> Result<(), SplitError> {
    if headers.layer3 != Layer3::Ipv4 {
        return Err(SplitError::NotIpv4);
    }
    if frame.offload.gso() != Gso::None {
        return Err(SplitError::SuperFrame);
    }
    let Some((start, _)) = frame.offload.partial_checksum() else {
        return pieces(frame.bytes(), headers, mtu, pool, out);
    };
    // Completing it must not rewrite an address.
    if headers.fragment != Fragment::Whole || start < headers.l4 {
        return Err(SplitError::Checksum);
    }
    let mut whole = pool.duplicate(frame);
    let done = match checksum::complete(&mut whole) {
        Ok(()) => pieces(whole.bytes(), headers, mtu, pool, out),
        Err(_) => Err(SplitError::Checksum),
    };
    pool.put(whole);
    done
}

/// Whether a packet's sender lets it be fragmented on its way, and it can be: an IPv4 packet that is no super-frame.
pub fn may_split(frame: &Frame, headers: &Headers) -> bool {
    let place = frame.bytes().get(usize::from(headers.l3) + 6);
    headers.layer3 == Layer3::Ipv4 && frame.offload.gso() == Gso::None && place.is_some_and(|&high| high & 0x40 == 0)
}

fn pieces(
    bytes: &[u8],
    headers: &Headers,
    mtu: usize,
    pool: &mut Pool,
    out: &mut Vec<Frame>,
) -> Result<(), SplitError> {
    let (l3, l4, end) = (usize::from(headers.l3), usize::from(headers.l4), headers.end as usize);
    let (Some(link), Some(ip), Some(payload)) = (bytes.get(..l3), bytes.get(l3..l4), bytes.get(l4..end)) else {
        return Err(SplitError::WrongHeaders);
    };
    let Some(fixed) = ip.first_chunk::<20>().filter(|_| ip.len() <= 60 && ip.len().is_multiple_of(4)) else {
        return Err(SplitError::WrongHeaders);
    };
    if mtu < LEAST_MTU {
        return Err(SplitError::Mtu);
    }
    let place = u16::from_be_bytes([fixed[6], fixed[7]]);
    let first = usize::from(place & OFFSET) * 8;
    if first + payload.len() > usize::from(u16::MAX) {
        return Err(SplitError::WrongHeaders);
    }
    let fits = ip.len() + payload.len() <= mtu;
    if place & DONT != 0 && !fits {
        return Err(SplitError::DontFragment);
    }
    let later = if fits { Vec::new() } else { [fixed, &options::copied(ip)[..]].concat() };
    let (mut header, mut at) = (ip, 0);
    loop {
        let rest = &payload[at..];
        // All but the last hold a multiple of 8 bytes: offsets count in those.
        let room = mtu - header.len();
        let (part, more) = if rest.len() <= room { (rest, place & MORE) } else { (&rest[..room & !7], MORE) };
        let mut piece = pool.get();
        piece.fill(link);
        // Far below the longest frame: these cannot fail.
        piece.extend(header);
        piece.extend(part);
        let head = &mut piece.bytes_mut()[l3..][..header.len()];
        head[0] = 0x40 | (header.len() / 4) as u8;
        put(head, 2, (header.len() + part.len()) as u16);
        put(head, 6, place & !(OFFSET | MORE) | more | ((first + at) / 8) as u16);
        let sum = checksum::ipv4_header(head);
        put(head, 10, sum);
        out.push(piece);
        at += part.len();
        if at == payload.len() {
            return Ok(());
        }
        header = &later;
    }
}
