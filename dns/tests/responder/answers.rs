//! Names and addresses: who is found, by whom, and what is never asked elsewhere.

use simple_dns::{QTYPE, TYPE};

use crate::world::{Said, UDP, World, entry, query};

#[track_caller]
fn answers(world: &mut World, name: &str, kind: TYPE) -> Vec<String> {
    let reply = world.ask(name, kind).answer();
    assert_eq!((reply.rcode, reply.flags), (0, (true, false, true)), "{name}");
    assert_eq!(
        reply.authorities,
        usize::from(reply.answers.is_empty()),
        "what is not there is said to be so for a while"
    );
    reply.answers
}

#[test]
fn every_name_of_an_endpoint() {
    let world = &mut World::new();
    for name in ["web", "www", "0123456789ab", "WEB", "wWw", "web.red", "Www.RED", "0123456789AB.red"] {
        assert_eq!(answers(world, name, TYPE::A), [format!("{name} A 10.1.0.2")]);
        assert_eq!(answers(world, name, TYPE::AAAA), [format!("{name} AAAA fd01::2")]);
    }
    assert_eq!(answers(world, "cache.blue", TYPE::AAAA), ["cache.blue AAAA fd02::4"]);
    assert_eq!(answers(world, "web.v2", TYPE::AAAA), ["web.v2 AAAA fd02::4"], "a name may have dots");
    assert_eq!(answers(world, "web.v2.blue", TYPE::AAAA), ["web.v2.blue AAAA fd02::4"]);
}

#[test]
fn the_network_asked_first_goes_first() {
    let world = &mut World::new();
    assert_eq!(answers(world, "db", TYPE::A), ["db A 10.1.0.3"]);
    assert_eq!(answers(world, "db", TYPE::AAAA), ["db AAAA fd02::3"], "another network has that family");
    assert_eq!(answers(world, "db.red", TYPE::AAAA), [""; 0], "its own name says which network");
    world.networks[1].insert(9, entry(&["db"], &["10.2.0.9"], &[]));
    assert_eq!(answers(world, "db", TYPE::A), ["db A 10.1.0.3"]);
    world.networks.reverse();
    assert_eq!(answers(world, "db", TYPE::A), ["db A 10.2.0.9"]);
}

#[test]
fn a_known_name_is_not_asked_elsewhere() {
    let world = &mut World::new();
    assert_eq!(answers(world, "db.red", TYPE::AAAA), [""; 0]);
    for kind in [TYPE::MX, TYPE::TXT, TYPE::SOA, TYPE::NS, TYPE::CNAME, TYPE::SRV, TYPE::HTTPS] {
        assert_eq!(answers(world, "web", kind), [""; 0], "{kind:?}");
    }
    let any = query("web", QTYPE::ANY).build_bytes_vec().unwrap();
    assert_eq!(world.send(&any, UDP).answer().answers, [""; 0], "RFC 8482");
}

#[test]
fn others_are() {
    let world = &mut World::new();
    for name in ["example.org", "webx", "eb", "x.web", "web.green", "web.red.red", "x.red", "."] {
        assert_eq!(world.ask(name, TYPE::A), Said::Forward, "{name}");
    }
}

#[test]
fn unless_the_client_may_not() {
    let world = &mut World::new();
    world.forwards = false;
    assert_eq!(world.ask("example.org", TYPE::A).refused(), 5);
    let reply = world.ask("web", TYPE::A).answer();
    assert_eq!((reply.flags, reply.answers.len()), ((true, false, false), 1), "no recursion is offered");
}

#[test]
fn addresses_lead_to_names() {
    let world = &mut World::new();
    let (v4, v6) = ("2.0.1.10.in-addr.arpa", format!("4.0.0.0.{}2.0.d.f.ip6.arpa", "0.".repeat(24)));
    assert_eq!(answers(world, v4, TYPE::PTR), [format!("{v4} PTR web.RED")]);
    assert_eq!(answers(world, &v6, TYPE::PTR), [format!("{v6} PTR Cache.Blue")]);
    assert_eq!(answers(world, v4, TYPE::A), [""; 0]);
    let nobody = world.ask("9.0.1.10.in-addr.arpa", TYPE::PTR).answer();
    assert_eq!((nobody.rcode, nobody.authorities), (3, 1), "an address of its networks, but nobody's");
    assert_eq!(world.ask("9.0.9.10.in-addr.arpa", TYPE::PTR), Said::Forward);
    assert_eq!(world.ask("1.10.in-addr.arpa", TYPE::PTR), Said::Forward);
    assert_eq!(answers(world, "1.0.0.127.in-addr.arpa", TYPE::PTR), ["1.0.0.127.in-addr.arpa PTR localhost"]);
    assert_eq!(answers(world, "1.0.0.127.in-addr.arpa", TYPE::A), [""; 0]);
    assert_eq!(world.ask("1.1.254.169.in-addr.arpa", TYPE::PTR).answer().rcode, 3, "a link's own");
}

#[test]
fn a_network_is_a_name_above_others() {
    let world = &mut World::new();
    for kind in [TYPE::A, TYPE::NS] {
        assert_eq!(answers(world, "red", kind), [""; 0]);
    }
    world.networks[1].insert(9, entry(&["red"], &["10.2.0.9"], &[]));
    assert_eq!(answers(world, "RED", TYPE::A), ["RED A 10.2.0.9"], "and may be somebody's");
}

#[test]
fn what_nobody_has_below_a_network_that_is_no_public_domain_is_not_asked_elsewhere() {
    let world = &mut World::new();
    let mut shop = dns::Names::new("shop_default");
    shop.insert(1, entry(&["web", "a.b.db"], &["10.2.0.9"], &[]));
    world.networks.push(shop);
    for name in ["x.Shop_Default", "a.x.shop_default", "xb.db.shop_default", "_80._tcp.x.shop_default"] {
        let reply = world.ask(name, TYPE::A).answer();
        assert_eq!((reply.rcode, reply.authorities, reply.flags.0), (3, 1, true), "{name}");
    }
    // Names between the network's and a longer one exist.
    for name in ["shop_default", "db.shop_default", "B.db.shop_default"] {
        let reply = world.ask(name, TYPE::A).answer();
        assert_eq!((reply.rcode, reply.answers.len(), reply.authorities), (0, 0, 1), "{name}");
    }
    assert_eq!(answers(world, "a.b.db.shop_default", TYPE::A), ["a.b.db.shop_default A 10.2.0.9"]);
    // What may be somebody else's: the outside's, or below a name without the network's.
    for (network, name) in [("dev", "go.dev"), ("xn--p1ai", "x.xn--p1ai"), ("net1.example", "x.net1.example")] {
        world.networks.push(dns::Names::new(network));
        assert_eq!(world.ask(name, TYPE::A), Said::Forward, "{name}");
    }
    assert_eq!(world.ask("b.db", TYPE::A), Said::Forward);
    world.networks[2].remove(1);
    assert_eq!(world.ask("db.shop_default", TYPE::A).answer().rcode, 3, "nothing is below it any more");
}

#[test]
fn names_come_and_go_with_their_holders() {
    let world = &mut World::new();
    let red = &mut world.networks[0];
    red.insert(5, entry(&["web"], &["10.1.0.5"], &[]));
    red.insert(1, entry(&["front"], &["10.1.0.2"], &[]));
    assert_eq!(answers(world, "web", TYPE::A), ["web A 10.1.0.5"]);
    assert_eq!(answers(world, "2.0.1.10.in-addr.arpa", TYPE::PTR), ["2.0.1.10.in-addr.arpa PTR front.RED"]);
    assert_eq!(world.ask("www", TYPE::A), Said::Forward);
    world.networks[0].remove(5);
    world.networks[0].remove(5);
    assert_eq!(world.ask("web", TYPE::A), Said::Forward);
    world.networks[0].remove(1);
    world.networks[0].remove(2);
    assert!(world.networks[0].is_empty());
    assert_eq!(world.ask("2.0.1.10.in-addr.arpa", TYPE::PTR).answer().rcode, 3);
}

#[test]
fn what_cannot_be_a_name_is_left_out() {
    let world = &mut World::new();
    let long = "x".repeat(64);
    world.networks[0].insert(7, entry(&[&long, "a..b", "", "seven", "SEVEN"], &["10.1.0.7"], &[]));
    world.networks[0].insert(8, entry(&[&long], &["10.1.0.8"], &[]));
    assert_eq!(answers(world, "7.0.1.10.in-addr.arpa", TYPE::PTR), ["7.0.1.10.in-addr.arpa PTR seven.RED"]);
    assert_eq!(answers(world, "seven", TYPE::A), ["seven A 10.1.0.7"], "once");
    assert_eq!(world.ask("8.0.1.10.in-addr.arpa", TYPE::PTR).answer().rcode, 3, "without a name it is nobody");
    assert_eq!(world.networks[0].len(), 3);
}

#[test]
fn each_address_comes_first_at_times() {
    let world = &mut World::new();
    for host in 10..20 {
        world.networks[0].insert(host, entry(&["pool"], &[&format!("10.1.0.{host}")], &[]));
    }
    let mut firsts = std::collections::BTreeMap::new();
    for _ in 0..500 {
        let mut found = answers(world, "pool", TYPE::A);
        *firsts.entry(found[0].clone()).or_insert(0) += 1;
        found.sort();
        found.dedup();
        assert_eq!(found.len(), 10, "all of them");
    }
    assert!(firsts.len() == 10 && firsts.values().all(|count| *count > 20), "{firsts:?}");
}

#[test]
fn names_that_mean_the_same_everywhere() {
    let world = &mut World::new();
    world.networks[0].insert(9, entry(&["localhost"], &["10.1.0.9"], &[]));
    assert_eq!(answers(world, "localhost", TYPE::A), ["localhost A 127.0.0.1"]);
    assert_eq!(answers(world, "a.LOCALHOST", TYPE::AAAA), ["a.LOCALHOST AAAA ::1"]);
    assert_eq!(answers(world, "localhost", TYPE::MX), [""; 0]);
    for name in ["x.onion", "invalid"] {
        assert_eq!(world.ask(name, TYPE::A).answer().rcode, 3, "{name}");
    }
}
