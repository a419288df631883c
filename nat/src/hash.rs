//! One hash for all tables: folded multiplications under a seed that keeps outsiders from building collisions.

use crate::{Address, Zone};

const ODD: u64 = 0x9e37_79b9_7f4a_7c15;

/// A hash of some words.
#[inline]
pub(crate) fn mix<const N: usize>(seed: u64, words: [u64; N]) -> u64 {
    let mut state = seed ^ ODD;
    for pair in words.chunks(2) {
        let second = pair.get(1).copied().unwrap_or(0);
        state = fold(state ^ pair[0], state.rotate_left(32) ^ second ^ 0xd1b5_4a32_d192_ed03);
    }
    fold(state, ODD)
}

/// A hash of an endpoint in a zone.
#[inline]
pub(crate) fn endpoint(seed: u64, zone: Zone, ip: Address, port: u16, protocol: u8) -> u64 {
    let rest = u64::from(zone.0) << 32 | u64::from(port) << 8 | u64::from(protocol);
    mix(seed, [ip.high, ip.low, rest])
}

#[inline]
pub(crate) fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product >> 64) as u64 ^ product as u64
}
