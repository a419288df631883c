//! What the audience sees: numbered steps with times, the commands, what they said. Colours on a
//! terminal only.

use std::env;
use std::io::{IsTerminal, stdout};
use std::time::Instant;

/// The numbered steps of a show.
pub struct Program {
    start: Instant,
    steps: usize,
    step: usize,
    colours: bool,
}

impl Program {
    /// A show of so many steps, which begins now.
    pub fn new(steps: usize) -> Program {
        Program {
            start: Instant::now(),
            steps,
            step: 0,
            colours: stdout().is_terminal() && env::var_os("NO_COLOR").is_none(),
        }
    }

    /// Announces the next step.
    pub fn step(&mut self, what: &str) {
        self.step += 1;
        let head = self.paint("1;36", &format!("[{}/{}]", self.step, self.steps));
        println!("{head} {what} {}", self.paint("2", &format!("({:.1} s)", self.start.elapsed().as_secs_f64())));
    }

    /// A command as typed on a host, and what it printed.
    pub fn command(&self, host: &str, command: &str, said: &str) {
        println!("      {} {command}", self.paint("1;32", &format!("{host}#")));
        for line in said.lines() {
            println!("      {line}");
        }
    }

    /// A fact worth noting.
    pub fn note(&self, text: &str) {
        println!("      {text}");
    }

    /// The end.
    pub fn done(&self) {
        println!(
            "{} {:.1} s; everything is being removed",
            self.paint("1;32", "done:"),
            self.start.elapsed().as_secs_f64()
        );
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        match self.colours {
            true => format!("\x1b[{colour}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }
}
