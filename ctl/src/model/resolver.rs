//! What a container's resolv.conf holds, or what somebody wants in it instead of what the switch would put there.
//! Only the content: who writes the file, and where, is the runtime's business.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// Name servers that a resolver asks at the most (glibc's MAXNS).
pub const NAMESERVERS: usize = 3;
/// Search domains at the most.
const SEARCH: usize = 32;
/// Options at the most.
const OPTIONS: usize = 32;

/// The lines of a resolv.conf (resolv.conf(5)).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Resolver {
    /// Whom it asks, the first one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nameservers: Vec<IpAddr>,
    /// Domains that short names are tried in; as a wish, `.` means none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
    /// Such as `ndots:0`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

impl Resolver {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.nameservers.is_empty() && self.search.is_empty() && self.options.is_empty()
    }

    /// Without what [`Resolver::check`] finds fault with, for lines that somebody else wrote.
    pub(crate) fn sane(mut self) -> Resolver {
        self.search.retain(|domain| is_domain(domain));
        self.search.truncate(SEARCH);
        self.options.retain(|option| is_option(option));
        self.options.truncate(OPTIONS);
        self
    }

    /// Checks a wish.
    ///
    /// # Errors
    /// What is wrong, and what to do.
    pub fn check(&self) -> Result<(), (String, &'static str)> {
        if let Some(bad) = self.nameservers.iter().find(|server| server.is_unspecified() || server.is_multicast()) {
            return Err((format!("{bad} cannot be a name server"), "give another address"));
        }
        if self.nameservers.len() > NAMESERVERS {
            let why = format!("{} name servers; resolvers ask {NAMESERVERS} at the most", self.nameservers.len());
            return Err((why, "give fewer"));
        }
        if let Some(bad) = self.search.iter().find(|domain| !is_domain(domain)) {
            return Err((format!("{bad:?} is no domain"), "give one such as example.com, or . for none"));
        }
        if let Some(bad) = self.options.iter().find(|option| !is_option(option)) {
            return Err((format!("{bad:?} is no option of a resolver"), "give one such as ndots:2 or use-vc"));
        }
        if self.search.len() > SEARCH || self.options.len() > OPTIONS {
            return Err((format!("more than {SEARCH} search domains or {OPTIONS} options"), "give fewer"));
        }
        Ok(())
    }

    /// The text of a resolv.conf; a file of ours has no other lines.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for server in &self.nameservers {
            text.push_str(&format!("nameserver {server}\n"));
        }
        for (word, values) in [("search", &self.search), ("options", &self.options)] {
            if !values.is_empty() {
                text.push_str(&format!("{word} {}\n", values.join(" ")));
            }
        }
        text
    }
}

/// Labels of at most 63 letters, digits, `_` and `-`, 253 bytes in all; or the root.
fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
    };
    text == "." || text.len() <= 253 && text.strip_suffix('.').unwrap_or(text).split('.').all(label)
}

fn is_option(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b':' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(nameservers: &[&str], search: &[&str], options: &[&str]) -> Resolver {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let nameservers = nameservers.iter().map(|text| text.parse().unwrap()).collect();
        Resolver { nameservers, search: texts(search), options: texts(options) }
    }

    #[test]
    fn nothing_gets_a_line_of_its_own_into_the_file() {
        assert_eq!(wish(&["10.9.0.1", "fd00::1"], &["a.example", "_x"], &["ndots:0"]).check(), Ok(()));
        assert_eq!(wish(&[], &["."], &[]).check(), Ok(()));
        for bad in [
            wish(&["0.0.0.0"], &[], &[]),
            wish(&["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"], &[], &[]),
            wish(&[], &["a\nnameserver 1.2.3.4"], &[]),
            wish(&[], &["a..b"], &[]),
            wish(&[], &[""], &[]),
            wish(&[], &[], &["a b"]),
            wish(&[], &[], &[""]),
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_file_has_what_it_says() {
        let text = wish(&["10.9.0.1", "fd00::1"], &["a", "b"], &["ndots:0"]).text();
        assert_eq!(text, "nameserver 10.9.0.1\nnameserver fd00::1\nsearch a b\noptions ndots:0\n");
        assert_eq!(Resolver::default().text(), "");
    }
}
