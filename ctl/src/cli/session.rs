//! What a running command has: the way to the API, the wanted form, and where to write.
//!
//! Invariant: with `--format json` the API's answer is printed as it is, whatever fields it has; a template sees the
//! same fields, and everything else of a command is silent then.

use std::io::Write;
use std::process::ExitCode;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::Error;
use super::form::{self, Form};
use super::style::Style;
use super::table::{Table, printable};
use super::template;
use crate::client::{self, Client};

/// One run of one command.
pub(crate) struct Session<'a> {
    /// The way to vswitchd.
    pub(crate) client: Client,
    /// The wanted form.
    pub(crate) form: Form,
    /// Of headings and alarms.
    pub(crate) style: Style,
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
}

impl<'a> Session<'a> {
    /// A session that writes answers to `out`, and what goes wrong to `err`.
    pub(crate) fn new(
        client: Client,
        form: Form,
        style: Style,
        out: &'a mut dyn Write,
        err: &'a mut dyn Write,
    ) -> Self {
        Self { client, form, style, out, err }
    }

    /// Whether the answer is wanted as data, as JSON or by a template, and not as text for people.
    pub(crate) fn wants_data(&self) -> bool {
        self.form != Form::Table
    }

    /// Writes a line of the answer.
    pub(crate) fn line(&mut self, text: &str) -> Result<(), Error> {
        Ok(writeln!(self.out, "{text}")?)
    }

    /// Writes `text` as it is.
    pub(crate) fn raw(&mut self, text: &[u8]) -> Result<(), Error> {
        Ok(self.out.write_all(text)?)
    }

    /// Writes `value` as indented JSON, or as the template has it: an array element by element.
    pub(crate) fn data<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        let json = serde_json::to_value(value).map_err(|error| Error::Output(error.into()))?;
        let rows = |json: &Value| -> Vec<template::Value> {
            let all = json.as_array().map_or(std::slice::from_ref(json), Vec::as_slice);
            all.iter().map(template::Value::read).collect()
        };
        match &self.form {
            Form::Template { .. } => self.filled(&rows(&json)),
            Form::Table | Form::Json => {
                let text = serde_json::to_string_pretty(&json).map_err(|error| Error::Output(error.into()))?;
                self.line(&form::json(&text))
            }
        }
    }

    /// Writes the answer to a change as [`data`](Self::data) does, with all fields that its type has.
    pub(crate) fn answer<T: Serialize + DeserializeOwned>(&mut self, path: &str, answer: &Value) -> Result<(), Error> {
        match &self.form {
            Form::Template { .. } => {
                let row = form::row(&read::<T>(path, answer)?)?;
                self.filled(&[row])
            }
            Form::Table | Form::Json => self.data(answer),
        }
    }

    /// Refuses a template that asks for what a `T` has not, before a change is made that could not be told of then.
    pub(crate) fn expect<T: DeserializeOwned>(&self) -> Result<(), Error> {
        let Form::Template { template, .. } = &self.form else { return Ok(()) };
        match template.fill(&form::empty::<T>()) {
            Err(why) if why.contains(" is not there") => Err(form::refused(why)),
            // What fails for want of values may do with them.
            _ => Ok(()),
        }
    }

    /// The same where the answer is names alone.
    pub(crate) fn expect_names(&self) -> Result<(), Error> {
        let Form::Template { template, .. } = &self.form else { return Ok(()) };
        template.fill(&template::Value::Text("name".into())).map(drop).map_err(form::refused)
    }

    /// Writes `rows` as the template has them.
    pub(crate) fn filled(&mut self, rows: &[template::Value]) -> Result<(), Error> {
        self.filled_below(rows, &template::Value::Heading(String::new()))
    }

    /// The same, with what a table's heading is made from.
    pub(crate) fn filled_below(&mut self, rows: &[template::Value], heading: &template::Value) -> Result<(), Error> {
        let Form::Template { template, table } = &self.form else { return Ok(()) };
        let lines = rows.iter().map(|row| Ok(form::shown(&template.fill(row)?)));
        let lines: Vec<String> = lines.collect::<Result<_, String>>().map_err(form::refused)?;
        if !table {
            return lines.iter().try_for_each(|line| self.line(line));
        }
        let heading = template.fill(heading).map_err(form::refused)?;
        let headers: Vec<&str> = heading.split('\t').collect();
        let mut table = Table::bare(&headers);
        for line in &lines {
            table.row(line.split('\t').map(str::to_owned).collect());
        }
        self.table(&table, 0)
    }

    /// Writes a table, each line after `indent` blanks.
    pub(crate) fn table(&mut self, table: &Table, indent: usize) -> Result<(), Error> {
        table.lines().iter().try_for_each(|line| self.line(&format!("{:indent$}{line}", "")))
    }

    /// Gets the array at `path` and writes it: as it is, or as a table with a row for each element.
    /// `arrange` may sort the elements of the table or leave some out.
    pub(crate) async fn list<T: Serialize + DeserializeOwned>(
        &mut self,
        path: &str,
        headers: &[&str],
        arrange: impl FnOnce(&mut Vec<T>),
        row: impl Fn(&T) -> Vec<String>,
    ) -> Result<(), Error> {
        if self.form == Form::Json {
            let answer: Value = self.client.get(path).await?;
            return self.data(&answer);
        }
        let mut elements: Vec<T> = self.client.get(path).await?;
        arrange(&mut elements);
        if self.wants_data() {
            let rows: Result<Vec<template::Value>, Error> = elements.iter().map(form::row).collect();
            return self.filled(&rows?);
        }
        let mut table = Table::new(headers);
        elements.iter().for_each(|element| table.row(row(element)));
        self.table(&table, 0)
    }

    /// Writes what a change answered, if data is wanted; tables of changes have no lines.
    pub(crate) fn changed(&mut self, answer: &Value) -> Result<(), Error> {
        if self.wants_data() && !answer.is_null() { self.data(answer) } else { Ok(()) }
    }

    /// Says something that is no part of the answer.
    pub(crate) fn say(&mut self, text: &str) {
        // Where standard error is closed there is nobody to tell.
        let _ = self.out.flush();
        let _ = writeln!(self.err, "{text}");
    }

    /// Says what went wrong, and what helps.
    pub(crate) fn tell(&mut self, error: &Error) {
        if error.is_quiet() {
            return;
        }
        let mut text = format!("error: {}", printable(&error.to_string()));
        if let Some(remedy) = error.remedy() {
            text.push_str("\n  remedy: ");
            text.push_str(&printable(&remedy));
        }
        self.say(&text);
    }

    /// Goes through several objects: the failure of one is told and the rest goes on, but it decides the outcome. False:
    /// it ends here, for what concerns vswitchd and not the object.
    pub(crate) fn survives(&mut self, error: Error, outcome: &mut Result<(), Error>) -> bool {
        let of_object = matches!(error, Error::Client(client::Error::Refused { .. }));
        if of_object {
            self.tell(&error);
        }
        *outcome = Err(if of_object { Error::Told } else { error });
        of_object
    }

    /// Writes out what is buffered.
    pub(crate) fn flush(&mut self) -> Result<(), Error> {
        Ok(self.out.flush()?)
    }

    /// Tells the error that ends the command, and gives its exit status.
    pub(crate) fn end(mut self, error: &Error) -> ExitCode {
        self.tell(error);
        error.exit_code()
    }
}

/// `value` as a `T`; `path` is where it came from.
pub(crate) fn read<T: DeserializeOwned>(path: &str, value: &Value) -> Result<T, Error> {
    T::deserialize(value).map_err(|source| Error::Answer { path: path.to_owned(), source })
}
