//! The classifier: packets that no rule but the last matches.

use std::fmt::Write;
use std::hint::black_box;
use std::net::Ipv4Addr;

use crate::{Work, packet};
use nat::rules::{Family, Hook, Nowhere, Packet, Program, Table, Tracking, load};
use wire::{Frame, Headers, Time, parse};

/// Packets, of as many flows.
const PACKETS: u32 = 250;

/// Rules that ask for one address each.
pub(crate) fn source(number: u32) -> String {
    format!("-s {}", packet::endpoint(number))
}

/// Five lengths of prefixes, each alone and with three other things.
pub(crate) fn mixed(number: u32) -> String {
    let (bits, length) = (number / 20, 32 - number % 5);
    let source = format!("-s {}/{length}", Ipv4Addr::from(0x0a00_0000 | bits << (32 - length)));
    match number / 5 % 4 {
        0 => source,
        1 => format!("{source} -p tcp"),
        2 => format!("{source} -d 10.{}.0.0/16", bits % 200),
        _ => format!("{source} -p tcp -m tcp --dport {}", bits % 50_000),
    }
}

fn text(count: u32, kind: fn(u32) -> String) -> String {
    let mut text = "*filter\n".to_owned();
    for number in 0..count {
        let _ = writeln!(text, "-A FORWARD {} -j DROP", kind(number));
    }
    text.push_str("-A FORWARD -j ACCEPT\nCOMMIT\n");
    text
}

pub(crate) fn of(count: u32, kind: fn(u32) -> String) -> Work {
    let mut program = Program::new(load(Family::Ipv4, &text(count, kind)).expect("sound rules"));
    let mut packets: Vec<(Frame, Headers)> = (0..PACKETS)
        .map(|number| {
            let src = (Ipv4Addr::new(172, 16, 0, number as u8), 999).into();
            let dst = (Ipv4Addr::new(10, 9, 9, number as u8), 60_000 + number as u16).into();
            let bytes = packet::syn_over(([2; 6], [4; 6]), src, dst);
            (Frame::from_bytes(&bytes), parse(&bytes).expect("a sound frame"))
        })
        .collect();
    Work::batch(PACKETS, move || {
        for (frame, headers) in &mut packets {
            let (input, output) = ("port-of-web0", "uplink");
            let mut packet = Packet { frame, headers, input, output, mark: 0, tracking: Tracking::None };
            let judged = program.judge(Time::from_secs(1), Table::Filter, Hook::Forward, &mut packet, &mut Nowhere);
            assert!(black_box(judged).by.is_some());
        }
    })
}

/// Text becomes a program: what a user waits for.
pub(crate) fn load_many() -> Work {
    let text = text(1_000, mixed);
    Work::new(move || {
        drop(black_box(Program::new(load(Family::Ipv4, black_box(&text)).expect("sound rules"))));
    })
}
