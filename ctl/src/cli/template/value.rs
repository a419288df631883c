//! Values that templates see: JSON, with the difference that Go makes between a record's fields and a map's keys.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use serde_json::Value as Json;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// Not there; prints nothing.
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    List(Vec<Value>),
    /// Keys are data: any may be asked for.
    Map(BTreeMap<String, Value>),
    /// Labels, which docker's lists print as `k=v,k=v`.
    Labels(BTreeMap<String, String>),
    /// Fields are fixed: one that is not there is a slip.
    Record(Vec<(String, Value)>),
    /// Inside of another: a field that is not there may be one that was left out because it is empty.
    Part(Vec<(String, Value)>),
    /// Stands for a whole row in the heading of a table: a field's value is the field's name.
    Heading(String),
}

/// Fields whose objects are maps; all other objects are records.
const MAPS: [&str; 6] = ["labels", "options", "counters", "auxaddresses", "auxiliaryaddresses", "containers"];

/// A name without what differs between Go's and JSON's style.
fn folded(name: &str) -> impl Iterator<Item = char> + '_ {
    name.chars().filter(|c| !matches!(c, '_' | '-')).map(|c| c.to_ascii_lowercase())
}

/// Whether two names differ in style only: `RxBytes` and `rx_bytes`.
pub(crate) fn is_same(a: &str, b: &str) -> bool {
    folded(a).eq(folded(b))
}

impl Value {
    /// What `json` is.
    pub(crate) fn read(json: &Json) -> Value {
        match Value::under("", json) {
            Value::Part(fields) => Value::Record(fields),
            other => other,
        }
    }

    fn under(field: &str, json: &Json) -> Value {
        match json {
            Json::Null => Value::Null,
            Json::Bool(value) => Value::Bool(*value),
            Json::Number(number) => {
                let int = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
                int.map_or_else(|| Value::Float(number.as_f64().unwrap_or_default()), Value::Int)
            }
            Json::String(value) => Value::Text(value.clone()),
            Json::Array(values) => Value::List(values.iter().map(|value| Value::under("", value)).collect()),
            Json::Object(fields) if MAPS.iter().any(|name| is_same(name, field)) => {
                Value::Map(fields.iter().map(|(key, value)| (key.clone(), Value::under("", value))).collect())
            }
            Json::Object(fields) => {
                let field = |(name, value): (&String, &Json)| (name.clone(), Value::under(name, value));
                Value::Part(fields.iter().map(field).collect())
            }
        }
    }

    /// As JSON, which docker's `json` prints.
    pub(crate) fn json(&self) -> Json {
        match self {
            Value::Null => Json::Null,
            Value::Bool(value) => Json::Bool(*value),
            Value::Int(value) => {
                i64::try_from(*value).map_or_else(|_| u64::try_from(*value).map_or(Json::Null, Json::from), Json::from)
            }
            Value::Float(value) => Json::from(*value),
            Value::Text(_) | Value::Labels(_) | Value::Heading(_) => Json::String(self.to_string()),
            Value::List(values) => Json::Array(values.iter().map(Value::json).collect()),
            Value::Map(map) => map.iter().map(|(key, value)| (key.clone(), value.json())).collect(),
            Value::Record(fields) | Value::Part(fields) => {
                fields.iter().map(|(name, value)| (name.clone(), value.json())).collect()
            }
        }
    }

    /// What `if` asks: neither false, nor zero, nor empty.
    pub(crate) fn holds(&self) -> bool {
        match self {
            Value::Null => false,
            Value::Bool(value) => *value,
            Value::Int(value) => *value != 0,
            Value::Float(value) => *value != 0.0,
            Value::Text(text) => !text.is_empty(),
            Value::List(values) => !values.is_empty(),
            Value::Map(map) => !map.is_empty(),
            Value::Labels(map) => !map.is_empty(),
            Value::Record(_) | Value::Part(_) | Value::Heading(_) => true,
        }
    }

    /// The field or key `name`; a map's missing key is nothing, a record's is refused.
    pub(crate) fn field(&self, name: &str) -> Result<Value, String> {
        match self {
            Value::Null => Ok(Value::Null),
            Value::Map(map) => Ok(map.get(name).cloned().unwrap_or(Value::Null)),
            Value::Labels(map) => Ok(map.get(name).map_or(Value::Null, |value| Value::Text(value.clone()))),
            Value::Heading(_) => Ok(Value::Heading(heading(name))),
            Value::Record(fields) | Value::Part(fields) => {
                let exact = fields.iter().find(|(field, _)| field == name);
                let found = exact.or_else(|| fields.iter().find(|(field, _)| is_same(field, name)));
                let found = found.map(|(_, value)| value.clone());
                let left_out = matches!(self, Value::Part(_)).then_some(Value::Null);
                found.or(left_out).ok_or_else(|| {
                    let all: Vec<&str> = fields.iter().map(|(field, _)| field.as_str()).collect();
                    format!(".{name} is not there; there are {}", all.join(", "))
                })
            }
            other => Err(format!(".{name} of {other}, which has no fields")),
        }
    }

    /// As one value of several: texts as they are at the top, `<nil>` for nothing inside.
    fn inside(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if *self == Value::Null { f.write_str("<nil>") } else { write!(f, "{self}") }
    }
}

/// `RX BYTES` for `RxBytes` and `rx_bytes`, `NETWORK ID` for `NetworkID`.
fn heading(name: &str) -> String {
    let mut words = String::new();
    let mut last = ' ';
    for c in name.chars() {
        if c == '_' {
            words.push(' ');
        } else {
            if c.is_uppercase() && last.is_lowercase() {
                words.push(' ');
            }
            words.extend(c.to_uppercase());
        }
        last = c;
    }
    words
}

/// As Go prints it with `%v`.
impl Display for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let joined = |f: &mut Formatter<'_>, open: &str, values: &mut dyn Iterator<Item = (Option<&str>, &Value)>| {
            f.write_str(open)?;
            for (at, (key, value)) in values.enumerate() {
                if at > 0 {
                    f.write_str(" ")?;
                }
                if let Some(key) = key {
                    write!(f, "{key}:")?;
                }
                value.inside(f)?;
            }
            f.write_str(if open == "{" { "}" } else { "]" })
        };
        match self {
            Value::Null => Ok(()),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Int(value) => write!(f, "{value}"),
            Value::Float(value) => write!(f, "{value}"),
            Value::Text(text) | Value::Heading(text) => f.write_str(text),
            Value::List(values) => joined(f, "[", &mut values.iter().map(|value| (None, value))),
            Value::Map(map) => joined(f, "map[", &mut map.iter().map(|(key, value)| (Some(key.as_str()), value))),
            Value::Record(fields) | Value::Part(fields) => {
                joined(f, "{", &mut fields.iter().map(|(_, value)| (None, value)))
            }
            Value::Labels(map) => {
                let pairs: Vec<String> = map.iter().map(|(key, value)| format!("{key}={value}")).collect();
                f.write_str(&pairs.join(","))
            }
        }
    }
}
