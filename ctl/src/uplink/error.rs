//! Why the host's link to the switch cannot be made. Each text names the link and the remedy; none ends the daemon.

use std::io;

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// link {name}: a link of this name exists and is not vswitchd's: delete it (`ip link delete {name}`) or choose
    /// another name with --host-link
    #[error(
        "link {name}: a link of this name exists and is not vswitchd's: delete it (`ip link delete {name}`) or choose \
         another name with --host-link"
    )]
    Foreign {
        /// The link.
        name: String,
    },
    /// {0}
    #[error(transparent)]
    Tap(#[from] port::Error),
    /// link {name}: cannot {step}: {source}
    #[error("link {name}: cannot {step}: {source}")]
    Step {
        /// The link.
        name: String,
        /// What was tried.
        step: &'static str,
        /// The kernel's answer.
        source: io::Error,
    },
}
