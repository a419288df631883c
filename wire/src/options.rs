//! IPv4 options (RFC 791 section 3.1): type, length, value. Not interpreted: found, and told which kind they are.

/// Every fragment carries a copy of an option with this bit.
const COPIED: u8 = 0x80;
const END: u8 = 0;
const NOTHING: u8 = 1;
/// Loose and strict source route.
const SOURCE_ROUTES: [u8; 2] = [131, 137];

/// The options of an IPv4 header, padding left out. Ends at the first that has a wrong length.
fn options(header: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = header.get(20..).unwrap_or_default();
    std::iter::from_fn(move || {
        while let [NOTHING, after @ ..] = rest {
            rest = after;
        }
        let len = match rest {
            [END, ..] | [] | [_] => return None,
            [_, len, ..] => usize::from(*len).max(2),
        };
        let (option, after) = rest.split_at_checked(len)?;
        rest = after;
        Some(option)
    })
}

/// Whether the sender wants to choose the way (RFC 791 section 3.1).
pub(crate) fn is_source_routed(header: &[u8]) -> bool {
    options(header).any(|option| SOURCE_ROUTES.contains(&option[0]))
}

/// The options that belong into every fragment of a packet with this header, padded to whole 32-bit words.
pub(crate) fn copied(header: &[u8]) -> Vec<u8> {
    let mut kept = Vec::new();
    for option in options(header).filter(|option| option[0] & COPIED != 0) {
        kept.extend_from_slice(option);
    }
    kept.resize(kept.len().next_multiple_of(4), END);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(options: &[u8]) -> Vec<u8> {
        [&[0x46; 20], options].concat()
    }

    #[test]
    fn options_with_the_flag_are_kept_and_padded() {
        // Record route (not copied), no operation, router alert (copied), end, and what nobody looks at.
        let header = header(&[7, 7, 4, 0, 0, 0, 0, 1, 148, 4, 0, 0, 0, 148, 4, 9, 9, 0, 0, 0]);
        assert_eq!(copied(&header), [148, 4, 0, 0]);
        assert_eq!(copied(&self::header(&[130, 3, 9, 1])), [130, 3, 9, 0]);
        assert!(!is_source_routed(&header));
        assert!(is_source_routed(&self::header(&[1, 131, 3, 4])));
    }

    #[test]
    fn wrong_lengths_end_the_walk() {
        for wrong in [&[148][..], &[148, 5, 0, 0], &[0, 148, 2, 0], &[]] {
            assert_eq!(copied(&header(wrong)), [0u8; 0], "{wrong:?}");
        }
        // A length below its own two bytes must not stand still.
        assert_eq!(copied(&header(&[148, 0, 149, 1])), [148, 0, 149, 1]);
        assert_eq!(copied(&[1, 2, 3]), [0u8; 0]);
    }
}
