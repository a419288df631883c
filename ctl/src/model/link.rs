//! What a port is made of, as it is asked for and kept. How it is made, and what became of it, is elsewhere.

use port::xdp::XdpOptions;
use serde::{Deserialize, Serialize};

/// The kind of a port's link.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub enum Link {
    /// A TAP in a sandbox: super-frames pass whole.
    #[default]
    Tap,
    /// A veth link of a sandbox, whose other end the switch has by AF_XDP: more small frames, no super-frames.
    Veth {
        /// How.
        xdp: XdpWish,
    },
    /// An interface of the host by AF_XDP, for the switch alone.
    Xdp {
        /// Its name.
        iface: String,
        /// How.
        xdp: XdpWish,
    },
}

/// How an interface is taken by AF_XDP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct XdpWish {
    /// None: native, or else generic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<XdpMode>,
    /// Whether it has to go without copies; otherwise it does if it can.
    #[serde(default, skip_serializing_if = "is_false")]
    pub zero_copy: bool,
    /// Whether calls of the switch drive the queues instead of interrupts.
    #[serde(default, skip_serializing_if = "is_false")]
    pub busy_poll: bool,
}

/// Where the XDP program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum XdpMode {
    /// In the driver
    Native,
    /// In the kernel's network stack
    Generic,
}

impl Link {
    /// Whether it is a TAP.
    pub fn is_tap(&self) -> bool {
        *self == Link::Tap
    }

    /// The host's interface that it is.
    pub fn interface(&self) -> Option<&str> {
        match self {
            Link::Xdp { iface, .. } => Some(iface),
            Link::Tap | Link::Veth { .. } => None,
        }
    }

    /// As it is shown.
    pub fn kind(&self) -> &'static str {
        match self {
            Link::Tap => "tap",
            Link::Veth { .. } => "veth",
            Link::Xdp { .. } => "xdp",
        }
    }
}

impl From<XdpWish> for XdpOptions {
    fn from(wish: XdpWish) -> XdpOptions {
        let mode = |mode| match mode {
            XdpMode::Native => port::xdp::XdpMode::Native,
            XdpMode::Generic => port::xdp::XdpMode::Generic,
        };
        XdpOptions { mode: wish.mode.map(mode), zero_copy: wish.zero_copy.then_some(true), busy_poll: wish.busy_poll }
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_again() {
        let xdp = XdpWish { mode: Some(XdpMode::Generic), zero_copy: false, busy_poll: true };
        for link in [Link::Tap, Link::Veth { xdp }, Link::Xdp { iface: "eth1".into(), xdp }] {
            let text = serde_json::to_string(&link).unwrap();
            assert_eq!(serde_json::from_str::<Link>(&text).unwrap(), link, "{text}");
        }
        assert!(serde_json::from_str::<Link>(r#"{"type":"carrier pigeon"}"#).is_err());
    }
}
