//! The command line as a whole: its definitions, its examples, and what is refused.

use clap::{Command, CommandFactory, Parser, error::ErrorKind};

use super::{Cli, Form};

/// Every command with its words, `["vsctl", "network", "ls"]`.
fn commands() -> Vec<(Vec<String>, Command)> {
    fn collect(words: &[String], command: &Command, all: &mut Vec<(Vec<String>, Command)>) {
        let mut words = words.to_vec();
        words.push(command.get_name().to_owned());
        for inner in command.get_subcommands() {
            collect(&words, inner, all);
        }
        all.push((words, command.clone()));
    }
    let mut all = Vec::new();
    collect(&[], &Cli::command(), &mut all);
    all
}

fn refusal(line: &str) -> clap::Error {
    Cli::try_parse_from(line.split_whitespace()).unwrap_err()
}

#[test]
fn the_definitions_are_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_says_what_it_does_and_those_that_do_something_show_examples() {
    for (words, command) in commands() {
        assert!(command.get_about().is_some(), "{words:?} has no description");
        let lists_alone = words.last().is_some_and(|word| word == "ls") && words.len() == 3 && words[1] != "network";
        assert!(lists_alone || command.get_after_help().is_some(), "{words:?} has no examples");
    }
}

#[test]
fn every_example_is_a_command_line_that_parses() {
    let mut seen = 0;
    for (words, command) in commands() {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        for line in help.lines().filter(|line| line.starts_with("  vsctl ")) {
            let line = line.split(" | ").next().and_then(|line| line.split(" > ").next()).unwrap_or_default();
            let parsed = Cli::try_parse_from(shell_words(line));
            // A page of help is an answer.
            let parsed = parsed.map(drop).or_else(|error| if error.use_stderr() { Err(error) } else { Ok(()) });
            assert!(parsed.is_ok(), "example of {words:?}: {line}: {}", parsed.err().unwrap());
            seen += 1;
        }
    }
    assert!(seen > 30, "{seen} examples");
}

/// Words as a shell has them, as far as examples need: what stands in `'` is one.
fn shell_words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for (at, part) in line.split('\'').enumerate() {
        for (nth, piece) in part.split(|c: char| at % 2 == 0 && c.is_whitespace()).enumerate() {
            if nth > 0 {
                words.push(String::new());
            }
            if let Some(word) = words.last_mut() {
                word.push_str(piece);
            }
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn the_format_is_table_or_json_anywhere_on_the_line() {
    for line in ["vsctl --format json ports", "vsctl ports --format json", "vsctl network ls --format=json"] {
        assert_eq!(Cli::try_parse_from(line.split_whitespace()).unwrap().format, Form::Json, "{line}");
    }
    let error = refusal("vsctl ports --format yaml").to_string();
    assert!(error.contains("table") && error.contains("json"), "{error}");
}

#[test]
fn what_does_not_fit_is_refused_before_anything_is_asked() {
    let kinds = [
        ("vsctl", ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand),
        ("vsctl add-port RED web0", ErrorKind::MissingRequiredArgument),
        ("vsctl add-port RED web0 --pid 1 --netns /run/netns/x", ErrorKind::ArgumentConflict),
        ("vsctl add-port RED web0 --pid 1 --ip fd00::1", ErrorKind::ValueValidation),
        ("vsctl add-port RED web0 --pid 1 --mac 02:42", ErrorKind::ValueValidation),
        ("vsctl fdb add RED 02:42:0a:0a:0a:63", ErrorKind::MissingRequiredArgument),
        ("vsctl network create", ErrorKind::MissingRequiredArgument),
        ("vsctl network create --subnet 10.0.0.1/24 RED", ErrorKind::ValueValidation),
        ("vsctl network create --vni 16777216 RED", ErrorKind::ValueValidation),
        ("vsctl network create --vni 0 RED", ErrorKind::ValueValidation),
        ("vsctl network create --mtu 67 RED", ErrorKind::ValueValidation),
        ("vsctl network create -o mtu RED", ErrorKind::ValueValidation),
        ("vsctl network ls -f colour=red", ErrorKind::ValueValidation),
        ("vsctl network ls --format {{.Name", ErrorKind::ValueValidation),
        ("vsctl network prune --filter until=soon", ErrorKind::ValueValidation),
        ("vsctl network inspect", ErrorKind::MissingRequiredArgument),
        ("vsctl completion tcsh", ErrorKind::InvalidValue),
    ];
    for (line, kind) in kinds {
        assert_eq!(refusal(line).kind(), kind, "{line}");
    }
}

#[test]
fn help_fits_a_narrow_terminal() {
    for (words, command) in commands() {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        for line in help.lines() {
            assert!(line.len() <= 90, "{words:?}: {line}");
        }
    }
}
