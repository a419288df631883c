//! The engine alone: frames of one cached flow from one port to another, no system call in between.
//! A frame is taken from the pool, filled as a device would, decided, and put back.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use etherparse::PacketBuilder;
use switch::{BridgeId, BridgeSettings, Guard, Limits, Out, Place, PortId, PortSettings, Switch, Update};
use wire::{Mac, Time};

use crate::load::Metric;
use crate::measure::Bench;
use crate::report::show;
use crate::row::Row;
use crate::topology::{A, B};

/// Frames of one call, as of one turn.
const BATCH: usize = 64;
/// Calls between two looks at the clock.
const STRIDE: usize = 256;
const BRIDGE: BridgeId = BridgeId(1);
/// What has to be reached.
const LINE: f64 = 10e6;
/// Ethernet 14, IPv4 20, UDP 8, and these make 64 bytes.
const PAYLOAD: [u8; 22] = [0; 22];

/// Frames per second on one core, of each run.
pub(crate) fn measure(bench: &Bench, case: &'static str) -> Result<Vec<Row>> {
    let mut rates = Vec::new();
    let mut busy = false;
    for run in 1..=bench.args.runs {
        let (rate, disturbed) = bench.guard.run(|| forward(bench.args.length()))?;
        busy |= disturbed;
        println!("  run {run} of {}  {} frames/s", bench.args.runs, show(rate));
        rates.push(rate);
    }
    Ok(Row::held(case, Metric::higher("frames/s"), &rates, LINE, busy).into_iter().collect())
}

fn forward(length: Duration) -> Result<f64> {
    let mut switch = Switch::new(Limits::default(), 42);
    let now = Time::from_secs(1);
    switch.apply(now, Update::Bridge { id: BRIDGE, settings: BridgeSettings::new("net", None, 1500) });
    let from = port(&mut switch, now, PortId(1), A);
    let to = port(&mut switch, now, PortId(2), B);

    let mut bytes = Vec::new();
    PacketBuilder::ethernet2(Mac::from_ipv4(A).0, Mac::from_ipv4(B).0)
        .ipv4(A.octets(), B.octets(), 64)
        .udp(9_000, 9_000)
        .write(&mut bytes, &PAYLOAD)?;
    let mut out = Out::new(2 * BATCH);
    let mut batch = Vec::with_capacity(BATCH);
    let (mut sent, mut arrived) = (0usize, 0usize);
    let start = Instant::now();
    while start.elapsed() < length {
        for _ in 0..STRIDE {
            for _ in 0..BATCH {
                let mut frame = out.pool.get();
                frame.fill(&bytes);
                batch.push(frame);
            }
            switch.process(now, from, &mut batch, &mut out);
            arrived += out.frames.iter().filter(|(port, frame)| *port == to && frame.len() == bytes.len()).count();
            out.clear();
        }
        sent += STRIDE * BATCH;
    }
    let took = start.elapsed();
    ensure!(arrived == sent, "{arrived} of {sent} frames came out");
    Ok(arrived as f64 / took.as_secs_f64())
}

/// A guarded port with an endpoint behind it.
fn port(switch: &mut Switch, now: Time, id: PortId, address: Ipv4Addr) -> PortId {
    let (mac, addresses) = (Mac::from_ipv4(address), vec![IpAddr::V4(address)]);
    let guard = Some(Guard { mac, addresses: addresses.clone() });
    switch.apply(now, Update::Port { id, settings: PortSettings { name: "endpoint".into(), bridge: BRIDGE, guard } });
    switch.apply(now, Update::Endpoint { bridge: BRIDGE, mac, addresses, place: Place::Port(id) });
    id
}
