//! The rows of the state file as records. A row that cannot be read is left where it is and reported: a newer version
//! may have written it.

use std::net::IpAddr;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use wire::Mac;

use super::{Change, Disk, Docked, Error, Reservation};
use crate::control::Begun;
use crate::docker;
use crate::filter::{Scope, StoredRules, family_name, family_named};
use crate::model::{EndpointRecord, Limits, Link, NetworkRecord, PortVlan, Resolver};
use crate::publish::Publication;
use crate::sandbox::Reference;

/// An endpoint of this host, with what is needed to attach it again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredEndpoint {
    /// What others see.
    pub record: EndpointRecord,
    /// The network's id.
    pub network: String,
    /// The namespace.
    pub sandbox: Reference,
    /// Whether the source guard is off.
    pub allow_spoof: bool,
    /// What its link is.
    #[serde(default, skip_serializing_if = "Link::is_tap")]
    pub link: Link,
    /// What it may send, get and flood.
    #[serde(default, skip_serializing_if = "Limits::is_none")]
    pub limits: Limits,
    /// None: it is in the untagged network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vlan: Option<PortVlan>,
    /// What its resolver is to hold instead of what its networks say.
    #[serde(default, skip_serializing_if = "Resolver::is_empty")]
    pub dns: Resolver,
    /// When it was attached, in milliseconds since the Unix epoch.
    #[serde(default)]
    pub since: u64,
    /// None: the switch itself put its link into the sandbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docked: Option<Docked>,
}

impl StoredEndpoint {
    /// Whether it has an address of a network.
    pub fn holds(&self, network: &str, address: IpAddr) -> bool {
        self.network == network && self.record.addresses.iter().any(|net| net.addr() == address)
    }

    /// Whether it may send as itself only. Behind a trunk, or an interface of the host, are others, whom nobody here knows.
    pub fn is_guarded(&self) -> bool {
        !self.allow_spoof && self.link.interface().is_none() && !self.vlan.as_ref().is_some_and(PortVlan::is_trunk)
    }
}

/// A lease that is to be given back to the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// The network's id.
    pub network: String,
    /// The address.
    pub address: IpAddr,
    /// Who held it.
    pub owner: String,
    /// Whether it rests before reuse; not if it was never used.
    pub rest: bool,
}

/// A static forwarding entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaticEntry {
    /// The network's id.
    pub network: String,
    /// The station.
    pub mac: Mac,
    /// The NAME of the sandbox it is behind, or
    pub port: Option<String>,
    /// the VTEP it is behind.
    pub vtep: Option<IpAddr>,
}

/// Everything that was remembered.
#[derive(Debug, Default)]
pub struct Memory {
    /// Local networks and the last seen global ones.
    pub networks: Vec<NetworkRecord>,
    /// Endpoints of this host.
    pub endpoints: Vec<StoredEndpoint>,
    /// Attachments that were begun.
    pub begun: Vec<Begun>,
    /// Static peers: network id and VTEP.
    pub peers: Vec<(String, IpAddr)>,
    /// Static forwarding entries.
    pub fdb: Vec<StaticEntry>,
    /// Leases to give back.
    pub releases: Vec<Release>,
    /// Published ports.
    pub published: Vec<Publication>,
    /// Addresses held for other address managements.
    pub reservations: Vec<Reservation>,
    /// What Docker's engine was told.
    pub docker: docker::Records,
    /// Rules of packet filters.
    pub filters: Vec<StoredRules>,
    /// The session in the store.
    pub session: Option<String>,
    /// The id of the cluster that the networks are from.
    pub cluster: Option<String>,
    /// Keys of rows that could not be read, and why.
    pub unreadable: Vec<(String, String)>,
}

impl Memory {
    /// Reads the whole file.
    ///
    /// # Errors
    /// When it cannot be read at all.
    pub fn read(disk: &Disk) -> Result<Memory, Error> {
        let mut memory = Memory::default();
        for (key, value) in disk.read()? {
            if let Err(why) = memory.take(&key, &value) {
                memory.unreadable.push((key, why));
            }
        }
        Ok(memory)
    }

    fn take(&mut self, key: &str, value: &[u8]) -> Result<(), String> {
        match key.split('/').next().unwrap_or_default() {
            "network" => self.networks.push(read(value)?),
            "endpoint" => self.endpoints.push(read(value)?),
            "begun" => self.begun.push(read(value)?),
            "peer" => self.peers.push(read(value)?),
            "fdb" => self.fdb.push(read(value)?),
            "release" => self.releases.push(read(value)?),
            "publish" => self.published.push(read(value)?),
            "reserved" => self.reservations.push(read(value)?),
            "docker" => return self.docker.take(key, value),
            "filter" => self.filters.push(read(value)?),
            "session" => self.session = Some(read(value)?),
            "cluster" => self.cluster = Some(read(value)?),
            _ => return Err("unknown key".into()),
        }
        Ok(())
    }
}

fn read<T: DeserializeOwned>(value: &[u8]) -> Result<T, String> {
    serde_json::from_slice(value).map_err(|error| error.to_string())
}

fn reserved_key(network: &str, address: IpAddr) -> String {
    format!("reserved/{network}/{address}")
}

/// No network's id is empty: those are the rules of all.
/// Whose rules a row with that key has; `None` if it is another row.
pub fn filter_scope(key: &str) -> Option<Scope> {
    let (network, family) = key.strip_prefix("filter/")?.split_once('/')?;
    let network = Some(network.to_owned()).filter(|network| !network.is_empty());
    Some(Scope { network, family: family_named(family)? })
}

fn filter_key(network: Option<&str>, family: &str) -> String {
    format!("filter/{}/{family}", network.unwrap_or_default())
}

/// Changes by what they are about.
impl Change {
    /// Remembers a network.
    pub fn network(record: &NetworkRecord) -> Change {
        Change::put(format!("network/{}", record.id), record)
    }

    /// Forgets a network.
    pub fn no_network(id: &str) -> Change {
        Change::remove(format!("network/{id}"))
    }

    /// Remembers an endpoint.
    pub fn endpoint(endpoint: &StoredEndpoint) -> Change {
        Change::put(format!("endpoint/{}", endpoint.record.id), endpoint)
    }

    /// Forgets an endpoint.
    pub fn no_endpoint(id: &str) -> Change {
        Change::remove(format!("endpoint/{id}"))
    }

    /// Remembers that an attachment is under way.
    pub fn begun(begun: &Begun) -> Change {
        Change::put(format!("begun/{}", begun.id), begun)
    }

    /// The attachment of that endpoint is complete, or undone.
    pub fn not_begun(id: &str) -> Change {
        Change::remove(format!("begun/{id}"))
    }

    /// Remembers a static peer.
    pub fn peer(network: &str, vtep: IpAddr) -> Change {
        Change::put(format!("peer/{network}/{vtep}"), &(network, vtep))
    }

    /// Forgets a static peer.
    pub fn no_peer(network: &str, vtep: IpAddr) -> Change {
        Change::remove(format!("peer/{network}/{vtep}"))
    }

    /// Remembers a static forwarding entry.
    pub fn fdb(entry: &StaticEntry) -> Change {
        Change::put(format!("fdb/{}/{}", entry.network, entry.mac), entry)
    }

    /// Forgets a static forwarding entry.
    pub fn no_fdb(network: &str, mac: Mac) -> Change {
        Change::remove(format!("fdb/{network}/{mac}"))
    }

    /// Remembers a lease to give back.
    pub fn release(release: &Release) -> Change {
        Change::put(format!("release/{}/{}", release.network, release.address), release)
    }

    /// The lease was given back, or is in use again.
    pub fn no_release(network: &str, address: IpAddr) -> Change {
        Change::remove(format!("release/{network}/{address}"))
    }

    /// Remembers a publication.
    pub fn publication(publication: &Publication) -> Change {
        Change::put(format!("publish/{}", publication.id), publication)
    }

    /// Forgets a publication.
    pub fn no_publication(id: u32) -> Change {
        Change::remove(format!("publish/{id}"))
    }

    /// Remembers a reservation.
    pub fn reservation(reservation: &Reservation) -> Change {
        Change::put(reserved_key(&reservation.network, reservation.address), reservation)
    }

    /// Forgets a reservation.
    pub fn no_reservation(network: &str, address: IpAddr) -> Change {
        Change::remove(reserved_key(network, address))
    }

    /// Remembers rules.
    pub fn filter(rules: &StoredRules) -> Change {
        Change::put(filter_key(rules.network.as_deref(), &rules.family), rules)
    }

    /// Forgets rules.
    pub fn no_filter(scope: &Scope) -> Change {
        Change::remove(filter_key(scope.network.as_deref(), family_name(scope.family)))
    }

    /// Forgets what was read.
    pub fn no_stored_filter(rules: &StoredRules) -> Change {
        Change::remove(filter_key(rules.network.as_deref(), &rules.family))
    }

    /// Remembers the session.
    pub fn session(id: &str) -> Change {
        Change::put("session".into(), &id)
    }

    /// Forgets the session.
    pub fn no_session() -> Change {
        Change::remove("session".into())
    }

    /// Remembers the cluster's id.
    pub fn cluster(id: &str) -> Change {
        Change::put("cluster".into(), &id)
    }
}

#[cfg(test)]
mod tests {
    use nat::rules::Family;

    use super::*;

    #[test]
    fn a_row_of_rules_that_is_no_row_is_still_somebodys() {
        for network in [None, Some("11".to_owned())] {
            for family in [Family::Ipv4, Family::Ipv6] {
                let scope = Scope { network: network.clone(), family };
                assert_eq!(filter_scope(&filter_key(network.as_deref(), family_name(family))), Some(scope));
            }
        }
        assert_eq!((filter_scope("filter/11/ipx"), filter_scope("network/11")), (None, None));
    }

    #[test]
    fn what_was_written_is_there_after_opening_again() {
        let dir = tempfile::tempdir().unwrap();
        let release =
            Release { network: "n".into(), address: "fd00::2".parse().unwrap(), owner: "h1/web".into(), rest: true };
        {
            let disk = Disk::open(dir.path()).unwrap();
            let vtep = "192.0.2.1".parse().unwrap();
            let changes = [
                Change::session("s1"),
                Change::cluster("c1"),
                Change::peer("n", vtep),
                Change::peer("m", vtep),
                Change::release(&release),
                Change::put("odd/1".into(), &1),
            ];
            disk.commit(&changes).unwrap();
            disk.commit(&[Change::no_peer("m", vtep)]).unwrap();
        }
        let memory = Memory::read(&Disk::open(dir.path()).unwrap()).unwrap();
        assert_eq!((memory.session.as_deref(), memory.cluster.as_deref()), (Some("s1"), Some("c1")));
        assert_eq!(memory.peers.len(), 1);
        assert_eq!(memory.releases, [release]);
        assert_eq!(memory.unreadable.len(), 1);
    }
}
