//! What the data thread itself has to do while rules are loaded. How long that takes is printed (`--release -- --nocapture`),
//! and judged by who reads it: a busy machine proves nothing.

mod world;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use nat::rules::{Family, Program, load};
use switch::PortId;
use world::{Host, RED, ip, udp};

/// How many rules.
const COUNT: u32 = if cfg!(debug_assertions) { 10_000 } else { 100_000 };

fn program(count: u32) -> Box<Program> {
    let mut text = String::from("*filter\n:FORWARD ACCEPT [0:0]\n");
    for number in 0..count {
        let [_, a, b, c] = number.to_be_bytes();
        writeln!(text, "-A FORWARD -s 20.{a}.{b}.{c}/32 -p tcp -m tcp --dport {} -j DROP", 1 + number % 60_000)
            .unwrap();
    }
    text += "COMMIT\n";
    Box::new(Program::new(load(Family::Ipv4, &text).unwrap()))
}

fn passes(host: &mut Host, from: PortId, to: PortId) {
    let (frames, _) = host.send(from, &udp(2, 3, 40));
    assert!(frames.iter().any(|(port, _)| *port == to));
}

#[test]
fn traffic_passes_between_a_swap_and_the_next_piece_of_counters() {
    let mut host = Host::new(1);
    host.bridge(RED, None);
    let (a, b) = (host.endpoint(1, RED, ip(2)), host.endpoint(2, RED, ip(3)));
    passes(&mut host, a, b);
    let mut longest = [Duration::ZERO; 3];
    for round in 0..4 {
        let fresh = program(COUNT);
        let start = Instant::now();
        let old = host.switch.set_rules(None, Family::Ipv4, Some(fresh));
        let swapped = start.elapsed();
        passes(&mut host, a, b);
        let first = start.elapsed();
        let start = Instant::now();
        // As many as the control plane asks for at a time.
        let counters = host.switch.rules(None, Family::Ipv4).unwrap().counters_from(COUNT as usize / 2, 2_048);
        let counted = start.elapsed();
        assert_eq!(counters.len(), 2_048);
        drop(old);
        // The first round makes room for the flows' memory.
        if round > 0 {
            let times = [swapped, first, counted];
            longest = [0, 1, 2].map(|at| longest[at].max(times[at]));
        }
    }
    println!(
        "{COUNT} rules: swapped in {:?}, first packet after {:?}, counters in {:?}",
        longest[0], longest[1], longest[2]
    );
}
