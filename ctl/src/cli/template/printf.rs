//! Go's `printf` as far as templates use it: `%v %s %d %q %t %x %X %f %%`, with `-`, `0`, `+`, width and precision.

use super::Value;

/// Widest field.
const WIDEST: usize = 1_000;

/// Fills `format` in.
pub(super) fn printf(format: &str, values: &[Value]) -> Result<String, String> {
    let mut out = String::new();
    let mut values = values.iter();
    let mut rest = format;
    while let Some(start) = rest.find('%') {
        out.push_str(&rest[..start]);
        rest = &rest[start + 1..];
        let flags = rest.len() - rest.trim_start_matches(['-', '0', '+', ' ', '#']).len();
        let (flags, after) = rest.split_at(flags);
        let (width, after) = number(after);
        let (precision, after) = match after.strip_prefix('.') {
            Some(after) => {
                let (precision, after) = number(after);
                (Some(precision.unwrap_or(0)), after)
            }
            None => (None, after),
        };
        let verb = after.chars().next().ok_or("% at the end")?;
        rest = &after[verb.len_utf8()..];
        if verb == '%' {
            out.push('%');
            continue;
        }
        let value = values.next().ok_or_else(|| format!("%{verb} has no value"))?;
        let text = one(verb, precision, flags.contains('+'), value)?;
        let missing = width.unwrap_or(0).min(WIDEST).saturating_sub(text.chars().count());
        if flags.contains('-') {
            out.push_str(&text);
            out.push_str(&" ".repeat(missing));
        } else if flags.contains('0') && matches!(value, Value::Int(_) | Value::Float(_)) {
            let (sign, digits) = text.split_at(usize::from(text.starts_with(['-', '+'])));
            out.push_str(sign);
            out.push_str(&"0".repeat(missing));
            out.push_str(digits);
        } else {
            out.push_str(&" ".repeat(missing));
            out.push_str(&text);
        }
    }
    out.push_str(rest);
    if values.next().is_some() {
        return Err(format!("{format:?} has more values than verbs"));
    }
    Ok(out)
}

fn number(text: &str) -> (Option<usize>, &str) {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    (text[..digits].parse().ok(), &text[digits..])
}

fn one(verb: char, precision: Option<usize>, sign: bool, value: &Value) -> Result<String, String> {
    let plus = |text: String| if sign && !text.starts_with('-') { format!("+{text}") } else { text };
    Ok(match (verb, value) {
        (_, Value::Heading(text)) => text.clone(),
        ('v' | 'd', Value::Int(number)) => plus(number.to_string()),
        ('v', value) => value.to_string(),
        ('s', value) => {
            let text = value.to_string();
            precision.map_or(text.clone(), |most| text.chars().take(most).collect())
        }
        ('q', value) => serde_json::Value::String(value.to_string()).to_string(),
        ('t', Value::Bool(value)) => value.to_string(),
        ('x', Value::Int(number)) => format!("{number:x}"),
        ('X', Value::Int(number)) => format!("{number:X}"),
        ('x', Value::Text(text)) => text.bytes().map(|byte| format!("{byte:02x}")).collect(),
        ('f', Value::Float(number)) => plus(format!("{number:.*}", precision.unwrap_or(6).min(WIDEST))),
        _ => return Err(format!("%{verb} is not for {value}")),
    })
}
