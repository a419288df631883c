//! ICMP errors: the packet that they quote is turned back into what its sender had sent (RFC 5508 REQ-4 and REQ-5).

use wire::{Frame, Headers};

use super::place::Place;
use super::{Rewrite, Untranslatable, embedded};

/// Gives an ICMP error the addresses of `outer`, and the packet that it quotes the ends of `inner`. Type, code, lengths and
/// extensions (RFC 4884) stay; the quotation's own checksums are corrected as far as they are quoted.
///
/// # Errors
/// [`Untranslatable`], and nothing changed.
pub fn translate_error(
    frame: &mut Frame,
    headers: &Headers,
    outer: &Rewrite,
    inner: &Rewrite,
) -> Result<(), Untranslatable> {
    let place = Place::of(frame, headers).ok_or(Untranslatable::Family)?;
    let quoted = embedded(frame.bytes(), headers).ok_or(Untranslatable::Quotation)?.place;
    place.check(frame.bytes(), outer)?;
    // A quotation without a checksum is as it was sent; nobody will verify it.
    match quoted.check(frame.bytes(), inner) {
        Ok(()) | Err(Untranslatable::NoChecksum) => {}
        Err(other) => return Err(other),
    }
    let bytes = frame.bytes_mut();
    let changed = quoted.apply(bytes, inner);
    // The quotation lies under the checksum of the error: ICMP's 2 bytes behind type and code.
    if !place.partial {
        let at = place.l4 + 2;
        let sum = changed.update(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
        bytes[at..at + 2].copy_from_slice(&sum.to_be_bytes());
    }
    place.apply(bytes, outer);
    Ok(())
}
