//! Targets as text; jumps to chains are written by the rule, which knows their names.

use std::fmt::{self, Write};

use super::word::{ports, quoted};
use crate::rules::address::ip;
use crate::rules::load::LOG_FLAGS;
use crate::rules::names::reject;
use crate::rules::{Change, ConnmarkChange, Family, Log, Mss, Nat, Target, Word};

pub(super) fn write(out: &mut String, family: Family, target: &Target) -> fmt::Result {
    match target {
        Target::Continue | Target::Jump(_) | Target::Goto(_) => Ok(()),
        Target::Accept => write!(out, " -j ACCEPT"),
        Target::Drop => write!(out, " -j DROP"),
        Target::Return => write!(out, " -j RETURN"),
        Target::Reject(kind) => write!(out, " -j REJECT --reject-with {}", reject::name(family, *kind)),
        Target::Log(log) => write_log(out, log),
        Target::Dnat(nat) => {
            out.push_str(" -j DNAT --to-destination ");
            write_addressed(out, family, nat)
        }
        Target::Snat(nat) => {
            out.push_str(" -j SNAT --to-source ");
            write_addressed(out, family, nat)
        }
        Target::Masquerade(nat) => {
            out.push_str(" -j MASQUERADE");
            write_ported(out, nat)
        }
        Target::Redirect(nat) => {
            out.push_str(" -j REDIRECT");
            write_ported(out, nat)
        }
        Target::Netmap(to) => write!(out, " -j NETMAP --to {}", to.text(family)),
        Target::Mark(Word { value, mask }) => write!(out, " -j MARK --set-xmark 0x{value:x}/0x{mask:x}"),
        Target::Connmark(ConnmarkChange::Set(Word { value, mask })) => {
            write!(out, " -j CONNMARK --set-xmark 0x{value:x}/0x{mask:x}")
        }
        Target::Connmark(ConnmarkChange::Save { packet, connection }) => {
            write!(out, " -j CONNMARK --save-mark --nfmask 0x{packet:x} --ctmask 0x{connection:x}")
        }
        Target::Connmark(ConnmarkChange::Restore { packet, connection }) => {
            write!(out, " -j CONNMARK --restore-mark --nfmask 0x{packet:x} --ctmask 0x{connection:x}")
        }
        Target::Notrack(false) => write!(out, " -j NOTRACK"),
        Target::Notrack(true) => write!(out, " -j CT --notrack"),
        Target::Tcpmss(Mss::Set(mss)) => write!(out, " -j TCPMSS --set-mss {mss}"),
        Target::Tcpmss(Mss::Clamp) => write!(out, " -j TCPMSS --clamp-mss-to-pmtu"),
        Target::Dscp(dscp) => write!(out, " -j DSCP --set-dscp 0x{dscp:02x}"),
        Target::Tos(Word { value, mask }) => write!(out, " -j TOS --set-tos 0x{value:02x}/0x{mask:02x}"),
        Target::Ttl(change) => {
            let (name, option) = if family == Family::Ipv4 { ("TTL", "ttl") } else { ("HL", "hl") };
            let (how, value) = match change {
                Change::Set(value) => ("set", value),
                Change::Increase(value) => ("inc", value),
                Change::Decrease(value) => ("dec", value),
            };
            write!(out, " -j {name} --{option}-{how} {value}")
        }
    }
}

fn write_log(out: &mut String, log: &Log) -> fmt::Result {
    out.push_str(" -j LOG");
    if !log.prefix.is_empty() {
        write!(out, " --log-prefix {}", quoted(&log.prefix))?;
    }
    if log.level != Log::LEVEL {
        write!(out, " --log-level {}", log.level)?;
    }
    for (bit, name) in LOG_FLAGS.iter().enumerate() {
        if log.flags & (1 << bit) != 0 {
            write!(out, " --{name}")?;
        }
    }
    Ok(())
}

fn write_addressed(out: &mut String, family: Family, nat: &Nat) -> fmt::Result {
    if let Some(span) = nat.addresses {
        let brackets = family == Family::Ipv6 && nat.ports.is_some();
        out.push_str(if brackets { "[" } else { "" });
        write!(out, "{}", ip(family, span.first))?;
        if span.first != span.last {
            write!(out, "-{}", ip(family, span.last))?;
        }
        out.push_str(if brackets { "]" } else { "" });
    }
    if let Some(wanted) = nat.ports {
        write!(out, ":{}", ports(wanted, '-'))?;
    }
    if let Some(base) = nat.base {
        write!(out, "/{base}")?;
    }
    write_flags(out, nat)
}

fn write_ported(out: &mut String, nat: &Nat) -> fmt::Result {
    if let Some(wanted) = nat.ports {
        write!(out, " --to-ports {}", ports(wanted, '-'))?;
    }
    write_flags(out, nat)
}

fn write_flags(out: &mut String, nat: &Nat) -> fmt::Result {
    for (set, name) in [(nat.random, "random"), (nat.random_fully, "random-fully"), (nat.persistent, "persistent")] {
        if set {
            write!(out, " --{name}")?;
        }
    }
    Ok(())
}
