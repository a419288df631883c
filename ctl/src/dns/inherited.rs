//! What containers take over from the host's resolv.conf where nobody wishes otherwise: search domains and options. Not the
//! name servers, which are asked on their behalf.

use std::path::Path;

use super::file::File;
use super::resolv_conf;
use crate::model::Resolver;

/// What was read last.
#[derive(Debug)]
pub(crate) struct Inherited {
    file: File,
    lines: Resolver,
}

impl Inherited {
    /// Of that file; nothing until it is looked at.
    pub(crate) fn new(path: &Path) -> Inherited {
        Inherited { file: File::new(path), lines: Resolver::default() }
    }

    /// What it says now.
    pub(crate) async fn look(&mut self) -> &Resolver {
        if let Some(text) = self.file.fresh().await {
            self.lines = resolv_conf::lines(&text);
        }
        &self.lines
    }
}
