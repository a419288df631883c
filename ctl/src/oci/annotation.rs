//! The text of `org.vswitch.networks`:
//! `RED[:ip=...,ip6=...,mac=...,ifname=...,alias=a+b,hostname=...,rate=...,egress-rate=...,vlan=...][;BLUE...]`.
//! Strict, because a misspelt option that is passed over is a container at the wrong address. Pure; bounded; whether
//! the networks exist and the addresses are free is the daemon's to say.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use wire::Mac;

use super::AnnotationError as Error;
use crate::model::{PortVlan, Vid, units};
use crate::sandbox::is_name;

/// The longest text, in bytes.
const LENGTH: usize = 16 << 10;
/// The most networks of one container.
const NETWORKS: usize = 64;
/// The longest name of a network or alias, in bytes: a DNS name's.
const NAME: usize = 253;

/// One network that a container asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attachment {
    /// The network's name, ID, or a prefix of the ID.
    pub network: String,
    /// A fixed IPv4 address.
    pub ip: Option<Ipv4Addr>,
    /// A fixed IPv6 address.
    pub ip6: Option<Ipv6Addr>,
    /// A fixed MAC address.
    pub mac: Option<Mac>,
    /// The name of the link; `None` takes the lowest free ethN.
    pub ifname: Option<String>,
    /// Further names of the container in this network.
    pub aliases: Vec<String>,
    /// What the container calls itself; `None`: what its configuration says.
    pub hostname: Option<String>,
    /// The most that it sends, in bits a second.
    pub rate: Option<u64>,
    /// The most that it gets, in bits a second.
    pub egress_rate: Option<u64>,
    /// The VLAN that it is in.
    pub vlan: Option<PortVlan>,
}

/// Reads the value of the annotation: the networks in the order in which they are to be attached, at least one.
///
/// # Errors
/// The first thing in the text that is not understood, by name.
pub fn parse_networks(text: &str) -> Result<Vec<Attachment>, Error> {
    if text.len() > LENGTH {
        return Err(Error::Long(LENGTH));
    }
    let mut attachments: Vec<Attachment> = Vec::new();
    for entry in text.split(';') {
        let attachment = parse_entry(entry.trim())?;
        if attachments.iter().any(|other| other.network == attachment.network) {
            return Err(Error::Twice(attachment.network));
        }
        if attachments.len() == NETWORKS {
            return Err(Error::Many(NETWORKS));
        }
        attachments.push(attachment);
    }
    Ok(attachments)
}

fn parse_entry(entry: &str) -> Result<Attachment, Error> {
    // The first colon ends the name: names have none, and IPv6 addresses come behind it.
    let (network, options) = match entry.split_once(':') {
        Some((network, options)) => (network, Some(options)),
        None => (entry, None),
    };
    if network.is_empty() {
        return Err(Error::Empty);
    }
    if !is_plain_name(network) {
        return Err(Error::Network(shown(network)));
    }
    let mut attachment = Attachment { network: network.to_owned(), ..Attachment::default() };
    for option in options.into_iter().flat_map(|options| options.split(',')) {
        set(&mut attachment, option)?;
    }
    Ok(attachment)
}

fn set(attachment: &mut Attachment, option: &str) -> Result<(), Error> {
    let network = attachment.network.as_str();
    let Some((key, value)) = option.split_once('=') else {
        return Err(Error::Option { network: network.to_owned(), option: shown(option) });
    };
    match key {
        "ip" => fill(&mut attachment.ip, read(network, value, "an IPv4 address such as 10.10.10.2")?, network, "ip"),
        "ip6" => fill(&mut attachment.ip6, read(network, value, "an IPv6 address such as fd00::2")?, network, "ip6"),
        "mac" => {
            let wanted = "a station's MAC address such as 02:42:0a:0a:0a:02";
            let mac: Mac = read(network, value, wanted)?;
            if !mac.is_station() {
                return Err(refused(network, value, wanted));
            }
            fill(&mut attachment.mac, mac, network, "mac")
        }
        "ifname" if is_name(value) => fill(&mut attachment.ifname, value.to_owned(), network, "ifname"),
        "ifname" => Err(refused(network, value, "a link's name such as eth1 (1 to 15 bytes)")),
        "alias" if !attachment.aliases.is_empty() => Err(Error::Repeated { network: network.to_owned(), key: "alias" }),
        "alias" => {
            let mut aliases: Vec<String> = Vec::new();
            for alias in value.split('+') {
                if !is_plain_name(alias) {
                    return Err(refused(network, alias, "a name such as web (several: a+b)"));
                }
                if !aliases.iter().any(|other| other == alias) {
                    aliases.push(alias.to_owned());
                }
            }
            attachment.aliases = aliases;
            Ok(())
        }
        "hostname" if is_plain_name(value) => fill(&mut attachment.hostname, value.to_owned(), network, "hostname"),
        "hostname" => Err(refused(network, value, "a name such as web")),
        "rate" => fill(&mut attachment.rate, rate(network, value)?, network, "rate"),
        "egress-rate" => fill(&mut attachment.egress_rate, rate(network, value)?, network, "egress-rate"),
        "vlan" => {
            let access: Vid = read(network, value, "a VLAN from 1 to 4094")?;
            fill(&mut attachment.vlan, PortVlan::Access { access }, network, "vlan")
        }
        _ => Err(Error::Key { network: network.to_owned(), key: shown(key) }),
    }
}

fn read<T: FromStr>(network: &str, value: &str, wanted: &'static str) -> Result<T, Error> {
    value.parse().map_err(|_| refused(network, value, wanted))
}

fn rate(network: &str, value: &str) -> Result<u64, Error> {
    units::rate(value).map_err(|_| refused(network, value, "a rate such as 10mbit"))
}

fn fill<T>(slot: &mut Option<T>, value: T, network: &str, key: &'static str) -> Result<(), Error> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Error::Repeated { network: network.to_owned(), key }),
    }
}

fn refused(network: &str, value: &str, wanted: &'static str) -> Error {
    Error::Value { network: network.to_owned(), value: shown(value), wanted }
}

/// Letters, digits, `_`, `.` and `-`, beginning with a letter or digit: Docker's names of networks and containers.
fn is_plain_name(name: &str) -> bool {
    name.len() <= NAME
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'))
}

/// What was given, short and harmless enough for one line of an error.
fn shown(text: &str) -> String {
    text.chars().take(64).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_list_of_networks_with_and_without_options() {
        let found = parse_networks(
            "RED:ip=10.10.10.9,mac=02:42:0a:0a:0a:09,alias=web+www;BLUE; green:ip6=fd00::1:2,ifname=net1",
        );
        let red = Attachment {
            network: "RED".into(),
            ip: Some([10, 10, 10, 9].into()),
            mac: Some(Mac([2, 0x42, 10, 10, 10, 9])),
            aliases: vec!["web".into(), "www".into()],
            ..Attachment::default()
        };
        let blue = Attachment { network: "BLUE".into(), ..Attachment::default() };
        let green = Attachment {
            network: "green".into(),
            ip6: Some("fd00::1:2".parse().unwrap()),
            ifname: Some("net1".into()),
            ..Attachment::default()
        };
        assert_eq!(found, Ok(vec![red, blue, green]));
    }

    #[test]
    fn everything_else_is_refused_by_name() {
        let text = |value: &str| parse_networks(value).unwrap_err().to_string();
        for empty in ["", " ", ";", "RED;", ";RED", ":ip=10.0.0.1"] {
            assert_eq!(parse_networks(empty), Err(Error::Empty), "{empty:?}");
        }
        assert_eq!(parse_networks("RED;BLUE;RED"), Err(Error::Twice("RED".into())));
        assert!(text("R D").contains("`R D` is not the name"));
        assert!(
            text("RED:ipv4=10.0.0.1").contains("network RED: unknown key `ipv4` (known: ip, ip6, mac, ifname, alias, ")
        );
        assert!(text("RED:IP=10.0.0.1").contains("unknown key `IP`"));
        assert!(text("RED:").contains("`` is not key=value"));
        assert!(text("RED:ip").contains("`ip` is not key=value"));
        assert!(text("RED:ip=10.0.0.1,").contains("`` is not key=value"));
        assert!(text("RED:ip=10.0.0.1,ip=10.0.0.2").contains("ip is given twice"));
        assert!(text("RED:alias=a,alias=b").contains("alias is given twice"));
        assert!(text("RED:ip=10.0.0.256").contains("`10.0.0.256` is not an IPv4 address"));
        assert!(text("RED:ip=fd00::1").contains("not an IPv4 address"));
        assert!(text("RED:ip6=10.0.0.1").contains("not an IPv6 address"));
        assert!(text("RED:ip=10.0.0.1/24").contains("not an IPv4 address"));
        assert!(text("RED:mac=ff:ff:ff:ff:ff:ff").contains("not a station's MAC"));
        assert!(text("RED:mac=02:42").contains("not a station's MAC"));
        assert!(text("RED:ifname=a/b").contains("not a link's name"));
        assert!(text("RED:alias=").contains("not a name"));
        assert!(text("RED:alias=a++b").contains("not a name"));
        assert!(text("RED:alias=a\nb").contains(r"`a\nb`"));
        assert!(text("RED:hostname=-x").contains("not a name"));
        assert!(text("RED:rate=fast").contains("`fast` is not a rate"));
        assert!(text("RED:rate=1mbit,rate=1mbit").contains("rate is given twice"));
        assert!(text("RED:vlan=4095").contains("`4095` is not a VLAN"));
        assert_eq!(parse_networks(&"x".repeat(LENGTH + 1)), Err(Error::Long(LENGTH)));
        let many: Vec<_> = (0..=NETWORKS).map(|number| format!("n{number}")).collect();
        assert_eq!(parse_networks(&many.join(";")), Err(Error::Many(NETWORKS)));
        assert_eq!(parse_networks(&many[1..].join(";")).unwrap().len(), NETWORKS);
    }

    /// Writes attachments in the annotation's form.
    fn write(attachments: &[Attachment]) -> String {
        let entry = |attachment: &Attachment| {
            let mut options = Vec::new();
            options.extend(attachment.ip.map(|ip| format!("ip={ip}")));
            options.extend(attachment.ip6.map(|ip| format!("ip6={ip}")));
            options.extend(attachment.mac.map(|mac| format!("mac={mac}")));
            options.extend(attachment.ifname.as_ref().map(|name| format!("ifname={name}")));
            options.extend(attachment.hostname.as_ref().map(|name| format!("hostname={name}")));
            options.extend(attachment.rate.map(|bits| format!("rate={bits}")));
            options.extend(attachment.egress_rate.map(|bits| format!("egress-rate={bits}bit")));
            options.extend(attachment.vlan.as_ref().map(|vlan| format!("vlan={vlan}")));
            if !attachment.aliases.is_empty() {
                options.push(format!("alias={}", attachment.aliases.join("+")));
            }
            let colon = if options.is_empty() { "" } else { ":" };
            format!("{}{colon}{}", attachment.network, options.join(","))
        };
        attachments.iter().map(entry).collect::<Vec<_>>().join(";")
    }

    prop_compose! {
        fn attachment()(
            network in "[A-Za-z0-9][A-Za-z0-9_.-]{0,20}",
            ip in any::<Option<Ipv4Addr>>(),
            ip6 in any::<Option<Ipv6Addr>>(),
            mac in prop::option::of(any::<[u8; 6]>()),
            ifname in prop::option::of("[a-z][a-z0-9@._-]{3,14}"),
            aliases in prop::collection::btree_set("[a-z0-9][a-z0-9-]{0,8}", 0..4),
            hostname in prop::option::of("[a-z0-9][a-z0-9-]{0,8}"),
            (rate, egress_rate) in (any::<Option<u64>>(), any::<Option<u64>>()),
            vlan in prop::option::of(1_u16..4095),
        ) -> Attachment {
            let mac = mac.map(|bytes| Mac([(bytes[0] & !1) | 2, bytes[1], bytes[2], bytes[3], bytes[4], bytes[5]]));
            let ifname = ifname.filter(|name| name != "default");
            let vlan = vlan.and_then(|vlan| Some(PortVlan::Access { access: vlan.try_into().ok()? }));
            let aliases = aliases.into_iter().collect();
            Attachment { network, ip, ip6, mac, ifname, aliases, hostname, rate, egress_rate, vlan }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(attachments in prop::collection::vec(attachment(), 1..6)) {
            let mut distinct: Vec<Attachment> = Vec::new();
            for attachment in attachments {
                if !distinct.iter().any(|other| other.network == attachment.network) {
                    distinct.push(attachment);
                }
            }
            prop_assert_eq!(parse_networks(&write(&distinct)), Ok(distinct));
        }

        #[test]
        fn any_text_is_networks_or_one_line_of_error(text in "[RB:;,=+a-z0-9.\\PC\n]{0,80}") {
            if let Err(error) = parse_networks(&text) {
                prop_assert!(!error.to_string().contains('\n'));
            }
        }
    }
}
