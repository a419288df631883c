//! Mappings: one public endpoint for an inside one, which port it gets, who may send to it, how long it lives.

use std::collections::{HashMap, HashSet};

use nat::{Destination, Filter, Filtering, Mapping, Plan, Pool, Reason, Settings, Source, State, Tracked};
use rstest::rstest;

use crate::packet::{ACK, RST, SYN, echo, end, ip, other, parse, segment, tcp, udp};
use crate::world::{BLUE, OUT, RED, World, plain, source};

const FAR: [&str; 3] = ["198.51.100.1:53", "198.51.100.2:53", "198.51.100.1:99"];
const FAR6: [&str; 3] = ["[2001:db8:9::1]:53", "[2001:db8:9::2]:53", "[2001:db8:9::1]:99"];

fn port(world: &mut World, inside: &str, far: &str) -> Result<u16, Reason> {
    world.egress(RED, &udp(inside, far, b"q")).map(|frame| parse(&frame).key.src_port())
}

#[rstest]
#[case("10.0.0.1:5000", FAR, "192.0.2.1:5000")]
#[case("[fd00::1]:5000", FAR6, "[2001:db8::1]:5000")]
fn nu_01_and_nt_01_one_public_endpoint_whatever_the_destination(
    #[case] inside: &str,
    #[case] far: [&str; 3],
    #[case] public: &str,
) {
    let mut world = World::new();
    for far in far {
        assert_eq!(source(&world.egress(RED, &udp(inside, far, b"q")).unwrap()), public);
        assert_eq!(source(&world.egress(RED, &tcp(inside, far, segment(SYN, 1, 0))).unwrap()), public);
    }
    // Also where the own port was not free.
    let mut world = World::new();
    world.held = vec![5000];
    let all: HashSet<String> =
        far.iter().map(|far| source(&world.egress(RED, &udp(inside, far, b"q")).unwrap())).collect();
    assert_eq!((all.len(), all.contains(public)), (1, false));
}

#[test]
fn na_07_answers_come_back_without_any_rule() {
    let mut world = World::new();
    let sent = udp("10.0.0.1:5000", FAR[0], b"q");
    world.egress(RED, &sent).unwrap();
    let back = world.ingress(&udp(FAR[0], "192.0.2.1:5000", b"a")).unwrap();
    assert_eq!(back.bytes(), udp(FAR[0], "10.0.0.1:5000", b"a").bytes());
    let hit = world.known(RED, &sent);
    assert_eq!((hit.state, world.tracker.towards(hit.conn, hit.direction)), (State::Established, Some(OUT)));
}

#[test]
fn nu_02_all_of_a_host_share_one_address() {
    let mut world = World::new();
    world.public = (1..=9).map(|n| [192, 0, 2, n].into()).collect();
    let mut used = HashSet::new();
    for host in 1..=40 {
        let mut mine = HashSet::new();
        for port in 1000..1020 {
            let frame = world.egress(RED, &udp(&format!("10.0.0.{host}:{port}"), FAR[0], b"q")).unwrap();
            mine.insert(parse(&frame).key.src());
        }
        assert_eq!(mine.len(), 1, "paired");
        used.extend(mine);
    }
    assert!(used.len() > 4, "and hosts spread over the addresses");
}

#[test]
fn nu_03_and_nt_08_ports_are_never_overloaded() {
    let mut world = World::new();
    let mut owners: HashMap<String, String> = HashMap::new();
    for host in 1..=200 {
        for port in [53, 80, 600, 5000, 40_000] {
            let inside = format!("10.0.0.{host}:{port}");
            let public = source(&world.egress(RED, &udp(&inside, FAR[host % 3], b"q")).unwrap());
            assert_eq!(owners.insert(public.clone(), inside), None, "{public}");
        }
    }
    assert_eq!(world.tracker.dump_bindings(Some(RED)).len(), 1000);
}

#[test]
fn nu_04_na_02_and_nu_05_ports_stay_in_their_class_and_parity() {
    let mut world = World::new();
    assert_eq!(port(&mut world, "10.0.0.1:53", FAR[0]), Ok(53), "kept while it is free");
    for host in 2..=60 {
        for (own, class) in
            [(53, 1..=511), (54, 1..=511), (600, 512..=1023), (5000, 1024..=65535), (5001, 1024..=65535)]
        {
            let got = port(&mut world, &format!("10.0.0.{host}:{own}"), FAR[0]).unwrap();
            assert!(class.contains(&got), "{own} became {got}");
            assert_eq!(got % 2, own % 2, "{own} became {got}");
        }
    }
}

#[test]
fn nu_13_behaviour_is_the_same_after_many_flows_and_when_ports_run_out() {
    let mut world = World::with(Settings { bindings_per_host: 100_000, ..Settings::RFC });
    for n in 0..100_000u32 {
        let far = format!("198.{}.{}.1:53", n >> 8 & 0xff, n & 0xff);
        assert_eq!(port(&mut world, &format!("10.0.0.1:{}", 1024 + n % 500), &far), Ok((1024 + n % 500) as u16));
    }
    // All but a few ports of the lowest class are taken: what is found is of the class, or nothing is.
    world.held = (1..=500).collect();
    let mut refused = 0;
    for own in 1..=100 {
        match port(&mut world, &format!("10.0.0.2:{own}"), FAR[0]) {
            Ok(got) => assert!((501..=511).contains(&got)),
            Err(reason) => {
                assert_eq!(reason, Reason::NoPort);
                refused += 1;
            }
        }
    }
    assert!(refused >= 89);
    assert_eq!(world.tracker.refused(Reason::NoPort), refused);
    assert_eq!(port(&mut world, "10.0.0.1:1024", FAR[1]), Ok(1024), "and old ones are what they were");
}

#[test]
fn na_03_at_most_128_ports_are_tried_then_it_is_refused_and_counted() {
    let mut world = World::new();
    let frame = udp("10.0.0.1:5000", FAR[0], b"q");
    let fresh = world.fresh(RED, &frame);
    for mapping in [Mapping::EndpointIndependent, Mapping::Symmetric { persistent: false }] {
        let addresses = [ip("192.0.2.1")];
        let pool = Pool { addresses: &addresses, ports: None, random: false, mapping };
        let plan = Plan { reply_zone: OUT, destination: Destination::Keep, source: Source::Map(pool) };
        let mut asked = 0;
        let outcome = world.tracker.commit(world.now, &fresh, &plan, &mut |_, _, _| {
            asked += 1;
            false
        });
        assert_eq!(outcome, Err(Reason::NoPort));
        assert!(asked > 100 && asked <= 128, "{asked}");
    }
    assert_eq!(
        (world.tracker.refused(Reason::NoPort), world.tracker.usage().bindings),
        (2, 0),
        "NI-08: to be answered"
    );
}

#[test]
fn a_port_that_the_host_uses_is_never_taken() {
    let mut world = World::new();
    world.held = (32_768..=60_999).step_by(1).collect();
    for n in 0..300 {
        let got = port(&mut world, &format!("10.0.1.{}:{}", n % 250, 40_000 + n), FAR[0]).unwrap();
        assert!(!world.held.contains(&got));
    }
}

#[test]
fn na_04_random_ports_and_persistent_addresses() {
    let mut world = World::new();
    let addresses: Vec<_> = (1..=50).map(|n| [192, 0, 2, n].into()).collect();
    let mut send = |random, persistent, n: u16| {
        let frame = udp(&format!("10.0.0.1:{}", 5000 + n), &format!("198.51.{n}.1:53"), b"q");
        let fresh = world.fresh(RED, &frame);
        let mapping = Mapping::Symmetric { persistent };
        let pool = Pool { addresses: &addresses, ports: None, random, mapping };
        let plan = Plan { reply_zone: OUT, destination: Destination::Keep, source: Source::Map(pool) };
        let hit = world.commit(&fresh, &plan).unwrap();
        let key = parse(&world.apply(hit, &frame)).key;
        (key.src().unwrap(), key.src_port())
    };
    let persistent: HashSet<_> = (0..50).map(|n| send(false, true, n).0).collect();
    let spread: HashSet<_> = (50..100).map(|n| send(false, false, n).0).collect();
    assert!(persistent.len() == 1 && spread.len() > 10);
    let kept = (100..150).filter(|&n| send(false, true, n).1 == 5000 + n).count();
    let random: HashSet<_> = (150..200).map(|n| send(true, true, n).1).collect();
    assert!(kept == 50 && random.len() > 45 && !random.contains(&5150));
}

#[test]
fn na_08_two_clients_with_one_port_never_mix() {
    for mapping in [Mapping::EndpointIndependent, Mapping::Symmetric { persistent: true }] {
        let mut world = World::new();
        world.mapping = mapping;
        let mut publics = Vec::new();
        for host in 1..=50 {
            let left = world.egress(RED, &udp(&format!("10.0.0.{host}:5000"), FAR[0], b"q")).unwrap();
            publics.push(source(&left));
        }
        for (host, public) in (1..).zip(&publics) {
            let back = world.ingress(&udp(FAR[0], public, b"a")).unwrap();
            assert_eq!(back.bytes(), udp(FAR[0], &format!("10.0.0.{host}:5000"), b"a").bytes());
        }
        assert_eq!(publics.iter().collect::<HashSet<_>>().len(), 50);
    }
}

#[test]
fn na_08_two_published_ports_of_one_server_and_one_port_of_a_client() {
    let mut world = World::new();
    let mut sources = HashSet::new();
    for published in ["192.0.2.1:80", "192.0.2.1:8080"] {
        let frame = udp("203.0.113.5:7000", published, b"q");
        let fresh = world.fresh(OUT, &frame);
        let plan = Plan { reply_zone: RED, destination: Destination::To(end("10.0.0.1:80")), source: Source::Keep };
        let hit = world.commit(&fresh, &plan).unwrap();
        let inside = world.apply(hit, &frame);
        sources.insert(source(&inside));
        let answer = udp("10.0.0.1:80", &source(&inside), b"a");
        let hit = world.known(RED, &answer);
        assert_eq!(world.apply(hit, &answer).bytes(), udp(published, "203.0.113.5:7000", b"a").bytes());
    }
    assert!(sources.contains("203.0.113.5:7000"), "the first keeps the client's port");
    assert_eq!((sources.len(), world.tracker.counters().remapped), (2, 1));
}

#[test]
fn a_published_ports_owner_that_speaks_first_uses_it() {
    let mut world = World::new();
    for far in FAR {
        let frame = udp("10.0.0.1:53", far, b"q");
        let fresh = world.fresh(RED, &frame);
        let source_end = Source::Fixed(end("192.0.2.1:5353"));
        let plan = Plan { reply_zone: OUT, destination: Destination::Keep, source: source_end };
        let hit = world.commit(&fresh, &plan).unwrap();
        assert_eq!(source(&world.apply(hit, &frame)), "192.0.2.1:5353");
    }
    assert_eq!(world.tracker.usage().bindings, 0);
}

#[test]
fn nu_07_outbound_refreshes_and_nu_08_inbound_does_not() {
    let sent = udp("10.0.0.1:5000", FAR[0], b"q");
    let answer = udp(FAR[0], "192.0.2.1:5000", b"a");
    let mut world = World::new();
    for _ in 0..5 {
        world.egress(RED, &sent).unwrap();
        world.wait(299);
        assert!(world.ingress(&answer).is_some());
    }
    world.wait(2);
    assert!(world.ingress(&answer).is_none(), "the last answer did not keep it");
    let mut open = World::with(Settings { inbound_refresh: true, ..Settings::RFC });
    open.egress(RED, &sent).unwrap();
    for _ in 0..5 {
        open.wait(299);
        assert!(open.ingress(&answer).is_some());
    }
}

#[test]
fn nu_08_a_reset_sent_in_answer_ends_its_connection_in_four_minutes() {
    let mut world = World::new();
    let fresh_syn = tcp(FAR[0], "192.0.2.1:80", segment(SYN, 5, 0));
    let fresh = world.fresh(OUT, &fresh_syn);
    let plan = Plan { reply_zone: RED, destination: Destination::To(end("10.0.0.1:80")), source: Source::Keep };
    world.commit(&fresh, &plan).unwrap();
    world.egress(RED, &tcp("10.0.0.1:80", FAR[0], segment(RST | ACK, 0, 6))).unwrap();
    assert_eq!(world.rows()[0].timeout, 240);
}

#[rstest]
#[case(Filtering::EndpointIndependent, [true, true, true])]
#[case(Filtering::AddressDependent, [true, true, false])]
#[case(Filtering::AddressAndPortDependent, [true, false, false])]
fn nu_10_filtering_as_set(#[case] filtering: Filtering, #[case] passes: [bool; 3]) {
    let mut world = World::with(Settings { filtering, ..Settings::RFC });
    world.egress(RED, &udp("10.0.0.1:5000", "198.51.100.1:53", b"q")).unwrap();
    for (from, passes) in ["198.51.100.1:53", "198.51.100.1:54", "198.51.100.9:53"].iter().zip(passes) {
        let inside = world.ingress(&udp(from, "192.0.2.1:5000", b"x"));
        assert_eq!(inside.is_some(), passes, "{from}");
        if let Some(inside) = inside {
            assert_eq!(inside.bytes(), udp(from, "10.0.0.1:5000", b"x").bytes());
            let answer = world.egress(RED, &udp("10.0.0.1:5000", from, b"y")).unwrap();
            assert_eq!(source(&answer), "192.0.2.1:5000");
        }
    }
    let filtered = passes.iter().filter(|passes| !**passes).count() as u64;
    assert_eq!(world.tracker.counters().filtered, filtered);
    assert!(world.ingress(&udp("198.51.100.1:53", "192.0.2.1:5001", b"x")).is_none(), "nobody's port");
}

#[test]
fn nu_10_the_permission_ends_with_the_last_connection_to_that_address() {
    let mut world = World::new();
    world.egress(RED, &udp("10.0.0.1:5000", "198.51.100.1:53", b"q")).unwrap();
    world.egress(RED, &udp("10.0.0.1:5000", "198.51.100.1:54", b"q")).unwrap();
    world.egress(RED, &udp("10.0.0.1:5000", "198.51.100.2:53", b"q")).unwrap();
    let stranger = udp("198.51.100.1:77", "192.0.2.1:5000", b"x");
    for (port, then) in [(53, 1), (54, 0)] {
        let dst = Some("198.51.100.1/32".parse().unwrap());
        world.tracker.flush(&Filter { dst, port: Some(port), ..Filter::default() });
        let fresh = world.fresh(OUT, &stranger);
        let passes = matches!(world.tracker.inbound(&fresh), nat::Inbound::To { .. });
        assert_eq!(u32::from(passes), then, "{port}");
    }
}

#[test]
fn nu_11_and_nt_09_hairpin_with_the_public_source() {
    for (a, b, a_public) in [
        ("10.0.0.1:5000", "10.0.0.2:6000", "192.0.2.1:5000"),
        ("[fd00::1]:5000", "[fd00::2]:6000", "[2001:db8::1]:5000"),
    ] {
        let mut world = World::new();
        world.held = vec![6000];
        let far = if a.starts_with('[') { FAR6[0] } else { FAR[0] };
        let b_public = source(&world.egress(BLUE, &udp(b, far, b"q")).unwrap());
        assert!(
            world.hairpin(RED, &udp(a, &b_public, b"x")).is_none(),
            "B has not sent there: filtered like any other"
        );
        // B sends to A's public endpoint: A has sent to B's address, so that passes, and opens the way back.
        let at_a = world.hairpin(BLUE, &udp(b, a_public, b"y")).expect("A has sent there");
        assert_eq!(at_a.bytes(), udp(&b_public, a, b"y").bytes());
        let at_b = world.hairpin(RED, &udp(a, &b_public, b"x")).expect("now B has as well");
        assert_eq!(at_b.bytes(), udp(a_public, b, b"x").bytes());
        // TCP, to a binding that anybody may use.
        let mut open = World::with(Settings { filtering: Filtering::EndpointIndependent, ..Settings::RFC });
        let b_public = source(&open.egress(BLUE, &tcp(b, far, segment(SYN, 1, 0))).unwrap());
        let at_b = open.hairpin(RED, &tcp(a, &b_public, segment(SYN, 10, 0))).unwrap();
        assert_eq!(at_b.bytes(), tcp(a_public, b, segment(SYN, 10, 0)).bytes());
        let at_a = open.hairpin(BLUE, &tcp(b, a_public, segment(SYN | ACK, 20, 11))).unwrap();
        assert_eq!(at_a.bytes(), tcp(&b_public, a, segment(SYN | ACK, 20, 11)).bytes());
    }
}

#[test]
fn nt_03_an_unsolicited_syn_gets_no_answer_and_disturbs_nothing() {
    let mut world = World::new();
    world.egress(RED, &tcp("10.0.0.1:5000", FAR[1], segment(SYN, 1, 0))).unwrap();
    let unsolicited = tcp(FAR[0], "192.0.2.1:5000", segment(SYN, 77, 0));
    assert!(world.ingress(&unsolicited).is_none());
    // The inside opens that very connection meanwhile: then it is a simultaneous open.
    world.wait(3);
    world.egress(RED, &tcp("10.0.0.1:5000", FAR[0], segment(SYN, 10, 0))).unwrap();
    assert!(world.ingress(&unsolicited).is_some());
}

#[test]
fn na_10_flushing_an_address_takes_connections_and_mappings_along() {
    let mut world = World::new();
    let mine = udp("10.0.0.1:5000", FAR[0], b"q");
    world.egress(RED, &mine).unwrap();
    world.egress(RED, &udp("10.0.0.1:5000", FAR[1], b"q")).unwrap();
    world.egress(RED, &udp("10.0.0.2:5000", FAR[0], b"q")).unwrap();
    world.egress(BLUE, &udp("10.0.0.1:5000", FAR[0], b"q")).unwrap();
    assert_eq!(world.tracker.usage().bindings, 3);
    let gone = Filter { zone: Some(RED), address: Some("10.0.0.1/32".parse().unwrap()), ..Filter::default() };
    assert_eq!(world.tracker.flush(&gone), 2);
    assert_eq!((world.tracker.usage().bindings, world.tracker.usage().connections), (2, 2));
    assert!(
        world.ingress(&udp(FAR[0], "192.0.2.1:5000", b"late")).is_none(),
        "no stale flow for who gets the address next"
    );
    assert!(!world.tracker.is_bound(17, end("192.0.2.1:5000")));
    assert_eq!(source(&world.egress(RED, &mine).unwrap()), "192.0.2.1:5000", "the port is free again");
}

#[test]
fn a_mapping_lives_as_long_as_its_last_connection() {
    let mut world = World::new();
    world.egress(RED, &udp("10.0.0.1:5000", FAR[0], b"q")).unwrap();
    world.wait(200);
    world.egress(RED, &udp("10.0.0.1:5000", FAR[1], b"q")).unwrap();
    world.wait(150);
    assert_eq!((world.sweep(), world.tracker.usage().bindings), (1, 1));
    world.wait(151);
    assert_eq!((world.sweep(), world.tracker.usage().bindings), (1, 0));
}

#[test]
fn na_05_when_the_public_address_changes_new_connections_get_the_new_one() {
    let mut world = World::new();
    world.egress(RED, &udp("10.0.0.1:5000", FAR[0], b"q")).unwrap();
    world.public = vec![ip("203.0.113.1")];
    assert_eq!(source(&world.egress(RED, &udp("10.0.0.1:5000", FAR[1], b"q")).unwrap()), "203.0.113.1:5000");
    assert_eq!(world.tracker.usage().bindings, 2);
    let old = Filter { address: Some("192.0.2.1/32".parse().unwrap()), ..Filter::default() };
    assert_eq!((world.tracker.flush(&old), world.tracker.usage().bindings), (1, 1));
    assert_eq!(source(&world.egress(RED, &udp("10.0.0.1:5000", FAR[0], b"q")).unwrap()), "203.0.113.1:5000");
}

#[test]
fn cg_01_a_container_has_a_limit_of_mappings() {
    let mut world = World::with(Settings { bindings_per_host: 10, ..Settings::RFC });
    for n in 0..10 {
        port(&mut world, &format!("10.0.0.1:{}", 5000 + n), FAR[0]).unwrap();
    }
    assert_eq!(port(&mut world, "10.0.0.1:6000", FAR[0]), Err(Reason::HostFull));
    assert!(port(&mut world, "10.0.0.2:6000", FAR[0]).is_ok(), "CG-02");
    assert!(port(&mut world, "10.0.0.1:5000", FAR[1]).is_ok(), "an old mapping serves new destinations");
}

#[test]
fn protocols_without_ports_share_an_address_towards_different_hosts_only() {
    let mut world = World::new();
    world.egress(RED, &other("10.0.0.1", "198.51.100.1", 47, b"gre")).unwrap();
    world.egress(RED, &other("10.0.0.2", "198.51.100.2", 47, b"gre")).unwrap();
    assert_eq!(world.egress(RED, &other("10.0.0.2", "198.51.100.1", 47, b"gre")).err(), Some(Reason::NoPort));
    let back = world.ingress(&other("198.51.100.2", "192.0.2.1", 47, b"gre")).unwrap();
    assert_eq!(back.bytes(), other("198.51.100.2", "10.0.0.2", 47, b"gre").bytes());
}

#[test]
fn overlapping_networks_and_wrong_families() {
    let mut world = World::new();
    let red = source(&world.egress(RED, &udp("10.0.0.1:5000", FAR[0], b"q")).unwrap());
    let blue = source(&world.egress(BLUE, &udp("10.0.0.1:5000", FAR[0], b"q")).unwrap());
    assert_ne!(red, blue, "NU-09: the same address in two networks");
    world.public = vec![ip("2001:db8::1")];
    assert_eq!(world.egress(RED, &udp("10.0.0.1:5001", FAR[0], b"q")).err(), Some(Reason::Family));
    let to_itself = udp("10.0.0.1:7", "10.0.0.1:7", b"loop");
    match world.track(RED, &to_itself) {
        Tracked::New(fresh) => assert_eq!(world.commit(&fresh, &plain(RED)), Err(Reason::Clash)),
        other => panic!("{other:?}"),
    }
    let ping = echo("10.0.0.1", "198.51.100.1", 7, false);
    let fresh = world.fresh(RED, &ping);
    let plan = Plan { reply_zone: OUT, destination: Destination::To(end("[fd00::1]:7")), source: Source::Keep };
    assert_eq!(world.commit(&fresh, &plan), Err(Reason::Family));
}

#[test]
fn a_binding_that_went_is_not_used() {
    let mut world = World::with(Settings { filtering: Filtering::EndpointIndependent, ..Settings::RFC });
    world.egress(RED, &udp("10.0.0.1:5000", FAR[0], b"q")).unwrap();
    let fresh = world.fresh(OUT, &udp(FAR[1], "192.0.2.1:5000", b"x"));
    let nat::Inbound::To { binding, zone, end } = world.tracker.inbound(&fresh) else { panic!("bound") };
    assert_eq!((zone, end), (RED, crate::packet::end("10.0.0.1:5000")));
    world.tracker.flush(&Filter::default());
    let plan = Plan { reply_zone: zone, destination: Destination::Binding(binding), source: Source::Keep };
    assert_eq!(world.commit(&fresh, &plan), Err(Reason::NoBinding));
}

#[test]
fn na_03_a_port_of_a_connection_that_is_over_goes_to_a_syn_that_is_ahead() {
    let mut world = World::new();
    let public = [ip("192.0.2.1")];
    let open = |world: &mut World, inside: &str, seq: u32| {
        let frame = tcp(inside, FAR[0], segment(SYN, seq, 0));
        let fresh = world.fresh(RED, &frame);
        let mapping = Mapping::Symmetric { persistent: true };
        let pool = Pool { addresses: &public, ports: Some((6000, 6001)), random: false, mapping };
        let plan = Plan { reply_zone: OUT, destination: Destination::Keep, source: Source::Map(pool) };
        let hit = world.commit(&fresh, &plan)?;
        Ok::<String, Reason>(source(&world.apply(hit, &frame)))
    };
    let first = open(&mut world, "10.0.0.1:5000", 1_000).unwrap();
    open(&mut world, "10.0.0.2:5000", 1_000).unwrap();
    assert_eq!(open(&mut world, "10.0.0.3:5000", 9_000), Err(Reason::NoPort), "both are in use");
    world.ingress(&tcp(FAR[0], &first, segment(RST | ACK, 0, 1_001))).unwrap();
    assert_eq!(open(&mut world, "10.0.0.3:5000", 900), Err(Reason::NoPort), "its peer would take it for an old one");
    assert_eq!(open(&mut world, "10.0.0.3:5000", 9_000), Ok(first));
    assert_eq!(open(&mut world, "10.0.0.4:5000", 99_000), Err(Reason::NoPort), "that one is not over");
}
