//! Claiming addresses. `ipam` proposes; for a global network the store's compare-and-set decides, so that two hosts
//! never get the same one; for a local network this host decides alone. The caller holds the network's gate, so that
//! this host does not fight itself.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use ipam::{Lease, Pool};
use ipnet::IpNet;
use rand::RngExt as _;
use store::{Op, Snapshot};

use super::Control;
use crate::api::{Error, Kind};
use crate::model::{NetworkRecord, key, now_millis};
use crate::state::Change;

/// Attempts to win against other hosts; each one that is lost was won by another.
const ATTEMPTS: usize = 200;

/// What an endpoint asks for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Want {
    pub(super) v4: Option<IpAddr>,
    pub(super) v6: Option<IpAddr>,
}

/// Leases as the store has them.
struct Leases {
    pools: Vec<Pool>,
    rows: HashMap<IpAddr, (u64, Lease)>,
}

impl Control {
    /// Who holds an address of this host: the idempotency key of a sandbox.
    pub(super) fn owner(&self, key: &str) -> String {
        format!("{}/{key}", self.settings.name)
    }

    /// One address for each family that the network has. The same owner gets the same ones.
    pub(super) async fn claim(&self, record: &NetworkRecord, owner: &str, want: Want) -> Result<Vec<IpNet>, Error> {
        let addresses = if record.is_global() {
            self.claim_shared(record, owner, want).await?
        } else {
            self.claim_local(record, owner, want)?
        };
        self.cancel_releases(&record.id, &addresses).await;
        Ok(addresses)
    }

    /// A release of an earlier life of an owner must not take away what it has again.
    pub(super) async fn cancel_releases(&self, network: &str, addresses: &[IpNet]) {
        let cancelled: Vec<Change> = {
            let mut state = self.state();
            let mine = |address: &IpNet| state.releases.remove(&(network.to_owned(), address.addr()));
            addresses
                .iter()
                .filter_map(mine)
                .map(|release| Change::no_release(&release.network, release.address))
                .collect()
        };
        if !cancelled.is_empty() {
            self.remember(cancelled).await;
        }
    }

    fn claim_local(&self, record: &NetworkRecord, owner: &str, want: Want) -> Result<Vec<IpNet>, Error> {
        let mut state = self.state();
        let now = now_millis();
        let pools = &mut state.networks.get_mut(&record.id).ok_or_else(|| gone(record))?.pools;
        for pool in pools.iter_mut() {
            pool.expire(now);
        }
        let chosen = choose(record, pools, owner, want, now)?;
        for net in &chosen {
            let lease = self.lease(owner, net.addr());
            if let Some(pool) = pools.iter_mut().find(|pool| pool.subnet().cidr.contains(&net.addr())) {
                pool.insert(lease);
            }
        }
        Ok(chosen)
    }

    async fn claim_shared(&self, record: &NetworkRecord, owner: &str, want: Want) -> Result<Vec<IpNet>, Error> {
        let owned = |net| (net, owner.to_owned());
        self.agree_on_leases(record, |pools, now| {
            Ok(choose(record, pools, owner, want, now)?.into_iter().map(owned).collect())
        })
        .await
    }

    /// Agrees with the other hosts on leases of a global network: what `choose` takes from its pools, each with its owner.
    pub(super) async fn agree_on_leases(
        &self,
        record: &NetworkRecord,
        choose: impl Fn(&[Pool], u64) -> Result<Vec<(IpNet, String)>, Error>,
    ) -> Result<Vec<IpNet>, Error> {
        let refused = |error: store::Error| {
            self.store_failed(&error);
            Error::store(record.object(), &error)
        };
        for _ in 0..ATTEMPTS {
            let rows = self.store.snapshot(&key::leases(&record.id)).await.map_err(refused)?;
            let leases = self.read_leases(record, &rows)?;
            let owned = choose(&leases.pools, now_millis())?;
            let chosen = owned.iter().map(|(net, _)| *net).collect();
            let mut ops = Vec::new();
            for (net, owner) in &owned {
                let (address, key) = (net.addr(), key::lease(&record.id, net.addr()));
                let value = serde_json::to_vec(&self.lease(owner, address)).unwrap_or_default();
                match leases.rows.get(&address) {
                    None => ops.push(Op::Create { key, value }),
                    Some((_, lease)) if lease.owner == *owner && lease.is_held() => {}
                    Some((version, _)) => ops.push(Op::Replace { key, value, version: *version }),
                }
            }
            if ops.is_empty() {
                return Ok(chosen);
            }
            let version = self.network_version(record).await?;
            ops.insert(0, Op::Expect { key: key::network(&record.id), version: Some(version) });
            match self.store.transact(ops).await {
                Ok(()) => {
                    self.store_answered();
                    return Ok(chosen);
                }
                Err(store::Error::Conflict { key, .. }) if key == key::network(&record.id) => {
                    if let Some(network) = self.state().networks.get_mut(&record.id) {
                        network.version = 0;
                    }
                }
                Err(store::Error::Conflict { .. }) => {
                    let pause = rand::rng().random_range(0..10);
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                }
                Err(error) => return Err(refused(error)),
            }
        }
        Err(Error::conflict(record.object(), "other hosts took every address that was tried", "try again"))
    }

    /// The version of the network's row; asks the store when it is not known.
    async fn network_version(&self, record: &NetworkRecord) -> Result<u64, Error> {
        let known = self.state().network(&record.id)?.version;
        if known != 0 {
            return Ok(known);
        }
        let key = key::network(&record.id);
        let rows = self.store.snapshot(&key).await.map_err(|error| Error::store(record.object(), &error))?;
        let version = rows.rows.get(&key).ok_or_else(|| gone(record))?.version;
        if let Some(network) = self.state().networks.get_mut(&record.id) {
            network.version = version;
        }
        Ok(version)
    }

    fn read_leases(&self, record: &NetworkRecord, snapshot: &Snapshot) -> Result<Leases, Error> {
        let mut pools = Vec::new();
        for subnet in &record.subnets {
            pools.push(Pool::new(subnet.plan().map_err(|error| refusal(record, &error))?));
        }
        let mut rows = HashMap::new();
        for row in snapshot.rows.values() {
            let (lease, wrong) = read_lease(&row.key, &row.value);
            if let Some(why) = wrong {
                self.state().refuse(&row.key, row.version, &why);
            }
            let Some(lease) = lease else { continue };
            if let Some(pool) = pools.iter_mut().find(|pool| pool.subnet().cidr.contains(&lease.address)) {
                pool.insert(lease.clone());
            }
            rows.insert(lease.address, (row.version, lease));
        }
        Ok(Leases { pools, rows })
    }

    pub(super) fn lease(&self, owner: &str, address: IpAddr) -> Lease {
        Lease { address, owner: owner.into(), host: self.settings.name.clone(), state: ipam::State::Held }
    }
}

/// A row as a lease. One that cannot be read still takes its address, as long as its key names one.
pub(super) fn read_lease(key: &str, value: &[u8]) -> (Option<Lease>, Option<String>) {
    let name = key::last(key);
    let address = if name.contains('.') { name.parse().ok() } else { name.replace('-', ":").parse().ok() };
    let Some(address) = address else {
        return (None, Some("its key names no address".into()));
    };
    let blocked = || Lease { address, owner: format!("(row {key})"), host: "?".into(), state: ipam::State::Held };
    match serde_json::from_slice::<Lease>(value) {
        Ok(lease) if lease.address == address => (Some(lease), None),
        Ok(_) => (Some(blocked()), Some("its address is not that of its key".into())),
        Err(error) => (Some(blocked()), Some(error.to_string())),
    }
}

/// One address for each family: the one that is held already, else the wanted one, else the first free one.
fn choose(record: &NetworkRecord, pools: &[Pool], owner: &str, want: Want, now: u64) -> Result<Vec<IpNet>, Error> {
    let mut chosen = Vec::new();
    for (v4, want) in [(true, want.v4), (false, want.v6)] {
        let family: Vec<&Pool> = pools.iter().filter(|pool| pool.subnet().cidr.addr().is_ipv4() == v4).collect();
        if let Some((pool, address)) = pick(record, &family, owner, want, now)? {
            chosen.push(IpNet::new_assert(address, pool.subnet().cidr.prefix_len()));
        }
    }
    if chosen.is_empty() {
        return Err(Error::conflict(record.object(), "it has no subnet", "create a network with --subnet"));
    }
    Ok(chosen)
}

fn pick<'a>(
    record: &NetworkRecord,
    pools: &[&'a Pool],
    owner: &str,
    want: Option<IpAddr>,
    now: u64,
) -> Result<Option<(&'a Pool, IpAddr)>, Error> {
    if let Some(want) = want {
        let Some(pool) = pools.iter().find(|pool| pool.subnet().cidr.contains(&want)) else {
            let why = format!("address {want} is in none of its subnets");
            return Err(Error::invalid(record.object(), why, "choose one that is (`vsctl network inspect`)"));
        };
        let address = pool.candidate(owner, Some(want), now).map_err(|error| refusal(record, &error))?;
        return Ok(Some((pool, address)));
    }
    let holds = |pool: &&&Pool| pool.dump().any(|lease| lease.owner == owner && lease.is_held());
    let first = pools.iter().find(holds).into_iter();
    let mut last = None;
    for pool in first.chain(pools) {
        match pool.candidate(owner, None, now) {
            Ok(address) => return Ok(Some((pool, address))),
            Err(error) => last = Some(refusal(record, &error)),
        }
    }
    last.map_or(Ok(None), Err)
}

pub(super) fn refusal(record: &NetworkRecord, error: &ipam::Error) -> Error {
    use ipam::Error as E;
    let kind = match error {
        E::NotInSubnet { .. } | E::BadSubnet { .. } | E::BadPlan { .. } => Kind::Invalid,
        _ => Kind::Conflict,
    };
    let text = error.to_string();
    let (why, remedy) = text.rsplit_once("; ").unwrap_or((&text, ""));
    Error::new(kind, record.object(), why, remedy)
}

pub(super) fn gone(record: &NetworkRecord) -> Error {
    Error::not_found(record.object(), "it was removed a moment ago; see `vsctl network ls`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unreadable_leases_still_take_their_address() {
        let good = br#"{"address":"10.0.0.2","owner":"h1/web","host":"h1","state":"held"}"#;
        assert!(matches!(read_lease("v1/leases/n/10.0.0.2", good), (Some(lease), None) if lease.owner == "h1/web"));
        let (lease, why) = read_lease("v1/leases/n/10.0.0.3", good);
        assert!(lease.is_some_and(|lease| lease.is_held()) && why.is_some());
        let (lease, why) = read_lease("v1/leases/n/fd00--3", b"\xff");
        assert_eq!((lease.map(|lease| lease.address), why.is_some()), (Some("fd00::3".parse().unwrap()), true));
        assert!(matches!(read_lease("v1/leases/n/x", good), (None, Some(_))));
    }
}
