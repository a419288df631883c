//! Through the gateway: to the outside and back, under the host's address.

use std::net::{Ipv4Addr, SocketAddr};

use crate::{Work, packet};
use switch::{PortId, Update};

use super::world::{BATCH, GATEWAY, HOST, RED, SEGMENT, SEGMENTS, Template, World, end};

const SERVER: (Ipv4Addr, u16) = (Ipv4Addr::new(198, 51, 100, 9), 443);
const PORT: u16 = 9_000;

/// From the endpoint to its gateway.
fn up() -> ([u8; 6], [u8; 6]) {
    (packet::mac(packet::endpoint(2).into()), packet::mac(GATEWAY.into()))
}

/// As an interface of the host hands frames over: addresses of some other link.
const DOWN: ([u8; 6], [u8; 6]) = ([2, 9, 9, 9, 9, 9], [2, 8, 8, 8, 8, 8]);

/// An endpoint with a connection to the outside, by which answers have come.
fn connected() -> (World, PortId, Template) {
    let mut world = World::with_gateway(1 << 10);
    let from = world.endpoint(2);
    let there = Template::plain(&packet::udp_over(up(), end(2, PORT), SERVER.into(), &packet::payload(22)));
    let back = Template::plain(&packet::udp_over(DOWN, SERVER.into(), (HOST, PORT).into(), &packet::payload(22)));
    for (port, template) in [(from, &there), (PortId::HOST, &back), (from, &there)] {
        world.begin(template, port);
    }
    (world, from, back)
}

pub(crate) fn out(payload: usize) -> Work {
    let (world, from, _) = connected();
    let bytes = packet::udp_over(up(), end(2, PORT), SERVER.into(), &packet::payload(payload));
    world.repeat(Template::plain(&bytes), BATCH, from, (BATCH, 0))
}

pub(crate) fn back() -> Work {
    let (world, _, back) = connected();
    world.repeat(back, BATCH, PortId::HOST, (BATCH, 0))
}

/// TCP, in a stream that was under way: nothing is cut, and only the pseudo-header's sum changes.
pub(crate) fn out_super() -> Work {
    let mut world = World::with_gateway(1 << 10);
    let from = world.endpoint(2);
    let segment = |link, src: SocketAddr, dst: SocketAddr, payload: &[u8]| packet::tcp_over(link, src, dst, 1, payload);
    let (inside, outside, public) = (end(2, PORT), SERVER.into(), (HOST, PORT).into());
    let there = Template::plain(&segment(up(), inside, outside, &[7; 64]));
    let back = Template::plain(&segment(DOWN, outside, public, &[7; 64]));
    for (port, template) in [(from, &there), (PortId::HOST, &back), (from, &there)] {
        world.begin(template, port);
    }
    let bytes = segment(up(), inside, outside, &packet::payload(SEGMENT * SEGMENTS));
    world.repeat(Template::super_frame(&bytes), 4, from, (4, 0))
}

/// First packets: each makes a connection with a mapping, and is sent out. The table is full: one is given up for each.
pub(crate) fn first() -> Work {
    let mut world = World::with_gateway(1 << 10);
    let from = world.endpoint(2);
    let mut number = 0u32;
    let mut templates = (0..8_192).map(|_| {
        number += 1;
        let server = SocketAddr::from((Ipv4Addr::from(0xc612_0000 | number), 53));
        Template::plain(&packet::udp_over(up(), end(2, PORT), server, &packet::payload(22)))
    });
    let templates: Vec<Template> = templates.by_ref().collect();
    world.prime(&templates[0], 8);
    let mut next = 0;
    let mut steering = Vec::new();
    let mut step = move || {
        for _ in 0..8 {
            world.arrive(&templates[next]);
            next = (next + 1) % templates.len();
        }
        world.process(from, (8, 0));
        steering.clear();
        world.switch.take_steering(&mut steering);
    };
    (0..4_096 / 8).for_each(|_| step());
    Work::batch(8, step)
}

/// A question about a name, answered in the round in which it came.
pub(crate) fn query() -> Work {
    let mut world = World::with_gateway(1 << 10);
    let from = world.endpoint(2);
    let entry =
        dns::Entry { names: vec!["web".into()], addresses: vec![packet::endpoint(3).into()], services: Vec::new() };
    world.apply(Update::Names { bridge: RED, holder: 1, entry: Some(entry) });
    let query = [&[0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3][..], b"web", &[0, 0, 1, 0, 1]].concat();
    let bytes = packet::udp_over(up(), end(2, PORT), (GATEWAY, 53).into(), &query);
    world.repeat(Template::plain(&bytes), 8, from, (8, 0))
}
