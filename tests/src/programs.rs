//! Where the built programs are: beside the test binary, or where VSWITCH_BIN_DIR says.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

/// The path of `vswitchd`, `vsctl` or `oci-hook` of this build.
pub fn find(name: &str) -> Result<PathBuf> {
    let dir = match env::var_os("VSWITCH_BIN_DIR") {
        Some(dir) => PathBuf::from(dir),
        None => {
            let own = env::current_exe()?;
            let dir = own.parent().context("the test binary has no directory")?;
            // Test binaries stand in target/PROFILE/deps, programs one level above.
            match dir.parent() {
                Some(above) if dir.ends_with("deps") => above.to_owned(),
                _ => dir.to_owned(),
            }
        }
    };
    let path = dir.join(name);
    ensure!(path.is_file(), "{} is not built: run `make test`, or `cargo build -p ctl` first", path.display());
    Ok(path)
}
