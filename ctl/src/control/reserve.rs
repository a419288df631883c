//! Addresses held for a runtime that manages addresses by itself and says so before it says for whom. A reservation is a
//! lease whose owner is the address itself: it is this host's until the runtime gives it back, whatever becomes of the
//! endpoint, and only this host may have it again at once.

use std::net::IpAddr;
use std::sync::Arc;

use ipam::Pool;
use ipnet::IpNet;

use super::Control;
use super::address::{gone, refusal};
use super::state::State;
use crate::api::Error;
use crate::model::{NetworkRecord, now_millis};
use crate::state::{Change, Reservation};

/// What is to be reserved.
#[derive(Clone, Copy, Debug)]
pub struct Reserve {
    /// The subnet of the network.
    pub subnet: IpNet,
    /// A narrower range than the subnet's own, for dynamic addresses.
    pub range: Option<IpNet>,
    /// `None`: the first free one.
    pub want: Option<IpAddr>,
    /// Whether a `want` that is reserved already is granted again.
    pub again: bool,
}

impl Control {
    /// Who holds a reserved address.
    pub(super) fn reserver(&self, address: IpAddr) -> String {
        self.owner(&format!("reserved:{address}"))
    }

    /// Whether a lease is that of a reservation of this host.
    pub(super) fn is_reserved(&self, state: &State, network: &str, address: IpAddr, owner: &str) -> bool {
        state.reserved.contains(&(network.to_owned(), address)) && self.reserver(address) == owner
    }

    /// Holds an address, with its subnet's prefix length.
    ///
    /// # Errors
    /// 400 for an address that cannot be, 404, 409 naming who has it or that none is left, 503 when the store is away.
    pub async fn reserve(self: &Arc<Self>, network: &str, ask: Reserve) -> Result<IpNet, Error> {
        let (record, gate) = {
            let state = self.state();
            let known = state.network(network)?;
            (known.record.clone(), known.gate.clone())
        };
        let _gate = gate.lock().await;
        if let Some(want) = ask.want.filter(|_| !ask.again)
            && self.state().reserved.contains(&(record.id.clone(), want))
        {
            let why = format!("address {want} is in use on this host{}", self.user_of(&record.id, want));
            return Err(Error::conflict(record.object(), why, "choose another, or stop that container first"));
        }
        let chosen = if record.is_global() {
            let pick = |pools: &[Pool], now| Ok(vec![self.pick_reservation(&record, pools, ask, now)?]);
            self.agree_on_leases(&record, pick).await?.into_iter().next().ok_or_else(|| gone(&record))?
        } else {
            let mut state = self.state();
            let pools = &mut state.networks.get_mut(&record.id).ok_or_else(|| gone(&record))?.pools;
            let now = now_millis();
            pools.iter_mut().for_each(|pool| drop(pool.expire(now)));
            let (net, owner) = self.pick_reservation(&record, pools, ask, now)?;
            let lease = self.lease(&owner, net.addr());
            pools.iter_mut().filter(|pool| pool.subnet().contains(net.addr())).for_each(|p| p.insert(lease.clone()));
            net
        };
        let reservation = Reservation { network: record.id.clone(), address: chosen.addr() };
        self.state().reserved.insert((record.id.clone(), chosen.addr()));
        self.cancel_releases(&record.id, &[chosen]).await;
        if let Err(error) = self.disk.write(vec![Change::reservation(&reservation)]).await {
            self.unreserve(&record.id, chosen.addr()).await;
            return Err(Error::failed(record.object(), error.to_string()));
        }
        Ok(chosen)
    }

    /// Gives a reservation back; one that is not there is fine.
    pub async fn unreserve(&self, network: &str, address: IpAddr) {
        let changes = {
            let mut state = self.state();
            if !state.reserved.remove(&(network.to_owned(), address)) {
                return;
            }
            let mut changes = self.give_back(&mut state, network, &self.reserver(address), &[address], true);
            changes.push(Change::no_reservation(network, address));
            changes
        };
        self.remember(changes).await;
        self.release.notify_one();
    }

    /// The reservations in a network.
    pub fn reserved_in(&self, network: &str) -> Vec<IpAddr> {
        let state = self.state();
        state.reserved.iter().filter(|(id, _)| id == network).map(|(_, address)| *address).collect()
    }

    /// At the start. Local pools know only what is put into them.
    pub(super) fn hold_reservations(&self, reservations: Vec<Reservation>) {
        let mut state = self.state();
        for Reservation { network, address } in reservations {
            let Some(known) = state.networks.get_mut(&network) else { continue };
            let lease = self.lease(&self.reserver(address), address);
            known.pools.iter_mut().filter(|pool| pool.subnet().contains(address)).for_each(|p| p.insert(lease.clone()));
            state.reserved.insert((network, address));
        }
    }

    /// An address and its owner. Addresses of this host's own that still rest are taken when all others are in use: a
    /// runtime expects to have at once again what it gave back.
    fn pick_reservation(
        &self,
        record: &NetworkRecord,
        pools: &[Pool],
        ask: Reserve,
        now: u64,
    ) -> Result<(IpNet, String), Error> {
        let pool = pools.iter().find(|pool| pool.subnet().cidr == ask.subnet).ok_or_else(|| {
            let why = format!("it has no subnet {}", ask.subnet);
            Error::conflict(record.object(), why, "see `vsctl network inspect`")
        })?;
        let refused = |error: ipam::Error| refusal(record, &error);
        let narrow = match ask.range.filter(|range| pool.subnet().range != Some(*range)) {
            Some(range) => {
                let subnet = pool.subnet();
                let plan = ipam::Subnet::new(subnet.cidr, Some(range), subnet.gateway, subnet.aux.clone());
                let mut narrow = Pool::new(plan.map_err(refused)?);
                pool.dump().for_each(|lease| narrow.insert(lease.clone()));
                Some(narrow)
            }
            None => None,
        };
        let pool = narrow.as_ref().unwrap_or(pool);
        let rests = |lease: &&ipam::Lease| {
            let inside = ask.range.is_none_or(|range| range.contains(&lease.address));
            inside && !lease.is_held() && lease.owner == self.reserver(lease.address)
        };
        let address = match ask.want {
            Some(want) => pool.candidate(&self.reserver(want), Some(want), now),
            None => pool.candidate(&self.owner("reserved"), None, now).or_else(|error| {
                let again = pool.dump().filter(rests).map(|lease| lease.address).next();
                again.ok_or(error)
            }),
        };
        let address = address.map_err(refused)?;
        Ok((IpNet::new_assert(address, ask.subnet.prefix_len()), self.reserver(address)))
    }

    /// ` by port web`, if an endpoint has the address.
    fn user_of(&self, network: &str, address: IpAddr) -> String {
        let state = self.state();
        let mut here = state.endpoints_in(network).map(|endpoint| endpoint.record());
        let user = here.find(|record| record.addresses.iter().any(|net| net.addr() == address));
        user.map(|record| format!(" by port {}", record.name)).unwrap_or_default()
    }
}
