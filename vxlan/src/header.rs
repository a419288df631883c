//! The eight bytes between the outer UDP header and the inner frame (RFC 7348 section 5).

use crate::Vni;

/// Bytes of the VXLAN header.
pub const HEADER_LEN: usize = 8;

/// The I flag: the VNI is valid.
const FLAG_VNI: u8 = 0x08;

/// Why a datagram is not VXLAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// too short for a VXLAN header and an Ethernet header
    #[error("too short for a VXLAN header and an Ethernet header")]
    Truncated,
    /// the I flag is not set
    #[error("the I flag is not set")]
    NoVni,
}

/// The header of a frame of network `vni`; reserved fields are zero.
pub const fn encode(vni: Vni) -> [u8; HEADER_LEN] {
    let [_, a, b, c] = vni.get().to_be_bytes();
    [FLAG_VNI, 0, 0, 0, a, b, c, 0]
}

/// Splits a datagram into the network's number and the inner frame. The other 39 bits are reserved and ignored, as the
/// RFC wants it (Linux drops frames that have them set).
///
/// # Errors
/// [`Refused`] when it is too short or has no valid VNI.
#[inline]
pub fn decode(datagram: &[u8]) -> Result<(u32, &[u8]), Refused> {
    let (header, frame) = datagram.split_first_chunk::<HEADER_LEN>().ok_or(Refused::Truncated)?;
    if header[0] & FLAG_VNI == 0 {
        return Err(Refused::NoVni);
    }
    if frame.len() < 14 {
        return Err(Refused::Truncated);
    }
    Ok((u32::from_be_bytes([0, header[4], header[5], header[6]]), frame))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn datagram(header: [u8; 8]) -> Vec<u8> {
        [&header[..], &[0; 14]].concat()
    }

    #[test]
    fn vx_01_vx_02_flags_are_08_and_reserved_fields_zero() {
        assert_eq!(encode(Vni::new(0x0012_3456).unwrap()), [8, 0, 0, 0, 0x12, 0x34, 0x56, 0]);
    }

    #[test]
    fn vx_03_each_reserved_bit_alone_is_ignored() {
        let plain = encode(Vni::new(42).unwrap());
        let mut tried = 0;
        for bit in 0..64 {
            let mut header = plain;
            header[bit / 8] |= 0x80 >> (bit % 8);
            if bit == 4 || (32..56).contains(&bit) {
                continue;
            }
            assert_eq!(decode(&datagram(header)).map(|(vni, _)| vni), Ok(42), "bit {bit}");
            tried += 1;
        }
        assert_eq!(tried, 39);
    }

    #[test]
    fn vx_04_i_flag_unset_is_refused() {
        assert_eq!(decode(&datagram([0xf7, 0, 0, 0, 0, 0, 42, 0])), Err(Refused::NoVni));
    }

    #[test]
    fn vx_06_numbers_round_trip() {
        for number in [1, 0x00_ffff, 0xff_ffff] {
            assert_eq!(decode(&datagram(encode(Vni::new(number).unwrap()))).map(|(vni, _)| vni), Ok(number));
        }
    }

    #[test]
    fn vx_19_truncated_is_refused() {
        let whole = datagram(encode(Vni::new(42).unwrap()));
        for len in 0..whole.len() {
            assert_eq!(decode(&whole[..len]), Err(Refused::Truncated), "{len} bytes");
        }
    }
}
