//! One address and its holder, as the store keeps it. A lease never lives on its own clock: a held one
//! stays until somebody releases it, a resting one is free again once `until` has come.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// What a lease stands for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The owner uses the address.
    Held,
    /// Released, but kept from others for a while: caches elsewhere (ARP, DNS, conntrack) may still
    /// lead to the former owner.
    Resting {
        /// End of the rest, in milliseconds since the Unix epoch; from then on the address is free.
        until: u64,
    },
}

/// The claim of one owner to one address.
///
/// Unknown fields of a row are ignored: a newer host may add some, and a claim that is not understood
/// in full is still a claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The address, inside the subnet of its pool.
    pub address: IpAddr,
    /// Idempotency key: the endpoint that asked. The same owner asking again gets the same address.
    pub owner: String,
    /// The host that the owner runs on.
    pub host: String,
    /// Held or resting.
    pub state: State,
}

impl Lease {
    /// Whether the owner uses the address.
    pub fn is_held(&self) -> bool {
        self.state == State::Held
    }

    /// Whether the rest is over at `now` (milliseconds since the Unix epoch), so that the address is free.
    pub fn is_over(&self, now: u64) -> bool {
        matches!(self.state, State::Resting { until } if until <= now)
    }
}
