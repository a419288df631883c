//! Names and identifiers: what is allowed, how one is made, and what a reference on the command line means.

use rand::RngExt as _;

/// A random id of a network or endpoint: 64 hex digits.
pub fn new_id() -> String {
    random_hex(64)
}

/// So many random hex digits.
pub fn random_hex(digits: usize) -> String {
    let mut random = rand::rng();
    (0..digits).map(|_| char::from_digit(random.random_range(0..16), 16).unwrap_or('0')).collect()
}

/// Whether a text is an id of ours.
pub fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether a text can name a network, a host or a sandbox: a letter or digit, then letters, digits, `_`, `.`, `-`;
/// at most 128. All of these are allowed in a store's keys.
pub fn is_name(text: &str) -> bool {
    let first = text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric);
    first && text.len() <= 128 && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

/// Finds what a user means among `(id, name)`: a full id, else a name, else a unique prefix of an id.
///
/// # Errors
/// The ids and names that match when there is not exactly one; empty when there is none.
pub fn resolve<'a>(
    reference: &str,
    known: impl Iterator<Item = (&'a str, &'a str)> + Clone,
) -> Result<&'a str, Vec<(&'a str, &'a str)>> {
    if let Some((id, _)) = known.clone().find(|(id, _)| *id == reference) {
        return Ok(id);
    }
    let named: Vec<_> = known.clone().filter(|(_, name)| *name == reference).collect();
    let found = if named.is_empty() && !reference.is_empty() {
        known.filter(|(id, _)| id.starts_with(reference)).collect()
    } else {
        named
    };
    match found.as_slice() {
        [(id, _)] => Ok(id),
        _ => Err(found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_into_keys() {
        for good in ["a", "RED", "web-0.1_x", "0", &"x".repeat(128)] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "-a", ".a", "a/b", "a b", "ä", "a:b", &"x".repeat(129)] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn ids_are_64_hex_digits() {
        assert!(is_id(&new_id()) && new_id() != new_id());
        assert!(!is_id("abc") && !is_id(&"G".repeat(64)));
    }

    #[test]
    fn a_reference_is_an_id_a_name_or_a_unique_prefix() {
        let known = [("abc1", "red"), ("abd2", "blue"), ("ffff", "abc1")];
        let find = |text| resolve(text, known.iter().copied());
        assert_eq!(find("abc1"), Ok("abc1"), "an id wins over a name");
        assert_eq!(find("blue"), Ok("abd2"));
        assert_eq!(find("abd"), Ok("abd2"));
        assert_eq!(find("ab").unwrap_err().len(), 2);
        assert!(find("nix").unwrap_err().is_empty() && find("").unwrap_err().is_empty());
    }
}
