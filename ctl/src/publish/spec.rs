//! What is to be published, as Docker writes it: `[[IP:]HOSTPORT[-END]:]PORT[-END][/tcp|/udp]`. Text in, values out; it
//! does not know which ports are free. Invariant: what is printed is read as the same.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::At;

/// The longest text, in bytes: an IPv6 address, four ports, a protocol, and what is between them fit twice.
const LENGTH: usize = 160;

/// TCP or UDP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// Its IP protocol number.
    pub fn number(self) -> u8 {
        match self {
            Protocol::Tcp => wire::protocol::TCP,
            Protocol::Udp => wire::protocol::UDP,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        })
    }
}

/// Consecutive ports, both ends included, none 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ports {
    /// The first.
    pub first: u16,
    /// The last; not below the first.
    pub last: u16,
}

impl Ports {
    /// How many.
    pub fn count(self) -> usize {
        usize::from(self.last) - usize::from(self.first) + 1
    }

    /// Whether some port is in both.
    pub fn overlaps(self, other: Ports) -> bool {
        self.first <= other.last && other.first <= self.last
    }

    /// So many ports from `first` on, if there are.
    pub fn from(first: u16, count: usize) -> Option<Ports> {
        let last = usize::from(first) + count.checked_sub(1)?;
        Some(Ports { first, last: u16::try_from(last).ok()? }).filter(|ports| ports.first > 0)
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last { self.first.fmt(f) } else { write!(f, "{}-{}", self.first, self.last) }
    }
}

/// What is to be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Spec {
    /// The host's addresses.
    pub at: At,
    /// The host's ports: as many as the container's, or some to choose one from; `None`: to be chosen.
    pub host: Option<Ports>,
    /// The container's ports.
    pub ports: Ports,
    /// The protocol.
    pub protocol: Protocol,
}

impl Spec {
    /// The same with the host's ports as they were chosen.
    pub fn with_host(self, host: Ports) -> Spec {
        Spec { host: Some(host), ..self }
    }
}

/// publish {text}: {why}
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("publish {text}: {why}")]
pub struct BadSpec {
    /// What was given, shortened and harmless.
    pub text: String,
    /// What is wrong with it.
    pub why: String,
}

impl FromStr for Spec {
    type Err = BadSpec;

    fn from_str(text: &str) -> Result<Spec, BadSpec> {
        let shown = || text.chars().take(64).flat_map(char::escape_debug).collect();
        parse(text).map_err(|why| BadSpec { text: shown(), why })
    }
}

fn parse(text: &str) -> Result<Spec, String> {
    if text.len() > LENGTH {
        return Err(format!("longer than {LENGTH} bytes"));
    }
    let (rest, protocol) = match text.split_once('/') {
        None => (text, Protocol::Tcp),
        Some((rest, name)) if name.eq_ignore_ascii_case("tcp") => (rest, Protocol::Tcp),
        Some((rest, name)) if name.eq_ignore_ascii_case("udp") => (rest, Protocol::Udp),
        Some((_, name)) => return Err(format!("protocol `{}` is not tcp or udp", name.escape_debug())),
    };
    let (address, rest) = match rest.strip_prefix('[') {
        Some(inner) => {
            let (address, rest) = inner.split_once(']').ok_or("`[` without `]`")?;
            if !address.contains(':') {
                return Err(format!("[{}] is not an IPv6 address", address.escape_debug()));
            }
            (Some(address), rest.strip_prefix(':').ok_or("a colon and a port are missing behind `]`")?)
        }
        None => match rest.rsplitn(3, ':').collect::<Vec<_>>()[..] {
            [_, _, address] if address.contains(':') => {
                return Err("too many colons (write an IPv6 address in brackets)".into());
            }
            [port, host, address] => {
                (Some(address), rest.get(rest.len() - port.len() - 1 - host.len()..).unwrap_or(rest))
            }
            _ => (None, rest),
        },
    };
    let at = match address {
        Some(address) => address.parse::<At>().map_err(|why| format!("{}: {why}", address.escape_debug()))?,
        None => At::Any,
    };
    let (host, container) = match rest.split_once(':') {
        Some((host, container)) => (Some(host), container),
        None if address.is_some() => return Err("the container's port is missing".into()),
        None => (None, rest),
    };
    let ports = ports(container, "container")?;
    let host = match host {
        // Docker: nothing or 0 leaves the choice.
        None | Some("" | "0") => None,
        Some(host) => Some(self::ports(host, "host")?),
    };
    match host {
        Some(host) if host.count() != ports.count() && ports.count() != 1 => Err(format!(
            "{} host ports for {} container ports (give as many, or a range of host ports for one)",
            host.count(),
            ports.count()
        )),
        _ => Ok(Spec { at, host, ports, protocol }),
    }
}

fn ports(text: &str, whose: &str) -> Result<Ports, String> {
    let number = |digits: &str| {
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits
            .parse()
            .ok()
            .filter(|port| plain && *port != 0)
            .ok_or_else(|| format!("{whose} port `{}` is not a number from 1 to 65535", digits.escape_debug()))
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let ports = Ports { first: number(first)?, last: number(last)? };
    if ports.first > ports.last {
        return Err(format!("{whose} ports {ports} end before they begin"));
    }
    Ok(ports)
}

impl fmt::Display for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.at != At::Any {
            write!(f, "{}:", self.at)?;
        }
        match self.host {
            Some(host) => write!(f, "{host}:")?,
            None if self.at != At::Any => f.write_str(":")?,
            None => {}
        }
        write!(f, "{}/{}", self.ports, self.protocol)
    }
}

impl Serialize for Spec {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Spec {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Spec, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn spec(text: &str) -> Spec {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn dockers_forms_are_read() {
        for (text, printed) in [
            ("80", "80/tcp"),
            ("8080:80", "8080:80/tcp"),
            ("8080:80/TCP", "8080:80/tcp"),
            ("53:53/udp", "53:53/udp"),
            ("127.0.0.1:8080:80", "127.0.0.1:8080:80/tcp"),
            ("127.0.0.1::80", "127.0.0.1::80/tcp"),
            ("0.0.0.0:8080:80", "0.0.0.0:8080:80/tcp"),
            ("[::]:8080:80", "[::]:8080:80/tcp"),
            ("[fd00::1]:8080:80", "[fd00::1]:8080:80/tcp"),
            ("[fd00::1]::80/udp", "[fd00::1]::80/udp"),
            ("0:80", "80/tcp"),
            ("7000-7009:8000-8009", "7000-7009:8000-8009/tcp"),
            ("8000-8009", "8000-8009/tcp"),
            ("8000-8009:80", "8000-8009:80/tcp"),
            ("5-5:5-5", "5:5/tcp"),
        ] {
            assert_eq!(spec(text).to_string(), printed);
        }
        assert_eq!(spec("[::ffff:192.0.2.1]:1:1"), spec("192.0.2.1:1:1"));
    }

    #[test]
    fn refusals_say_what_is_wrong() {
        for (text, why) in [
            ("", "container port ``"),
            ("0", "container port `0`"),
            ("65536", "65536"),
            ("+80", "+80"),
            ("80/sctp", "sctp"),
            ("a:80", "host port `a`"),
            ("8080:", "container port ``"),
            ("10-5", "end before"),
            ("1-3:1-2", "3 host ports for 2"),
            ("1:1-2", "1 host ports for 2"),
            ("host:1:1", "not an IP address"),
            ("::1:80:80", "brackets"),
            ("[::1]80:80", "colon"),
            ("[::1]:80", "missing"),
            ("[::1:80:80", "without"),
            ("[127.0.0.1]:80:80", "not an IPv6"),
            ("224.0.0.1:1:1", "multicast"),
            ("[fe80::1]:1:1", "link-local"),
        ] {
            let said = text.parse::<Spec>().unwrap_err().to_string();
            assert!(said.contains(why), "{text}: {said}");
        }
    }

    fn any_ports(count: u16) -> impl Strategy<Value = Ports> {
        (1..=65_535 - (count - 1)).prop_map(move |first| Ports { first, last: first + (count - 1) })
    }

    fn any_spec() -> impl Strategy<Value = Spec> {
        let at = prop_oneof![
            Just(At::Any),
            Just(At::AnyV4),
            Just(At::AnyV6),
            any::<std::net::IpAddr>().prop_filter_map("usable", |ip| ip.to_string().parse().ok()),
        ];
        let protocol = prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp)];
        (at, 1..2000_u16, protocol).prop_flat_map(|(at, count, protocol)| {
            let host = prop_oneof![Just(None), any_ports(count).prop_map(Some)];
            let same = (host, any_ports(count));
            let choice = (any_ports(count).prop_map(Some), any_ports(1));
            prop_oneof![same, choice].prop_map(move |(host, ports)| Spec { at, host, ports, protocol })
        })
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read(spec in any_spec()) {
            prop_assert_eq!(spec.to_string().parse::<Spec>(), Ok(spec));
            let json = serde_json::to_string(&spec).unwrap();
            prop_assert_eq!(serde_json::from_str::<Spec>(&json).unwrap(), spec);
        }

        #[test]
        fn any_text_is_read_or_refused_in_one_line(text in "[0-9:.\\[\\]/a-ftcpud\\-\n\\PC]{0,40}") {
            match text.parse::<Spec>() {
                Ok(spec) => prop_assert_eq!(spec.to_string().parse::<Spec>(), Ok(spec)),
                Err(error) => prop_assert!(!error.to_string().contains('\n')),
            }
        }
    }
}
