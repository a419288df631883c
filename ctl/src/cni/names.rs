//! What a CNI container is called in the switch: by its pod where it has one, else by its id. A pod's name is unique in
//! its Kubernetes namespace only, so that the next candidate has both. Pure; which one is free is vswitchd's to say.

use std::collections::BTreeMap;

use super::call::Call;
use crate::filter::{PLACES, can_name};
use crate::model::{is_label_value, is_name};

/// The label by which an endpoint is known as made for a configuration of that name.
pub(super) const MADE_FOR: &str = "org.vswitch.cni";
/// The label with the pod's Kubernetes namespace, as containerd and CRI-O call it; rules may ask for it.
const NAMESPACE: &str = "io.kubernetes.pod.namespace";

/// The names in the order in which they are tried; at least one.
pub(super) fn candidates(call: &Call) -> Vec<String> {
    let pod = call.args.pod.clone().into_iter().chain(qualified(call));
    let mut names: Vec<String> = pod.filter(|name| is_usable(name)).collect();
    names.push(call.container_id.clone());
    names.dedup();
    names
}

/// `pod.namespace`: the name by which it is always found.
pub(super) fn qualified(call: &Call) -> Option<String> {
    let name = format!("{}.{}", call.args.pod.as_ref()?, call.args.namespace.as_ref()?);
    is_usable(&name).then_some(name)
}

pub(super) fn labels(call: &Call, configuration: &str) -> BTreeMap<String, String> {
    let namespace = call.args.namespace.clone().filter(|text| is_label_value(text));
    let made_for = (MADE_FOR.to_owned(), configuration.to_owned());
    [made_for].into_iter().chain(namespace.map(|namespace| (NAMESPACE.to_owned(), namespace))).collect()
}

fn is_usable(name: &str) -> bool {
    is_name(name) && can_name(name) && !PLACES.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::super::call::{Args, Verb};
    use super::*;

    fn call(pod: Option<&str>, namespace: Option<&str>) -> Call {
        let args = Args { pod: pod.map(Into::into), namespace: namespace.map(Into::into), ..Args::default() };
        let (container_id, ifname) = ("c0ffee".to_owned(), "eth0".to_owned());
        Call { verb: Verb::Add, container_id, netns: None, ifname, args, own_netns: false }
    }

    #[test]
    fn a_pod_is_called_by_its_name_then_with_its_namespace_then_by_its_id() {
        assert_eq!(candidates(&call(Some("web"), Some("prod"))), ["web", "web.prod", "c0ffee"]);
        assert_eq!(candidates(&call(Some("web"), None)), ["web", "c0ffee"]);
        assert_eq!(candidates(&call(None, Some("prod"))), ["c0ffee"]);
        // Names that rules give to others, and longer ones than the switch has.
        assert_eq!(candidates(&call(Some("any"), Some("prod"))), ["any.prod", "c0ffee"]);
        assert_eq!(candidates(&call(Some("vsw0"), None)), ["c0ffee"]);
        assert_eq!(candidates(&call(Some(&"x".repeat(200)), None)), ["c0ffee"]);
        assert_eq!(labels(&call(Some("web"), Some("prod")), "pods")[NAMESPACE], "prod");
        assert_eq!(labels(&call(None, None), "pods").len(), 1);
    }
}
