//! From one port to another of the same network.

use std::fmt::Write;

use crate::{Work, packet};
use nat::rules::{Family, Program, load};

use super::world::{BATCH, SEGMENT, SEGMENTS, Template, World, end};

/// Frames of that many flows, one after the other, all of them cached.
pub(crate) fn hits(flows: u32, payload: usize) -> Work {
    let mut world = World::with_network(1 << 15, None, 1_500);
    let (from, _) = (world.endpoint(2), world.endpoint(3));
    let templates: Vec<Template> = (0..flows)
        .map(|flow| {
            let (src, dst) = (end(2, 1_024 + (flow % 30_000) as u16), end(3, 9_000));
            Template::plain(&packet::udp(src, dst, &packet::payload(payload)))
        })
        .collect();
    world.prime(&templates[0], BATCH);
    templates.iter().for_each(|template| world.pass(template, 1, from, (1, 0)));
    // Not in the order in which they were made: neighbours in memory would come together.
    let mut next = 0usize;
    Work::batch(BATCH as u32, move || {
        for _ in 0..BATCH {
            next = (next + 7_919) % templates.len();
            world.arrive(&templates[next]);
        }
        world.process(from, (BATCH, 0));
    })
}

pub(crate) fn super_frame() -> Work {
    let mut world = World::with_network(1 << 10, None, 1_500);
    let (from, _) = (world.endpoint(2), world.endpoint(3));
    let bytes = packet::tcp(end(2, 9_000), end(3, 9_000), 1, &packet::payload(SEGMENT * SEGMENTS));
    world.repeat(Template::super_frame(&bytes), 4, from, (4, 0))
}

/// Frames of a connection that 1,000 rules let through: what was decided is cached, but still counted to its rule.
pub(crate) fn judged() -> Work {
    let mut world = World::with_gateway(1 << 10);
    let (from, to) = (world.endpoint(2), world.endpoint(3));
    let mut text = "*filter\n".to_owned();
    for number in 0..1_000 {
        let _ = writeln!(text, "-A FORWARD -s 172.16.{}.{} -j DROP", number >> 8, number & 255);
    }
    text.push_str("COMMIT\n");
    let program = Program::new(load(Family::Ipv4, &text).expect("sound rules"));
    world.switch.set_rules(None, Family::Ipv4, Some(Box::new(program)));
    let [there, back] = [(2, 3), (3, 2)]
        .map(|(src, dst)| Template::plain(&packet::udp(end(src, 9_000), end(dst, 9_000), &packet::payload(22))));
    world.begin(&there, from);
    world.begin(&back, to);
    world.repeat(there, BATCH, from, (BATCH, 0))
}

/// A cache without room: each frame walks the pipeline, in a network of a thousand endpoints. All of them are sent to in
/// turn, because a table of theirs has another seed in each program, and some addresses are found sooner than others.
pub(crate) fn misses() -> Work {
    let mut world = World::with_network(0, None, 1_500);
    let from = world.endpoint(2);
    (3..1_003).for_each(|number| _ = world.endpoint(number));
    let templates: Vec<Template> = (3..1_003)
        .map(|number| Template::plain(&packet::udp(end(2, 9_000), end(number, 9_000), &packet::payload(22))))
        .collect();
    world.prime(&templates[0], BATCH);
    let mut next = 0;
    Work::batch(BATCH as u32, move || {
        for _ in 0..BATCH {
            world.arrive(&templates[next]);
            next = (next + 1) % templates.len();
        }
        world.process(from, (BATCH, 0));
    })
}

/// A broadcast in a network of eight ports.
pub(crate) fn floods() -> Work {
    let mut world = World::with_network(1 << 10, None, 1_500);
    let from = world.endpoint(2);
    (3..10).for_each(|number| _ = world.endpoint(number));
    let link = (packet::mac(packet::endpoint(2).into()), [0xff; 6]);
    let bytes = packet::udp_over(link, end(2, 9_000), end(0x00ff_ffff, 9_000), &packet::payload(22));
    world.repeat(Template::plain(&bytes), 8, from, (8 * 7, 0))
}

/// A question that the switch answers itself.
pub(crate) fn arp() -> Work {
    let mut world = World::with_network(1 << 10, None, 1_500);
    let from = world.endpoint(2);
    world.endpoint(3);
    let asker = packet::mac(packet::endpoint(2).into());
    let [a, b] = [2, 3].map(|number| packet::endpoint(number).octets());
    let arp = [&[0xff; 6][..], &asker, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1], &asker, &a, &[0; 6], &b].concat();
    world.repeat(Template::plain(&arp), 8, from, (8, 0))
}
