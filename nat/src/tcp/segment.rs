//! What a tracker reads from a TCP header.

use wire::Headers;

use super::Kind;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;
const URG: u8 = 0x20;
/// Largest shift of a window (RFC 7323 section 2.3).
const MAX_SCALE: u8 = 14;

/// A TCP segment; a super-frame is a long one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) kind: Kind,
    pub(crate) seq: u32,
    /// The sequence number behind it: SYN and FIN count as one byte each.
    pub(crate) end: u32,
    pub(crate) ack: u32,
    pub(crate) has_ack: bool,
    pub(crate) syn: bool,
    pub(crate) rst: bool,
    /// As it stands in the header, not shifted.
    pub(crate) window: u16,
    /// The window scale option of a SYN.
    pub(crate) scale: Option<u8>,
}

impl Segment {
    /// Of a packet that was parsed as TCP and is no later fragment; `None` if it has no whole header, or flags that no
    /// sender sets together.
    #[inline]
    pub(crate) fn read(bytes: &[u8], headers: &Headers) -> Option<Segment> {
        let l4 = usize::from(headers.l4);
        let header = bytes.get(l4..usize::from(headers.payload))?;
        let fixed = header.first_chunk::<20>()?;
        let word = |at: usize| u32::from_be_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
        let flags = fixed[13];
        let kind = kind(flags)?;
        let syn = flags & SYN != 0;
        let data = headers.end.saturating_sub(u32::from(headers.payload));
        let seq = word(4);
        let end = seq.wrapping_add(data).wrapping_add(u32::from(syn)).wrapping_add(u32::from(flags & FIN != 0));
        Some(Segment {
            kind,
            seq,
            end,
            ack: word(8),
            has_ack: flags & ACK != 0,
            syn,
            rst: flags & RST != 0,
            window: u16::from_be_bytes([fixed[14], fixed[15]]),
            scale: if syn { window_scale(&header[20..]) } else { None },
        })
    }
}

impl Segment {
    /// The sequence numbers that it takes.
    pub(crate) fn len(&self) -> u16 {
        self.end.wrapping_sub(self.seq) as u16
    }

    /// Whether it opens or closes.
    pub(crate) fn changes_state(&self) -> bool {
        self.kind != Kind::Ack
    }
}

/// What a segment says, by its flags. PSH, ECE and CWR say nothing about the connection. `None` for combinations that no
/// sender makes: port scanners do, to see who answers.
fn kind(flags: u8) -> Option<Kind> {
    match flags & (SYN | FIN | RST | ACK | URG) {
        SYN => Some(Kind::Syn),
        f if f == SYN | URG => Some(Kind::Syn),
        f if f == SYN | ACK => Some(Kind::SynAck),
        f if f & !URG == FIN | ACK => Some(Kind::Fin),
        f if f & !URG == ACK => Some(Kind::Ack),
        f if f & !ACK == RST => Some(Kind::Rst),
        _ => None,
    }
}

/// The window scale option (RFC 7323 section 2.2).
fn window_scale(mut options: &[u8]) -> Option<u8> {
    loop {
        match *options {
            [] | [0, ..] => return None,
            [1, ref rest @ ..] => options = rest,
            [3, 3, shift, ..] => return Some(shift.min(MAX_SCALE)),
            [_, len, ..] if len >= 2 => options = options.get(usize::from(len)..)?,
            _ => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ct_03_only_flags_that_senders_set_together_have_a_kind() {
        let valid = (0..64u8).filter(|&flags| kind(flags).is_some()).map(|flags| flags & !0x08);
        let mut valid: Vec<_> = valid.collect();
        valid.sort_unstable();
        valid.dedup();
        let wanted = [SYN, RST, ACK, FIN | ACK, SYN | ACK, RST | ACK, SYN | URG, ACK | URG, FIN | ACK | URG];
        let mut wanted = wanted.to_vec();
        wanted.sort_unstable();
        assert_eq!(valid, wanted);
        assert_eq!(kind(SYN | 0xc0), Some(Kind::Syn), "ECN set-up (RFC 3168)");
    }

    #[test]
    fn window_scale_is_found_behind_other_options_and_bounded() {
        assert_eq!(window_scale(&[2, 4, 5, 180, 1, 3, 3, 7]), Some(7));
        assert_eq!(window_scale(&[3, 3, 200]), Some(14));
        for broken in [&[][..], &[0, 3, 3, 7], &[8, 0, 3, 3, 7], &[8, 1], &[8, 200, 1], &[3, 3], &[3]] {
            assert_eq!(window_scale(broken), None, "{broken:?}");
        }
    }
}
