//! A packet's way through rules, hook by hook, table by table, first by the rules for all networks and then by those of
//! its network; the first that drops decides. On programs of its own: what the switch counts and remembers is untouched.

use std::collections::HashMap;
use std::net::IpAddr;

use ipnet::IpNet;
use nat::rules::{Family, Hook, Nat, Packet, Place, Program, Surroundings, Table, Tracking, Translation, Verdict};
use nat::{Address, End, Rewrite, translate};
use wire::Time;

use super::Described;
use crate::api::{TraceStep, Traced};

/// Rules and the policy that are shown of one table at one hook. The last one is always among them: it has decided.
const MOST_PLACES: usize = 1_000;

/// Rules, and whose.
pub struct Layer {
    /// The network's name; none: they are for all networks.
    pub network: Option<String>,
    /// Made for this packet only.
    pub program: Program,
}

/// Where the packet comes in and goes out; empty: nowhere.
#[derive(Clone, Debug, Default)]
pub struct Between {
    /// Where it comes in.
    pub input: String,
    /// Where it goes out.
    pub output: String,
    /// The gateway's address, to which REDIRECT leads.
    pub gateway: Option<IpAddr>,
    /// What rules call the places where addresses of its network are; empty: the gateway itself.
    pub places: HashMap<IpAddr, String>,
    /// The subnets of its network; none: it is not known.
    pub subnets: Vec<IpNet>,
}

impl Between {
    /// Where a packet that a rule leads to another destination goes out, if that is known.
    fn leads(&self, to: IpAddr) -> Option<&str> {
        let outside = || !self.subnets.is_empty() && !self.subnets.iter().any(|subnet| subnet.contains(&to));
        self.places.get(&to).map(String::as_str).or_else(|| outside().then_some("uplink"))
    }
}

/// Hooks that a packet passes.
fn hooks(between: &Between) -> &'static [Hook] {
    match (between.input.is_empty(), between.output.is_empty()) {
        (false, false) => &[Hook::Prerouting, Hook::Forward, Hook::Postrouting],
        (false, true) => &[Hook::Prerouting, Hook::Input],
        _ => &[Hook::Output, Hook::Postrouting],
    }
}

/// Tables in the order in which a packet meets them; at INPUT the kernel asks nat last.
fn tables(hook: Hook) -> &'static [Table] {
    match hook {
        Hook::Input => &[Table::Mangle, Table::Filter, Table::Nat],
        _ => &Table::ALL,
    }
}

/// Follows the packet to a verdict.
pub fn trace(
    layers: &mut [Layer],
    described: Described,
    between: &Between,
    mark: u32,
    around: &mut impl Surroundings,
) -> Traced {
    let Described { mut frame, tracking, first, text, .. } = described;
    let mut traced = Traced { packet: text, steps: Vec::new(), verdict: "accept".into() };
    let Ok(mut headers) = wire::parse(frame.bytes()) else {
        traced.verdict = "drop".into();
        return traced;
    };
    let mut packet = Packet {
        frame: &mut frame,
        headers: &mut headers,
        input: "",
        output: "",
        mark,
        // Connections are looked up behind raw.
        tracking: if matches!(tracking, Tracking::Untracked) { Tracking::Untracked } else { Tracking::None },
    };
    let (mut way, mut output) = (hooks(between), &*between.output);
    while let Some((&hook, rest)) = way.split_first() {
        way = rest;
        packet.input = &between.input;
        packet.output = if matches!(hook, Hook::Prerouting | Hook::Input) { "" } else { output };
        for &table in tables(hook) {
            // The table nat is for first packets only.
            if table == Table::Nat && !(first && matches!(packet.tracking, Tracking::Known(_))) {
                continue;
            }
            for layer in layers.iter_mut() {
                let (mut steps, verdict) = layer.ask(table, hook, &mut packet, around);
                let translated = match verdict {
                    Verdict::Translate(how) => {
                        note(&mut steps, translated(how, &mut packet, between));
                        Some(how)
                    }
                    _ => None,
                };
                traced.steps.append(&mut steps);
                if let Some(word) = ending(&verdict) {
                    traced.verdict = word.into();
                    return traced;
                }
                // Where it goes is decided by its new destination.
                let leads = match (translated, hook) {
                    (Some(Translation::Redirect(_)), Hook::Prerouting) => Some(""),
                    (Some(Translation::Destination(_)), Hook::Prerouting) => {
                        Some(packet.headers.key.dst().and_then(|to| between.leads(to)).unwrap_or(output))
                    }
                    _ => None,
                };
                if let Some(to) = leads {
                    output = to;
                    way = if to.is_empty() { &[Hook::Input] } else { &[Hook::Forward, Hook::Postrouting] };
                }
                // A connection is translated once at a hook.
                if translated.is_some() {
                    break;
                }
            }
            if table == Table::Raw && matches!(packet.tracking, Tracking::None) {
                packet.tracking = tracking.clone();
            }
        }
    }
    traced
}

const fn ending(verdict: &Verdict) -> Option<&'static str> {
    match verdict {
        Verdict::Accept | Verdict::Translate(_) => None,
        Verdict::Drop => Some("drop"),
        Verdict::Reject(_) => Some("reject"),
    }
}

fn note(steps: &mut [TraceStep], what: String) {
    if let Some(TraceStep { did, .. }) = steps.last_mut() {
        *did = Some(did.take().map_or_else(|| what.clone(), |before| format!("{before}; {what}")));
    }
}

impl Layer {
    /// What one table says at one hook, and the rules that matched.
    fn ask(
        &mut self,
        table: Table,
        hook: Hook,
        packet: &mut Packet<'_>,
        around: &mut impl Surroundings,
    ) -> (Vec<TraceStep>, Verdict) {
        let (mark, mut places, mut left_out) = (packet.mark, Vec::new(), 0_usize);
        let outcome = self.program.trace(Time::ZERO, table, hook, packet, around, |place| {
            if places.len() == MOST_PLACES {
                places.pop();
                left_out += 1;
            }
            places.push(place);
        });
        // A rule to which the packet makes no sense has not matched.
        places.extend(outcome.by.filter(|_| outcome.malformed));
        let step = |place: &Place| TraceStep {
            hook: hook.to_string(),
            table: table.to_string(),
            network: self.network.clone(),
            rule: self.program.describe(*place),
            did: None,
        };
        let mut steps: Vec<TraceStep> = places.iter().map(step).collect();
        if packet.mark != mark {
            let marking = steps.iter().rposition(|step| step.rule.contains("MARK ")).map_or(steps.len(), |at| at + 1);
            note(&mut steps[..marking], format!("the mark is {:#x} now", packet.mark));
        }
        if left_out > 0 {
            note(&mut steps, format!("{left_out} rules before it are left out here"));
        }
        if outcome.malformed {
            note(&mut steps, "the packet makes no sense to it".into());
        }
        (steps, outcome.verdict)
    }
}

/// Translates the packet as far as it matters to rules that follow, and says what becomes of it.
fn translated(how: Translation, packet: &mut Packet<'_>, between: &Between) -> String {
    let end = |ip: Option<IpAddr>, port: u16| Some(End { ip: ip?, port });
    let key = packet.headers.key;
    match how {
        Translation::Destination(nat) => {
            let to = end(picked(&nat, packet, key.dst()), port(&nat, key.dst_port()));
            redirect(packet, to);
            format!("the destination becomes {}", shown(to, &nat))
        }
        Translation::Redirect(nat) => {
            let to = end(between.gateway.or(key.dst()), port(&nat, key.dst_port()));
            redirect(packet, to);
            format!("it goes to the gateway itself, {}", shown(to, &nat))
        }
        Translation::Source(nat) => {
            let to = end(picked(&nat, packet, key.src()), port(&nat, key.src_port()));
            format!("the source becomes {}", shown(to, &nat))
        }
        Translation::Masquerade(_) => "the source becomes the address of the interface where it goes out".into(),
    }
}

/// The first address of a range.
fn picked(nat: &Nat, packet: &Packet<'_>, own: Option<IpAddr>) -> Option<IpAddr> {
    let family = if packet.headers.layer3 == wire::Layer3::Ipv4 { Family::Ipv4 } else { Family::Ipv6 };
    nat.addresses.map(|span| span.ends(family).0).or(own)
}

/// The port itself where it is in the range or none is given, else the first.
fn port(nat: &Nat, own: u16) -> u16 {
    match (nat.ports, nat.base) {
        (None, _) => own,
        (Some(ports), Some(base)) => ports.first.wrapping_add(own.wrapping_sub(base)),
        (Some(ports), None) if ports.contains(own) => own,
        (Some(ports), None) => ports.first,
    }
}

fn shown(to: Option<End>, nat: &Nat) -> String {
    let Some(End { ip, port }) = to else { return "what it is".into() };
    let chosen = match nat.ports {
        Some(_) => std::net::SocketAddr::new(ip, port).to_string(),
        None => ip.to_string(),
    };
    let several = nat.ports.is_some_and(|ports| ports.first != ports.last && nat.base.is_none())
        || nat.addresses.is_some_and(|span| span.ends(Family::Ipv6).0 != span.ends(Family::Ipv6).1);
    if several { format!("{chosen}, or another of its range") } else { chosen }
}

fn redirect(packet: &mut Packet<'_>, dst: Option<End>) {
    // What cannot be translated goes on as it is: here nobody receives it.
    if translate(packet.frame, packet.headers, &Rewrite { src: None, dst }).is_ok()
        && let Ok(headers) = wire::parse(packet.frame.bytes())
    {
        *packet.headers = headers;
    }
    if let (Tracking::Known(connection), Some(End { ip, port })) = (&mut packet.tracking, dst)
        && let Some(address) = Address::new(ip)
    {
        connection.destination_translated = true;
        (connection.reply.src, connection.reply.src_port) = (address, port);
    }
}

#[cfg(test)]
mod tests;
