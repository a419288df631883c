//! Who is called what: sandboxes by name, alias, container id and label.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use crate::model::EndpointRecord;

/// Before a label where a name might stand. No name has such a sign.
pub(super) const LABEL: &str = "label=";

/// Addresses by name.
#[derive(Clone, Debug, Default)]
pub struct Names {
    addresses: HashMap<String, Vec<IpAddr>>,
}

impl Names {
    /// Adds an endpoint, by those of its names that are wanted (`None`: all). Several may have one name: it stands for all.
    pub fn insert(&mut self, record: &EndpointRecord, wanted: Option<&HashSet<String>>) {
        for name in called(record).filter(|name| wanted.is_none_or(|wanted| wanted.contains(name))) {
            let known = self.addresses.entry(name).or_default();
            known.extend(record.addresses.iter().map(|net| net.addr()));
        }
    }

    /// The addresses of a name, or of a label (`label=KEY`, `label=KEY=VALUE`); none if nobody has it.
    pub fn addresses(&self, name: &str) -> Vec<IpAddr> {
        self.addresses.get(name).cloned().unwrap_or_default()
    }
}

/// What rules may call an endpoint.
pub fn called(record: &EndpointRecord) -> impl Iterator<Item = String> {
    let names = [&record.name, &record.container_id].into_iter().chain(&record.aliases).cloned();
    let labels = record.labels.iter();
    let labels = labels.flat_map(|(key, value)| [format!("{LABEL}{key}"), format!("{LABEL}{key}={value}")]);
    names.chain(labels).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_stands_for_all_that_have_it() {
        let record = |last: u8, label: (&str, &str)| EndpointRecord {
            id: String::new(),
            name: format!("web{last}"),
            container_id: String::new(),
            mac: wire::Mac([2, 0, 0, 0, 0, last]),
            addresses: vec![format!("10.0.0.{last}/24").parse().unwrap()],
            aliases: vec!["web".into()],
            hostname: None,
            services: Vec::new(),
            ifname: "eth0".into(),
            labels: [(label.0.to_owned(), label.1.to_owned())].into(),
        };
        let mut names = Names::default();
        names.insert(&record(1, ("tier", "front")), None);
        names.insert(&record(2, ("tier", "back")), None);
        names.insert(&record(3, ("tier", "")), None);
        let last = |name: &str| names.addresses(name).iter().map(|ip| ip.to_string()).collect::<Vec<_>>().join(" ");
        assert_eq!(last("web"), "10.0.0.1 10.0.0.2 10.0.0.3");
        assert_eq!(last("label=tier"), last("web"));
        assert_eq!((last("label=tier=back"), last("label=tier=")), ("10.0.0.2".into(), "10.0.0.3".into()));
        let mut some = Names::default();
        some.insert(&record(2, ("tier", "back")), Some(&HashSet::from(["label=tier".to_owned()])));
        assert_eq!((some.addresses("web2").len(), some.addresses("label=tier").len()), (0, 1));
        assert_eq!((last("web2"), last("tier"), last("label=web2")), ("10.0.0.2".into(), String::new(), String::new()));
    }
}
