//! The functions of templates: Go's, and those that docker adds.

use std::cmp::Ordering;

use super::Value;
use super::printf::printf;
use crate::cli::form;

/// All functions.
pub(super) const NAMES: [&str; 26] = [
    "and",
    "eq",
    "ge",
    "gt",
    "html",
    "index",
    "join",
    "json",
    "jsonpretty",
    "le",
    "len",
    "lower",
    "lt",
    "ne",
    "not",
    "or",
    "pad",
    "print",
    "printf",
    "println",
    "slice",
    "split",
    "title",
    "truncate",
    "upper",
    "urlquery",
];

/// Whether there is a function of that name.
pub(super) fn is_known(name: &str) -> bool {
    NAMES.contains(&name)
}

/// Calls `name`. In the heading of a table functions hand the heading on.
pub(super) fn call(name: &str, arguments: Vec<Value>) -> Result<Value, String> {
    let heading = arguments.iter().find(|argument| matches!(argument, Value::Heading(_)));
    if let (Some(heading), false) = (heading, matches!(name, "print" | "printf" | "println")) {
        return Ok(heading.clone());
    }
    match (name, arguments.as_slice()) {
        ("print" | "println", _) => Ok(Value::Text(print(&arguments, name == "println"))),
        ("printf", [Value::Text(format), rest @ ..]) => printf(format, rest).map(Value::Text),
        ("not", [value]) => Ok(Value::Bool(!value.holds())),
        ("len", [value]) => length(value),
        ("index", [value, keys @ ..]) => keys.iter().try_fold(value.clone(), index),
        ("slice", [value, bounds @ ..]) => slice(value, bounds),
        ("eq", [first, others @ ..]) if !others.is_empty() => {
            let equal: Result<Vec<bool>, String> =
                others.iter().map(|other| Ok(order(first, other)?.is_eq())).collect();
            Ok(Value::Bool(equal?.contains(&true)))
        }
        ("ne", [a, b]) => Ok(Value::Bool(order(a, b)?.is_ne())),
        ("lt", [a, b]) => Ok(Value::Bool(order(a, b)?.is_lt())),
        ("le", [a, b]) => Ok(Value::Bool(order(a, b)?.is_le())),
        ("gt", [a, b]) => Ok(Value::Bool(order(a, b)?.is_gt())),
        ("ge", [a, b]) => Ok(Value::Bool(order(a, b)?.is_ge())),
        ("json", [value]) => Ok(Value::Text(form::json(&value.json().to_string()))),
        ("jsonpretty", [value]) => {
            let text = serde_json::to_string_pretty(&value.json()).map_err(|error| error.to_string())?;
            Ok(Value::Text(form::json(&text)))
        }
        ("lower", [value]) => Ok(Value::Text(value.to_string().to_lowercase())),
        ("upper", [value]) => Ok(Value::Text(value.to_string().to_uppercase())),
        ("title", [value]) => Ok(Value::Text(title(&value.to_string()))),
        ("join", [Value::List(values), by]) => {
            let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
            Ok(Value::Text(texts.join(&by.to_string())))
        }
        ("join", [Value::Null, _]) => Ok(Value::Null),
        ("split", [value, by]) => {
            let (text, by) = (value.to_string(), by.to_string());
            let parts: Vec<&str> = if by.is_empty() {
                text.split("").filter(|part| !part.is_empty()).collect()
            } else {
                text.split(&by).collect()
            };
            Ok(Value::List(parts.into_iter().map(|part| Value::Text(part.to_owned())).collect()))
        }
        ("pad", [value, Value::Int(before), Value::Int(after)]) => {
            let text = value.to_string();
            let blanks = |count: &i128| " ".repeat(usize::try_from(*count).unwrap_or(0).min(1_000));
            Ok(if text.is_empty() { Value::Text(text) } else { Value::Text(blanks(before) + &text + &blanks(after)) })
        }
        ("truncate", [value, Value::Int(length)]) => {
            Ok(Value::Text(value.to_string().chars().take(usize::try_from(*length).unwrap_or(0)).collect()))
        }
        ("html", _) => Ok(Value::Text(html(&print(&arguments, false)))),
        ("urlquery", _) => Ok(Value::Text(query(&print(&arguments, false)))),
        _ => Err(format!(
            "not for {} argument{} like these",
            arguments.len(),
            if arguments.len() == 1 { "" } else { "s" }
        )),
    }
}

/// Go's `Sprint` puts a blank between two values of which neither is a text, `Sprintln` between all.
fn print(values: &[Value], line: bool) -> String {
    let mut out = String::new();
    let is_text = |value: &Value| matches!(value, Value::Text(_) | Value::Heading(_) | Value::Labels(_));
    for (at, value) in values.iter().enumerate() {
        if at > 0 && (line || !(is_text(value) || is_text(&values[at - 1]))) {
            out.push(' ');
        }
        out.push_str(&value.to_string());
    }
    if line {
        out.push('\n');
    }
    out
}

fn length(value: &Value) -> Result<Value, String> {
    let length = match value {
        Value::Null => 0,
        Value::Text(text) => text.len(),
        Value::List(values) => values.len(),
        Value::Map(map) => map.len(),
        Value::Labels(map) => map.len(),
        other => return Err(format!("{other} has no length")),
    };
    Ok(Value::Int(length as i128))
}

fn index(value: Value, key: &Value) -> Result<Value, String> {
    match (&value, key) {
        (Value::List(values), Value::Int(at)) => {
            let found = usize::try_from(*at).ok().and_then(|at| values.get(at));
            found.cloned().ok_or_else(|| format!("there is no element {at}: there are {}", values.len()))
        }
        (Value::Map(_) | Value::Labels(_) | Value::Record(_) | Value::Part(_), Value::Text(key)) => value.field(key),
        (Value::Null, _) => Ok(Value::Null),
        _ => Err(format!("{value} cannot be indexed by {key}")),
    }
}

fn slice(value: &Value, bounds: &[Value]) -> Result<Value, String> {
    let length = match value {
        Value::Text(text) => text.len(),
        Value::List(values) => values.len(),
        other => return Err(format!("{other} cannot be sliced")),
    };
    let mut range = [0, length];
    for (place, bound) in range.iter_mut().zip(bounds) {
        let Value::Int(bound) = bound else { return Err(format!("{bound} is no place")) };
        *place = usize::try_from(*bound).map_err(|_| format!("{bound} is no place"))?;
    }
    let [from, to] = range;
    let outside = || format!("{from} to {to} is outside: the length is {length}");
    match value {
        Value::Text(text) => text.get(from..to).map(|part| Value::Text(part.to_owned())).ok_or_else(outside),
        Value::List(values) => values.get(from..to).map(|part| Value::List(part.to_vec())).ok_or_else(outside),
        _ => Err(outside()),
    }
}

fn order(a: &Value, b: &Value) -> Result<Ordering, String> {
    // What is not there is the zero of what it is compared with, as in Go's records.
    let zero = |other: &Value| match other {
        Value::Int(_) => Value::Int(0),
        Value::Float(_) => Value::Float(0.0),
        Value::Bool(_) => Value::Bool(false),
        Value::Null => Value::Null,
        _ => Value::Text(String::new()),
    };
    let (a, b) = match (a, b) {
        (Value::Null, b) => (&zero(b), b),
        (a, Value::Null) => (a, &zero(a)),
        both => both,
    };
    let ordered = match (a, b) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
        (Value::Int(a), Value::Float(b)) => (*a as f64).partial_cmp(b),
        (Value::Float(a), Value::Int(b)) => a.partial_cmp(&(*b as f64)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        (Value::Null, Value::Null) => Some(Ordering::Equal),
        (Value::Text(_) | Value::Labels(_), Value::Text(_) | Value::Labels(_)) => {
            Some(a.to_string().cmp(&b.to_string()))
        }
        _ => None,
    };
    ordered.ok_or_else(|| format!("{a} and {b} cannot be compared"))
}

fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut last = ' ';
    for c in text.chars() {
        if last.is_alphanumeric() || last == '_' {
            out.push(c)
        } else {
            out.extend(c.to_uppercase())
        }
        last = c;
    }
    out
}

fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

fn query(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            b' ' => out.push('+'),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}
