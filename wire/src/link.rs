//! Writing the Ethernet header: of a frame that the switch makes up, with its tag, or the tag or the addresses of one that
//! it passes on.

use crate::{Frame, Mac, ether_type};

/// Replaces the content of `out` by an Ethernet header; `tag` is PCP, DEI and VID.
pub(crate) fn begin(out: &mut Frame, dst: Mac, src: Mac, tag: Option<u16>, kind: u16) {
    out.clear();
    // A frame has room for far more than its headers: none of these can fail.
    out.extend(&dst.0);
    out.extend(&src.0);
    if let Some(tag) = tag {
        out.extend(&ether_type::VLAN.to_be_bytes());
        out.extend(&tag.to_be_bytes());
    }
    out.extend(&kind.to_be_bytes());
}

/// Takes the first tag out of a frame, if it has one. Headers parsed before no longer fit.
pub fn untag(frame: &mut Frame) {
    let kind = frame.bytes().get(12..16).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]));
    if matches!(kind, Some(ether_type::VLAN | ether_type::QINQ)) {
        frame.take_out(12..16);
        frame.offload = frame.offload.moved_up(4);
    }
}

/// Gives a frame this 802.1Q tag (PCP, DEI, VID), in place of its first one if it has any, a service tag too. `false`, and nothing changed, if there is
/// no room. Headers parsed before no longer fit.
pub fn set_tag(frame: &mut Frame, tag: u16) -> bool {
    let [a, b] = ether_type::VLAN.to_be_bytes();
    let [c, d] = tag.to_be_bytes();
    let kind = frame.bytes().get(12..16).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]));
    if matches!(kind, Some(ether_type::VLAN | ether_type::QINQ)) {
        frame.bytes_mut()[12..16].copy_from_slice(&[a, b, c, d]);
        return true;
    }
    let fits = frame.put_in(12, &[a, b, c, d]);
    if fits {
        frame.offload = frame.offload.moved_down(4);
    }
    fits
}

/// Gives a frame these MAC addresses. Nothing happens to one that is too short for them. Headers parsed before still fit,
/// but their key has the old addresses.
#[inline]
pub fn set_link(frame: &mut Frame, src: Mac, dst: Mac) {
    if let Some(addresses) = frame.bytes_mut().first_chunk_mut::<12>() {
        addresses[..6].copy_from_slice(&dst.0);
        addresses[6..].copy_from_slice(&src.0);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Gso, Offload};

    #[test]
    fn a_tag_is_put_in_replaced_and_taken_out() {
        let bytes: Vec<u8> = [&[1; 12][..], &[8, 0], &[9; 46]].concat();
        let mut frame = Frame::from_bytes(&bytes);
        frame.offload = Offload::segmented(Gso::Tcp4, 1_000, 54, 34, 16);
        assert!(set_tag(&mut frame, 0x600a));
        assert_eq!(frame.bytes(), [&bytes[..12], &[0x81, 0, 0x60, 0x0a], &bytes[12..]].concat());
        assert_eq!(frame.offload, Offload::segmented(Gso::Tcp4, 1_000, 58, 38, 16));
        assert!(set_tag(&mut frame, 20));
        assert_eq!(frame.bytes(), [&bytes[..12], &[0x81, 0, 0, 20], &bytes[12..]].concat());
        untag(&mut frame);
        assert_eq!((frame.bytes(), frame.offload), (&bytes[..], Offload::segmented(Gso::Tcp4, 1_000, 54, 34, 16)));
    }

    #[test]
    fn a_service_tag_is_replaced_as_a_whole() {
        let mut frame = Frame::from_bytes(&[&[1; 12][..], &[0x88, 0xa8, 0x20, 7], &[8, 0], &[9; 46]].concat());
        assert!(set_tag(&mut frame, 10));
        assert_eq!(frame.bytes(), [&[1; 12][..], &[0x81, 0, 0, 10], &[8, 0], &[9; 46]].concat());
    }

    #[test]
    fn a_frame_without_room_or_addresses_stays_as_it_is() {
        for len in [0, 11, Frame::MAX_LEN - 3, Frame::MAX_LEN] {
            let mut frame = Frame::from_bytes(&vec![7; len]);
            assert!(!set_tag(&mut frame, 5), "{len}");
            assert_eq!(frame.bytes(), vec![7; len]);
        }
    }

    proptest! {
        #[test]
        fn a_new_tag_leaves_the_rest_alone(bytes in proptest::collection::vec(any::<u8>(), 0..100), tag: u16) {
            let mut frame = Frame::from_bytes(&bytes);
            if set_tag(&mut frame, tag) {
                let tagged = matches!(&bytes[12..], [0x81, 0x00, _, _, ..] | [0x88, 0xa8, _, _, ..]);
                prop_assert_eq!(frame.len(), bytes.len() + if tagged { 0 } else { 4 });
                prop_assert_eq!(&frame.bytes()[..12], &bytes[..12]);
                prop_assert_eq!(&frame.bytes()[12..14], &[0x81, 0x00]);
                prop_assert_eq!(&frame.bytes()[16..], &bytes[if tagged { 16 } else { 12 }..]);
            }
        }
    }
}
