//! Control messages (`struct cmsghdr`), written and read as bytes: segment size and ToS, in and out.
//! The layout is the kernel's, not a C library's: length in a machine word, level, type, data, padded to a word.

use std::ffi::c_int;

const WORD: usize = size_of::<usize>();
const HEADER: usize = (WORD + 2 * size_of::<c_int>()).next_multiple_of(WORD);

/// Room for the two messages that are sent or received, and one more.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub(super) struct Control {
    pub(super) bytes: [u8; 3 * (HEADER + WORD)],
    pub(super) len: usize,
}

/// A ToS or traffic class byte, and which of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tos {
    pub(super) value: u8,
    pub(super) v6: bool,
}

impl Control {
    /// No messages.
    pub(super) const EMPTY: Control = Control { bytes: [0; 3 * (HEADER + WORD)], len: 0 };

    /// The messages that go with a send: how long a segment is if there are several, and ToS if it is not zero.
    pub(super) fn outgoing(segment: Option<u16>, tos: Tos) -> Control {
        let mut control = Control::EMPTY;
        if let Some(segment) = segment {
            control.push(libc::SOL_UDP, libc::UDP_SEGMENT, &segment.to_ne_bytes());
        }
        if tos.value != 0 {
            let (level, kind) = if tos.v6 { (libc::SOL_IPV6, libc::IPV6_TCLASS) } else { (libc::SOL_IP, libc::IP_TOS) };
            control.push(level, kind, &c_int::from(tos.value).to_ne_bytes());
        }
        control
    }

    fn push(&mut self, level: c_int, kind: c_int, data: &[u8]) {
        let Some(room) = self.bytes[self.len..].get_mut(..(HEADER + data.len()).next_multiple_of(WORD)) else { return };
        room[..WORD].copy_from_slice(&(HEADER + data.len()).to_ne_bytes());
        room[WORD..WORD + 4].copy_from_slice(&level.to_ne_bytes());
        room[WORD + 4..WORD + 8].copy_from_slice(&kind.to_ne_bytes());
        room[HEADER..HEADER + data.len()].copy_from_slice(data);
        self.len += room.len();
    }

    /// Segment size (0: none given) and ToS or traffic class (0 if not given) of what was received.
    pub(super) fn incoming(&self) -> (usize, u8) {
        let (mut segment, mut tos) = (0, 0);
        let mut rest = &self.bytes[..self.len.min(self.bytes.len())];
        while let Some((header, body)) = rest.split_at_checked(HEADER) {
            let (len, level, kind) = read_header(header);
            let Some(data) = len.checked_sub(HEADER).and_then(|len| body.get(..len)) else { break };
            // One byte or an int, depending on the message and the kernel; an int's value is below 2^16 here.
            let value = match *data {
                [byte] => c_int::from(byte),
                [a, b, c, d, ..] => c_int::from_ne_bytes([a, b, c, d]),
                _ => 0,
            };
            match (level, kind) {
                (libc::SOL_UDP, libc::UDP_GRO) => segment = usize::try_from(value).unwrap_or(0),
                (libc::SOL_IP, libc::IP_TOS) | (libc::SOL_IPV6, libc::IPV6_TCLASS) => tos = value as u8,
                _ => {}
            }
            rest = body.get(data.len().next_multiple_of(WORD)..).unwrap_or_default();
        }
        (segment, tos)
    }
}

fn read_header(header: &[u8]) -> (usize, c_int, c_int) {
    let mut len = [0; WORD];
    len.copy_from_slice(&header[..WORD]);
    let int = |at: usize| c_int::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    (usize::from_ne_bytes(len), int(WORD), int(WORD + 4))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn messages_are_laid_out_as_the_c_library_does() {
        let control = Control::outgoing(Some(1400), Tos { value: 2, v6: false });
        // SAFETY: CMSG_SPACE and CMSG_LEN only compute.
        let (space, len) = unsafe { (libc::CMSG_SPACE(2) + libc::CMSG_SPACE(4), libc::CMSG_LEN(2)) };
        assert_eq!(control.len, space as usize);
        assert_eq!(read_header(&control.bytes), (len as usize, libc::SOL_UDP, libc::UDP_SEGMENT));
        assert_eq!(control.incoming(), (0, 2));
        assert_eq!(Control::outgoing(None, Tos { value: 0, v6: true }).len, 0);
        assert_eq!(Control::outgoing(None, Tos { value: 3, v6: true }).incoming(), (0, 3));
    }

    #[test]
    fn segment_size_is_read() {
        let mut control = Control::EMPTY;
        control.push(libc::SOL_IP, libc::IP_TOS, &[1]);
        control.push(libc::SOL_UDP, libc::UDP_GRO, &1450i32.to_ne_bytes());
        assert_eq!(control.incoming(), (1450, 1));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes: [u8; 32], lead in 0usize..64, len in 0usize..256) {
            let mut control = Control::EMPTY;
            control.bytes[..32].copy_from_slice(&bytes);
            control.bytes[..WORD].copy_from_slice(&lead.to_ne_bytes());
            control.len = len;
            control.incoming();
        }
    }
}
