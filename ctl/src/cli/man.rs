//! `vsctl man`: manual pages, made from the definitions that parse the command lines, and that of the configuration file
//! from the file that packages install.

use std::fs;
use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::error::Error;
use super::session::Session;
use crate::config::Arguments;

/// The file whose comments explain each key.
const SETTINGS: &str = include_str!("../../../packaging/vswitchd.toml");

/// Write the manual pages: one for each command, vswitchd(8) and vswitchd.toml(5)
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  vsctl man /usr/local/share/man/man1\n  vsctl man .")]
pub(crate) struct Manual {
    /// Where they are put; made if it is not there
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

impl Manual {
    /// Writes them, and says nothing.
    pub(crate) fn run(self, _session: &mut Session<'_>) -> Result<(), Error> {
        let failed = |path: &Path| {
            let path = path.display().to_string();
            move |source| Error::Written { path, source }
        };
        fs::create_dir_all(&self.dir).map_err(failed(&self.dir))?;
        for (name, page) in pages()? {
            let path = self.dir.join(name);
            fs::write(&path, page).map_err(failed(&path))?;
        }
        Ok(())
    }
}

/// All pages by their files' names.
fn pages() -> Result<Vec<(String, Vec<u8>)>, Error> {
    let mut pages = Vec::new();
    // The pages of `help` would only repeat the others.
    let mut vsctl = super::Cli::command().disable_help_subcommand(true);
    vsctl.build();
    commands(&vsctl, &mut pages)?;
    let mut page = Vec::new();
    let vswitchd = Arguments::command().display_name("vswitchd");
    Man::new(vswitchd).section("8").manual("System administration").render(&mut page)?;
    Roff::new()
        .control("SH", ["FILES"])
        .text([bold("/etc/vswitch/vswitchd.toml"), roman(": settings, see vswitchd.toml(5)")])
        .control("SH", ["SEE ALSO"])
        .text([roman("vswitchd.toml(5), vsctl(1)")])
        .to_writer(&mut page)?;
    pages.push(("vswitchd.8".into(), page));
    pages.push(("vswitchd.toml.5".into(), settings(SETTINGS).render().into_bytes()));
    Ok(pages)
}

/// The page of a command, and those of the commands in it.
fn commands(command: &clap::Command, pages: &mut Vec<(String, Vec<u8>)>) -> Result<(), Error> {
    let man = Man::new(command.clone()).manual("Virtual switch");
    let mut page = Vec::new();
    man.render(&mut page)?;
    pages.push((man.get_filename(), page));
    let shown = command.get_subcommands().filter(|inner| !inner.is_hide_set());
    shown.into_iter().try_for_each(|inner| commands(inner, pages))
}

/// The page of the configuration file: its first paragraph, then each key with the comment above it.
fn settings(text: &str) -> Roff {
    let mut page = Roff::new();
    page.control("TH", ["vswitchd.toml", "5", "", concat!("vswitchd ", env!("CARGO_PKG_VERSION")), "File formats"]);
    page.control("SH", ["NAME"]).text([roman("vswitchd.toml - settings of vswitchd")]);
    page.control("SH", ["SYNOPSIS"]).text([bold("/etc/vswitch/vswitchd.toml")]);
    for (at, paragraph) in text.split("\n\n").enumerate() {
        let (words, keys): (Vec<&str>, Vec<&str>) = paragraph.lines().partition(|line| line.starts_with("# "));
        let words: Vec<&str> = words.iter().map(|line| line.trim_start_matches("# ")).collect();
        let words = words.join("\n");
        if at == 0 {
            page.control("SH", ["DESCRIPTION"]).text([roman(words)]);
            page.control("SH", ["KEYS"]);
            continue;
        }
        page.control("TP", []).text([bold(keys.join(", ").replace('#', ""))]).text([roman(words)]);
    }
    page.control("SH", ["SEE ALSO"]).text([roman("vswitchd(8), vsctl(1)")]);
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_with_its_options_and_examples() {
        let pages = pages().unwrap();
        let page = |name: &str| {
            let (_, page) = pages.iter().find(|(file, _)| file == name).unwrap_or_else(|| panic!("no {name}"));
            String::from_utf8(page.clone()).unwrap()
        };
        let create = page("vsctl-network-create.1");
        assert!(create.contains("aux\\-address") && create.contains("vsctl network create dev"), "{create}");
        assert!(page("vsctl.1").contains("vsctl\\-network(1)"));
        assert!(page("vswitchd.8").contains("vxlan\\-port") && page("vswitchd.8").contains("vswitchd.toml(5)"));
        assert!(pages.len() > 40, "{}", pages.len());
    }

    #[test]
    fn the_settings_page_has_every_key_with_its_explanation() {
        let page = settings(SETTINGS).render();
        let keys = SETTINGS.lines().filter(|line| line.starts_with('#') && !line.starts_with("# "));
        for key in keys {
            let (name, _) = key[1..].split_once(' ').unwrap();
            assert!(page.contains(&format!("\\fB{}", name.replace('-', "\\-"))), "{name}: {page}");
        }
        assert!(page.contains("are free again"), "{page}");
    }
}
