//! The engine with a million translated connections, next to itself with a thousand: what a frame costs when the tables no
//! longer fit a cache. Frames arrive from outside, of connections picked at random.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use etherparse::PacketBuilder;
use switch::{BridgeId, BridgeSettings, Gateway, Limits, Out, Place, PortId, PortSettings, Route, Switch, Update};
use wire::{Frame, Mac, Time};

use crate::load::Metric;
use crate::measure::Bench;
use crate::report::show;
use crate::row::Row;

const MANY: u32 = 1_000_000;
const FEW: u32 = 1_000;
const BATCH: usize = 64;
const BRIDGE: BridgeId = BridgeId(1);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
const HOST: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const SERVERS: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 0);
/// Ports of the container; each of them talks to as many servers as it takes.
const PORTS: u32 = 10_000;
const CONTAINER: (PortId, Ipv4Addr) = (PortId(1), Ipv4Addr::new(10, 0, 0, 2));

/// Nanoseconds a frame, with many connections and with few; and what one connection takes.
pub(crate) fn measure(bench: &Bench, case: &'static str) -> Result<Vec<Row>> {
    let (mut many, mut few) = (World::new(MANY)?, World::new(FEW)?);
    let (mut ours, mut theirs, mut busy) = (Vec::new(), Vec::new(), false);
    for run in 1..=bench.args.runs {
        for (world, figures) in [(&mut many, &mut ours), (&mut few, &mut theirs)] {
            let (cost, disturbed) = bench.guard.run(|| world.receive(bench.args.length()))?;
            busy |= disturbed;
            println!("  run {run} of {}  {} connections: {} ns a frame", bench.args.runs, world.count, show(cost));
            figures.push(cost);
        }
    }
    let usage = many.switch.tracker().usage();
    let each = usage.memory as f64 / f64::from(usage.connections);
    let cost = Row::compared(case, "1,000 connections", Metric::lower("ns/frame"), &ours, &theirs, busy);
    let memory = Row::alone(case, Metric::lower("bytes/connection"), &[each], busy);
    Ok(cost.into_iter().chain(memory).collect())
}

struct World {
    switch: Switch,
    out: Out,
    now: Time,
    count: u32,
    template: Vec<u8>,
    random: u64,
}

impl World {
    fn new(count: u32) -> Result<World> {
        let now = Time::from_secs(1);
        let mut state = 7;
        let settings = nat::Settings { connections: MANY, connections_per_zone: MANY, ..nat::Settings::RFC };
        let random = Box::new(move || next(&mut state));
        let free = Box::new(|_, _, _| true);
        let mut switch = Switch::with_translation(Limits::default(), 42, settings, random, free);
        let gateway = Gateway {
            mac: Mac::from_ipv4(GATEWAY),
            addresses: vec!["10.0.0.1/16".parse()?],
            internal: false,
            host_access: true,
        };
        let settings = BridgeSettings { gateway: Some(gateway), ..BridgeSettings::new("net", None, 1500) };
        switch.apply(now, Update::Bridge { id: BRIDGE, settings });
        switch.apply(now, Update::Uplink { mac: Some(Mac([2; 6])) });
        let route = Route { to: "0.0.0.0/0".parse()?, source: IpAddr::V4(HOST), mtu: 1500 };
        switch.apply(now, Update::Host { addresses: vec![HOST.into()], routes: vec![route] });
        let (id, address) = CONTAINER;
        switch.apply(
            now,
            Update::Port { id, settings: PortSettings { name: "endpoint".into(), bridge: BRIDGE, guard: None } },
        );
        let (mac, addresses) = (Mac::from_ipv4(address), vec![IpAddr::V4(address)]);
        switch.apply(now, Update::Endpoint { bridge: BRIDGE, mac, addresses, place: Place::Port(id) });
        let template = udp(Mac([9; 6]), Mac([8; 6]), (server(0), 53), (HOST, 0))?;
        let mut world = World { switch, out: Out::new(2 * BATCH), now, count, template, random: 99 };
        for connection in 0..count {
            world.open(connection)?;
        }
        let opened = world.switch.tracker().usage().connections;
        ensure!(opened == count, "{opened} of {count} connections were made");
        Ok(world)
    }

    /// A packet out, and its answer in: from then on the connection is in the cache.
    fn open(&mut self, connection: u32) -> Result<()> {
        let (id, address) = CONTAINER;
        let link = (Mac::from_ipv4(address), Mac::from_ipv4(GATEWAY));
        let bytes = udp(link.0, link.1, (address, port(connection)), (server(connection / PORTS), 53))?;
        self.switch.process(self.now, id, &mut vec![Frame::from_bytes(&bytes)], &mut self.out);
        self.out.clear();
        let answer = self.answer(connection);
        self.switch.process(self.now, PortId::HOST, &mut vec![answer], &mut self.out);
        ensure!(self.out.frames.len() == 1, "connection {connection} does not answer");
        self.out.clear();
        Ok(())
    }

    /// The server's answer.
    fn answer(&mut self, connection: u32) -> Frame {
        let mut frame = self.out.pool.get();
        frame.fill(&self.template);
        let bytes = frame.bytes_mut();
        let from = u32::from(server(connection / PORTS));
        let old = u32::from(server(0));
        bytes[26..30].copy_from_slice(&from.to_be_bytes());
        let sum = u16::from_be_bytes([bytes[24], bytes[25]]);
        let sum = wire::checksum::update(sum, (old >> 16) as u16, (from >> 16) as u16);
        let sum = wire::checksum::update(sum, old as u16, from as u16);
        bytes[24..26].copy_from_slice(&sum.to_be_bytes());
        bytes[36..38].copy_from_slice(&port(connection).to_be_bytes());
        // No UDP checksum (RFC 768).
        bytes[40..42].fill(0);
        frame
    }

    /// Nanoseconds of the engine for one frame; making the frames is not counted.
    fn receive(&mut self, length: Duration) -> Result<f64> {
        let (mut took, mut frames) = (Duration::ZERO, 0usize);
        let mut batch = Vec::with_capacity(BATCH);
        while took < length {
            for _ in 0..BATCH {
                let connection = (next(&mut self.random) % u64::from(self.count)) as u32;
                batch.push(self.answer(connection));
            }
            let start = Instant::now();
            self.switch.process(self.now, PortId::HOST, &mut batch, &mut self.out);
            took += start.elapsed();
            ensure!(self.out.frames.len() == BATCH, "{} of {BATCH} frames came out", self.out.frames.len());
            self.out.clear();
            frames += BATCH;
        }
        Ok(took.as_nanos() as f64 / frames as f64)
    }
}

fn server(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(SERVERS) + number)
}

fn port(connection: u32) -> u16 {
    (20_000 + connection % PORTS) as u16
}

fn udp(src: Mac, dst: Mac, from: (Ipv4Addr, u16), to: (Ipv4Addr, u16)) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    PacketBuilder::ethernet2(src.0, dst.0)
        .ipv4(from.0.octets(), to.0.octets(), 64)
        .udp(from.1, to.1)
        .write(&mut bytes, &[0; 22])?;
    Ok(bytes)
}

/// A generator that is quick and good enough to miss every cache (xorshift64*).
fn next(state: &mut u64) -> u64 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    state.wrapping_mul(0x2545_f491_4f6c_dd1d)
}
