//! A template's text cut into plain text and the tokens of its actions.

/// A stretch of a template.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Item {
    /// Outside of actions.
    Text(String),
    /// Between `{{` and `}}`: its text, and its tokens.
    Action(String, Vec<Token>),
}

/// A word of an action.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Dot,
    /// `.A.B`; `true` where it follows `)` without a blank.
    Field(Vec<String>, bool),
    Variable(String, Vec<String>),
    Word(String),
    Text(String),
    Int(i128),
    Float(f64),
    Pipe,
    Open,
    Close,
    Comma,
    Declare,
    Assign,
}

/// Cuts `text` up. `{{-` and `-}}` take the blanks beside them away, `{{/* */}}` is nothing.
pub(super) fn items(text: &str) -> Result<Vec<Item>, String> {
    let mut items = Vec::new();
    let mut rest = text;
    let mut trims = false;
    while let Some(start) = rest.find("{{") {
        let mut plain = &rest[..start];
        rest = &rest[start + 2..];
        if trims {
            plain = plain.trim_start();
        }
        let after = rest.strip_prefix('-').filter(|after| after.starts_with(char::is_whitespace));
        if let Some(after) = after {
            plain = plain.trim_end();
            rest = after;
        }
        if !plain.is_empty() {
            items.push(Item::Text(plain.to_owned()));
        }
        let inside = rest;
        let (tokens, length) = match rest.trim_start().strip_prefix("/*") {
            Some(comment) => {
                let end = comment.find("*/").ok_or("a comment has no end: */ is missing")?;
                (None, rest.len() - comment.len() + end + 2)
            }
            None => {
                let (tokens, length) = tokens(rest)?;
                (Some(tokens), length)
            }
        };
        rest = rest[length..].trim_start();
        let dashed = rest.strip_prefix("-}}");
        trims = dashed.is_some();
        rest = dashed.or_else(|| rest.strip_prefix("}}")).ok_or_else(|| format!("{{{{{inside}: }}}} is missing"))?;
        if let Some(tokens) = tokens {
            items.push(Item::Action(inside[..length].trim().to_owned(), tokens));
        }
    }
    let plain = if trims { rest.trim_start() } else { rest };
    if !plain.is_empty() {
        items.push(Item::Text(plain.to_owned()));
    }
    Ok(items)
}

/// The tokens up to the action's end, and how many bytes they take.
fn tokens(text: &str) -> Result<(Vec<Token>, usize), String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        let blank = rest.starts_with(char::is_whitespace);
        rest = rest.trim_start();
        if rest.starts_with("}}") || rest.starts_with("-}}") || rest.is_empty() {
            return Ok((tokens, text.len() - rest.len()));
        }
        let glued = !blank && tokens.last() == Some(&Token::Close);
        let (token, length) = token(rest, glued)?;
        tokens.push(token);
        rest = &rest[length..];
    }
}

fn token(text: &str, glued: bool) -> Result<(Token, usize), String> {
    let first = text.chars().next().unwrap_or_default();
    let simple = [("|", Token::Pipe), ("(", Token::Open), (")", Token::Close), (",", Token::Comma)];
    let more = [(":=", Token::Declare), ("=", Token::Assign)];
    if let Some((word, token)) = simple.into_iter().chain(more).find(|(word, _)| text.starts_with(word)) {
        return Ok((token, word.len()));
    }
    match first {
        '.' if !text[1..].starts_with(|c: char| c.is_ascii_digit()) => {
            let (fields, length) = chain(text);
            Ok(if fields.is_empty() { (Token::Dot, 1) } else { (Token::Field(fields, glued), length) })
        }
        '$' => {
            let name = word(&text[1..]);
            let (fields, length) = chain(&text[1 + name.len()..]);
            Ok((Token::Variable(name.to_owned(), fields), 1 + name.len() + length))
        }
        '"' | '\'' => quoted(text, first),
        '`' => {
            let end = text[1..].find('`').ok_or("a text has no end: ` is missing")?;
            Ok((Token::Text(text[1..1 + end].to_owned()), end + 2))
        }
        '0'..='9' | '.' | '-' | '+' => number(text),
        _ if first.is_alphabetic() || first == '_' => {
            let word = word(text);
            Ok((Token::Word(word.to_owned()), word.len()))
        }
        _ => Err(format!("{first:?} is not expected in an action")),
    }
}

/// `.A.B` and its length; a dot without a name is left.
fn chain(text: &str) -> (Vec<String>, usize) {
    let (mut fields, mut length) = (Vec::new(), 0);
    while let Some(after) = text[length..].strip_prefix('.') {
        let name = word(after);
        if name.is_empty() {
            break;
        }
        fields.push(name.to_owned());
        length += 1 + name.len();
    }
    (fields, length)
}

fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

fn number(text: &str) -> Result<(Token, usize), String> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && !"+-._".contains(c)).unwrap_or(text.len());
    let digits = &text[..end];
    let plain = digits.replace('_', "");
    let int = match plain.strip_prefix("0x") {
        Some(hex) => i128::from_str_radix(hex, 16).ok(),
        None => plain.parse().ok(),
    };
    let token = int.map(Token::Int).or_else(|| plain.parse().ok().map(Token::Float));
    token.map(|token| (token, end)).ok_or_else(|| format!("{digits} is no number"))
}

/// A Go string with its escapes, or a character, which is a number to Go.
fn quoted(text: &str, quote: char) -> Result<(Token, usize), String> {
    let mut content = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, c)) = chars.next() {
        match c {
            _ if c == quote => {
                let token = match (quote, content.chars().next()) {
                    ('\'', Some(one)) if content.chars().count() == 1 => Token::Int(i128::from(u32::from(one))),
                    ('\'', _) => return Err(format!("'{content}' is no character; give a text in \"\"")),
                    _ => Token::Text(content),
                };
                return Ok((token, at + 1));
            }
            '\\' => {
                let Some((at, escape)) = chars.next() else { break };
                let digits = match escape {
                    'x' => 2,
                    'u' => 4,
                    'U' => 8,
                    _ => 0,
                };
                if digits > 0 {
                    let code = text.get(at + 1..at + 1 + digits).and_then(|hex| u32::from_str_radix(hex, 16).ok());
                    let c =
                        code.and_then(char::from_u32).ok_or_else(|| format!("\\{escape} is not followed by a code"))?;
                    content.push(c);
                    chars.by_ref().take(digits).for_each(drop);
                    continue;
                }
                content.push(match escape {
                    'n' => '\n',
                    't' => '\t',
                    'r' => '\r',
                    'a' => '\u{7}',
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    'v' => '\u{b}',
                    '\\' | '"' | '\'' => escape,
                    _ => return Err(format!("\\{escape} is not known in a text")),
                });
            }
            _ => content.push(c),
        }
    }
    Err(format!("a text has no end: {quote} is missing"))
}
