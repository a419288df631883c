//! Bodies of requests are refused or mean what they say.

use ctl::api::{AddPort, Connect, CreateNetwork, Disconnect, StaticFdb, StaticPeer};

use super::json::read;

/// The input is a body; it is tried as each kind of request.
pub fn run(data: &[u8]) {
    read::<CreateNetwork>(data);
    read::<Connect>(data);
    read::<Disconnect>(data);
    read::<AddPort>(data);
    read::<StaticFdb>(data);
    read::<StaticPeer>(data);
}
