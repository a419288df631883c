//! Labels of endpoints: what a key and a value may be. Keys are plain, so that rules can name them in their comments.

/// Bytes of a key at the most.
const KEY: usize = 128;
/// Bytes of a value at the most.
const VALUE: usize = 255;

/// Letters, digits, `_`, `.`, `-` and `/`, at most 128, beginning with a letter or digit.
pub fn is_label_key(key: &str) -> bool {
    key.len() <= KEY
        && key.starts_with(|first: char| first.is_ascii_alphanumeric())
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-' | b'/'))
}

/// At most 255 bytes, none of them a control character.
pub fn is_label_value(value: &str) -> bool {
    value.len() <= VALUE && !value.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_plain_and_values_are_text() {
        for key in ["team", "com.example/tier-1", "A_b", "0"] {
            assert!(is_label_key(key), "{key}");
        }
        for key in ["", ".x", "a b", "a=b", "\"a", "ä", &"x".repeat(129)] {
            assert!(!is_label_key(key), "{key}");
        }
        assert!(is_label_value("") && is_label_value("a b, ä"));
        assert!(!is_label_value("a\nb") && !is_label_value(&"x".repeat(256)));
    }
}
