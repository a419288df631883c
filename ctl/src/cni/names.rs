//! What a CNI container is called in the switch: by its pod where it has one, else by its id. A pod's name is unique in
//! its Kubernetes namespace only, and rules go by names: where there is a namespace the name has it, `pod.namespace`, so
//! that nobody is taken for somebody of another namespace. Pure; which one is free is vswitchd's to say.

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
    let pod = call.args.pod.clone().map(|pod| match &call.args.namespace {
        // A namespace has no dots, so that the last one always tells where the pod's name ends.
        Some(namespace) if namespace.contains('.') => String::new(),
        Some(namespace) => format!("{pod}.{namespace}"),
        None => pod,
    });
    let own = Some(call.container_id.clone());
    let mut names: Vec<String> = pod.filter(|name| is_usable(name)).into_iter().chain(own).collect();
    names.dedup();
    names
}

/// The pod's name alone: what the pod calls itself. Others find it by that, too, but no rule goes by it.
pub(super) fn hostname(call: &Call) -> Option<String> {
    call.args.pod.clone().filter(|name| is_name(name))
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
    fn a_pod_is_called_by_its_name_and_namespace_else_by_its_id() {
        assert_eq!(candidates(&call(Some("web"), Some("prod"))), ["web.prod", "c0ffee"]);
        // Whoever takes another's name and namespace for a name gets a namespace of its own behind it.
        assert_eq!(candidates(&call(Some("web.prod"), Some("evil"))), ["web.prod.evil", "c0ffee"]);
        assert_eq!(candidates(&call(Some("web"), Some("prod.evil"))), ["c0ffee"]);
        assert_eq!(hostname(&call(Some("web"), Some("prod"))).as_deref(), Some("web"));
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
