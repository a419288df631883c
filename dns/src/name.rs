//! A domain name as it is compared: its labels in wire form, each behind its length, in lower case, without the root's zero.
//! Lengths are below 64 and letters above: a name may be lowered and searched as plain bytes.

/// Longest name in wire form, in bytes, the root's zero included (RFC 1035 section 2.3.4).
pub(crate) const LONGEST: usize = 255;
/// Longest label, in bytes.
const LONGEST_LABEL: usize = 63;

/// A domain name in lower case.
#[derive(Clone, Copy)]
pub struct Name {
    len: u8,
    bytes: [u8; LONGEST],
}

impl Name {
    /// From labels in wire form, without the root's zero; the root itself has none. `None`: too long, or something else than labels.
    pub fn from_labels(labels: &[u8]) -> Option<Name> {
        let boundaries = Boundaries { labels, at: 0 };
        if labels.len() >= LONGEST || !boundaries.reach(labels.len()) {
            return None;
        }
        let mut name = Name { len: labels.len() as u8, bytes: [0; LONGEST] };
        name.bytes[..labels.len()].copy_from_slice(labels);
        name.bytes[..labels.len()].make_ascii_lowercase();
        Some(name)
    }

    /// From text: labels with dots between, and perhaps one behind. Nothing is escaped. `None`: a label or the whole is
    /// empty or too long.
    pub fn from_text(text: &str) -> Option<Name> {
        Name::from_labels(&labels_of(text)?)
    }

    /// The labels in wire form, without the root's zero.
    pub fn labels(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// The labels of a text, in wire form and in its own case.
pub(crate) fn labels_of(text: &str) -> Option<Vec<u8>> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let mut labels = Vec::with_capacity(text.len() + 1);
    for label in text.split('.') {
        if label.is_empty() || label.len() > LONGEST_LABEL {
            return None;
        }
        labels.push(label.len() as u8);
        labels.extend_from_slice(label.as_bytes());
    }
    (labels.len() < LONGEST).then_some(labels)
}

/// The labels before `suffix`, if the name ends with it and is longer.
pub(crate) fn before<'a>(labels: &'a [u8], suffix: &[u8]) -> Option<&'a [u8]> {
    let rest = labels.strip_suffix(suffix)?;
    let whole = !suffix.is_empty() && !rest.is_empty() && Boundaries { labels, at: 0 }.reach(rest.len());
    whole.then_some(rest)
}

/// The labels in the order from the root down, so that names below another begin as that does.
pub(crate) fn reversed<'a>(labels: &[u8], out: &'a mut [u8; LONGEST]) -> &'a [u8] {
    let (mut rest, mut end) = (&labels[..labels.len().min(LONGEST)], labels.len().min(LONGEST));
    let len = end;
    while let Some(&first) = rest.first() {
        let (label, others) = rest.split_at((usize::from(first) + 1).min(rest.len()));
        end -= label.len();
        out[end..end + label.len()].copy_from_slice(label);
        rest = others;
    }
    &out[..len]
}

/// The first label, and the labels behind it.
pub(crate) fn split_first(labels: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&len, rest) = labels.split_first()?;
    rest.split_at_checked(usize::from(len))
}

/// The length of the labels of an uncompressed name at the start of `bytes`, without the root's zero that must follow.
pub(crate) fn measure(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        match *bytes.get(at)? {
            0 => return Some(at),
            len if usize::from(len) <= LONGEST_LABEL => at += 1 + usize::from(len),
            _ => return None,
        }
        if at >= LONGEST {
            return None;
        }
    }
}

/// Where labels begin.
struct Boundaries<'a> {
    labels: &'a [u8],
    at: usize,
}

impl Boundaries<'_> {
    /// Whether one begins, or the last one ends, at `place`.
    fn reach(mut self, place: usize) -> bool {
        while self.at < place {
            match self.labels.get(self.at) {
                Some(&len @ 1..=63) => self.at += 1 + usize::from(len),
                _ => return false,
            }
        }
        self.at == place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_labels() {
        assert_eq!(Name::from_text("Web.RED").unwrap().labels(), b"\x03web\x03red");
        assert_eq!(Name::from_text("web.").unwrap().labels(), b"\x03web");
        for text in ["", ".", "a..b", ".a", &"x".repeat(64), &"ab.".repeat(85)] {
            assert!(Name::from_text(text).is_none(), "{text}");
        }
        assert_eq!(Name::from_text(&"a.".repeat(127)).unwrap().labels().len(), 254);
    }

    #[test]
    fn a_suffix_begins_with_a_label() {
        let labels = b"\x04\x01a\x01b\x01b";
        assert_eq!(before(labels, b"\x01b"), Some(&labels[..5]));
        assert_eq!(before(labels, b"\x01b\x01b"), None, "in the middle of a label");
        assert_eq!(before(labels, labels), None);
        assert_eq!(before(labels, b""), None);
    }

    #[test]
    fn measured_up_to_the_root() {
        assert_eq!(measure(b"\x03web\x00rest"), Some(4));
        assert_eq!(measure(b"\x00"), Some(0));
        assert_eq!(measure(b"\x03web"), None);
        assert_eq!(measure(b"\x03web\xc0\x0c"), None, "compressed");
        assert_eq!(measure(&[b"\x01a".repeat(128).as_slice(), &[0]].concat()), None, "256 bytes");
        assert_eq!(measure(&[b"\x01a".repeat(127).as_slice(), &[0]].concat()), Some(254));
    }
}
