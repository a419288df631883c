//! How single words are written: quotes, negation, ranges.

use std::fmt;

use crate::rules::{Not, Ports};

/// What stands before a negated option.
pub(super) const fn negation(not: bool) -> &'static str {
    if not { " !" } else { "" }
}

/// A word of any content, in quotes unless it is made of letters, digits, `-` and `_`.
pub(super) fn quoted(word: &str) -> impl fmt::Display {
    fmt::from_fn(move |f| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if !word.is_empty() && word.bytes().all(plain) {
            return f.write_str(word);
        }
        f.write_str("\"")?;
        for c in word.chars() {
            if matches!(c, '"' | '\\' | '\'') {
                f.write_str("\\")?;
            }
            write!(f, "{c}")?;
        }
        f.write_str("\"")
    })
}

/// One port, or two with a sign between them.
pub(super) fn ports(ports: Ports, between: char) -> impl fmt::Display {
    range((ports.first, ports.last), between)
}

/// One number, or two with a sign between them.
pub(super) fn range<T: fmt::Display + PartialEq>((first, last): (T, T), between: char) -> impl fmt::Display {
    fmt::from_fn(move |f| if first == last { write!(f, "{first}") } else { write!(f, "{first}{between}{last}") })
}

/// Whether ports say nothing.
pub(super) fn says_nothing(wanted: Not<Ports>) -> bool {
    !wanted.not && wanted.value == Ports::ANY
}

/// Names of the bits that are set, separated by commas.
pub(super) fn list<'a, I: Iterator<Item = &'a str> + Clone>(names: I) -> impl fmt::Display {
    fmt::from_fn(move |f| {
        for (at, name) in names.clone().enumerate() {
            if at > 0 {
                f.write_str(",")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    })
}
