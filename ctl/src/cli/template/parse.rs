//! Actions put in their order: what is inside of what.

use std::iter::Peekable;
use std::vec::IntoIter;

use super::Value;
use super::action::{Command, Node, Operand, Pipeline};
use super::call;
use super::lex::{Item, Token, items};

/// How deep blocks and parentheses may lie in each other.
const DEPTH: usize = 64;

/// Reads a template.
pub(super) fn parse(text: &str) -> Result<Vec<Node>, String> {
    let mut reader = Reader { items: items(text)?.into_iter() };
    match reader.block(0, false)? {
        (nodes, None) => Ok(nodes),
        (_, Some(end)) => Err(format!("{{{{{end}}}}} has no if, range or with")),
    }
}

struct Reader {
    items: IntoIter<Item>,
}

impl Reader {
    /// The nodes up to the end of the block, and the `end` or `else ...` that ends it.
    fn block(&mut self, depth: usize, in_range: bool) -> Result<(Vec<Node>, Option<String>), String> {
        if depth > DEPTH {
            return Err("too many blocks in each other".into());
        }
        let mut nodes = Vec::new();
        while let Some(item) = self.items.next() {
            let (text, tokens) = match item {
                Item::Text(text) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Item::Action(text, tokens) => (text, tokens),
            };
            let named = |why: String| format!("{{{{{text}}}}}: {why}");
            let Some(Token::Word(word)) = tokens.first() else {
                nodes.push(Node::Print(pipeline(tokens, 1).map_err(named)?));
                continue;
            };
            let rest = || tokens[1..].to_vec();
            match word.as_str() {
                "if" | "with" => {
                    let with = word == "with";
                    nodes.push(self.branch(with, pipeline(rest(), 1).map_err(named)?, depth, in_range)?);
                }
                "range" => {
                    let over = pipeline(rest(), 2).map_err(named)?;
                    let (body, end) = self.block(depth + 1, true)?;
                    let otherwise = match end.as_deref() {
                        Some("else") => self.last(depth, in_range)?,
                        Some("end") => Vec::new(),
                        _ => return Err(named("its end is missing".into())),
                    };
                    nodes.push(Node::Range { over, body, otherwise });
                }
                "break" | "continue" if !in_range => return Err(named("it is in no range".into())),
                "break" => nodes.push(Node::Break),
                "continue" => nodes.push(Node::Continue),
                "end" | "else" => return Ok((nodes, Some(text))),
                "define" | "template" | "block" => return Err(named("named templates are not understood".into())),
                _ => nodes.push(Node::Print(pipeline(tokens, 1).map_err(named)?)),
            }
        }
        Ok((nodes, None))
    }

    /// What follows `if` or `with`, `else if` included.
    fn branch(&mut self, with: bool, condition: Pipeline, depth: usize, in_range: bool) -> Result<Node, String> {
        let (then, end) = self.block(depth + 1, in_range)?;
        let word = if with { "with" } else { "if" };
        let otherwise = match end.as_deref() {
            Some("end") => Vec::new(),
            Some("else") => self.last(depth, in_range)?,
            Some(end) => {
                let inner = end.strip_prefix("else").unwrap_or(end).trim_start();
                let inner = inner.strip_prefix(word).filter(|inner| inner.starts_with([' ', '(']));
                let inner = inner.ok_or_else(|| format!("{{{{{end}}}}} does not fit {word}"))?;
                let Some(Item::Action(_, tokens)) = items(&format!("{{{{{inner}}}}}"))?.pop() else {
                    return Err(format!("{{{{{end}}}}}: its condition is missing"));
                };
                vec![self.branch(with, pipeline(tokens, 1)?, depth + 1, in_range)?]
            }
            None => return Err(format!("{word}: its end is missing")),
        };
        Ok(Node::If { with, condition, then, otherwise })
    }

    /// The block behind `else`, up to `end`.
    fn last(&mut self, depth: usize, in_range: bool) -> Result<Vec<Node>, String> {
        match self.block(depth + 1, in_range)? {
            (nodes, Some(end)) if end == "end" => Ok(nodes),
            _ => Err("else: its end is missing".into()),
        }
    }
}

/// A whole action as a pipeline that may set up to `most` variables.
fn pipeline(tokens: Vec<Token>, most: usize) -> Result<Pipeline, String> {
    let mut tokens = tokens.into_iter().peekable();
    let pipeline = inner(&mut tokens, most, 0)?;
    match tokens.next() {
        None => Ok(pipeline),
        Some(_) => Err(") without (".into()),
    }
}

type Tokens = Peekable<IntoIter<Token>>;

fn inner(tokens: &mut Tokens, most: usize, depth: usize) -> Result<Pipeline, String> {
    if depth > DEPTH {
        return Err("too many parentheses in each other".into());
    }
    let (variables, declares) = assigned(tokens, most)?;
    let mut commands = vec![command(tokens, depth)?];
    while tokens.next_if_eq(&Token::Pipe).is_some() {
        let next = command(tokens, depth)?;
        if !matches!(next.first, Operand::Function(_) | Operand::Field(_)) {
            return Err("behind | a function is expected".into());
        }
        commands.push(next);
    }
    Ok(Pipeline { variables, declares, commands })
}

/// `$x :=`, `$x =`, `$i, $x :=`: looked for ahead, because `$x` alone is a value.
fn assigned(tokens: &mut Tokens, most: usize) -> Result<(Vec<String>, bool), String> {
    let mut ahead = tokens.clone();
    let mut names = Vec::new();
    while let Some(Token::Variable(name, fields)) = ahead.next() {
        if !fields.is_empty() {
            break;
        }
        names.push(name);
        match ahead.next() {
            Some(Token::Comma) if names.len() < most => {}
            Some(token @ (Token::Declare | Token::Assign)) => {
                *tokens = ahead;
                return Ok((names, token == Token::Declare));
            }
            _ => break,
        }
    }
    Ok((Vec::new(), true))
}

fn command(tokens: &mut Tokens, depth: usize) -> Result<Command, String> {
    let mut operands = Vec::new();
    while let Some(token) = tokens.peek() {
        if matches!(token, Token::Pipe | Token::Close) {
            break;
        }
        let Some(token) = tokens.next() else { break };
        operands.push(operand(token, tokens, depth)?);
    }
    let mut operands = operands.into_iter();
    let first = operands.next().ok_or("a value or a function is missing")?;
    let arguments: Vec<Operand> = operands.collect();
    if !arguments.is_empty() && !matches!(first, Operand::Function(_) | Operand::Field(_)) {
        return Err("arguments behind what is no function".into());
    }
    Ok(Command { first, arguments })
}

fn operand(token: Token, tokens: &mut Tokens, depth: usize) -> Result<Operand, String> {
    Ok(match token {
        Token::Dot => Operand::Dot,
        Token::Field(_, true) => return Err("a field behind ) of nothing".into()),
        Token::Field(fields, false) => Operand::Field(fields),
        Token::Variable(name, fields) => Operand::Variable(name, fields),
        Token::Text(text) => Operand::Constant(Value::Text(text)),
        Token::Int(number) => Operand::Constant(Value::Int(number)),
        Token::Float(number) => Operand::Constant(Value::Float(number)),
        Token::Word(word) => match word.as_str() {
            "true" | "false" => Operand::Constant(Value::Bool(word == "true")),
            "nil" => Operand::Constant(Value::Null),
            name if call::is_known(name) => Operand::Function(word),
            _ => return Err(format!("{word} is no function; there are {}", call::NAMES.join(", "))),
        },
        Token::Open => {
            let group = inner(tokens, 0, depth + 1)?;
            if tokens.next() != Some(Token::Close) {
                return Err("( without )".into());
            }
            let fields = match tokens.next_if(|token| matches!(token, Token::Field(_, true))) {
                Some(Token::Field(fields, _)) => fields,
                _ => Vec::new(),
            };
            Operand::Group(Box::new(group), fields)
        }
        Token::Comma | Token::Declare | Token::Assign | Token::Pipe | Token::Close => {
            return Err("a comma or an assignment is out of place".into());
        }
    })
}
