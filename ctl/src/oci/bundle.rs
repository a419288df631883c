//! A container's configuration, `config.json` in its bundle, as far as the hook needs it. Tolerant: what it does not look
//! at may be anything.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::Error;

/// The longest configuration that is read, in bytes.
const LIMIT: u64 = 16 << 20;

/// A container's configuration.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Bundle {
    #[serde(default)]
    pub(super) annotations: Option<HashMap<String, Value>>,
    /// What the container calls itself.
    #[serde(default)]
    pub(super) hostname: Option<String>,
    #[serde(default)]
    root: Option<Root>,
    #[serde(default)]
    mounts: Option<Vec<Mount>>,
    /// Where the bundle is.
    #[serde(skip)]
    dir: PathBuf,
}

#[derive(Debug, Deserialize)]
struct Root {
    path: PathBuf,
}

#[derive(Debug, Deserialize)]
struct Mount {
    destination: PathBuf,
}

impl Bundle {
    /// Reads the configuration of the bundle in `dir`.
    ///
    /// # Errors
    /// [`Error::Config`] when it cannot be read.
    pub(super) fn read(dir: &Path) -> Result<Bundle, Error> {
        let path = dir.join("config.json");
        let failed = |source: io::Error| Error::Config { path: path.clone(), source };
        let mut bytes = Vec::new();
        File::open(&path).and_then(|file| file.take(LIMIT).read_to_end(&mut bytes)).map_err(failed)?;
        let bundle: Bundle = serde_json::from_slice(&bytes).map_err(|error| failed(error.into()))?;
        Ok(Bundle { dir: dir.to_owned(), ..bundle })
    }

    /// The directory of the container's root file system.
    pub(super) fn rootfs(&self) -> Option<PathBuf> {
        self.root.as_ref().map(|root| self.dir.join(&root.path))
    }

    /// Whether the container brings its own file or directory for `path`, which is absolute.
    pub(super) fn mounts(&self, path: &str) -> bool {
        let plain = |path: &Path| -> Vec<PathBuf> {
            let parts = path.components().filter(|part| matches!(part, Component::Normal(_)));
            parts.map(|part| part.as_os_str().into()).collect()
        };
        let wanted = plain(Path::new(path));
        self.mounts.iter().flatten().any(|mount| plain(&mount.destination) == wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_says_where_its_root_is_and_what_it_brings() {
        let dir = tempfile::tempdir().unwrap();
        let write = |text: &str| {
            std::fs::write(dir.path().join("config.json"), text).unwrap();
            Bundle::read(dir.path())
        };
        let full = r#"{"ociVersion": "1.0.2", "hostname": "web", "root": {"path": "rootfs", "readonly": true},
                       "mounts": [{"destination": "/proc", "type": "proc"}, {"destination": "//etc/./resolv.conf/"}]}"#;
        let bundle = write(full).unwrap();
        assert_eq!((bundle.hostname.as_deref(), bundle.rootfs()), (Some("web"), Some(dir.path().join("rootfs"))));
        assert!(bundle.mounts("/etc/resolv.conf") && !bundle.mounts("/etc") && !bundle.mounts("/etc/hosts"));
        let bundle = write(r#"{"root": {"path": "/images/x"}, "mounts": null}"#).unwrap();
        assert_eq!(bundle.rootfs(), Some(PathBuf::from("/images/x")));
        assert!(!bundle.mounts("/etc/resolv.conf") && write("{}").unwrap().rootfs().is_none());
        assert!(write("{").unwrap_err().to_string().contains("config.json"));
    }
}
