//! How a command fails: what is told, and with which exit status.

use std::io;
use std::process::ExitCode;

use crate::client;

/// Why a command did not do what it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The request had no answer, or was refused.
    #[error(transparent)]
    Client(#[from] client::Error),
    /// cannot write the answer: {0}
    #[error("cannot write the answer: {0}")]
    Output(#[from] io::Error),
    /// {path}: {source}
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: String,
        /// Why it cannot be read.
        source: io::Error,
    },
    /// {path}: cannot be written: {source}
    #[error("{path}: cannot be written: {source}")]
    Written {
        /// The file or directory.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// The answer of {path} is not what this program expects: {source}
    #[error("the answer of {path} is not what this program expects: {source}")]
    Answer {
        /// What was asked.
        path: String,
        /// What is unexpected.
        source: serde_json::Error,
    },
    /// The words are right, but do not fit together.
    #[error("{error}")]
    Usage {
        /// What does not fit.
        error: String,
        /// What would.
        remedy: String,
    },
    /// Some of several objects failed, and it was said of each.
    #[error("not everything was done")]
    Told,
}

impl Error {
    /// What helps, if that is known.
    pub(crate) fn remedy(&self) -> Option<String> {
        match self {
            Self::Client(error) => error.remedy(),
            Self::Usage { remedy, .. } => Some(remedy.clone()),
            Self::File { .. } => Some("name a file that can be read, or - for standard input".into()),
            Self::Written { .. } => Some("name a directory that can be written to".into()),
            Self::Answer { .. } => Some("use the vsctl of the same version as vswitchd".into()),
            Self::Output(_) | Self::Told => None,
        }
    }

    /// Whether there is nothing to say: nobody reads any more (`| head`), or it was said already.
    pub(crate) fn is_quiet(&self) -> bool {
        self.is_broken_pipe() || matches!(self, Self::Told)
    }

    /// 0 when the reader went away, 2 for a wrong command line, else 1.
    pub(crate) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage { .. } => ExitCode::from(2),
            _ if self.is_broken_pipe() => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        }
    }

    fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
