//! Between hosts.

use crate::{Work, packet};
use switch::{Datagram, Vni};

use super::world::{BATCH, NOW, PEER, SEGMENT, SEGMENTS, Template, World, end};

const VNI: u32 = 42;

fn world() -> World {
    let mut world = World::with_network(1 << 10, Some(VNI), 1_450);
    world.remote(3);
    world
}

/// A batch of small frames of one flow: one train, one send.
pub(crate) fn out_small() -> Work {
    let mut world = world();
    let from = world.endpoint(2);
    let template = Template::plain(&packet::udp(end(2, 9_000), end(3, 9_000), &packet::payload(22)));
    world.repeat(template, BATCH, from, (0, 1))
}

/// A super-frame: cut, its segments' checksums computed, one send.
pub(crate) fn out_super() -> Work {
    let mut world = world();
    let from = world.endpoint(2);
    let bytes = packet::tcp(end(2, 9_000), end(3, 9_000), 1, &packet::payload(SEGMENT * SEGMENTS));
    world.repeat(Template::super_frame(&bytes), 1, from, (0, 1))
}

/// What GRO made of a train of small frames: UDP, joined again.
pub(crate) fn in_small() -> Work {
    let frames = (0..BATCH).map(|_| packet::udp(end(3, 9_000), end(2, 9_000), &packet::payload(22)));
    received(&frames.collect::<Vec<_>>(), BATCH as u32)
}

/// What GRO made of a super-frame's segments: verified, and joined again.
pub(crate) fn in_run() -> Work {
    let payload = packet::payload(SEGMENT);
    let frames = (0..SEGMENTS).map(|n| packet::tcp(end(3, 9_000), end(2, 9_000), (n * SEGMENT) as u32, &payload));
    received(&frames.collect::<Vec<_>>(), 1)
}

/// Datagrams that become one super-frame; what is reported is the cost of one in `parts` of it.
fn received(frames: &[Vec<u8>], parts: u32) -> Work {
    let mut world = world();
    world.endpoint(2);
    let vni = Vni::new(VNI).expect("a VNI");
    let header = vxlan::encode(vni);
    let segment = header.len() + frames[0].len();
    let bytes: Vec<u8> = frames.iter().flat_map(|frame| header.iter().chain(frame)).copied().collect();
    Work::batch(parts, move || {
        let run = Datagram { from: PEER, ecn: 0, bytes: &bytes, segment };
        world.switch.decapsulate(NOW, std::iter::once(run), &mut world.out);
        assert_eq!(world.out.frames.len(), 1);
        world.out.clear();
    })
}
