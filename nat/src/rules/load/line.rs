//! A line cut into words, as `iptables-restore` cuts it: at blanks, double quotes hold blanks together, and inside them a
//! backslash makes the next character plain.

use std::borrow::Cow;

use super::{Refusal, refuse};

/// The words of a line, in order; `next` takes one.
pub(super) struct Words<'a> {
    words: Vec<Cow<'a, str>>,
    at: usize,
}

impl<'a> Words<'a> {
    /// Cuts a line.
    pub(super) fn cut(line: &'a str) -> Result<Words<'a>, Refusal> {
        let mut words = Vec::with_capacity(24);
        let mut rest = line;
        loop {
            rest = rest.trim_start_matches([' ', '\t']);
            if rest.is_empty() {
                return Ok(Words { words, at: 0 });
            }
            let end = rest.find([' ', '\t']).unwrap_or(rest.len());
            if rest[..end].contains('"') {
                let (word, after) = quoted(rest)?;
                words.push(Cow::Owned(word));
                rest = after;
            } else {
                words.push(Cow::Borrowed(&rest[..end]));
                rest = &rest[end..];
            }
        }
    }

    /// Takes the next word.
    pub(super) fn next(&mut self) -> Option<Cow<'a, str>> {
        let word = self.words.get_mut(self.at)?;
        self.at += 1;
        Some(std::mem::take(word))
    }

    /// The next word, left where it is.
    pub(super) fn peek(&self) -> Option<&str> {
        self.words.get(self.at).map(|word| &**word)
    }

    /// The word behind `option`.
    pub(super) fn value_of(&mut self, option: &str) -> Result<Cow<'a, str>, Refusal> {
        match self.next() {
            Some(word) => Ok(word),
            None => refuse(option, "its value is missing"),
        }
    }
}

/// A word with quotes, and what follows it.
fn quoted(text: &str) -> Result<(String, &str), Refusal> {
    let mut word = String::new();
    let (mut open, mut escaped) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => {
                word.push(c);
                escaped = false;
            }
            '\\' if open => escaped = true,
            '"' => open = !open,
            ' ' | '\t' if !open => return Ok((word, &text[at..])),
            _ => word.push(c),
        }
    }
    if open { refuse(text, "the quote is not closed") } else { Ok((word, "")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(line: &str) -> Vec<String> {
        let mut words = Words::cut(line).unwrap();
        std::iter::from_fn(|| words.next().map(Cow::into_owned)).collect()
    }

    #[test]
    fn quotes_hold_together_and_may_stand_inside_a_word() {
        assert_eq!(cut("  -m\tcomment --comment \"a b\" x"), ["-m", "comment", "--comment", "a b", "x"]);
        assert_eq!(cut(r#""he said \"hi\" \' \\ " a"b c"d "" \"#), ["he said \"hi\" ' \\ ", "ab cd", "", "\\"]);
        assert_eq!(cut(""), [""; 0]);
        assert!(Words::cut(r#"a "b c"#).is_err() && Words::cut(r#"a "b\"#).is_err() && Words::cut("\"\\\"").is_err());
    }
}
