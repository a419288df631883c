//! What the kernel does for the receiver: checksums of outer headers, fragments. Frames are written through a TAP.

mod namespace;

use std::thread;
use std::time::Duration;

use etherparse::{IpFragOffset, Ipv4Header, PacketBuilder};
use port::{Datagrams, Sent, Tap, TapOptions, Underlay};
use wire::Frame;

use namespace::{eventually, ip, within};

const FROM: [u8; 6] = [2, 0, 0, 0, 0, 9];
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

fn tap() -> Tap {
    let tap = Tap::create("t0", &TapOptions::default()).unwrap();
    ip("link set t0 address 02:00:00:00:00:01 up");
    ip("addr add 10.9.0.1/24 dev t0");
    ip("addr add fd09::1/64 dev t0 nodad");
    tap
}

/// A datagram from .2 to .1, port 4789, over either IP version, and where its UDP checksum is.
fn datagram(v6: bool, payload: &[u8]) -> (Vec<u8>, usize) {
    let ethernet = PacketBuilder::ethernet2(FROM, MAC);
    let mut bytes = Vec::new();
    if v6 {
        let address = |last| [0xfd, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
        ethernet.ipv6(address(2), address(1), 64).udp(61_000, 4789).write(&mut bytes, payload).unwrap();
        (bytes, 14 + 40 + 6)
    } else {
        ethernet.ipv4([10, 9, 0, 2], [10, 9, 0, 1], 64).udp(61_000, 4789).write(&mut bytes, payload).unwrap();
        (bytes, 14 + 20 + 6)
    }
}

fn write(tap: &mut Tap, bytes: &[u8]) {
    assert_eq!(tap.send(&mut Frame::from_bytes(bytes)).unwrap(), Sent::Done);
}

fn received(underlay: &mut Underlay) -> Vec<Vec<u8>> {
    let mut batch = Datagrams::new(8);
    underlay.receive(&mut batch).unwrap();
    batch.iter().map(|datagram| datagram.bytes.to_vec()).collect()
}

/// Writes datagrams until they arrive: the kernel routes to a new address only a moment after it was added.
fn await_way(tap: &mut Tap, underlay: &mut Underlay, v6: bool) {
    let (first, _) = datagram(v6, b"first");
    eventually("way", || {
        write(tap, &first);
        received(underlay).pop()
    });
}

#[test]
fn vx_10_vx_11_vx_12_outer_checksums() {
    within(|| {
        let mut tap = tap();
        for (v6, local) in [(false, "10.9.0.1"), (true, "fd09::1")] {
            let mut underlay = Underlay::bind(local.parse().unwrap(), 4789).unwrap();
            await_way(&mut tap, &mut underlay, v6);
            let mut send = |payload: &[u8], change: fn([u8; 2]) -> [u8; 2]| {
                let (mut bytes, at) = datagram(v6, payload);
                let sum = change([bytes[at], bytes[at + 1]]);
                bytes[at..at + 2].copy_from_slice(&sum);
                write(&mut tap, &bytes);
            };
            // Order is kept, so the last one having come says that the others have not.
            send(b"right", |sum| sum);
            send(b"wrong", |[high, low]| [high ^ 0x10, low]);
            send(b"zero", |_| [0, 0]);
            send(b"last", |sum| sum);
            let mut all = Vec::new();
            eventually("last datagram", || {
                all.extend(received(&mut underlay).into_iter().filter(|bytes| bytes != b"first"));
                (all.last()? == b"last").then_some(())
            });
            let expected: &[&[u8]] = if v6 { &[b"right", b"last"] } else { &[b"right", b"zero", b"last"] };
            assert_eq!(all, expected, "IPv6: {v6}");
        }
    });
}

#[test]
fn vx_16_outer_fragments_come_reassembled_or_not_at_all() {
    within(|| {
        let mut tap = tap();
        let mut underlay = Underlay::bind("10.9.0.1".parse().unwrap(), 4789).unwrap();
        await_way(&mut tap, &mut underlay, false);
        let payload: Vec<u8> = (0..3000).map(|at| (at % 251) as u8).collect();
        let (whole, _) = datagram(false, &payload);
        let udp = &whole[34..];
        let fragment = |at: usize, len: usize| {
            let mut header =
                Ipv4Header::new(len as u16, 64, etherparse::IpNumber::UDP, [10, 9, 0, 2], [10, 9, 0, 1]).unwrap();
            header.identification = 7;
            header.dont_fragment = false;
            header.more_fragments = at + len < udp.len();
            header.fragment_offset = IpFragOffset::try_new((at / 8) as u16).unwrap();
            header.header_checksum = header.calc_header_checksum();
            [&whole[..14], &header.to_bytes(), &udp[at..at + len]].concat()
        };
        write(&mut tap, &fragment(1480, udp.len() - 1480));
        thread::sleep(Duration::from_millis(20));
        assert!(received(&mut underlay).iter().all(|bytes| bytes == b"first"));
        write(&mut tap, &fragment(0, 1480));
        let got = eventually("reassembled datagram", || received(&mut underlay).pop());
        assert_eq!(got, payload);
    });
}
