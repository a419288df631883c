//! What a packet costs that no rule but the last matches; printed, not asserted: `make cost`.

use std::fmt::Write;
use std::time::Instant;

use nat::rules::{Family, Hook, Packet, Program, Table, Tracking, load};
use wire::{Frame, Headers, Time, parse};

use super::world::{World, tcp};

/// What a rule of that number asks.
type Kind = fn(usize) -> String;

fn sources(number: usize) -> String {
    format!("-s 10.{}.{}.{}", number >> 16 & 255, number >> 8 & 255, number & 255)
}

fn ports(number: usize) -> String {
    match number {
        0..50_000 => format!("-p tcp -m tcp --dport {number}"),
        _ => format!("-p udp -m udp --dport {}", number - 50_000),
    }
}

/// Five source prefixes, each alone and with three other things.
fn mix(number: usize) -> String {
    let (bits, length) = (number / 20, [32, 31, 30, 29, 28][number % 5]);
    let source = format!("-s {}/{length}", std::net::Ipv4Addr::from(0x0a00_0000 | (bits << (32 - length)) as u32));
    match number / 5 % 4 {
        0 => source,
        1 => format!("{source} -p tcp"),
        2 => format!("{source} -d 10.{}.0.0/16", bits % 200),
        _ => format!("{source} -p tcp -m tcp --dport {}", bits % 50_000),
    }
}

/// Nanoseconds for one packet, of segments from and to everywhere.
fn cost(program: &mut Program, frames: &mut [(Frame, Headers)], rounds: usize) -> f64 {
    let mut world = World::default();
    let begun = Instant::now();
    for _ in 0..rounds {
        for (frame, headers) in &mut *frames {
            let (input, output) = ("port-of-web0", "uplink");
            let mut packet = Packet { frame, headers, input, output, mark: 0, tracking: Tracking::None };
            let outcome = program.judge(Time::from_secs(1), Table::Filter, Hook::Forward, &mut packet, &mut world);
            assert_eq!(outcome.by.map(|by| by.rule.is_some()), Some(true));
        }
    }
    begun.elapsed().as_nanos() as f64 / (rounds * frames.len()) as f64
}

/// Kilobytes that the process has in memory.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    status.split(' ').nth(1).and_then(|pages| pages.parse().ok()).map_or(0, |pages: usize| pages * 4)
}

#[test]
#[ignore = "measures: run by make cost"]
fn speed() {
    let kinds: [(&str, Kind); 3] = [("sources", sources), ("ports", ports), ("20 masks", mix)];
    let mut frames: Vec<_> = (0..1_000u32)
        .map(|number| {
            let (to, port) = (number % 250, 60_000 + number % 5_000);
            let frame = tcp(&format!("172.16.{}.{to}:999", number / 250), &format!("10.9.9.{to}:{port}"), 2, &[], b"");
            let headers = parse(frame.bytes()).unwrap();
            (frame, headers)
        })
        .collect();
    println!("rules of      number   load ms  ready ms  index kB  walked ns  looked up ns");
    for (name, kind) in kinds {
        for count in [10, 1_000, 10_000, 100_000] {
            let mut text = "*filter\n".to_owned();
            for number in 0..count {
                writeln!(text, "-A FORWARD {} -j DROP", kind(number)).unwrap();
            }
            text.push_str("-A FORWARD -j ACCEPT\nCOMMIT\n");
            let begun = Instant::now();
            let set = load(Family::Ipv4, &text).unwrap();
            let load = begun.elapsed().as_secs_f64() * 1e3;
            let mut walked = Program::linear(set.clone());
            let (begun, before) = (Instant::now(), resident());
            let mut found = Program::new(set);
            let (ready, room) = (begun.elapsed().as_secs_f64() * 1e3, resident() - before.min(resident()));
            let linear = cost(&mut walked, &mut frames, (20_000 / count).clamp(1, 200));
            let looked_up = cost(&mut found, &mut frames, 200);
            println!("{name:10} {count:9} {load:9.1} {ready:9.2} {room:9} {linear:10.0} {looked_up:13.1}");
        }
    }
}
