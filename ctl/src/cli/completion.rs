//! Completion scripts, made from the same definitions that parse the command line.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::error::Error;
use super::session::Session;

const EXAMPLES: &str = "\
Examples:
  vsctl completion bash > /etc/bash_completion.d/vsctl
  vsctl completion zsh > /usr/local/share/zsh/site-functions/_vsctl
  vsctl completion fish > ~/.config/fish/completions/vsctl.fish";

/// Print a shell's completion script
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Completion {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completion {
    /// Writes the script.
    pub(crate) fn run(self, session: &mut Session<'_>) -> Result<(), Error> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut super::Cli::command(), "vsctl", &mut script);
        session.raw(&script)
    }
}
