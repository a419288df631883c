//! The form in which answers are wanted: tables, JSON, or a template as docker's `--format` has it.

use std::str::FromStr;

use serde::de::value::{Error as Nothing, MapDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Visitor};
use serde::{Serialize, forward_to_deserialize_any};

use super::error::Error;
use super::table::{is_hidden, printable};
use super::template::{Template, Value};

/// The form of answers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Form {
    /// For people.
    Table,
    /// As the API has it.
    Json,
    /// Each element as the template has it; `table`: in columns, cut at tabs, below the names of the fields.
    Template {
        /// What is filled in.
        template: Template,
        /// Whether `table` stands in front.
        table: bool,
    },
}

impl FromStr for Form {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = |text: &str, table| Ok(Self::Template { template: Template::parse(text)?, table });
        match text.strip_prefix("table ") {
            _ if text == "table" => Ok(Self::Table),
            _ if text == "json" => Ok(Self::Json),
            Some(rest) if rest.contains("{{") => read(&unescaped(rest), true),
            None if text.contains("{{") => read(&unescaped(text), false),
            _ => Err("expected table, json, or a template such as '{{.Name}}' or 'table {{.Name}}\\t{{.ID}}'".into()),
        }
    }
}

/// `\t` and `\n`, which shells hand on as they are.
fn unescaped(text: &str) -> String {
    text.replace("\\t", "\t").replace("\\n", "\n")
}

/// JSON in which what a terminal would act on is written as `\\u001b`, which is the same JSON.
pub(crate) fn json(text: &str) -> String {
    let hidden = |c: char| is_hidden(c) && c != '\n';
    if !text.contains(hidden) {
        return text.to_owned();
    }
    text.chars().map(|c| if hidden(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() }).collect()
}

/// What a template made, fit for a terminal; lines and tabs are as the template has them.
pub(crate) fn shown(text: &str) -> String {
    let parts = text.split_inclusive(['\n', '\t']).map(|part| match part.chars().last() {
        Some(end @ ('\n' | '\t')) => printable(&part[..part.len() - 1]) + &end.to_string(),
        _ => printable(part),
    });
    parts.collect()
}

/// What a template sees of an element: all fields that its type has, also those that JSON leaves out when they are empty.
pub(crate) fn row<T: Serialize + DeserializeOwned>(element: &T) -> Result<Value, Error> {
    let json = serde_json::to_value(element).map_err(|error| Error::Output(error.into()))?;
    let mut row = Value::read(&json);
    if let Value::Record(fields) = &mut row {
        for name in names::<T>() {
            if !fields.iter().any(|(field, _)| field == name) {
                fields.push(((*name).to_owned(), Value::Null));
            }
        }
    }
    Ok(row)
}

/// A row in which every field of its type is empty.
pub(crate) fn empty<T: DeserializeOwned>() -> Value {
    Value::Record(names::<T>().iter().map(|name| ((*name).to_owned(), Value::Null)).collect())
}

/// A template that does not fit what it is filled in with.
pub(crate) fn refused(why: String) -> Error {
    Error::Usage { error: format!("--format: {why}"), remedy: "see the fields with --format json".into() }
}

/// The names of a structure's fields, which it tells to whom it is to be read from.
fn names<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut listener = Listener(&[]);
    // Nothing can be read from it: only the question counts.
    let _ = T::deserialize(&mut listener);
    listener.0
}

struct Listener(&'static [&'static str]);

impl<'de> Deserializer<'de> for &mut Listener {
    type Error = Nothing;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Nothing> {
        visitor.visit_map(MapDeserializer::<_, Nothing>::new(std::iter::empty::<(&str, &str)>()))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Nothing> {
        self.0 = fields;
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Port;

    #[test]
    fn a_form_is_a_word_or_a_template() {
        assert_eq!("table".parse(), Ok(Form::Table));
        assert_eq!("json".parse(), Ok(Form::Json));
        assert!(matches!("{{.Name}}".parse(), Ok(Form::Template { table: false, .. })));
        assert!(matches!("table {{.Name}}\\t{{.ID}}".parse(), Ok(Form::Template { table: true, .. })));
        for bad in ["yaml", "", "table x", "{{.Name", "{{nmae}}"] {
            assert!(bad.parse::<Form>().is_err(), "{bad}");
        }
    }

    #[test]
    fn fields_that_are_left_out_are_known() {
        let names = names::<Port>();
        assert!(names.contains(&"vlan") && names.contains(&"name"), "{names:?}");
    }
}
