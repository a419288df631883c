//! Cutting: a super-frame becomes segments, as a device with segmentation offload would send them; an ordinary frame
//! becomes one. Every segment has all its lengths and checksums right. Nothing is appended when cutting fails.

use crate::checksum::{self, fold};
use crate::word::{get, put};
use crate::{Fragment, Frame, Gso, Headers, IPV6_HEADER, Layer3, protocol};

/// What was appended: `count` segments, each `segment_len` bytes long but the last, `prefix` included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// Length of every segment but the last, in bytes, prefix included.
    pub segment_len: usize,
    /// How many there are; at least one.
    pub count: usize,
    /// Length of the last one, in bytes, prefix included; at most `segment_len`.
    pub last_len: usize,
}

/// Why a frame cannot be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum CutError {
    /// a kind of segmentation that was never offered
    #[error("a kind of segmentation that was never offered")]
    UnknownGso,
    /// checksum offsets that do not fit the frame
    #[error("checksum offsets that do not fit the frame")]
    BadOffsets,
    /// a segment size of zero
    #[error("a segment size of zero")]
    ZeroSize,
    /// headers that do not fit the kind of segmentation
    #[error("headers that do not fit the kind of segmentation")]
    WrongHeaders,
    /// more than 8192 segments
    #[error("more than {MAX_SEGMENTS} segments")]
    TooMany,
}

/// Most segments of one frame. Linux makes none with less than 8 bytes of payload (TCP_MIN_GSO_SIZE), so honest senders
/// stay below; without a bound 64 KiB of one-byte segments would become megabytes.
const MAX_SEGMENTS: usize = 8192;

/// Longest headers of a super-frame, in bytes: tags, IPv6, TCP with all options, and room for a few small extension headers.
/// They are repeated in every segment, so without a bound one frame could become a hundred megabytes.
const MAX_HEADERS: usize = 192;

const CWR: u8 = 0x80;
const PSH_FIN: u8 = 0x09;

/// Length of the longest frame that `frame`, whose headers are `headers`, becomes on a wire, in bytes.
#[inline]
pub fn segment_len(frame: &Frame, headers: &Headers) -> usize {
    match frame.offload.gso() {
        Gso::None => frame.len(),
        _ => frame.len().min(usize::from(headers.payload) + usize::from(frame.offload.gso_size())),
    }
}

/// Cuts `frame`, whose headers are `headers`, and appends each segment behind a copy of `prefix` to `out`.
///
/// An ordinary frame is copied, link padding included, and its partial checksum is completed. The segments of a
/// super-frame carry its headers with the lengths, checksums, IPv4 identification (counting up by one), TCP sequence number
/// and TCP flags (CWR in the first only, PSH and FIN in the last only) that belong to each.
///
/// # Errors
/// [`CutError`]; then `out` is as it was.
#[inline]
pub fn cut(frame: &Frame, headers: &Headers, prefix: &[u8], out: &mut Vec<u8>) -> Result<Cut, CutError> {
    match frame.offload.gso() {
        Gso::None => copy(frame, prefix, out),
        Gso::Unknown => Err(CutError::UnknownGso),
        _ => Ok(Segments::of(frame, headers)?.append(prefix, out)),
    }
}

fn copy(frame: &Frame, prefix: &[u8], out: &mut Vec<u8>) -> Result<Cut, CutError> {
    let (start, len) = (out.len(), prefix.len() + frame.len());
    out.reserve(len);
    out.extend_from_slice(prefix);
    out.extend_from_slice(frame.bytes());
    if let Some((csum_start, csum_offset)) = frame.offload.partial_checksum()
        && checksum::complete_at(&mut out[start + prefix.len()..], csum_start, csum_offset).is_err()
    {
        out.truncate(start);
        return Err(CutError::BadOffsets);
    }
    Ok(Cut { segment_len: len, count: 1, last_len: len })
}

/// A super-frame taken apart, with the sums of all that its segments have in common.
struct Segments<'a> {
    head: &'a [u8],
    payload: &'a [u8],
    size: usize,
    l3: usize,
    l4: usize,
    tcp: bool,
    /// IPv4: sum of the header without length, identification and checksum. `None` for IPv6.
    ip_sum: Option<u32>,
    /// Identification of the first segment.
    id: u16,
    /// Sum of pseudo-header and transport header without lengths, checksum, TCP sequence number, and the TCP flags' word.
    transport_sum: u32,
    /// Sequence number of the first segment.
    sequence: u32,
    /// Header length and flags.
    flags: u16,
}

impl<'a> Segments<'a> {
    fn of(frame: &'a Frame, headers: &Headers) -> Result<Segments<'a>, CutError> {
        let bytes = frame.bytes();
        let offload = frame.offload;
        let tcp = offload.gso() != Gso::Udp;
        let fits = match offload.gso() {
            Gso::Tcp4 => headers.layer3 == Layer3::Ipv4 && headers.key.protocol() == protocol::TCP,
            Gso::Tcp6 => headers.layer3 == Layer3::Ipv6 && headers.key.protocol() == protocol::TCP,
            _ => headers.key.protocol() == protocol::UDP,
        };
        let (l3, l4) = (usize::from(headers.l3), usize::from(headers.l4));
        let (payload, end) = (usize::from(headers.payload), headers.end as usize);
        let ip_len = if headers.layer3 == Layer3::Ipv4 { 20 } else { IPV6_HEADER };
        let inside = l3 + ip_len <= l4 && l4 + if tcp { 20 } else { 8 } <= payload && payload <= end;
        if !fits || !inside || payload > MAX_HEADERS || end > bytes.len() || headers.fragment != Fragment::Whole {
            return Err(CutError::WrongHeaders);
        }
        if checksum::segment_end(bytes, headers) != Some(end) {
            return Err(CutError::WrongHeaders);
        }
        let partial = offload.partial_checksum();
        if partial.is_some_and(|at| at != (headers.l4, if tcp { 16 } else { 6 })) {
            return Err(CutError::BadOffsets);
        }
        let size = usize::from(offload.gso_size());
        if size == 0 {
            return Err(CutError::ZeroSize);
        }
        if (end - payload).div_ceil(size) > MAX_SEGMENTS {
            return Err(CutError::TooMany);
        }
        let head = &bytes[..payload];
        let word = |at: usize| get(head, at);
        // One's complement: adding the complement takes a word out of a sum.
        let without = |at: usize| u32::from(!word(at));
        let pseudo = match checksum::pseudo(bytes, headers, 0) {
            Some(sum) => sum,
            // The sender knows the final destination behind a routing header: its sum is in the field.
            None if partial.is_some() => {
                u32::from(word(l4 + if tcp { 16 } else { 6 })) + u32::from(!fold((end - l4) as u32))
            }
            None => return Err(CutError::WrongHeaders),
        };
        let fields: &[usize] = if tcp { &[4, 6, 12, 16] } else { &[4, 6] };
        let transport = checksum::sum(&head[l4..]) + fields.iter().map(|&at| without(l4 + at)).sum::<u32>();
        let ip_sum = (headers.layer3 == Layer3::Ipv4)
            .then(|| checksum::sum(&head[l3..l4]) + without(l3 + 2) + without(l3 + 4) + without(l3 + 10));
        Ok(Segments {
            head,
            payload: &bytes[payload..end],
            size,
            l3,
            l4,
            tcp,
            ip_sum,
            id: word(l3 + 4),
            transport_sum: pseudo + transport,
            sequence: u32::from(word(l4 + 4)) << 16 | u32::from(word(l4 + 6)),
            flags: if tcp { word(l4 + 12) } else { 0 },
        })
    }

    fn append(&self, prefix: &[u8], out: &mut Vec<u8>) -> Cut {
        let head_len = prefix.len() + self.head.len();
        let count = self.payload.len().div_ceil(self.size).max(1);
        out.reserve(count * head_len + self.payload.len());
        for index in 0..count {
            let from = index * self.size;
            let part = &self.payload[from..self.payload.len().min(from + self.size)];
            let start = out.len() + prefix.len();
            out.extend_from_slice(prefix);
            out.extend_from_slice(self.head);
            out.extend_from_slice(part);
            self.finish(&mut out[start..][..self.head.len()], part, index, index + 1 == count);
        }
        let last_len = head_len + self.payload.len() - (count - 1) * self.size;
        Cut { segment_len: if count == 1 { last_len } else { head_len + self.size }, count, last_len }
    }

    /// Writes what differs from segment to segment into `head`, whose payload is `part`.
    #[inline]
    fn finish(&self, head: &mut [u8], part: &[u8], index: usize, last: bool) {
        let (ip, transport) = head[self.l3..].split_at_mut(self.l4 - self.l3);
        let len = (transport.len() + part.len()) as u32;
        if let Some(ip_sum) = self.ip_sum {
            let total = ip.len() as u32 + len;
            let id = self.id.wrapping_add(index as u16);
            put(ip, 2, total as u16);
            put(ip, 4, id);
            put(ip, 10, !fold(ip_sum + total + u32::from(id)));
        } else {
            put(ip, 4, (ip.len() as u32 - IPV6_HEADER as u32 + len) as u16);
        }
        let mut sum = self.transport_sum + len + checksum::sum(part);
        if self.tcp {
            let sequence = self.sequence.wrapping_add((index * self.size) as u32);
            let mut flags = self.flags;
            if index != 0 {
                flags &= !u16::from(CWR);
            }
            if !last {
                flags &= !u16::from(PSH_FIN);
            }
            put(transport, 4, (sequence >> 16) as u16);
            put(transport, 6, sequence as u16);
            put(transport, 12, flags);
            sum += (sequence >> 16) + (sequence & 0xffff) + u32::from(flags);
            put(transport, 16, !fold(sum));
        } else {
            // The length counts twice: in the pseudo-header and in the header.
            sum += len;
            put(transport, 4, len as u16);
            // 0 would say that there is no checksum (RFC 768).
            put(transport, 6, if fold(sum) == 0xffff { 0xffff } else { !fold(sum) });
        }
    }
}
