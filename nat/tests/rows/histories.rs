//! Random histories: whatever happens in whatever order, the tables agree with each other.

use std::collections::{HashMap, HashSet};

use nat::{Filter, Filtering, Mapping, Settings};
use proptest::prelude::*;

use crate::packet::{ACK, FIN, RST, SYN, echo, segment, tcp, udp};
use crate::world::{BLUE, OUT, RED, World};

#[derive(Clone, Debug)]
enum Deed {
    Out { blue: bool, host: u8, port: u16, far: u8, kind: u8, flags: u8 },
    In { far: u8, port: u16, kind: u8, flags: u8 },
    Wait(u16),
    Expire(u8),
    Flush(u8),
    Limit(bool, Option<u32>),
    Address(u8),
    Hold(u16),
}

fn deed() -> impl Strategy<Value = Deed> {
    let port = prop::sample::select(vec![53u16, 80, 600, 5000, 5001, 40_000]);
    let flags = prop::sample::select(vec![SYN, SYN | ACK, ACK, FIN | ACK, RST, RST | ACK]);
    prop_oneof![
        10 => (any::<bool>(), 1..5u8, port.clone(), 1..4u8, 0..3u8, flags.clone())
            .prop_map(|(blue, host, port, far, kind, flags)| Deed::Out { blue, host, port, far, kind, flags }),
        6 => (1..4u8, port.clone(), 0..3u8, flags).prop_map(|(far, port, kind, flags)| Deed::In { far, port, kind, flags }),
        2 => (0..400u16).prop_map(Deed::Wait),
        2 => any::<u8>().prop_map(Deed::Expire),
        1 => (1..5u8).prop_map(Deed::Flush),
        1 => (any::<bool>(), prop::option::of(0..6u32)).prop_map(|(blue, limit)| Deed::Limit(blue, limit)),
        1 => (1..3u8).prop_map(Deed::Address),
        1 => port.prop_map(Deed::Hold),
    ]
}

fn packet(src: &str, dst: &str, kind: u8, flags: u8) -> wire::Frame {
    let host = |text: &str| text.split(':').next().unwrap_or_default().to_owned();
    let id = |text: &str| text.split(':').next_back().and_then(|id| id.parse().ok()).unwrap_or(0);
    match kind {
        0 => udp(src, dst, b"x"),
        1 => tcp(src, dst, segment(flags, 100, 200)),
        _ if src.starts_with("10.") => echo(&host(src), &host(dst), id(src), false),
        _ => echo(&host(src), &host(dst), id(dst), true),
    }
}

fn check(world: &World) -> Result<(), TestCaseError> {
    let rows = world.tracker.dump(wire::Time::ZERO, &Filter::default(), 0, usize::MAX).rows;
    let usage = world.tracker.usage();
    prop_assert_eq!(rows.len(), usage.connections as usize);
    prop_assert!(usage.connections <= usage.limit);
    let mut ways = HashSet::new();
    for row in &rows {
        for way in [row.original, row.reply] {
            let key = (way.zone, row.protocol, way.src, way.dst, way.src_port, way.dst_port);
            prop_assert!(ways.insert(key), "each direction is unique: {:?}", key);
        }
    }
    let loose = rows.iter().filter(|row| !row.assured).count();
    prop_assert_eq!(loose, usage.unassured as usize);
    let mut shares = HashMap::new();
    for row in &rows {
        let payer = if row.original.zone == OUT { row.reply.zone } else { row.original.zone };
        let share: &mut (u32, u32) = shares.entry(payer).or_default();
        share.0 += 1;
        share.1 += u32::from(!row.assured);
    }
    for zone in [RED, BLUE] {
        prop_assert_eq!(world.tracker.zone_usage(zone), shares.get(&zone).copied().unwrap_or_default());
    }
    let bindings = world.tracker.dump_bindings(None);
    prop_assert_eq!(bindings.len(), usage.bindings);
    let publics: HashSet<_> = bindings.iter().map(|b| (b.protocol, b.public, b.public_port)).collect();
    prop_assert_eq!(publics.len(), bindings.len(), "no public endpoint twice");
    for binding in &bindings {
        let users = rows.iter().filter(|row| {
            let out = row.reply.zone == OUT
                && (row.reply.dst, row.reply.dst_port) == (binding.public, binding.public_port)
                && row.bound;
            let inward = row.original.zone == OUT
                && (row.original.dst, row.original.dst_port) == (binding.public, binding.public_port);
            row.protocol == binding.protocol && (out || inward)
        });
        prop_assert_eq!(users.count(), binding.connections as usize, "{:?}", binding);
        prop_assert!(binding.connections > 0, "held by somebody");
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]
    #[test]
    fn tables_agree_after_any_history(
        deeds in prop::collection::vec(deed(), 1..120),
        filtering in prop::sample::select(vec![
            Filtering::EndpointIndependent,
            Filtering::AddressDependent,
            Filtering::AddressAndPortDependent,
        ]),
        symmetric: bool,
        limit in 1..40u32,
    ) {
        let settings = Settings { filtering, connections: limit, bindings_per_host: 6, ..Settings::RFC };
        let mut world = World::with(settings);
        if symmetric {
            world.mapping = Mapping::Symmetric { persistent: false };
        }
        for deed in deeds {
            match deed {
                Deed::Out { blue, host, port, far, kind, flags } => {
                    let zone = if blue { BLUE } else { RED };
                    let frame = packet(&format!("10.0.0.{host}:{port}"), &format!("198.51.100.{far}:53"), kind, flags);
                    let _ = world.egress(zone, &frame);
                }
                Deed::In { far, port, kind, flags } => {
                    let public = world.public[0];
                    let frame = packet(&format!("198.51.100.{far}:53"), &format!("{public}:{port}"), kind, flags);
                    world.ingress(&frame);
                }
                Deed::Wait(seconds) => world.wait(u64::from(seconds)),
                Deed::Expire(budget) => {
                    world.tracker.expire(world.now, usize::from(budget));
                }
                Deed::Flush(host) => {
                    let address = format!("10.0.0.{host}/32").parse().ok();
                    world.tracker.flush(&Filter { address, zone: Some(RED), ..Filter::default() });
                }
                Deed::Limit(blue, limit) => world.tracker.set_zone_limit(if blue { BLUE } else { RED }, limit),
                Deed::Address(last) => world.public = vec![[192, 0, 2, last].into()],
                Deed::Hold(port) => world.held.push(port),
            }
            check(&world)?;
        }
        world.tracker.flush(&Filter::default());
        check(&world)?;
        prop_assert_eq!((world.tracker.usage().connections, world.tracker.usage().bindings), (0, 0));
    }

    #[test]
    fn any_bytes_from_anywhere_are_only_counted(mut frames in prop::collection::vec((prop::collection::vec(any::<u8>(), 34..120), any::<bool>()), 1..40)) {
        let mut world = World::new();
        for (bytes, v6) in &mut frames {
            bytes[12..14].copy_from_slice(if *v6 { &[0x86, 0xdd] } else { &[8, 0] });
            bytes[14] = if *v6 { 0x60 } else { 0x45 };
            let len = bytes.len();
            if *v6 {
                bytes[18..20].copy_from_slice(&(len.saturating_sub(54) as u16).to_be_bytes());
            } else {
                bytes[16..18].copy_from_slice(&((len - 14) as u16).to_be_bytes());
                let sum = wire::checksum::ipv4_header(&bytes[14..34]);
                bytes[24..26].copy_from_slice(&sum.to_be_bytes());
            }
            let mut frame = wire::Frame::from_bytes(bytes);
            frame.offload = wire::Offload::VALID;
            if let Ok(headers) = wire::parse(frame.bytes()) {
                let _ = world.tracker.track(world.now, RED, &frame, &headers);
                let _ = world.tracker.datagram(RED, &frame, &headers);
            }
        }
    }
}
