//! Targets that translate addresses. They stand in the table nat only, and where the kernel takes them.

use wire::protocol;

use super::extension;
use crate::rules::load::option::{Context, Extension, Given, flag, value};
use crate::rules::load::value::{address_span, network, number_u16, ports_dashed};
use crate::rules::load::{Refusal, refuse};
use crate::rules::{Family, Hook, Nat, Network, Ports, Table, Target};

pub(super) const ALL: &[Extension] = &[
    nat(
        "DNAT",
        &[Hook::Prerouting, Hook::Output],
        &[value(&["to-destination"]), flag(&["random"]), flag(&["persistent"])],
        |given, context| Ok(Target::Dnat(Box::new(addressed(given, context, "to-destination")?))),
    ),
    nat(
        "SNAT",
        &[Hook::Postrouting, Hook::Input],
        &[value(&["to-source"]), flag(&["random"]), flag(&["random-fully"]), flag(&["persistent"])],
        |given, context| Ok(Target::Snat(Box::new(addressed(given, context, "to-source")?))),
    ),
    nat(
        "MASQUERADE",
        &[Hook::Postrouting],
        &[value(&["to-ports"]), flag(&["random"]), flag(&["random-fully"])],
        |given, context| Ok(Target::Masquerade(Box::new(ported(given, context)?))),
    ),
    nat("REDIRECT", &[Hook::Prerouting, Hook::Output], &[value(&["to-ports"]), flag(&["random"])], |given, context| {
        Ok(Target::Redirect(Box::new(ported(given, context)?)))
    }),
    nat("NETMAP", &[Hook::Prerouting, Hook::Input, Hook::Output, Hook::Postrouting], &[value(&["to"])], netmap),
];

const fn nat(
    name: &'static str,
    hooks: &'static [Hook],
    options: &'static [crate::rules::load::option::Opt],
    build: fn(&Given<'_>, &Context<'_>) -> Result<Target, Refusal>,
) -> Extension {
    Extension { table: Some(Table::Nat), hooks, ..extension(name, options, build) }
}

/// TCP, UDP, SCTP, DCCP, and ICMP, whose identifier stands for the port.
const WITH_PORTS: [u8; 5] = [protocol::TCP, protocol::UDP, 132, 33, protocol::ICMP];

fn check_ports(context: &Context<'_>, word: &str) -> Result<(), Refusal> {
    let v6 = context.family == Family::Ipv6;
    let has = |number: u8| WITH_PORTS.contains(&number) || v6 && number == protocol::ICMPV6;
    match context.protocol {
        Some(protocol) if has(protocol.value) => Ok(()),
        _ => refuse(word, "ports need a protocol that has them: -p tcp, udp, sctp or dccp"),
    }
}

/// `address[-address][:port[-port[/base]]]`, IPv6 addresses in brackets if ports follow.
fn addressed(given: &Given<'_>, context: &Context<'_>, name: &str) -> Result<Nat, Refusal> {
    let nat = given.need(name, |word| {
        let (addresses, ports) = match context.family {
            Family::Ipv4 => word.split_once(':').map_or((word, None), |(ip, ports)| (ip, Some(ports))),
            Family::Ipv6 => match word.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
                Some((ip, "")) => (ip, None),
                Some((ip, rest)) => match rest.strip_prefix(':') {
                    Some(ports) => (ip, Some(ports)),
                    None => return refuse(word, "ports stand behind \"]:\""),
                },
                // Ports alone: ":80" is no beginning of an address, as "::" is.
                None => match word.strip_prefix(':') {
                    Some(ports) if !ports.starts_with(':') => ("", Some(ports)),
                    _ => (word, None),
                },
            },
        };
        let mut nat = Nat::default();
        if !addresses.is_empty() {
            nat.addresses = Some(address_span(context.family, addresses)?);
        }
        if let Some(ports) = ports {
            check_ports(context, word)?;
            let (ports, base) = match ports.split_once('/') {
                Some((ports, base)) if name == "to-destination" => (ports, Some(number_u16(base)?)),
                Some(_) => return refuse(word, "only a destination's ports are shifted"),
                None => (ports, None),
            };
            nat.ports = Some(ports_dashed(ports)?);
            nat.base = base;
        }
        if nat.addresses.is_none() && nat.ports.is_none() {
            return refuse(word, "neither an address nor a port");
        }
        Ok(nat)
    })?;
    Ok(Nat { persistent: given.has("persistent"), ..flags(given, nat.value) })
}

fn ported(given: &Given<'_>, context: &Context<'_>) -> Result<Nat, Refusal> {
    let ports: Option<Ports> = given.plain("to-ports", |word| {
        check_ports(context, word)?;
        ports_dashed(word)
    })?;
    Ok(flags(given, Nat { ports, ..Nat::default() }))
}

fn flags(given: &Given<'_>, nat: Nat) -> Nat {
    Nat { random: given.has("random"), random_fully: given.has("random-fully"), ..nat }
}

fn netmap(given: &Given<'_>, context: &Context<'_>) -> Result<Target, Refusal> {
    let to: Network = given
        .need("to", |word| {
            if let Some((first, last)) = word.split_once('-') {
                return refuse(word, format_args!("a network is needed, not {first} to {last}"));
            }
            network(context.family, word)
        })?
        .value;
    if to.prefix_len(context.family).is_none() {
        return refuse("--to", "the mask is not a prefix");
    }
    Ok(Target::Netmap(to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn na_01_brackets_tell_ports_from_addresses() {
        let sets = crate::rules::load::sets::Sets::onto(&[]);
        let protocol = Some(crate::rules::Not::plain(6));
        let context = Context { family: Family::Ipv6, protocol, sets: &sets };
        for (word, one) in [("[fd00::1]:80", true), ("fd00::1", false), (":80", true), ("::1", false), ("[::1]", false)]
        {
            let mut given = Given::new(&ALL[0]);
            let option = given.find("to-destination", true).unwrap();
            let mut words = crate::rules::load::line::Words::cut(word).unwrap();
            given.take(option, "--to-destination", false, None, &mut words).unwrap();
            let nat = addressed(&given, &context, "to-destination").map(|nat| nat.ports.is_some());
            assert_eq!(nat.ok(), Some(one), "{word}");
        }
    }
}
