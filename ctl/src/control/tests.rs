//! Two hosts on one store, with the real engine's tables and no kernel: agreement, peers, loss and return.

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nat::rules::{Counters, Family, Program};
use store::{Op, Store};
use switch::turn::View;
use switch::{BridgeId, Limits, PortId, Switch, Update};
use tempfile::TempDir;
use wire::{Mac, Time};

use super::plane::{Found, Future, Look, Plane, Plug, Plugged, Spot};
use super::{Control, Settings};
use crate::api::{self, AddPort, CreateNetwork, Kind, NewSubnet};
use crate::model::key;
use crate::publish::Steer;
use crate::sandbox::{Reference, Way};
use crate::state::{Disk, Memory};

/// The engine without ports.
pub(crate) struct Tables {
    pub(super) switch: Mutex<Switch>,
    dead: Mutex<HashSet<u64>>,
    broken: Mutex<bool>,
    unlinked: Mutex<bool>,
    plugged: AtomicUsize,
    pub(super) steered: Mutex<Vec<Steer>>,
    /// The last that was asked for.
    ways: Mutex<Vec<Way>>,
}

impl Plane for Tables {
    fn apply(&self, updates: Vec<Update>) {
        let mut switch = self.switch.lock().unwrap();
        updates.into_iter().for_each(|update| switch.apply(Time::ZERO, update));
    }

    fn look(&self, look: Look) {
        look(&View { switch: &self.switch.lock().unwrap(), now: Time::ZERO, underlay: None });
    }

    fn plug<'a>(&'a self, _: &'a Reference, plug: Plug) -> Future<'a, Result<Plugged, api::Error>> {
        Box::pin(async move {
            tokio::task::yield_now().await;
            if *self.broken.lock().unwrap() {
                return Err(api::Error::failed("link eth0", "refused"));
            }
            self.plugged.fetch_add(1, Ordering::Relaxed);
            Ok(Plugged { ifname: plug.ifname.unwrap_or_else(|| "eth0".into()), xdp: None })
        })
    }

    fn station(&self, iface: &str) -> Result<Mac, api::Error> {
        match iface {
            "eth1" => Ok(Mac([2, 0, 0, 0, 0, 0x11])),
            _ => Err(api::Error::invalid(format!("interface {iface}"), "no such interface", "")),
        }
    }

    fn stage<'a>(&'a self, _: Plug) -> Future<'a, Result<(), api::Error>> {
        Box::pin(async {
            self.plugged.fetch_add(1, Ordering::Relaxed);
            Ok(())
        })
    }

    fn find_link<'a>(&'a self, spot: Spot, _: Mac) -> Future<'a, Result<Option<Found>, api::Error>> {
        let Spot::Path(path) = spot else { return Box::pin(async { Ok(None) }) };
        let sandbox = Reference { ino: ino(&path.display().to_string()), path, pid: None, dev: 1, started: None };
        Box::pin(async { Ok(Some(Found { sandbox, ifname: Some("eth0".into()) })) })
    }

    fn unplug(&self, _: PortId) -> Future<'static, ()> {
        Box::pin(async {})
    }

    fn alive(&self, sandbox: &Reference) -> Result<bool, api::Error> {
        Ok(!self.dead.lock().unwrap().contains(&sandbox.ino))
    }

    fn lead_out<'a>(&'a self, _: &'a Reference, ways: Vec<Way>) -> Future<'a, Result<(), api::Error>> {
        *self.ways.lock().unwrap() = ways;
        Box::pin(async { Ok(()) })
    }

    fn reach<'a>(&'a self, _: &'a str, _: Vec<ipnet::IpNet>, _: u32) -> Future<'a, ()> {
        Box::pin(async {})
    }

    fn uplink(&self) -> api::Uplink {
        api::Uplink::default()
    }

    fn has_link(&self) -> bool {
        !*self.unlinked.lock().unwrap()
    }

    fn host_link_lost(&self) {
        *self.unlinked.lock().unwrap() = true;
    }

    fn inlet_lost(&self, _: PortId) {}

    fn flush(&self, filter: nat::Filter) -> Future<'static, usize> {
        let (flushed, _) = self.switch.lock().unwrap().flush_some(&filter, 0, usize::MAX);
        Box::pin(async move { flushed })
    }

    fn load_rules(
        &self,
        place: Option<BridgeId>,
        family: Family,
        program: Option<Box<Program>>,
    ) -> Future<'static, Duration> {
        self.switch.lock().unwrap().set_rules(place, family, program);
        Box::pin(async { Duration::from_micros(3) })
    }

    fn rule_counters(&self, place: Option<BridgeId>, family: Family) -> Future<'static, Option<Vec<Counters>>> {
        let counters = self.switch.lock().unwrap().rules(place, family).map(Program::counters);
        Box::pin(async move { counters })
    }

    fn answer(&self, via: switch::Return, answer: Vec<u8>) {
        let mut out = switch::Out::new(1);
        self.switch.lock().unwrap().answer(Time::ZERO, via, answer, &mut out);
    }

    fn steer(&self, steer: &Steer, on: bool) -> Result<(), api::Error> {
        let mut steered = self.steered.lock().unwrap();
        steered.retain(|known| known != steer);
        if on {
            steered.push(*steer);
        }
        Ok(())
    }
}

pub(crate) struct Host {
    pub(crate) control: Arc<Control>,
    pub(crate) tables: Arc<Tables>,
    pub(crate) disk: Disk,
    pub(crate) _dir: TempDir,
}

impl Host {
    pub(crate) async fn start(number: u8, store: &Arc<dyn Store>) -> Host {
        let dir = tempfile::tempdir().unwrap();
        let disk = Disk::open(dir.path()).unwrap();
        Host::resume(number, store, disk, dir).await
    }

    async fn resume(number: u8, store: &Arc<dyn Store>, disk: Disk, dir: TempDir) -> Host {
        Host::resume_with_dead(number, store, disk, dir, HashSet::new()).await
    }

    /// With sandboxes that have ended meanwhile, by the numbers of their namespaces.
    pub(crate) async fn resume_with_dead(
        number: u8,
        store: &Arc<dyn Store>,
        disk: Disk,
        dir: TempDir,
        dead: HashSet<u64>,
    ) -> Host {
        let mut settings = Settings::new(&format!("h{number}"));
        settings.vtep = Some(IpAddr::from([192, 0, 2, number]));
        settings.underlay_mtu = Some(1500);
        settings.upstreams = crate::dns::Upstreams::Fixed(Vec::new());
        settings.resolv_conf = dir.path().join("resolv.conf");
        let tables = Arc::new(Tables {
            switch: Mutex::new(Switch::new(Limits::default(), 1)),
            dead: Mutex::new(dead),
            broken: Mutex::default(),
            unlinked: Mutex::default(),
            plugged: AtomicUsize::new(0),
            steered: Mutex::default(),
            ways: Mutex::default(),
        });
        let control = Control::new(settings, store.clone(), tables.clone(), disk.clone());
        control.restore(Memory::read(&disk).unwrap()).await;
        control.run();
        control.joined(Duration::from_secs(5)).await;
        Host { control, tables, disk, _dir: dir }
    }

    pub(crate) async fn attach(&self, network: &str, name: &str) -> Result<api::Port, api::Error> {
        self.ask(AddPort { network: network.into(), name: name.into(), ..AddPort::default() }).await
    }

    async fn attach_as(&self, network: &str, name: &str, mac: Mac) -> Result<api::Port, api::Error> {
        self.ask(AddPort { network: network.into(), name: name.into(), mac: Some(mac), ..AddPort::default() }).await
    }

    pub(super) async fn ask(&self, ask: AddPort) -> Result<api::Port, api::Error> {
        let (path, ino) = (PathBuf::from(format!("/{}", ask.name)), ino(&ask.name));
        let sandbox = Reference { path, pid: None, dev: 1, ino, started: None };
        self.control.attach_sandbox(ask, sandbox).await
    }

    fn vteps(&self) -> Vec<IpAddr> {
        self.tables.switch.lock().unwrap().peers().into_iter().map(|peer| peer.vtep).collect()
    }

    fn stations(&self) -> usize {
        self.tables.switch.lock().unwrap().fdb(Time::ZERO).len()
    }

    fn events(&self, kind: &str) -> usize {
        self.control.events().iter().filter(|event| event.kind == kind).count()
    }
}

pub(super) fn ino(name: &str) -> u64 {
    name.bytes().fold(7u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)))
}

pub(crate) async fn store() -> (Arc<dyn Store>, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    (store::open("file://", dir.path(), store::Options::default()).await.unwrap(), dir)
}

pub(super) fn overlay(name: &str, subnet: &str) -> CreateNetwork {
    let subnets = vec![NewSubnet { subnet: Some(subnet.parse().unwrap()), ..NewSubnet::default() }];
    CreateNetwork { name: name.into(), driver: Some("overlay".into()), subnets, ..CreateNetwork::default() }
}

pub(crate) async fn until(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(10), "not within 10 s: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_network_of_one_host_is_every_hosts() {
    let (store, _dir) = store().await;
    let (one, two) = (Host::start(1, &store).await, Host::start(2, &store).await);
    let created = one.control.create_network(overlay("RED", "10.10.10.0/24")).await.unwrap();
    until("the network on the other host", || two.control.networks().iter().any(|n| n.id == created.id)).await;
    let row = two.control.networks().into_iter().find(|n| n.name == "RED").unwrap();
    assert_eq!((row.vni, row.mtu, row.scope.as_str()), (Some(4096), 1450, "global"));
    let twice = two.control.create_network(overlay("RED", "10.10.11.0/24")).await.unwrap_err();
    assert_eq!(twice.kind, Kind::Conflict);
    two.control.create_network(overlay("BLUE", "10.10.11.0/24")).await.unwrap();
    let overlap = one.control.create_network(overlay("GREEN", "10.10.11.0/25")).await.unwrap_err();
    assert!(overlap.error.contains("BLUE"), "{}", overlap.error);
    one.control.remove_network(&created.id[..9]).await.unwrap();
    until("its removal on the other host", || two.control.networks().iter().all(|n| n.name != "RED")).await;
    assert_eq!(one.control.networks().iter().filter(|n| n.vni.is_some()).count(), 1);
    assert!(store.snapshot("v1/names/").await.unwrap().rows.keys().eq(["v1/names/BLUE"]));
}

#[tokio::test]
async fn parallel_attaches_over_two_hosts_get_different_addresses_and_leave_nothing() {
    let (store, _dir) = store().await;
    let (one, two) = (Host::start(1, &store).await, Host::start(2, &store).await);
    one.control.create_network(overlay("RED", "10.10.0.0/24")).await.unwrap();
    let names: Vec<String> = (0..20).map(|n| format!("web{n}")).collect();
    let (a, b) = (names.iter().map(|name| one.attach("RED", name)), names.iter().map(|name| two.attach("RED", name)));
    let ports = futures_util::future::join_all(a.chain(b)).await;
    let ports: Vec<api::Port> = ports.into_iter().map(Result::unwrap).collect();
    let addresses: BTreeSet<_> = ports.iter().flat_map(|port| port.addresses.clone()).collect();
    assert_eq!(addresses.len(), 40);
    assert!(ports.iter().all(|port| port.state == "up"));
    until("all stations on both hosts", || one.stations() == 40 && two.stations() == 40).await;
    assert_eq!(
        (one.vteps(), two.vteps()),
        (vec![two.control.settings.vtep.unwrap()], vec![one.control.settings.vtep.unwrap()])
    );
    let refused = one.control.remove_network("RED").await.unwrap_err();
    assert!(refused.kind == Kind::Conflict && refused.error.contains("web0 on host h1"), "{}", refused.error);

    for name in &names {
        one.control.remove_ports(name, None).await.unwrap();
    }
    until("no peer on the second host", || two.vteps().is_empty() && two.stations() == 20).await;
    let elsewhere = one.control.remove_network("RED").await.unwrap_err();
    assert!(elsewhere.error.contains("on host h2"), "{}", elsewhere.error);
    for name in &names {
        two.control.remove_ports(name, Some("RED")).await.unwrap();
    }
    assert_eq!((one.stations(), two.stations()), (0, 0));
    let leases = one.control.leases("RED").await.unwrap();
    assert!(leases.len() == 40 && leases.iter().all(|lease| lease.state == "resting"));
    assert!(store.snapshot("v1/endpoints/").await.unwrap().rows.is_empty());
    one.control.remove_network("RED").await.unwrap();
    let start = Instant::now();
    while !store.snapshot("v1/leases/").await.unwrap().rows.is_empty() {
        assert!(start.elapsed() < Duration::from_secs(10), "leases of a removed network are left");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn the_same_request_again_is_answered_with_what_is_there() {
    let (store, _dir) = store().await;
    let host = Host::start(1, &store).await;
    host.control.create_network(overlay("RED", "10.10.0.0/24")).await.unwrap();
    let first = host.attach("RED", "web").await.unwrap();
    assert_eq!(host.attach("RED", "web").await.unwrap().endpoint_id, first.endpoint_id);
    assert_eq!(host.tables.plugged.load(Ordering::Relaxed), 1);
    let other = Reference { path: "/other".into(), pid: None, dev: 1, ino: 1, started: None };
    let ask = || AddPort { network: "RED".into(), name: "web".into(), ..AddPort::default() };
    let taken = host.control.attach_sandbox(ask(), other.clone()).await.unwrap_err();
    assert!(taken.kind == Kind::Conflict && taken.error.contains("/web"), "{}", taken.error);
    host.tables.dead.lock().unwrap().insert(ino("web"));
    let second = host.control.attach_sandbox(ask(), other).await.unwrap();
    assert_ne!(second.endpoint_id, first.endpoint_id);
    assert_eq!(host.control.ports(None).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_failed_attach_leaves_nothing() {
    let (store, _dir) = store().await;
    let host = Host::start(1, &store).await;
    host.control.create_network(overlay("RED", "10.10.0.0/24")).await.unwrap();
    *host.tables.broken.lock().unwrap() = true;
    assert!(host.attach("RED", "web").await.is_err());
    until("the lease is given back", || host.control.state().releases.is_empty()).await;
    assert!(store.snapshot("v1/leases/").await.unwrap().rows.is_empty());
    assert!(host.stations() == 0 && host.control.ports(None).await.unwrap().is_empty());
    assert!(host.control.state().networks.values().all(|network| network.bridge.is_none()));
    *host.tables.broken.lock().unwrap() = false;
    assert_eq!(host.attach("RED", "web").await.unwrap().addresses[0].to_string(), "10.10.0.2/24");
}

#[tokio::test]
async fn a_wiped_store_is_filled_again_and_no_peer_is_lost() {
    let (store, _dir) = store().await;
    let (one, two) = (Host::start(1, &store).await, Host::start(2, &store).await);
    let red = one.control.create_network(overlay("RED", "10.10.0.0/24")).await.unwrap().id;
    one.attach("RED", "a").await.unwrap();
    two.attach("RED", "b").await.unwrap();
    until("both know both", || one.stations() == 2 && two.stations() == 2).await;
    let before = store.snapshot("").await.unwrap();
    let wipe = before.rows.keys().map(|key| Op::Delete { key: key.clone() }).collect();
    store.transact(wipe).await.unwrap();
    let start = Instant::now();
    loop {
        assert_eq!((one.stations(), two.stations()), (2, 2), "an entry vanished");
        let now = store.snapshot("").await.unwrap();
        if before.rows.keys().all(|key| now.rows.contains_key(key)) {
            assert_ne!(now.rows[key::CLUSTER].value, before.rows[key::CLUSTER].value);
            assert_eq!(now.rows[&key::network(&red)].value, before.rows[&key::network(&red)].value);
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(10), "missing: {:?}", now.rows.keys());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(one.control.networks().iter().any(|network| network.id == red));
    assert_eq!(one.events("network_removed"), 0);
}

#[tokio::test]
async fn a_lost_session_comes_back_and_a_lost_host_leaves_the_tables() {
    let (store, _dir) = store().await;
    let (one, two) = (Host::start(1, &store).await, Host::start(2, &store).await);
    one.control.create_network(overlay("RED", "10.10.0.0/24")).await.unwrap();
    one.attach("RED", "a").await.unwrap();
    two.attach("RED", "b").await.unwrap();
    until("both know both", || one.stations() == 2 && two.stations() == 2).await;
    let session = two.control.state().session.clone().unwrap();
    store.close_session(&session).await.unwrap();
    until("the second host publishes again", || two.events("session_lost") == 1).await;
    until("both know both again", || one.stations() == 2 && one.vteps().len() == 1).await;

    two.control.stop().await;
    until("the second host is forgotten", || one.stations() == 1 && one.vteps().is_empty()).await;
    until("and gone from the list", || one.events("host_lost") >= 1).await;
}

#[tokio::test]
async fn a_restarted_host_has_what_it_had() {
    let (store, _dir) = store().await;
    let (one, two) = (Host::start(1, &store).await, Host::start(2, &store).await);
    one.control.create_network(overlay("RED", "10.10.0.0/24")).await.unwrap();
    two.attach("RED", "b").await.unwrap();
    let a = one.attach("RED", "a").await.unwrap();
    one.attach("RED", "gone").await.unwrap();
    until("both know all", || one.stations() == 3 && two.stations() == 3).await;

    one.control.halt();
    let Host { control, disk, _dir: dir, .. } = one;
    drop(control);
    let memory = Memory::read(&disk).unwrap();
    assert_eq!((memory.endpoints.len(), memory.session.is_some()), (2, true));
    // One of the containers ended meanwhile.
    let mut stored = memory.endpoints.into_iter().find(|stored| stored.record.name == "gone").unwrap();
    stored.sandbox.ino = 0;
    disk.commit(&[crate::state::Change::endpoint(&stored)]).unwrap();
    let one = {
        let settings =
            Settings { vtep: Some(IpAddr::from([192, 0, 2, 1])), underlay_mtu: Some(1500), ..Settings::new("h1") };
        let tables = Arc::new(Tables {
            switch: Mutex::new(Switch::new(Limits::default(), 1)),
            dead: Mutex::new([0].into()),
            broken: Mutex::default(),
            unlinked: Mutex::default(),
            plugged: AtomicUsize::new(0),
            steered: Mutex::default(),
            ways: Mutex::default(),
        });
        let control = Control::new(settings, store.clone(), tables.clone(), disk.clone());
        control.restore(Memory::read(&disk).unwrap()).await;
        control.run();
        Host { control, tables, disk, _dir: dir }
    };
    let ports = one.control.ports(None).await.unwrap();
    assert_eq!((ports.len(), &ports[0].addresses, &ports[0].endpoint_id), (1, &a.addresses, &a.endpoint_id));
    until("both know what lives", || one.stations() == 2 && two.stations() == 2).await;
    until("the address of the dead one rests", || one.control.state().releases.is_empty()).await;
    assert_eq!(two.events("host_lost"), 0, "the session outlived the process");
}

#[tokio::test]
async fn bad_rows_are_told_once_and_stop_nothing() {
    let (store, _dir) = store().await;
    let one = Host::start(1, &store).await;
    let red = one.control.create_network(overlay("RED", "10.10.0.0/24")).await.unwrap().id;
    let bad = [
        ("v1/networks/zzz".to_owned(), "{}"),
        ("v1/hosts/h9".to_owned(), "\u{0}"),
        (key::endpoints_of(&red, "h8", 0), r#"{"host":"h8"}"#),
        (key::endpoints_of(&red, "h7", 0), r#"{"host":"h6","vtep":"192.0.2.7","incarnation":1,"endpoints":[]}"#),
        (key::lease(&red, "10.10.0.2".parse().unwrap()), "nonsense"),
    ];
    let rows = bad.iter().map(|(key, value)| Op::Put { key: key.clone(), value: value.as_bytes().to_vec() });
    store.transact(rows.collect()).await.unwrap();
    let port = one.attach("RED", "a").await.unwrap();
    assert_eq!(port.addresses[0].to_string(), "10.10.0.3/24", "an unreadable lease keeps its address");
    one.attach("RED", "b").await.unwrap();
    until("an event for each", || one.events("row_refused") == bad.len()).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(one.events("row_refused"), bad.len());
}

#[tokio::test]
async fn leases_of_a_lost_host_are_free_after_the_lease_time() {
    let (store, _dir) = store().await;
    let dir = tempfile::tempdir().unwrap();
    let disk = Disk::open(dir.path()).unwrap();
    let one = Host::resume(1, &store, disk, dir).await;
    let red = one.control.create_network(overlay("RED", "10.10.0.0/24")).await.unwrap().id;
    let lease = r#"{"address":"10.10.0.9","owner":"h9/x","host":"h9","state":"held"}"#;
    let key = key::lease(&red, "10.10.0.9".parse().unwrap());
    store.transact(vec![Op::Put { key: key.clone(), value: lease.into() }]).await.unwrap();
    one.control.sweep_once().await.unwrap();
    assert!(store.snapshot(&key).await.unwrap().rows.contains_key(&key), "kept for the lease time");
    let long_ago = Instant::now().checked_sub(Duration::from_secs(601)).unwrap();
    one.control.state().absent.insert("h9".into(), long_ago);
    one.control.sweep_once().await.unwrap();
    assert!(store.snapshot(&key).await.unwrap().rows.is_empty());
}

#[tokio::test]
async fn a_living_hosts_name_is_not_taken_over() {
    let (store, _dir) = store().await;
    let one = Host::start(1, &store).await;
    one.control.create_network(overlay("RED", "10.10.0.0/24")).await.unwrap();
    one.attach("RED", "a").await.unwrap();
    let before = store.snapshot(key::HOSTS).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { vtep: Some(IpAddr::from([192, 0, 2, 9])), ..Settings::new("h1") };
    let disk = Disk::open(dir.path()).unwrap();
    let impostor = Control::new(settings, store.clone(), one.tables.clone(), disk);
    impostor.run();
    until("the warning", || impostor.state().warnings.contains_key("name_taken")).await;
    assert_eq!(store.snapshot(key::HOSTS).await.unwrap().rows, before.rows);
    assert_eq!(one.events("session_lost"), 0);
    impostor.halt();
}

#[tokio::test]
async fn the_oldest_network_that_is_left_leads_out() {
    let (store, _dir) = store().await;
    let host = Host::start(1, &store).await;
    host.control.create_network(overlay("RED", "10.1.0.0/24")).await.unwrap();
    let inner = CreateNetwork { internal: true, ..overlay("INNER", "10.2.0.0/24") };
    host.control.create_network(inner).await.unwrap();
    host.control.create_network(overlay("BLUE", "10.3.0.0/24")).await.unwrap();
    for network in ["RED", "INNER", "BLUE"] {
        host.attach(network, "web").await.unwrap();
    }
    host.attach("BLUE", "other").await.unwrap();
    host.control.remove_ports("web", Some("RED")).await.unwrap();
    let ways = host.tables.ways.lock().unwrap().clone();
    assert_eq!(ways, [Way { ifname: "eth0".into(), gateway: "10.3.0.1".parse().unwrap() }]);
    let refused = host.attach_as("BLUE", "third", "02:42:0a:03:00:01".parse().unwrap()).await.unwrap_err();
    assert!(refused.error.contains("gateway"), "{}", refused.error);
}

#[tokio::test]
async fn what_the_machine_refuses_at_the_start_is_tried_again_and_can_be_removed() {
    let (store, _dir) = store().await;
    let one = Host::start(1, &store).await;
    one.control.create_network(overlay("RED", "10.10.0.0/24")).await.unwrap();
    let a = one.attach("RED", "a").await.unwrap();
    one.attach("RED", "b").await.unwrap();
    one.control.halt();
    let Host { control, tables, disk, _dir: dir } = one;
    drop(control);
    *tables.broken.lock().unwrap() = true;
    let settings =
        Settings { vtep: Some(IpAddr::from([192, 0, 2, 1])), underlay_mtu: Some(1500), ..Settings::new("h1") };
    let control = Control::new(settings, store.clone(), tables.clone(), disk.clone());
    control.restore(Memory::read(&disk).unwrap()).await;
    let one = Host { control, tables, disk, _dir: dir };
    assert_eq!((one.events("restore_failed"), one.events("given_up")), (2, 0));
    assert!(one.control.ports(None).await.unwrap().is_empty());
    one.control.run();
    one.control.joined(Duration::from_secs(5)).await;
    one.control.sweep_once().await.unwrap();
    let held = one.control.leases("RED").await.unwrap().into_iter().filter(|lease| lease.state == "held").count();
    assert_eq!(held, 2, "nobody else gets their addresses");
    one.control.remove_ports("b", None).await.unwrap();
    *one.tables.broken.lock().unwrap() = false;
    until("the other one to be back", || one.stations() == 1).await;
    until("its row", || one.control.state().endpoints.len() == 1).await;
    let ports = one.control.ports(None).await.unwrap();
    assert_eq!((ports[0].name.as_str(), &ports[0].addresses), ("a", &a.addresses));
    assert_eq!(Memory::read(&one.disk).unwrap().endpoints.len(), 1);
}
