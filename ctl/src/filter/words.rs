//! Rules in words: who may reach whom. A rule in words is some rules of the chain [`CHAIN`] in both families; the words
//! stand in their comments, so that the text alone says everything. Names become addresses anew whenever that changes.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use nat::rules::Rule;

use super::Unclear;
use super::names::LABEL;
use crate::model;

/// The chain of rules in words, to which FORWARD leads first.
pub const CHAIN: &str = "VSWITCH-RULES";
/// Before the words in a comment.
pub(super) const MARK: &str = "vsctl: ";
/// Bytes of a comment at the most.
const COMMENT: usize = 255;
/// Ports of one rule; a range counts for two.
const PORTS: usize = 15;

/// One end.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    /// Everybody.
    Any,
    /// What lies behind the host.
    Outside,
    /// The host itself.
    Host,
    /// Addresses.
    Net(IpNet),
    /// A sandbox's name or alias, or a label that sandboxes have (`label=KEY`, `label=KEY=VALUE`).
    Name(String),
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Act {
    /// It passes, and answers to it.
    Allow,
    /// It is dropped.
    Deny,
    /// It is dropped, and its sender told.
    Reject,
}

/// A rule in words.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Words {
    /// Where packets come from.
    pub from: Who,
    /// Where they go.
    pub to: Who,
    /// `tcp`, `udp` or `icmp`; none: any.
    pub proto: Option<String>,
    /// Destination ports, each from the first to the last; none: any.
    pub ports: Vec<(u16, u16)>,
    /// What then.
    pub act: Act,
}

pub(super) fn unclear(why: impl Into<String>, remedy: impl Into<String>) -> Unclear {
    Unclear { why: why.into(), remedy: remedy.into() }
}

impl FromStr for Who {
    type Err = Unclear;

    fn from_str(text: &str) -> Result<Who, Unclear> {
        let net = || text.parse::<IpAddr>().ok().map(IpNet::from).or_else(|| text.parse().ok());
        match text {
            "any" => Ok(Who::Any),
            "outside" => Ok(Who::Outside),
            "host" => Ok(Who::Host),
            _ if text.starts_with(LABEL) && is_label(&text[LABEL.len()..]) => Ok(Who::Name(text.to_owned())),
            _ if text.starts_with(LABEL) => Err(unclear(
                format!("{text:?} is no label"),
                "write label=KEY or label=KEY=VALUE; a value in rules has no spaces, quotes or backslashes",
            )),
            _ => match net() {
                Some(net) if net.trunc() != net => {
                    Err(unclear(format!("{text}: host bits are set"), format!("did you mean {}?", net.trunc())))
                }
                Some(net) => Ok(Who::Net(net)),
                None if model::is_name(text) => Ok(Who::Name(text.to_owned())),
                None => Err(unclear(
                    format!("{text:?} is nobody"),
                    "use an address, a subnet, a sandbox's name or alias, label=KEY[=VALUE], outside, host or any",
                )),
            },
        }
    }
}

/// Whether rules can mean a sandbox by this name.
pub fn can_name(name: &str) -> bool {
    matches!(name.parse(), Ok(Who::Name(_)))
}

/// `KEY` or `KEY=VALUE`, as it may stand in a comment between other words.
fn is_label(text: &str) -> bool {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    model::is_label_key(key)
        && value.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\'' | b'\\'))
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Who::Any => f.write_str("any"),
            Who::Outside => f.write_str("outside"),
            Who::Host => f.write_str("host"),
            Who::Net(net) if net.prefix_len() == net.max_prefix_len() => net.addr().fmt(f),
            Who::Net(net) => net.fmt(f),
            Who::Name(name) => f.write_str(name),
        }
    }
}

impl FromStr for Act {
    type Err = Unclear;

    fn from_str(text: &str) -> Result<Act, Unclear> {
        match text {
            "allow" => Ok(Act::Allow),
            "deny" => Ok(Act::Deny),
            "reject" => Ok(Act::Reject),
            _ => Err(unclear(format!("{text:?} is nothing to do"), "use allow, deny or reject")),
        }
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Act::Allow => "allow",
            Act::Deny => "deny",
            Act::Reject => "reject",
        })
    }
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "from {} to {}", self.from, self.to)?;
        if let Some(proto) = &self.proto {
            write!(f, " proto {proto}")?;
        }
        if !self.ports.is_empty() {
            write!(f, " dport {}", ports(&self.ports, '-'))?;
        }
        write!(f, " {}", self.act)
    }
}

impl FromStr for Words {
    type Err = Unclear;

    /// Reads what `to_string` has written.
    fn from_str(text: &str) -> Result<Words, Unclear> {
        let mut words = text.split(' ');
        let (mut from, mut to, mut proto, mut dport) = ("any", "any", None, None);
        while let Some(word) = words.next() {
            let mut value = || words.next().unwrap_or_default();
            match word {
                "from" => from = value(),
                "to" => to = value(),
                "proto" => proto = Some(value()),
                "dport" => dport = Some(value()),
                act => {
                    let act = act.parse()?;
                    return match words.next() {
                        None => Words::of(from, to, proto, dport, act),
                        Some(more) => Err(unclear(format!("{more:?} stands too much"), "end with what to do")),
                    };
                }
            }
        }
        Err(unclear("what to do is missing", "end with allow, deny or reject"))
    }
}

impl Words {
    /// Reads the parts of a rule.
    ///
    /// # Errors
    /// [`Unclear`] with the part that means nothing.
    pub fn of(from: &str, to: &str, proto: Option<&str>, dport: Option<&str>, act: Act) -> Result<Words, Unclear> {
        let proto = match proto {
            None | Some("any") => None,
            Some(name @ ("tcp" | "udp" | "icmp")) => Some(name.to_owned()),
            Some(name) => {
                let remedy = "use tcp, udp or icmp; `vsctl filter load` takes others";
                return Err(unclear(format!("protocol {name} is not known"), remedy));
            }
        };
        let ports = dport.map(read_ports).transpose()?.unwrap_or_default();
        if !ports.is_empty() && !matches!(proto.as_deref(), Some("tcp" | "udp")) {
            return Err(unclear("ports without a protocol that has them", "add --proto tcp or --proto udp"));
        }
        let words = Words { from: from.parse()?, to: to.parse()?, proto, ports, act };
        if let (Who::Net(from), Who::Net(to)) = (&words.from, &words.to)
            && from.addr().is_ipv4() != to.addr().is_ipv4()
        {
            return Err(unclear(format!("{from} and {to} are of two families"), "give two of one"));
        }
        if MARK.len() + words.to_string().len() > COMMENT {
            return Err(unclear("the names are too long", "use an address or an alias"));
        }
        Ok(words)
    }

    /// The words of a rule that was made of some.
    pub fn behind(rule: &Rule) -> Option<Words> {
        rule.comment()?.strip_prefix(MARK)?.parse().ok()
    }

    /// The names whose addresses matter.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        [&self.from, &self.to].into_iter().filter_map(|who| match who {
            Who::Name(name) => Some(name.as_str()),
            _ => None,
        })
    }
}

fn read_ports(text: &str) -> Result<Vec<(u16, u16)>, Unclear> {
    let refused = |part: &str| unclear(format!("port {part:?} is none"), "use PORT or FIRST-LAST, separated by commas");
    let read = |part: &str| -> Option<(u16, u16)> {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse().ok()?, last.parse().ok()?);
        (first <= last).then_some((first, last))
    };
    let ports: Vec<_> =
        text.split(',').map(|part| read(part).ok_or_else(|| refused(part))).collect::<Result<_, _>>()?;
    let count: usize = ports.iter().map(|(first, last)| if first == last { 1 } else { 2 }).sum();
    if count > PORTS {
        return Err(unclear(format!("more than {PORTS} ports, a range counted twice"), "add several rules"));
    }
    Ok(ports)
}

pub(super) fn ports(list: &[(u16, u16)], between: char) -> String {
    let one = |(first, last): &(u16, u16)| match first == last {
        true => first.to_string(),
        false => format!("{first}{between}{last}"),
    };
    list.iter().map(one).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_are_written() {
        for text in [
            "from any to any allow",
            "from web to 10.0.0.0/8 proto tcp dport 80,8000-8080 deny",
            "from outside to fd00::1 proto icmp reject",
            "from host to web_1.x proto udp dport 53 allow",
            "from label=com.example/tier=front to label=db deny",
            "from label=db= to any allow",
        ] {
            assert_eq!(text.parse::<Words>().unwrap().to_string(), text);
        }
        for (text, word) in [
            ("from web to db", "what to do"),
            ("from web to db pass", "pass"),
            ("from web to db allow now", "now"),
            ("from label= to db allow", "label"),
            ("from label=a\"b to db allow", "label"),
            ("from label=a=\\ to db allow", "label"),
            ("from a/b to db allow", "a/b"),
            ("from 10.0.0.1/8 to db allow", "host bits"),
            ("from 10.0.0.1 to fd00::1 allow", "two families"),
            ("proto gre allow", "gre"),
            ("dport 80 allow", "without a protocol"),
            ("proto tcp dport 80- allow", "80-"),
            ("proto tcp dport 9-8 allow", "9-8"),
            ("proto tcp dport 1-2,3-4,5-6,7-8,9-10,11-12,13-14,15-16 allow", "more than 15"),
        ] {
            let refused = text.parse::<Words>().unwrap_err();
            assert!(refused.why.contains(word) && !refused.remedy.is_empty(), "{text}: {refused}");
        }
        let long = format!("from {0} to {0} allow", "x".repeat(128));
        assert!(long.parse::<Words>().unwrap_err().why.contains("too long"));
    }
}
