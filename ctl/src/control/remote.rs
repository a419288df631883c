//! What the other hosts have in one network, as their rows say, and the changes that a new row means for the engine.
//! No store and no engine here. Invariant: a MAC or IP address belongs to the first endpoint that came with it; later
//! ones wait, are reported once, and take over when the first one goes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use switch::{BridgeId, Place, Update};
use wire::Mac;

use super::dns;
use crate::model::{EndpointRecord, HostEndpoints};

/// A row of another host.
#[derive(Clone, Debug)]
pub(super) struct RemoteRow {
    /// Its version in the store.
    pub(super) version: u64,
    /// What it says.
    pub(super) record: HostEndpoints,
}

/// Row and endpoint that something belongs to. This host's own endpoints have the row "".
type Holder = (String, String);

/// The table of one network.
#[derive(Debug)]
pub(super) struct Remote {
    bridge: BridgeId,
    rows: BTreeMap<String, RemoteRow>,
    macs: HashMap<Mac, Holder>,
    addresses: HashMap<IpAddr, Holder>,
    waiting: BTreeSet<Holder>,
    peers: BTreeMap<IpAddr, usize>,
    /// Who has names, by what number.
    named: HashMap<Holder, u64>,
    last_named: u64,
}

/// What a change of rows means.
#[derive(Debug, Default)]
pub(super) struct Delta {
    /// For the engine, in order.
    pub(super) updates: Vec<Update>,
    /// Duplicates that were found, for events: the object and the text.
    pub(super) duplicates: Vec<(String, String)>,
}

impl Remote {
    /// An empty table of a bridge.
    pub(super) fn new(bridge: BridgeId) -> Remote {
        Remote {
            bridge,
            rows: BTreeMap::new(),
            macs: HashMap::new(),
            addresses: HashMap::new(),
            waiting: BTreeSet::new(),
            peers: BTreeMap::new(),
            named: HashMap::new(),
            last_named: 0,
        }
    }

    /// The rows by key.
    pub(super) fn rows(&self) -> &BTreeMap<String, RemoteRow> {
        &self.rows
    }

    /// Who has a MAC address: the host's name (none: this host) and the endpoint's id.
    pub(super) fn holder(&self, mac: Mac) -> Option<(Option<&str>, &str)> {
        let (row, id) = self.macs.get(&mac)?;
        Some((self.rows.get(row).map(|row| row.record.host.as_str()), id))
    }

    /// An endpoint of this host comes. Its addresses are its own by its lease; who claims them elsewhere has to wait.
    pub(super) fn insert_local(&mut self, endpoint: &EndpointRecord) -> Delta {
        let mut delta = Delta::default();
        let holder = (String::new(), endpoint.id.clone());
        let displaced = self.macs.insert(endpoint.mac, holder.clone()).into_iter();
        let displaced: Vec<Holder> = displaced
            .chain(endpoint.addresses.iter().filter_map(|net| self.addresses.insert(net.addr(), holder.clone())))
            .filter(|other| !other.0.is_empty())
            .collect();
        displaced.iter().for_each(|other| self.unname(other, &mut delta));
        self.waiting.extend(displaced);
        self.name(&holder, endpoint, &mut delta);
        delta
    }

    /// An endpoint of this host has other names or services from now on.
    pub(super) fn rename_local(&mut self, endpoint: &EndpointRecord) -> Delta {
        let mut delta = Delta::default();
        let holder = (String::new(), endpoint.id.clone());
        if self.named.contains_key(&holder) {
            self.name(&holder, endpoint, &mut delta);
        }
        delta
    }

    /// An endpoint of this host goes.
    pub(super) fn remove_local(&mut self, endpoint: &EndpointRecord) -> Delta {
        let mut delta = Delta::default();
        let holder = (String::new(), endpoint.id.clone());
        self.unname(&holder, &mut delta);
        self.release(&holder, endpoint);
        self.retry(&mut delta);
        delta
    }

    /// A VTEP that an operator named.
    pub(super) fn insert_static(&mut self, vtep: IpAddr) -> Delta {
        let mut delta = Delta::default();
        self.peer(vtep, &mut delta);
        delta
    }

    /// A VTEP that an operator named before.
    pub(super) fn remove_static(&mut self, vtep: IpAddr) -> Delta {
        let mut delta = Delta::default();
        self.no_peer(vtep, &mut delta);
        delta
    }

    /// A row is new, changed, or (`None`) gone.
    pub(super) fn set(&mut self, key: &str, row: Option<RemoteRow>) -> Delta {
        let mut delta = Delta::default();
        let old = self.rows.remove(key);
        let known = row.as_ref().map(|row| (row.record.vtep, by_id(&row.record.endpoints))).unwrap_or_else(nothing);
        let before = old.as_ref().map(|row| (row.record.vtep, by_id(&row.record.endpoints))).unwrap_or_else(nothing);
        let old_peer = old.as_ref().filter(|old| !old.record.endpoints.is_empty()).map(|old| old.record.vtep);
        // New peers come before their endpoints, old ones go after theirs.
        if row.as_ref().is_some_and(|row| !row.record.endpoints.is_empty()) {
            self.peer(known.0, &mut delta);
        }
        for (id, endpoint) in &before.1 {
            let same = before.0 == known.0 && known.1.get(id).is_some_and(|now| same_place(now, endpoint));
            if !same {
                self.forget(&(key.to_owned(), (*id).to_owned()), endpoint, before.0, &mut delta);
            }
        }
        let fresh: Vec<(Holder, EndpointRecord)> = known
            .1
            .iter()
            .filter(|(id, now)| !(before.0 == known.0 && before.1.get(*id).is_some_and(|old| same_place(now, old))))
            .map(|(id, now)| ((key.to_owned(), (*id).to_owned()), (*now).clone()))
            .collect();
        for (id, now) in &known.1 {
            let holder = (key.to_owned(), (*id).to_owned());
            let renamed = before.1.get(id).is_some_and(|old| same_place(now, old) && !same_names(now, old));
            if renamed && self.named.contains_key(&holder) {
                self.name(&holder, now, &mut delta);
            }
        }
        let vtep = known.0;
        if let Some(row) = row {
            self.rows.insert(key.to_owned(), row);
        }
        for (holder, endpoint) in fresh {
            if let Err(text) = self.claim(&holder, &endpoint, vtep, &mut delta) {
                delta.duplicates.push((format!("endpoint {}", endpoint.name), text));
                self.waiting.insert(holder);
            }
        }
        self.retry(&mut delta);
        if let Some(vtep) = old_peer {
            self.no_peer(vtep, &mut delta);
        }
        delta
    }

    fn claim(
        &mut self,
        holder: &Holder,
        endpoint: &EndpointRecord,
        vtep: IpAddr,
        delta: &mut Delta,
    ) -> Result<(), String> {
        if let Some(other) = self.macs.get(&endpoint.mac).filter(|other| *other != holder) {
            return Err(format!("its MAC address {} is in use by {}; it waits", endpoint.mac, self.describe(other)));
        }
        let ours = |address: &IpAddr| self.addresses.get(address).is_some_and(|other| other != holder);
        if let Some(address) = endpoint.addresses.iter().map(|net| net.addr()).find(ours) {
            let other = self.addresses.get(&address).map(|other| self.describe(other)).unwrap_or_default();
            return Err(format!("its address {address} is in use by {other}; it waits"));
        }
        self.macs.insert(endpoint.mac, holder.clone());
        let addresses: Vec<IpAddr> = endpoint.addresses.iter().map(|net| net.addr()).collect();
        for address in &addresses {
            self.addresses.insert(*address, holder.clone());
        }
        let place = Place::Tunnel(vtep);
        delta.updates.push(Update::Endpoint { bridge: self.bridge, mac: endpoint.mac, addresses, place });
        self.name(holder, endpoint, delta);
        Ok(())
    }

    fn forget(&mut self, holder: &Holder, endpoint: &EndpointRecord, vtep: IpAddr, delta: &mut Delta) {
        self.waiting.remove(holder);
        self.unname(holder, delta);
        if self.macs.get(&endpoint.mac) == Some(holder) {
            let place = Place::Tunnel(vtep);
            delta.updates.push(Update::RemoveEndpoint { bridge: self.bridge, mac: endpoint.mac, place });
        }
        self.release(holder, endpoint);
    }

    fn release(&mut self, holder: &Holder, endpoint: &EndpointRecord) {
        if self.macs.get(&endpoint.mac) == Some(holder) {
            self.macs.remove(&endpoint.mac);
        }
        for address in endpoint.addresses.iter().map(|net| net.addr()) {
            if self.addresses.get(&address) == Some(holder) {
                self.addresses.remove(&address);
            }
        }
    }

    fn name(&mut self, holder: &Holder, endpoint: &EndpointRecord, delta: &mut Delta) {
        let number = *self.named.entry(holder.clone()).or_insert_with(|| {
            self.last_named += 1;
            self.last_named
        });
        let entry = Some(dns::entry(endpoint));
        delta.updates.push(Update::Names { bridge: self.bridge, holder: number, entry });
    }

    fn unname(&mut self, holder: &Holder, delta: &mut Delta) {
        if let Some(number) = self.named.remove(holder) {
            delta.updates.push(Update::Names { bridge: self.bridge, holder: number, entry: None });
        }
    }

    /// Those that wait take what became free.
    fn retry(&mut self, delta: &mut Delta) {
        for holder in self.waiting.clone() {
            let row = self.rows.get(&holder.0);
            let found = row.and_then(|row| {
                Some((row.record.vtep, row.record.endpoints.iter().find(|e| e.id == holder.1)?.clone()))
            });
            let done = match found {
                Some((vtep, endpoint)) => self.claim(&holder, &endpoint, vtep, delta).is_ok(),
                None => true,
            };
            if done {
                self.waiting.remove(&holder);
            }
        }
    }

    fn peer(&mut self, vtep: IpAddr, delta: &mut Delta) {
        let count = self.peers.entry(vtep).or_insert(0);
        *count += 1;
        if *count == 1 {
            delta.updates.push(Update::Peer { bridge: self.bridge, vtep });
        }
    }

    fn no_peer(&mut self, vtep: IpAddr, delta: &mut Delta) {
        let Some(count) = self.peers.get_mut(&vtep) else { return };
        *count -= 1;
        if *count == 0 {
            self.peers.remove(&vtep);
            delta.updates.push(Update::RemovePeer { bridge: self.bridge, vtep });
        }
    }

    fn describe(&self, (row, id): &Holder) -> String {
        match self.rows.get(row) {
            Some(row) => {
                let name = row.record.endpoints.iter().find(|e| e.id == *id).map_or(id.as_str(), |e| e.name.as_str());
                format!("{name} on host {}", row.record.host)
            }
            None => "an endpoint of this host".into(),
        }
    }
}

fn nothing<'a>() -> (IpAddr, BTreeMap<&'a str, &'a EndpointRecord>) {
    (IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), BTreeMap::new())
}

fn by_id(endpoints: &[EndpointRecord]) -> BTreeMap<&str, &EndpointRecord> {
    endpoints.iter().map(|endpoint| (endpoint.id.as_str(), endpoint)).collect()
}

/// Whether the engine would see no difference.
fn same_place(a: &EndpointRecord, b: &EndpointRecord) -> bool {
    a.mac == b.mac && a.addresses == b.addresses
}

fn same_names(a: &EndpointRecord, b: &EndpointRecord) -> bool {
    dns::entry(a) == dns::entry(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BRIDGE: BridgeId = BridgeId(1);

    fn endpoint(id: &str, last: u8) -> EndpointRecord {
        let address = format!("10.0.0.{last}/24").parse().unwrap();
        let mac = Mac([2, 0x42, 10, 0, 0, last]);
        EndpointRecord {
            id: id.into(),
            name: id.into(),
            container_id: String::new(),
            mac,
            addresses: vec![address],
            aliases: vec![],
            hostname: None,
            services: vec![],
            labels: Default::default(),
            ifname: "eth0".into(),
        }
    }

    fn row(host: u8, endpoints: &[EndpointRecord]) -> Option<RemoteRow> {
        let vtep = IpAddr::from([192, 0, 2, host]);
        let record = HostEndpoints { host: format!("h{host}"), vtep, incarnation: 1, endpoints: endpoints.to_vec() };
        Some(RemoteRow { version: 1, record })
    }

    fn vtep(host: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, host])
    }

    fn added(endpoint: &EndpointRecord, host: u8) -> Update {
        let addresses = endpoint.addresses.iter().map(|net| net.addr()).collect();
        Update::Endpoint { bridge: BRIDGE, mac: endpoint.mac, addresses, place: Place::Tunnel(vtep(host)) }
    }

    fn removed(endpoint: &EndpointRecord, host: u8) -> Update {
        Update::RemoveEndpoint { bridge: BRIDGE, mac: endpoint.mac, place: Place::Tunnel(vtep(host)) }
    }

    /// Without what is said of names.
    fn places(delta: Delta) -> Vec<Update> {
        delta.updates.into_iter().filter(|update| !matches!(update, Update::Names { .. })).collect()
    }

    /// What is said of names alone: holder, and names if there are any.
    fn names(delta: &Delta) -> Vec<(u64, Option<Vec<String>>)> {
        let names = delta.updates.iter().filter_map(|update| match update {
            Update::Names { holder, entry, .. } => Some((*holder, entry.as_ref().map(|entry| entry.names.clone()))),
            _ => None,
        });
        names.collect()
    }

    fn texts(names: &[&str]) -> Option<Vec<String>> {
        Some(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn names_come_and_go_with_who_has_them() {
        let mut remote = Remote::new(BRIDGE);
        let (mut a, own) = (endpoint("a", 2), endpoint("own", 3));
        (a.aliases, a.hostname) = (vec!["www".into()], Some("box".into()));
        a.container_id = "0123456789abcdef".into();
        let all = texts(&["a", "www", "0123456789ab", "box"]);
        assert_eq!(names(&remote.set("h1", row(1, std::slice::from_ref(&a)))), [(1, all)]);
        assert_eq!(names(&remote.insert_local(&own)), [(2, texts(&["own"]))]);
        let renamed = EndpointRecord { aliases: vec!["web".into()], ..own.clone() };
        assert_eq!(names(&remote.rename_local(&renamed)), [(2, texts(&["own", "web"]))]);
        // Another name at the same place, and nothing else.
        let web =
            EndpointRecord { name: "b".into(), aliases: vec![], hostname: None, container_id: String::new(), ..a };
        let delta = remote.set("h1", row(1, std::slice::from_ref(&web)));
        assert_eq!((delta.updates.len(), names(&delta)), (1, vec![(1, texts(&["b"]))]));
        // A double has no name as long as it waits.
        let double = endpoint("x", 2);
        assert!(names(&remote.set("h2", row(2, std::slice::from_ref(&double)))).is_empty());
        assert_eq!(names(&remote.set("h1", None)), [(1, None), (3, texts(&["x"]))]);
        // Who is here has its address, whoever else said so before.
        let taken = endpoint("y", 2);
        assert_eq!(names(&remote.insert_local(&taken)), [(3, None), (4, texts(&["y"]))]);
        assert_eq!(names(&remote.remove_local(&taken)), [(4, None), (5, texts(&["x"]))]);
    }

    #[test]
    fn a_row_becomes_only_its_difference() {
        let mut remote = Remote::new(BRIDGE);
        let (a, b, c) = (endpoint("a", 2), endpoint("b", 3), endpoint("c", 4));
        let peer = Update::Peer { bridge: BRIDGE, vtep: vtep(1) };
        assert_eq!(places(remote.set("h1", row(1, &[a.clone(), b.clone()]))), [peer, added(&a, 1), added(&b, 1)]);
        assert_eq!(places(remote.set("h1", row(1, &[a.clone(), c.clone()]))), [removed(&b, 1), added(&c, 1)]);
        let same = remote.set("h1", row(1, &[a.clone(), c.clone()]));
        assert!(same.updates.is_empty() && same.duplicates.is_empty());
        let gone = Update::RemovePeer { bridge: BRIDGE, vtep: vtep(1) };
        assert_eq!(places(remote.set("h1", None)), [removed(&a, 1), removed(&c, 1), gone]);
        assert!(remote.named.is_empty());
        assert!(remote.macs.is_empty() && remote.addresses.is_empty() && remote.peers.is_empty());
    }

    #[test]
    fn a_host_with_a_new_address_moves_everything() {
        let mut remote = Remote::new(BRIDGE);
        let a = endpoint("a", 2);
        remote.set("h1", row(1, std::slice::from_ref(&a)));
        let moved = places(remote.set("h1", row(7, std::slice::from_ref(&a))));
        let peer = Update::Peer { bridge: BRIDGE, vtep: vtep(7) };
        let gone = Update::RemovePeer { bridge: BRIDGE, vtep: vtep(1) };
        assert_eq!(moved, [peer, removed(&a, 1), added(&a, 7), gone]);
    }

    #[test]
    fn a_duplicate_waits_is_told_once_and_takes_over() {
        let mut remote = Remote::new(BRIDGE);
        let (a, double) = (endpoint("a", 2), endpoint("x", 2));
        remote.set("h1", row(1, std::slice::from_ref(&a)));
        let second = remote.set("h2", row(2, std::slice::from_ref(&double)));
        assert_eq!(second.duplicates.len(), 1);
        assert!(second.duplicates[0].1.contains("a on host h1"), "{:?}", second.duplicates);
        assert_eq!(second.updates, [Update::Peer { bridge: BRIDGE, vtep: vtep(2) }]);
        let again = remote.set("h2", row(2, std::slice::from_ref(&double)));
        assert!(again.duplicates.is_empty() && again.updates.is_empty());
        let gone = Update::RemovePeer { bridge: BRIDGE, vtep: vtep(1) };
        assert_eq!(places(remote.set("h1", None)), [removed(&a, 1), added(&double, 2), gone]);
    }

    #[test]
    fn local_endpoints_stay_and_static_peers_outlive_rows() {
        let mut remote = Remote::new(BRIDGE);
        let a = endpoint("a", 2);
        remote.insert_local(&a);
        assert_eq!(remote.holder(a.mac), Some((None, "a")));
        let double = endpoint("x", 2);
        assert_eq!(remote.set("h1", row(1, std::slice::from_ref(&double))).duplicates.len(), 1);
        assert!(remote.insert_static(vtep(1)).updates.is_empty());
        assert_eq!(places(remote.remove_local(&a)), [added(&double, 1)]);
        assert_eq!(places(remote.set("h1", None)), [removed(&double, 1)]);
        assert_eq!(remote.remove_static(vtep(1)).updates.len(), 1);
    }
}
