//! Offload metadata that travels with a frame: what the kernel left for a device to do.
//! The layout is `struct virtio_net_hdr` (linux/virtio_net.h), so that it passes from TAP to TAP untouched.

/// How a super-frame is to be cut into segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Gso {
    /// An ordinary frame.
    None,
    /// TCP over IPv4.
    Tcp4,
    /// TCP over IPv6.
    Tcp6,
    /// UDP datagrams of equal size (USO), over either IP version; Linux 6.2 and later.
    Udp,
    /// A kind that the switch never asked for (UFO, say): such a frame is dropped.
    Unknown,
}

const NEEDS_CSUM: u8 = 1;
const DATA_VALID: u8 = 2;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
const GSO_ECN: u8 = 0x80;

/// What is still to be done to a frame, or what is known about it. All offsets are in bytes from the frame's first byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offload {
    flags: u8,
    gso_type: u8,
    hdr_len: u16,
    gso_size: u16,
    csum_start: u16,
    csum_offset: u16,
}

impl Offload {
    /// Bytes of the header that precedes a frame on a TAP with IFF_VNET_HDR.
    pub const LEN: usize = 10;

    /// Nothing left to do, nothing known: the receiver verifies the checksum itself.
    pub const NONE: Offload = Offload { flags: 0, gso_type: 0, hdr_len: 0, gso_size: 0, csum_start: 0, csum_offset: 0 };

    /// Checksums were verified; the receiver need not do it again.
    pub const VALID: Offload = Offload { flags: DATA_VALID, ..Offload::NONE };

    /// A partial checksum: the field at `start + offset` holds the pseudo-header's sum; the sum of everything from
    /// `start` to the end is still to be put there.
    #[inline]
    pub const fn partial(start: u16, offset: u16) -> Offload {
        Offload { flags: NEEDS_CSUM, csum_start: start, csum_offset: offset, ..Offload::NONE }
    }

    /// A super-frame: `header_len` bytes of headers (Ethernet to TCP or UDP), then payload to be cut every `size` bytes;
    /// its checksum is partial.
    #[inline]
    pub const fn segmented(gso: Gso, size: u16, header_len: u16, start: u16, offset: u16) -> Offload {
        let gso_type = match gso {
            Gso::Tcp4 => GSO_TCPV4,
            Gso::Tcp6 => GSO_TCPV6,
            Gso::Udp => GSO_UDP_L4,
            Gso::None | Gso::Unknown => 0,
        };
        Offload {
            flags: NEEDS_CSUM,
            gso_type,
            hdr_len: header_len,
            gso_size: size,
            csum_start: start,
            csum_offset: offset,
        }
    }

    /// Reads the header as the kernel wrote it, in the machine's byte order.
    #[inline]
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Offload {
        let word = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
        Offload {
            flags: bytes[0],
            gso_type: bytes[1],
            hdr_len: word(2),
            gso_size: word(4),
            csum_start: word(6),
            csum_offset: word(8),
        }
    }

    /// The header as the kernel reads it.
    #[inline]
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[0] = self.flags;
        bytes[1] = self.gso_type;
        for (at, word) in [(2, self.hdr_len), (4, self.gso_size), (6, self.csum_start), (8, self.csum_offset)] {
            bytes[at..at + 2].copy_from_slice(&word.to_ne_bytes());
        }
        bytes
    }

    /// The same for a frame that lost `bytes` from its first header.
    pub(crate) const fn moved_up(mut self, bytes: u16) -> Offload {
        self.hdr_len = self.hdr_len.saturating_sub(bytes);
        self.csum_start = self.csum_start.saturating_sub(bytes);
        self
    }

    /// The same for a frame that got `bytes` more in its first header. Offsets that would not fit are those of no frame.
    pub(crate) const fn moved_down(mut self, bytes: u16) -> Offload {
        if self.hdr_len != 0 {
            self.hdr_len = self.hdr_len.saturating_add(bytes);
        }
        if self.flags & NEEDS_CSUM != 0 {
            self.csum_start = self.csum_start.saturating_add(bytes);
        }
        self
    }

    /// How the frame is to be cut.
    #[inline]
    pub const fn gso(self) -> Gso {
        match self.gso_type & !GSO_ECN {
            0 => Gso::None,
            GSO_TCPV4 => Gso::Tcp4,
            GSO_TCPV6 => Gso::Tcp6,
            GSO_UDP_L4 => Gso::Udp,
            _ => Gso::Unknown,
        }
    }

    /// Payload bytes in each segment of a super-frame but the last.
    #[inline]
    pub const fn gso_size(self) -> u16 {
        self.gso_size
    }

    /// `(start, offset)` of a partial checksum, if the frame has one.
    #[inline]
    pub const fn partial_checksum(self) -> Option<(u16, u16)> {
        if self.flags & NEEDS_CSUM != 0 { Some((self.csum_start, self.csum_offset)) } else { None }
    }

    /// Whether the checksums are known to be right (or will be once the partial one is completed).
    #[inline]
    pub const fn is_trusted(self) -> bool {
        self.flags & (NEEDS_CSUM | DATA_VALID) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_is_the_kernels() {
        let offload = Offload::segmented(Gso::Tcp4, 1400, 66, 34, 16);
        let bytes = offload.to_bytes();
        assert_eq!(bytes[..2], [1, 1]);
        assert_eq!(bytes[4..6], 1400u16.to_ne_bytes());
        assert_eq!(Offload::from_bytes(&bytes), offload);
        assert_eq!(offload.partial_checksum(), Some((34, 16)));
    }

    #[test]
    fn ecn_flag_does_not_hide_the_kind() {
        assert_eq!(Offload::from_bytes(&[1, 0x81, 0, 0, 0, 0, 0, 0, 0, 0]).gso(), Gso::Tcp4);
        assert_eq!(Offload::from_bytes(&[0, 3, 0, 0, 0, 0, 0, 0, 0, 0]).gso(), Gso::Unknown);
    }
}
