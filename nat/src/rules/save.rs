//! Writes a rule set as `iptables-save -c` and `ip6tables-save -c` do. What is written loads again as the same rule set.

mod matches;
mod targets;
mod word;

use std::fmt::{self, Write};

use self::word::negation;
use super::address::ip;
use super::load::port_text;
use super::names::protocol;
use super::{AddressSet, Chain, ChainId, Counters, Family, Policy, Rule, RuleSet, Table, TableRules, Target};

/// The text of a rule set, with counters if `counted`. Tables come in the order in which `iptables-save` has them.
pub fn save(set: &RuleSet, counted: bool) -> String {
    let mut text = String::new();
    for list in &set.sets {
        // Writing into a string does not fail.
        let _ = write_set(&mut text, set.family, list);
    }
    for table in [Table::Mangle, Table::Raw, Table::Nat, Table::Filter] {
        if let Some(rules) = set.table(table) {
            let _ = write_table(&mut text, set.family, rules, counted);
        }
    }
    text
}

/// A list of addresses, as `ipset save` writes it.
fn write_set(out: &mut String, family: Family, set: &AddressSet) -> fmt::Result {
    let inet = if family == Family::Ipv4 { "inet" } else { "inet6" };
    writeln!(out, "create {} {} family {inet} hashsize 1024 maxelem {}", set.name, set.kind(), set.max)?;
    for (&length, entries) in &set.entries {
        for (&(address, port), &listed) in entries {
            write!(out, "add {} {}", set.name, ip(family, address))?;
            if length < family.bits() {
                write!(out, "/{length}")?;
            }
            writeln!(out, "{}{}", port_text(family, port), if listed { "" } else { " nomatch" })?;
        }
    }
    Ok(())
}

fn write_table(out: &mut String, family: Family, table: &TableRules, counted: bool) -> fmt::Result {
    writeln!(out, "*{}", table.table)?;
    for chain in &table.chains {
        let policy = match (chain.hook, chain.policy) {
            (None, _) => "-",
            (Some(_), Policy::Accept) => "ACCEPT",
            (Some(_), Policy::Drop) => "DROP",
        };
        let Counters { packets, bytes } = if chain.hook.is_some() { chain.counters } else { Counters::default() };
        writeln!(out, ":{} {policy} [{packets}:{bytes}]", chain.name)?;
    }
    for chain in &table.chains {
        for rule in &chain.rules {
            if counted {
                write!(out, "[{}:{}] ", rule.counters.packets, rule.counters.bytes)?;
            }
            write_rule(out, family, chain, rule, |id| table.chain(id).map_or("", |chain| &chain.name))?;
            out.push('\n');
        }
    }
    out.push_str("COMMIT\n");
    Ok(())
}

/// One rule, without counters and without the end of the line; `name` knows the chains that rules lead to.
pub(super) fn write_rule<'n>(
    out: &mut String,
    family: Family,
    chain: &Chain,
    rule: &Rule,
    name: impl Fn(ChainId) -> &'n str,
) -> fmt::Result {
    write!(out, "-A {}", chain.name)?;
    let header = &rule.header;
    for (option, network) in [("-s", header.source), ("-d", header.destination)] {
        if let Some(network) = network {
            write!(out, "{} {option} {}", negation(network.not), network.value.text(family))?;
        }
    }
    for (option, interface) in [("-i", &header.input), ("-o", &header.output)] {
        if let Some(interface) = interface {
            write!(out, "{} {option} {}", negation(interface.not), interface.value)?;
        }
    }
    if let Some(known) = header.protocol {
        match protocol::name(known.value) {
            Some(name) => write!(out, "{} -p {name}", negation(known.not))?,
            None => write!(out, "{} -p {}", negation(known.not), known.value)?,
        }
    }
    if let Some(fragment) = header.fragment {
        write!(out, "{} -f", negation(!fragment))?;
    }
    for one in &rule.matches {
        matches::write(out, family, one)?;
    }
    match &rule.target {
        Target::Jump(id) => write!(out, " -j {}", name(*id)),
        Target::Goto(id) => write!(out, " -g {}", name(*id)),
        target => targets::write(out, family, target),
    }
}
