//! Values on the command line: what clap parses with, and says when it cannot.
//!
//! Only the form is checked here, so that a slip is told before anything is asked; what is allowed
//! is vswitchd's to decide.

use std::collections::BTreeMap;
use std::str::FromStr;

use clap::{Arg, ArgAction};
use ipnet::IpNet;

/// A flag as docker has it: `--internal` alone, or `--internal=false`.
pub(crate) fn boolean(flag: Arg) -> Arg {
    flag.action(ArgAction::Set)
        .value_name("BOOL")
        .num_args(0..=1)
        .require_equals(true)
        .default_value("false")
        .default_missing_value("true")
        .hide_default_value(true)
        .hide_possible_values(true)
}

/// `key=value`; the key is not empty, the value may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    /// Left of the first `=`.
    pub(crate) key: String,
    /// Right of it.
    pub(crate) value: String,
}

impl FromStr for Pair {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok(Self { key: key.to_owned(), value: value.to_owned() }),
            _ => Err("expected KEY=VALUE".into()),
        }
    }
}

/// The pairs as a map; a later pair of the same key wins, as with docker's labels.
pub(crate) fn map(pairs: Vec<Pair>) -> BTreeMap<String, String> {
    pairs.into_iter().map(|Pair { key, value }| (key, value)).collect()
}

/// A label: `key=value`, or `key` alone, whose value is then empty.
pub(crate) fn label(text: &str) -> Result<Pair, String> {
    if text.contains('=') {
        return text.parse();
    }
    if text.is_empty() {
        return Err("expected KEY or KEY=VALUE".into());
    }
    Ok(Pair { key: text.to_owned(), value: String::new() })
}

/// A subnet or range: an address and a prefix length, with no host bits set.
pub(crate) fn cidr(text: &str) -> Result<IpNet, String> {
    let net: IpNet =
        text.parse().map_err(|_| "expected an address and a prefix length, such as 10.10.10.0/24 or fd00:10::/64")?;
    if net.trunc() != net {
        return Err(format!("host bits are set; did you mean {}?", net.trunc()));
    }
    Ok(net)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_split_at_the_first_equals_sign() {
        assert_eq!("a=b=c".parse(), Ok(Pair { key: "a".into(), value: "b=c".into() }));
        assert_eq!("a=".parse(), Ok(Pair { key: "a".into(), value: String::new() }));
        assert!("=b".parse::<Pair>().is_err());
        assert!("a".parse::<Pair>().is_err());
    }

    #[test]
    fn a_label_may_have_no_value() {
        assert_eq!(label("web"), Ok(Pair { key: "web".into(), value: String::new() }));
        assert!(label("").is_err());
        assert!(label("=x").is_err());
    }

    #[test]
    fn a_subnet_has_no_host_bits() {
        assert!(cidr("10.10.10.0/24").is_ok());
        assert!(cidr("fd00:10::/64").is_ok());
        assert_eq!(cidr("10.10.10.1/24"), Err("host bits are set; did you mean 10.10.10.0/24?".into()));
        assert!(cidr("10.10.10.0").is_err());
    }
}
