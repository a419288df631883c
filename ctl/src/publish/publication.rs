//! A publication as it is remembered: whose ports, at which of the host's. A range is one of these, whatever its length.

use serde::{Deserialize, Serialize};

use super::{Ports, Spec};

/// A publication of this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publication {
    /// Unique on this host.
    pub id: u32,
    /// The sandbox's NAME.
    pub name: String,
    /// The id of the network whose endpoint gets the traffic; `None`: the sandbox's oldest that leads outside.
    pub network: Option<String>,
    /// As asked, so that the same request again is known.
    pub asked: Spec,
    /// With the host's ports as chosen; as many as the container's.
    pub spec: Spec,
}

impl Publication {
    /// The host's ports.
    pub fn host(&self) -> Ports {
        self.spec.host.unwrap_or(self.spec.ports)
    }

    /// Whether both want the same port of the same address.
    pub fn conflicts(&self, spec: &Spec, host: Ports) -> bool {
        self.spec.protocol == spec.protocol && self.spec.at.overlaps(spec.at) && self.host().overlaps(host)
    }

    /// Whose it is, for messages: `port web0 publishes 0.0.0.0:8080/tcp`.
    pub fn claim(&self) -> String {
        format!("port {} publishes {}:{}/{}", self.name, self.spec.at, self.host(), self.spec.protocol)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publication(spec: &str) -> Publication {
        let spec: Spec = spec.parse().unwrap();
        Publication { id: 1, name: "web0".into(), network: None, asked: spec, spec }
    }

    #[test]
    fn the_same_port_of_the_same_address_is_a_conflict() {
        for (one, two, conflict) in [
            ("8080:80", "8080:81", true),
            ("8080:80", "8080:80/udp", false),
            ("8080:80", "127.0.0.1:8080:80", true),
            ("127.0.0.1:8080:80", "127.0.0.2:8080:80", false),
            ("0.0.0.0:8080:80", "[::]:8080:80", false),
            ("8000-8009:80-89", "8009:80", true),
            ("8000-8009:80-89", "8010:80", false),
        ] {
            let other: Spec = two.parse().unwrap();
            assert_eq!(publication(one).conflicts(&other, other.host.unwrap()), conflict, "{one} {two}");
        }
        assert_eq!(publication("8080:80").claim(), "port web0 publishes 0.0.0.0:8080/tcp");
        assert_eq!(publication("[fd00::1]:1-2:1-2/udp").claim(), "port web0 publishes [fd00::1]:1-2/udp");
    }

    #[test]
    fn a_publication_survives_being_written() {
        let publication = publication("127.0.0.1:8080:80");
        let json = serde_json::to_string(&publication).unwrap();
        assert_eq!(serde_json::from_str::<Publication>(&json).unwrap(), publication);
    }
}
