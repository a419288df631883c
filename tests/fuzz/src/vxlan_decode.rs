//! What is taken for VXLAN has a valid number and an Ethernet header, and encapsulating it again is taken as the same.

use vxlan::{HEADER_LEN, Vni, decode, encode, merge};

/// The input is a datagram.
pub fn run(datagram: &[u8]) {
    if let &[inner, outer, ..] = datagram {
        let _ = merge(inner, outer);
    }
    let Ok((number, frame)) = decode(datagram) else { return };
    assert!(number <= 0x00ff_ffff && frame.len() >= 14);
    assert_eq!(frame, &datagram[HEADER_LEN..]);
    assert_ne!(datagram[0] & 8, 0, "RFC 7348 section 5: the I flag must be set");
    match Vni::new(number) {
        Ok(vni) => {
            let again = [&encode(vni)[..], frame].concat();
            assert_eq!(decode(&again), Ok((number, frame)));
        }
        Err(_) => assert_eq!(number, 0),
    }
}
