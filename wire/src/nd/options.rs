//! Options of neighbour discovery messages (RFC 4861 section 4.6): type, length in 8 bytes, value.

use crate::{Mac, Malformed};

/// Source link-layer address.
pub(super) const SOURCE_LINK: u8 = 1;
/// Target link-layer address.
pub(super) const TARGET_LINK: u8 = 2;

/// The link-layer address in the first option of type `wanted`, if it is a station's.
/// Walks over all options: one of length zero, or past the end, spoils the message whatever its type.
pub(super) fn link_address(mut options: &[u8], wanted: u8) -> Result<Option<Mac>, Malformed> {
    let mut found = None;
    while !options.is_empty() {
        let len = options.get(1).map_or(0, |&units| usize::from(units) * 8);
        let (option, rest) = options.split_at_checked(len).ok_or(Malformed::Discovery)?;
        let &[kind, _, a, b, c, d, e, f, ..] = option else { return Err(Malformed::Discovery) };
        if kind == wanted && found.is_none() {
            found = Some(Mac([a, b, c, d, e, f]));
        }
        options = rest;
    }
    Ok(found.filter(|mac| mac.is_station()))
}
