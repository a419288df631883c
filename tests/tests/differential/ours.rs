//! The same network around the engine: two subnets of one network, ports of memory, time moved by hand.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Result, anyhow};
use nat::rules::{Family, Program, load, save};
use nat::{Filter, Settings};
use switch::{BridgeId, BridgeSettings, Gateway, Limits, Out, Place, PortId, PortSettings, Switch, Update};
use wire::{Frame, Mac, Time};

use crate::compare::{Conn, Outcome};
use crate::ends::Learnt;
use crate::random::Random;
use crate::rules::Rules;
use crate::talk::Event;
use crate::world::{NEIGHBOURS, ROUTER_MAC, SIDES, address, gateway, mac, prefix};

const NETWORK: BridgeId = BridgeId(1);
const SEED: u64 = 7;
/// Between two events: an ICMP error for each of them is within the gateway's rate, and 200 of them stay below the two
/// seconds after which a UDP exchange is a stream.
const STEP: Duration = Duration::from_millis(5);

/// Lets events pass the engine under these rules.
pub(crate) fn run(rules: &Rules, events: &[Event]) -> Result<Outcome> {
    let (family, polite, rules) = (rules.family, rules.translate, &*(rules.lists.clone() + &rules.text()));
    let mut now = Time::from_secs(1);
    let mut switch = router(now, family);
    let set = load(family, rules).map_err(|error| anyhow!("the switch refuses the rules: {error}\n{rules}"))?;
    switch.set_rules(None, family, Some(Box::new(Program::new(set))));
    let mut out = Out::new(16);
    let (mut seen, mut learnt) = (Vec::new(), Learnt::new(polite));
    for event in events {
        let mut frames = Vec::new();
        let (side, sent, ends) = learnt.frames(event);
        for bytes in &sent {
            switch.process(now, PortId(side as u32), &mut vec![Frame::from_bytes(bytes)], &mut out);
            frames.extend(out.frames.drain(..).map(|(port, frame)| (port.0 as usize, frame.bytes().to_vec())));
        }
        learnt.learn(event, ends, &frames);
        seen.push(frames);
        now = now + STEP;
    }
    switch.take_log(&mut Vec::new());
    let program = switch.rules(None, family).ok_or_else(|| anyhow!("the rules are gone"))?;
    let conns = switch.conns(now, &Filter::default(), 0, usize::MAX).rows;
    let conns = conns.iter().map(|row| Conn {
        protocol: row.protocol,
        original: (row.original.src, row.original.src_port, row.original.dst, row.original.dst_port),
        reply: (row.reply.src, row.reply.src_port, row.reply.dst, row.reply.dst_port),
        tcp: row.tcp.map(|state| format!("{state:?}")),
        replied: row.state == nat::State::Established,
        assured: row.assured,
        mark: row.mark,
        timeout: row.timeout,
    });
    Ok(Outcome { seen, saved: save(&program.rule_set(), true), conns: conns.collect() })
}

fn router(now: Time, family: Family) -> Switch {
    let mut numbers = Random::of(SEED, 0);
    let (random, is_free) = (Box::new(move || numbers.next()), Box::new(|_, _, _| true));
    let limits = Limits { flows: 4_096, join_udp: true };
    let mut switch = Switch::with_translation(limits, SEED, Settings::LINUX, random, is_free);
    let subnet = |side: usize| {
        let text = format!("{}/{}", gateway(family, side), prefix(family));
        text.parse().expect("a subnet")
    };
    let addresses = vec![subnet(0), subnet(1)];
    let gateway = Some(Gateway { mac: Mac(ROUTER_MAC), addresses, internal: false, host_access: false });
    let settings = BridgeSettings { gateway, ..BridgeSettings::new("net", None, 1500) };
    switch.apply(now, Update::Bridge { id: NETWORK, settings });
    for (side, name) in SIDES.iter().enumerate() {
        let id = PortId(side as u32);
        let settings = PortSettings { name: (*name).into(), bridge: NETWORK, guard: None };
        switch.apply(now, Update::Port { id, settings });
        for host in 0..NEIGHBOURS {
            let addresses: Vec<IpAddr> = vec![address(family, side, host)];
            let endpoint =
                Update::Endpoint { bridge: NETWORK, mac: Mac(mac(side, host)), addresses, place: Place::Port(id) };
            switch.apply(now, endpoint);
        }
    }
    switch
}
