//! What a runtime writes to the CNI plugin is refused with a code and words, or names a network; ports that are asked for
//! can be published. Nobody is told that there is nothing to clean up.

use ctl::cni::{Config, version_of};
use ctl::publish::Spec;

/// The code that says that a container is unknown: a runtime would not clean up after it.
const UNKNOWN_CONTAINER: u32 = 3;

/// The input is the plugin's standard input.
pub fn run(data: &[u8]) {
    assert!(version_of(data).len() <= 32);
    let removal = Config::read(data, true, |_| None);
    match Config::read(data, false, |_| None) {
        Ok(config) => {
            assert!(!config.name.is_empty());
            assert!(removal.is_ok_and(|removal| removal.network == config.network), "added, and never removed");
            assert_eq!(version_of(data), config.version.text());
            assert!(config.wishes.ports.iter().all(|text| text.parse::<Spec>().is_ok()));
            assert!(config.create.is_none_or(|network| !network.subnets.is_empty() && network.name == config.network));
        }
        Err(failure) => assert!(failure.code != UNKNOWN_CONTAINER && !failure.msg.is_empty()),
    }
}
