//! The record that tells one store's content from another's. Missing, or with another id: the store was wiped or
//! replaced, and absence of rows means nothing.

use serde::{Deserialize, Serialize};

use super::random_hex;

/// The format of all rows below `v1/`.
pub const FORMAT: u32 = 1;

/// `v1/cluster`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// 32 random hex digits.
    pub id: String,
    /// [`FORMAT`].
    pub format: u32,
}

impl Cluster {
    /// A new cluster.
    pub fn random() -> Cluster {
        Cluster { id: random_hex(32), format: FORMAT }
    }
}
