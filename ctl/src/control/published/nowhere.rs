//! Why a publication leads nowhere for now, and what helps.

/// The reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(in crate::control) enum Nowhere {
    /// It was not looked at yet, or its ports are not bound.
    #[error("it is being set up")]
    Unsettled,
    /// its sandbox is in no network that leads outside
    #[error("its sandbox is in no network that leads outside")]
    NoEndpoint,
    /// this host has no link to the switch
    #[error("this host has no link to the switch, so that nothing reaches containers from it")]
    NoLink,
    /// ports are published at more addresses than there can be
    #[error("ports are published at 251 single addresses of this host already")]
    NoVia,
}

impl Nowhere {
    /// What helps.
    pub(super) fn remedy(self) -> &'static str {
        match self {
            Nowhere::Unsettled => "try again",
            Nowhere::NoEndpoint => "connect it to a network that is not internal",
            Nowhere::NoLink => "`vsctl uplink` tells why; with --uplink none vswitchd makes none",
            Nowhere::NoVia => "publish at one of these, or at all addresses",
        }
    }
}
