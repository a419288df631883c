//! Whom to ask: a list of the operator's, or what the host's own resolver asks. The file is looked at when somebody asks,
//! once a second at the most, so that following it costs an idle host nothing.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ::dns::forward::MOST_UPSTREAMS;

use super::file::File;
use super::resolv_conf::{self, PORT, RESOLV_CONF};

/// Whom to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upstreams {
    /// These.
    Fixed(Vec<SocketAddr>),
    /// Those in this file, which may change.
    File(PathBuf),
}

impl Default for Upstreams {
    fn default() -> Upstreams {
        Upstreams::File(RESOLV_CONF.into())
    }
}

impl Upstreams {
    /// A list as an operator writes it: addresses, or addresses and ports.
    ///
    /// # Errors
    /// What is wrong with it, and what is wanted instead.
    pub fn parse(texts: &[String]) -> Result<Upstreams, String> {
        let servers = texts.iter().map(|text| parse(text)).collect::<Result<Vec<SocketAddr>, String>>()?;
        if servers.is_empty() || servers.len() > MOST_UPSTREAMS {
            return Err(format!("{} name servers; give 1 to {MOST_UPSTREAMS}", servers.len()));
        }
        Ok(Upstreams::Fixed(servers))
    }
}

fn parse(text: &str) -> Result<SocketAddr, String> {
    let address = text.parse::<IpAddr>().map(|address| SocketAddr::new(address, PORT));
    let server = address.or_else(|_| text.parse::<SocketAddr>());
    let usable = server.ok().filter(|server| {
        let address = server.ip();
        !address.is_unspecified() && !address.is_multicast() && server.port() != 0
    });
    usable.ok_or_else(|| format!("{text:?} is no name server; give one such as 192.0.2.53 or [fd00::53]:5353"))
}

/// What was read last.
#[derive(Debug)]
pub(super) struct Followed {
    /// `None`: they do not change.
    file: Option<File>,
    servers: Vec<SocketAddr>,
}

impl Followed {
    pub(super) fn new(upstreams: Upstreams) -> Followed {
        match upstreams {
            Upstreams::Fixed(servers) => Followed { file: None, servers },
            Upstreams::File(path) => Followed { file: Some(File::new(&path)), servers: resolv_conf::servers("") },
        }
    }

    /// The servers now.
    pub(super) async fn look(&mut self) -> &[SocketAddr] {
        if let Some(file) = &mut self.file
            && let Some(text) = file.fresh().await
        {
            self.servers = resolv_conf::servers(&text);
        }
        &self.servers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_addresses_with_or_without_a_port() {
        let parse = |text: &str| parse(text).map(|server| server.to_string());
        assert_eq!(parse("192.0.2.53"), Ok("192.0.2.53:53".into()));
        assert_eq!(parse("fd00::53"), Ok("[fd00::53]:53".into()));
        assert_eq!(parse("[fd00::53]:5353"), Ok("[fd00::53]:5353".into()));
        for bad in ["", "x", "0.0.0.0", "192.0.2.53:0", "224.0.0.251", "dns.example"] {
            assert!(parse(bad).unwrap_err().contains("192.0.2.53"), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_file_is_followed_and_its_absence_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("resolv.conf");
        let mut followed = Followed::new(Upstreams::File(path.clone()));
        assert_eq!(followed.look().await, ["127.0.0.1:53".parse().unwrap()]);
        std::fs::write(&path, "nameserver 192.0.2.1\n").unwrap();
        assert_eq!(followed.look().await, ["192.0.2.1:53".parse().unwrap()]);
        // In its place by another name, of the same size.
        std::fs::write(dir.path().join("new"), "nameserver 192.0.2.2\n").unwrap();
        std::fs::rename(dir.path().join("new"), &path).unwrap();
        assert_eq!(followed.look().await, ["192.0.2.2:53".parse().unwrap()]);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(followed.look().await, ["192.0.2.2:53".parse().unwrap()]);
    }
}
