//! A port that an endpoint serves, as hosts tell each other: `80/tcp`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A port and its protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Service {
    /// The port.
    pub port: u16,
    /// TCP, else UDP.
    pub tcp: bool,
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.port, if self.tcp { "tcp" } else { "udp" })
    }
}

impl FromStr for Service {
    type Err = String;

    fn from_str(text: &str) -> Result<Service, String> {
        let read = || {
            let (port, protocol) = text.split_once('/')?;
            let tcp = match protocol {
                "tcp" => true,
                "udp" => false,
                _ => return None,
            };
            Some(Service { port: port.parse().ok()?, tcp })
        };
        read().ok_or_else(|| format!("{text:?} is no service such as 80/tcp"))
    }
}

impl TryFrom<String> for Service {
    type Error = String;

    fn try_from(text: String) -> Result<Service, String> {
        text.parse()
    }
}

impl From<Service> for String {
    fn from(service: Service) -> String {
        service.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_read_as_it_is_written() {
        for text in ["80/tcp", "53/udp"] {
            assert_eq!(text.parse::<Service>().unwrap().to_string(), text);
        }
        for bad in ["", "80", "80/sctp", "x/tcp", "65536/tcp"] {
            assert!(bad.parse::<Service>().unwrap_err().contains("80/tcp"), "{bad}");
        }
    }
}
