//! How queries may come: with checksums to be completed, several in one super-frame, tagged, damaged; and past rules.

use nat::rules::{Family, Program};
use simple_dns::TYPE;
use switch::{BridgeSettings, DropReason, Gateway, Update};
use wire::{Frame, Gso, Mac, Offload};

use crate::sandbox::{GATEWAY, GATEWAY6, ask, ask_as, datagram, host, message, name, query, read, told};
use crate::world::{Host, RED, ip, v6};

#[test]
fn a_checksum_may_be_partial_and_must_not_be_wrong() {
    let (mut host, me) = host();
    let bytes = datagram(ip(2).into(), GATEWAY.into(), &query("web", TYPE::A));
    let mut damaged = bytes.clone();
    damaged[40] ^= 0xff;
    let mut partial = Frame::from_bytes(&damaged);
    partial.offload = Offload::partial(34, 6);
    let (frames, _) = host.send_frame(me, partial);
    assert_eq!(Some(read(&message(&frames[0].1, ip(2).into(), GATEWAY.into()))), told(&["10.10.10.3"]));
    host.drops(DropReason::Invalid, |host| !host.send(me, &damaged).0.is_empty());
    let mut header = bytes;
    header[24] ^= 0xff;
    host.drops(DropReason::Invalid, |host| !host.send(me, &header).0.is_empty());
}

#[test]
fn a_super_frame_is_several_queries() {
    let (mut host, me) = host();
    let one = query("web", TYPE::A);
    let mut frame =
        Frame::from_bytes(&datagram(ip(2).into(), GATEWAY.into(), &[&one[..], &one, &one, b"rest"].concat()));
    frame.offload = Offload::segmented(Gso::Udp, one.len() as u16, 42, 34, 6);
    let (frames, _) = host.send_frame(me, frame);
    assert_eq!(frames.len(), 3);
    for (_, frame) in &frames {
        assert_eq!(Some(read(&message(frame, ip(2).into(), GATEWAY.into()))), told(&["10.10.10.3"]));
    }
    assert_eq!((host.dropped(DropReason::NoQuery), host.switch.counters().named), (1, 3));
}

#[test]
fn a_flood_in_one_frame_is_bounded() {
    let (mut host, me) = host();
    let mut frame = Frame::from_bytes(&datagram(ip(2).into(), GATEWAY.into(), &[0; 10_000]));
    frame.offload = Offload::segmented(Gso::Udp, 1, 42, 34, 6);
    assert!(host.send_frame(me, frame).0.is_empty());
    assert_eq!(host.dropped(DropReason::NoQuery), 128);
}

#[test]
fn a_priority_is_no_vlan() {
    let (mut host, me) = host();
    let mut bytes = datagram(ip(2).into(), GATEWAY.into(), &query("web", TYPE::A));
    bytes.splice(12..12, [0x81, 0, 0xa0, 0]);
    let (frames, _) = host.send(me, &bytes);
    assert_eq!(Some(read(&message(&frames[0].1, ip(2).into(), GATEWAY.into()))), told(&["10.10.10.3"]));
}

#[test]
fn an_answer_fits_the_link() {
    let (mut host, me) = host();
    let gateway = Gateway {
        mac: Mac::from_ipv4(GATEWAY),
        addresses: vec!["10.10.10.1/24".parse().unwrap(), "fd00::1/64".parse().unwrap()],
        internal: false,
        host_access: true,
    };
    let settings = BridgeSettings { gateway: Some(gateway), ..BridgeSettings::new("net", None, 1_000) };
    host.apply(Update::Bridge { id: RED, settings });
    for holder in 100..200 {
        name(&mut host, RED, holder, &["many"], &[ip(holder as u8).into()]);
    }
    let mut asked = query("many", TYPE::A);
    asked[11] = 1;
    asked.extend([0, 0, 41, 0x10, 0, 0, 0, 0, 0, 0, 0]);
    for (from, gateway) in [(ip(2).into(), GATEWAY.into()), (v6(ip(2)), GATEWAY6.into())] {
        let (frames, _) = host.send(me, &datagram(from, gateway, &asked));
        let (_, truncated, answers) = read(&message(&frames[0].1, from, gateway));
        assert!(truncated && frames[0].1.len() <= 1_014 && answers.len() > 50, "{}", frames[0].1.len());
    }
}

fn load(host: &mut Host, text: &str) {
    let program = Program::new(nat::rules::load(Family::Ipv4, text).unwrap());
    host.switch.set_rules(Some(RED), Family::Ipv4, Some(Box::new(program)));
}

#[test]
fn rules_have_a_say() {
    let (mut host, me) = host();
    load(&mut host, "*filter\n-A INPUT -p udp --dport 53 -m length --length 0:50 -j DROP\nCOMMIT\n");
    assert_eq!(ask(&mut host, me, "db", TYPE::A), None);
    assert_eq!(host.dropped(DropReason::Denied), 1);
    assert_eq!(ask(&mut host, me, "www.net", TYPE::A), told(&["10.10.10.3"]));
    assert_eq!(host.switch.tracker().connections(), 1, "rules may ask about connections");
    load(&mut host, "*filter\n-A OUTPUT -p udp --sport 53 -j DROP\nCOMMIT\n");
    assert_eq!(ask(&mut host, me, "db", TYPE::A), None);
    assert_eq!(host.dropped(DropReason::Denied), 2);
    let ends = (v6(ip(2)), GATEWAY6.into());
    assert_eq!(ask_as(&mut host, me, ends, "web", TYPE::A), told(&["10.10.10.3"]), "the other family has none");
}

#[test]
fn what_a_rule_sends_to_the_gateway_is_answered_as_whom_was_asked() {
    let (mut host, me) = host();
    load(&mut host, "*nat\n-A PREROUTING -p udp --dport 53 -j REDIRECT\nCOMMIT\n");
    let far = "203.0.113.9".parse().unwrap();
    let mut bytes = datagram(ip(2).into(), far, &query("web", TYPE::A));
    bytes[..6].copy_from_slice(&Mac::from_ipv4(GATEWAY).0);
    let (frames, _) = host.send(me, &bytes);
    let mut reply = Frame::from_bytes(frames[0].1.bytes());
    reply.bytes_mut()[6..12].copy_from_slice(&crate::sandbox::link(far, far).0.0);
    assert_eq!(Some(read(&message(&reply, ip(2).into(), far))), told(&["10.10.10.3"]));
    // And what comes later, too.
    bytes = datagram(ip(2).into(), far, &query("example.org", TYPE::A));
    bytes[..6].copy_from_slice(&Mac::from_ipv4(GATEWAY).0);
    assert!(host.send(me, &bytes).0.is_empty());
    let question = host.switch.take_questions().next().unwrap();
    let mut answer = question.query.clone();
    answer[2] |= 0x80;
    host.switch.answer(host.now, question.via, answer, &mut host.out);
    let mut reply = Frame::from_bytes(host.out.frames[0].1.bytes());
    reply.bytes_mut()[6..12].copy_from_slice(&crate::sandbox::link(far, far).0.0);
    assert_eq!(read(&message(&reply, ip(2).into(), far)), (0, false, Vec::new()));
}
