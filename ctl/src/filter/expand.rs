//! What rules in words are in one family: rules of the chain, one for each pair of addresses that its names stand for.

use std::net::IpAddr;

use nat::rules::{Family, Rule, Table, load};

use super::words::{MARK, ports, unclear};
use super::{Act, CHAIN, Unclear, Who, Words};

/// Pairs of addresses that a rule in words may stand for in one family: each is a rule of its own.
const PAIRS: usize = 65_536;
/// Addresses in one line of text, which has a longest length.
const PIECE: usize = 256;

impl Words {
    /// The rules of one family; one without effect if it is not about that family, or nobody has its names.
    ///
    /// An allowed packet's answers are allowed, too. A denied connection ends even if it was there before, and only what its
    /// first side sends is dropped: somebody who may not be reached can still reach others.
    ///
    /// # Errors
    /// [`Unclear`] when its names stand for too many addresses.
    pub fn rules(&self, family: Family, addresses: impl Fn(&str) -> Vec<IpAddr>) -> Result<Vec<Rule>, Unclear> {
        let comment = format!("-m comment --comment \"{MARK}{self}\"");
        let mut lines = Vec::new();
        let (from, to) = (Side::of(&self.from, family, &addresses), Side::of(&self.to, family, &addresses));
        if from.is_empty() || to.is_empty() {
            lines.push(comment.clone());
        }
        let count = |sides: &[Side]| sides.iter().map(Side::len).sum::<usize>();
        if count(&from) * count(&to) > PAIRS {
            let why = format!("{self}: {} times {} addresses", count(&from), count(&to));
            return Err(unclear(why, format!("at most {PAIRS} pairs are one rule: use subnets, or add several")));
        }
        for from in &from {
            for to in &to {
                let there = format!("{}{}{}", from.text(true), to.text(false), self.transport(family, "--dports"));
                let back = format!("{}{}{}", to.text(true), from.text(false), self.transport(family, "--sports"));
                let lost = "-m conntrack --ctstate INVALID,UNTRACKED";
                match self.act {
                    Act::Allow => {
                        lines.push(format!("{there} {comment} -j ACCEPT"));
                        lines.push(format!("{back} -m conntrack --ctdir REPLY {comment} -j ACCEPT"));
                    }
                    Act::Deny | Act::Reject => {
                        let target = match (self.act, self.proto.as_deref()) {
                            (Act::Reject, Some("tcp")) => "REJECT --reject-with tcp-reset",
                            (Act::Reject, _) => "REJECT",
                            _ => "DROP",
                        };
                        lines.push(format!("{there} -m conntrack --ctdir ORIGINAL {comment} -j {target}"));
                        lines.push(format!("{there} {lost} {comment} -j DROP"));
                    }
                }
            }
        }
        let body: String = lines.into_iter().map(|line| format!("-A {CHAIN} {line}\n")).collect();
        let set = load(family, &format!("*filter\n:{CHAIN} - [0:0]\n{body}COMMIT\n"));
        let set =
            set.map_err(|error| unclear(format!("{self}: {}", error.reason), "say it with `vsctl filter load`"))?;
        Ok(set.rules_of(Table::Filter, CHAIN).to_vec())
    }

    fn transport(&self, family: Family, option: &str) -> String {
        let proto = match (self.proto.as_deref(), family) {
            (None, _) => return String::new(),
            (Some("icmp"), Family::Ipv6) => "ipv6-icmp",
            (Some(name), _) => name,
        };
        match self.ports.is_empty() {
            true => format!(" -p {proto}"),
            false => format!(" -p {proto} -m multiport {option} {}", ports(&self.ports, ':')),
        }
    }
}

/// One end of a rule in one family, or a part of it.
enum Side {
    Any,
    Interface(&'static str),
    Addresses(Vec<String>),
}

impl Side {
    /// Its parts; none: nobody.
    fn of(who: &Who, family: Family, addresses: &impl Fn(&str) -> Vec<IpAddr>) -> Vec<Side> {
        let fits = |ip: IpAddr| ip.is_ipv4() == (family == Family::Ipv4);
        match who {
            Who::Any => vec![Side::Any],
            Who::Outside => vec![Side::Interface("uplink")],
            Who::Host => vec![Side::Interface("vsw0")],
            Who::Net(net) if fits(net.addr()) => vec![Side::Addresses(vec![net.to_string()])],
            Who::Net(_) => Vec::new(),
            Who::Name(name) => {
                let mut found: Vec<IpAddr> = addresses(name).into_iter().filter(|ip| fits(*ip)).collect();
                found.sort_unstable();
                found.dedup();
                let list: Vec<String> = found.iter().map(ToString::to_string).collect();
                list.chunks(PIECE).map(|piece| Side::Addresses(piece.to_vec())).collect()
            }
        }
    }

    fn len(&self) -> usize {
        match self {
            Side::Any | Side::Interface(_) => 1,
            Side::Addresses(list) => list.len(),
        }
    }

    fn text(&self, source: bool) -> String {
        match self {
            Side::Any => String::new(),
            Side::Interface(name) => format!(" {} {name}", if source { "-i" } else { "-o" }),
            Side::Addresses(list) => format!(" {} {}", if source { "-s" } else { "-d" }, list.join(",")),
        }
    }
}

#[cfg(test)]
mod tests {
    use nat::rules::{Hook, RuleSet, save};

    use super::*;

    fn lines(words: &str, family: Family) -> Vec<String> {
        let words: Words = words.parse().unwrap();
        let addresses = |name: &str| -> Vec<IpAddr> {
            let list: &[&str] = match name {
                "web" => &["10.0.0.3", "fd00::3", "10.0.0.2"],
                "db" => &["10.0.0.9"],
                _ => &[],
            };
            list.iter().map(|ip| ip.parse().unwrap()).collect()
        };
        let rules = words.rules(family, addresses).unwrap();
        assert!(rules.iter().all(|rule| Words::behind(rule).as_ref() == Some(&words)), "{words}");
        let mut set = RuleSet::new(family);
        set.put_chain(Table::Filter, Hook::Forward, CHAIN, rules);
        let comment = format!(" -m comment --comment \"vsctl: {words}\"");
        let start = format!("-A {CHAIN}");
        let text = save(&set, false);
        let own = text.lines().filter_map(|line| line.strip_prefix(&start));
        own.map(|line| line.replace(&comment, "").trim().to_owned()).collect()
    }

    #[test]
    fn allowed_are_answers_too_and_denied_only_who_began() {
        assert_eq!(
            lines("from web to db proto tcp dport 80,90-99 allow", Family::Ipv4),
            [
                "-s 10.0.0.2/32 -d 10.0.0.9/32 -p tcp -m multiport --dports 80,90:99 -j ACCEPT",
                "-s 10.0.0.3/32 -d 10.0.0.9/32 -p tcp -m multiport --dports 80,90:99 -j ACCEPT",
                "-s 10.0.0.9/32 -d 10.0.0.2/32 -p tcp -m multiport --sports 80,90:99 -m conntrack --ctdir REPLY -j ACCEPT",
                "-s 10.0.0.9/32 -d 10.0.0.3/32 -p tcp -m multiport --sports 80,90:99 -m conntrack --ctdir REPLY -j ACCEPT",
            ]
        );
        assert_eq!(
            lines("from outside to web reject", Family::Ipv6),
            [
                "-d fd00::3/128 -i uplink -m conntrack --ctdir ORIGINAL -j REJECT --reject-with icmp6-port-unreachable",
                "-d fd00::3/128 -i uplink -m conntrack --ctstate INVALID,UNTRACKED -j DROP",
            ]
        );
        assert_eq!(
            lines("from any to host proto icmp deny", Family::Ipv6)[0],
            "-o vsw0 -p ipv6-icmp -m conntrack --ctdir ORIGINAL -j DROP"
        );
    }

    #[test]
    fn many_addresses_are_as_many_rules_and_too_many_are_refused() {
        let many = |count: u32| {
            move |_: &str| -> Vec<IpAddr> {
                (0..count).map(|n| IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 1, n as u16])).collect()
            }
        };
        let words: Words = "from label=a to web deny".parse().unwrap();
        // More than fit into one line of text, and both ends in several.
        let both = words.rules(Family::Ipv6, |name: &str| many(if name == "web" { 2 } else { 3_000 })(name));
        assert_eq!(both.unwrap().len(), 2 * 2 * 3_000);
        let refused = words.rules(Family::Ipv6, many(300)).unwrap_err();
        assert!(refused.why.contains("300 times 300") && refused.remedy.contains("subnets"), "{refused}");
        assert_eq!(words.rules(Family::Ipv4, many(300)).unwrap().len(), 1);
    }

    #[test]
    fn who_has_no_address_of_the_family_is_kept_without_effect() {
        for words in ["from web to nobody deny", "from db to any deny", "from 10.0.0.0/8 to any deny"] {
            assert_eq!(lines(words, Family::Ipv6), [""], "{words}");
        }
    }
}
