//! SRV: services of names.

use dns::Service;
use simple_dns::TYPE;

use crate::world::{Said, World, entry};

#[test]
fn a_service_leads_to_who_serves_it() {
    let world = &mut World::new();
    for name in ["_80._tcp.web", "_80._TCP.www.red"] {
        let reply = world.ask(name, TYPE::SRV).answer();
        assert_eq!(reply.answers, [format!("{name} SRV 80 web.RED")]);
        assert_eq!(reply.additional, ["web.RED A 10.1.0.2", "web.RED AAAA fd01::2"]);
    }
}

#[test]
fn all_who_serve_it() {
    let world = &mut World::new();
    let dns = Service { port: 53, tcp: false };
    for host in 10..13 {
        let (name, address) = (format!("s{host}"), format!("10.1.0.{host}"));
        world.networks[0].insert(host, entry(&[&name, "pool"], &[&address], &[dns]));
    }
    world.networks[0].insert(13, entry(&["s13", "pool"], &["10.1.0.13"], &[]));
    let mut reply = world.ask("_53._udp.pool", TYPE::SRV).answer();
    reply.answers.sort();
    let wanted: Vec<String> = (10..13).map(|host| format!("_53._udp.pool SRV 53 s{host}.RED")).collect();
    assert_eq!((reply.answers, reply.additional.len()), (wanted, 3));
}

#[test]
fn what_is_not_served_is_not_asked_elsewhere() {
    let world = &mut World::new();
    for (name, kind, rcode) in [
        ("_81._tcp.web", TYPE::SRV, 3),
        ("_80._udp.web", TYPE::SRV, 3),
        ("_http._tcp.web", TYPE::SRV, 3),
        ("_+80._tcp.web", TYPE::SRV, 3),
        ("_080._tcp.web", TYPE::SRV, 3),
        ("_80._tcp.web", TYPE::A, 0),
        ("_tcp.web", TYPE::SRV, 0),
    ] {
        let reply = world.ask(name, kind).answer();
        assert_eq!((reply.rcode, reply.answers.len(), reply.authorities), (rcode, 0, 1), "{name}");
    }
    for name in ["_80._tcp.example.org", "_80._sctp.web", "80._tcp.web", "_tcp"] {
        assert_eq!(world.ask(name, TYPE::SRV), Said::Forward, "{name}");
    }
}

#[test]
fn as_many_as_fit_of_many() {
    let world = &mut World::new();
    let http = Service { port: 80, tcp: true };
    for holder in 0..5_000u64 {
        let (name, address) = (format!("s{holder}"), format!("10.1.{}.{}", holder >> 8, holder & 255));
        world.networks[0].insert(100 + holder, entry(&[&name, "pool"], &[&address], &[http]));
    }
    let reply = world.ask("_80._tcp.pool", TYPE::SRV).answer();
    assert!(reply.flags.1 && reply.answers.len() > 10, "{reply:?}");
    for holder in 0..5_000 {
        world.networks[0].remove(100 + holder);
    }
    assert_eq!(world.ask("_80._tcp.pool", TYPE::SRV), Said::Forward);
}
