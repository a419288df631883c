//! How many programs an interface has: what no test from outside can see. Needs root.

use std::os::fd::AsFd;

use super::*;
use crate::namespace::within;
use crate::{Tap, TapOptions};

fn count(uplink: &Uplink, ifindex: u32) -> usize {
    let survey = uplink.hooks.survey().unwrap();
    survey.into_iter().find(|(index, _)| *index == ifindex).map_or(0, |(_, installed)| installed.len())
}

#[test]
fn an_interface_never_has_two() {
    within(|| {
        let _nic = Tap::create("nic0", &TapOptions::default()).unwrap();
        let _link = Tap::create("vsw0", &TapOptions::default()).unwrap();
        let nic = devices::index_of("nic0").unwrap();
        let open = |hook| Uplink::open_at("vsw0", hook, Form::Tc).unwrap().0;
        let mut first = open(Hook::Filter);
        first.attach(nic).unwrap();
        assert_eq!((count(&first, nic), count(&first, first.link())), (1, 1));
        let hooks = if tcx::is_there(nic).is_ok() {
            // Left at both hooks, as by a change of hooks that was cut short.
            tcx::put(nic, first.programs.steer_l3.as_fd(), None).unwrap();
            assert_eq!(count(&first, nic), 2);
            vec![Hook::Tcx, Hook::Tcx, Hook::Filter, Hook::Filter, Hook::Tcx]
        } else {
            vec![Hook::Filter; 2]
        };
        for hook in hooks {
            let next = open(hook);
            assert_eq!((count(&next, nic), count(&next, next.link())), (1, 1), "{hook}");
            assert_eq!(next.attached().collect::<Vec<_>>(), [nic]);
        }
        first.hooks.clear_all().unwrap();
        assert_eq!((count(&first, nic), count(&first, first.link())), (0, 0));
    });
}

#[test]
fn a_link_that_is_not_there_is_an_error_that_names_it() {
    within(|| {
        let error = Uplink::open("vsw0", Form::Tc).unwrap_err();
        assert_eq!(error.to_string(), "interface vsw0: no such interface in this network namespace (see `ip link`)");
    });
}
