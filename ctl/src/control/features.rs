//! What the kernel has of what came late, and what of it is in use: how it was tried out at the start, next to what the parts
//! of the switch say of themselves now. Tries nothing itself.

use port::UnderlayStats;
use port::kernel::{Feature, Outcome};

use crate::api;

/// What AF_XDP ports there are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct XdpPorts {
    /// There was one since the start.
    pub(super) any: bool,
    /// There is one with busy polling.
    pub(super) busy_polled: bool,
    /// There is one that takes frames of several chunks.
    pub(super) multi_buffer: bool,
}

/// A row for each feature that was tried.
pub(super) fn of(
    tried: &[Outcome],
    underlay: Option<&UnderlayStats>,
    uplink: &api::Uplink,
    ports: XdpPorts,
) -> Vec<api::Feature> {
    let row = |(feature, missing): &Outcome| {
        let (state, note) = match missing {
            Some(reason) => ("missing", Some(format!("{reason}{}", instead(*feature)))),
            None => match idle(*feature, underlay, uplink, ports) {
                Some(reason) => ("unused", Some(reason.to_owned())),
                None => ("used", None),
            },
        };
        api::Feature { name: feature.name().into(), state: state.into(), note }
    };
    tried.iter().map(row).collect()
}

/// What it takes, and what is done without it.
fn instead(feature: Feature) -> String {
    let without = match feature {
        Feature::TapTso | Feature::TapUso => "super-frames are cut before they come here",
        Feature::UdpGso => "datagrams leave one by one",
        Feature::UdpGro => "datagrams come one by one",
        Feature::Tcx => "clsact instead",
        Feature::AfXdp => "no AF_XDP ports",
        Feature::AfXdpBusyPoll => "interrupts instead",
        Feature::AfXdpMultiBuffer => "AF_XDP ports take packets of 3,818 bytes at most",
    };
    format!(" (Linux {} has it): {without}", feature.since())
}

/// Why something that is there is not in use.
fn idle(
    feature: Feature,
    underlay: Option<&UnderlayStats>,
    uplink: &api::Uplink,
    ports: XdpPorts,
) -> Option<&'static str> {
    match feature {
        Feature::TapTso | Feature::TapUso => None,
        Feature::UdpGso | Feature::UdpGro if underlay.is_none() => Some("this host has no tunnels"),
        Feature::UdpGso => underlay.is_some_and(|stats| !stats.gso).then_some("the way refused it; it is tried again"),
        Feature::UdpGro => underlay.is_some_and(|stats| !stats.gro_seen).then_some("nothing has come joined yet"),
        Feature::Tcx if uplink.form.is_none() => Some("no interface is steered"),
        Feature::Tcx => (uplink.form.as_deref() != Some("tcx")).then_some("another hook was chosen"),
        Feature::AfXdp => (!ports.any).then_some("there was no AF_XDP port yet"),
        Feature::AfXdpBusyPoll => (!ports.busy_polled).then_some("for ports with --xdp-busy-poll"),
        Feature::AfXdpMultiBuffer => (!ports.multi_buffer).then_some("for AF_XDP ports with an MTU over 3,498"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_is_used_or_the_row_says_why_not() {
        let tried = [
            (Feature::TapTso, None),
            (Feature::TapUso, Some("refused".into())),
            (Feature::UdpGso, None),
            (Feature::UdpGro, None),
            (Feature::Tcx, None),
        ];
        let mut uplink = api::Uplink::default();
        let states = |underlay: Option<&UnderlayStats>, uplink: &api::Uplink| -> Vec<String> {
            of(&tried, underlay, uplink, XdpPorts::default()).into_iter().map(|row| row.state).collect()
        };
        assert_eq!(states(None, &uplink), ["used", "missing", "unused", "unused", "unused"]);
        let rows = of(&tried, None, &uplink, XdpPorts::default());
        let note = rows[1].note.as_deref().unwrap();
        assert_eq!(note, "refused (Linux 6.2 has it): super-frames are cut before they come here");
        assert!(rows.iter().all(|row| (row.state == "used") == row.note.is_none()));
        uplink.form = Some("tcx".into());
        let stats = UnderlayStats { gso: true, ..UnderlayStats::default() };
        assert_eq!(states(Some(&stats), &uplink), ["used", "missing", "used", "unused", "used"]);

        for multi_buffer in [false, true] {
            let ports = XdpPorts { any: true, multi_buffer, ..XdpPorts::default() };
            let rows = of(&[(Feature::AfXdpMultiBuffer, None)], None, &uplink, ports);
            assert_eq!(
                (rows[0].state.as_str(), rows[0].note.is_none()),
                (if multi_buffer { "used" } else { "unused" }, multi_buffer)
            );
        }
    }
}
