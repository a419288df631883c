//! Templates filled in.

use super::Value;
use super::action::{Command, Node, Operand, Pipeline};
use super::call;

/// Fills `nodes` in with `dot`.
pub(super) fn run(nodes: &[Node], dot: &Value) -> Result<String, String> {
    let mut run = Run { out: String::new(), variables: vec![(String::new(), dot.clone())] };
    run.nodes(nodes, dot)?;
    Ok(run.out)
}

/// How a block ended.
enum End {
    Through,
    Break,
    Continue,
}

struct Run {
    out: String,
    /// The innermost last; `$` is the one without a name.
    variables: Vec<(String, Value)>,
}

impl Run {
    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<End, String> {
        for node in nodes {
            match self.node(node, dot)? {
                End::Through => {}
                end => return Ok(end),
            }
        }
        Ok(End::Through)
    }

    /// Variables of a block end with it.
    fn block(&mut self, nodes: &[Node], dot: &Value) -> Result<End, String> {
        let known = self.variables.len();
        let end = self.nodes(nodes, dot);
        self.variables.truncate(known);
        end
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<End, String> {
        match node {
            Node::Text(text) => self.out.push_str(text),
            Node::Print(pipeline) => {
                let value = self.set(pipeline, dot)?;
                if pipeline.variables.is_empty() {
                    self.out.push_str(&value.to_string());
                }
            }
            Node::If { with, condition, then, otherwise } => {
                let known = self.variables.len();
                let value = self.set(condition, dot)?;
                let end = match (value.holds(), with) {
                    (false, _) => self.block(otherwise, dot),
                    (true, true) => self.block(then, &value),
                    (true, false) => self.block(then, dot),
                };
                self.variables.truncate(known);
                return end;
            }
            Node::Range { over, body, otherwise } => return self.range(over, body, otherwise, dot),
            Node::Break => return Ok(End::Break),
            Node::Continue => return Ok(End::Continue),
        }
        Ok(End::Through)
    }

    fn range(&mut self, over: &Pipeline, body: &[Node], otherwise: &[Node], dot: &Value) -> Result<End, String> {
        let elements = elements(self.value(over, dot)?)?;
        if elements.is_empty() {
            return self.block(otherwise, dot);
        }
        let known = self.variables.len();
        for (key, element) in elements {
            let values: &[&Value] = if over.variables.len() == 2 { &[&key, &element] } else { &[&element] };
            for (name, value) in over.variables.iter().zip(values) {
                self.assign(name, over.declares, (*value).clone())?;
            }
            let end = self.block(body, &element)?;
            self.variables.truncate(known);
            if matches!(end, End::Break) {
                break;
            }
        }
        Ok(End::Through)
    }

    /// The value of a pipeline, after its variable got it.
    fn set(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value, String> {
        let value = self.value(pipeline, dot)?;
        for name in &pipeline.variables {
            self.assign(name, pipeline.declares, value.clone())?;
        }
        Ok(value)
    }

    fn assign(&mut self, name: &str, declares: bool, value: Value) -> Result<(), String> {
        if declares {
            self.variables.push((name.to_owned(), value));
            return Ok(());
        }
        let known = self.variables.iter_mut().rev().find(|(known, _)| known == name);
        known.ok_or_else(|| format!("${name} is not declared"))?.1 = value;
        Ok(())
    }

    fn value(&self, pipeline: &Pipeline, dot: &Value) -> Result<Value, String> {
        let mut last = None;
        for command in &pipeline.commands {
            last = Some(self.command(command, last, dot)?);
        }
        Ok(last.unwrap_or(Value::Null))
    }

    fn command(&self, command: &Command, last: Option<Value>, dot: &Value) -> Result<Value, String> {
        match &command.first {
            Operand::Function(name) => {
                if let "and" | "or" = name.as_str() {
                    return self.junction(name == "and", &command.arguments, last, dot);
                }
                let arguments = command.arguments.iter().map(|operand| self.operand(operand, dot));
                let arguments: Result<Vec<Value>, String> = arguments.chain(last.map(Ok)).collect();
                call::call(name, arguments?).map_err(|why| format!("{name}: {why}"))
            }
            // Docker's only method with an argument.
            Operand::Field(path) if !command.arguments.is_empty() || last.is_some() => match path.as_slice() {
                [before @ .., method] if method == "Label" => {
                    let labels = follow(dot.clone(), before)?;
                    let labels = if let Value::Heading(_) = labels { labels } else { labels.field("Labels")? };
                    let argument = command.arguments.first().map(|operand| self.operand(operand, dot)).transpose()?;
                    let key = argument.or(last).unwrap_or(Value::Null).to_string();
                    if let Value::Heading(_) = labels {
                        // As docker has it: the last word of the key.
                        let word = key.rsplit('.').next().unwrap_or_default();
                        return Ok(Value::Heading(word.replace(['-', '_'], " ")));
                    }
                    labels.field(&key)
                }
                _ => Err(format!(".{} takes no arguments", path.join("."))),
            },
            other => self.operand(other, dot),
        }
    }

    /// `and` and `or` look no further than they must.
    fn junction(&self, is_and: bool, all: &[Operand], last: Option<Value>, dot: &Value) -> Result<Value, String> {
        let mut value = None;
        for argument in all.iter().map(|operand| self.operand(operand, dot)).chain(last.map(Ok)) {
            let argument = argument?;
            let decided = argument.holds() != is_and;
            value = Some(argument);
            if decided {
                break;
            }
        }
        value.ok_or_else(|| "and, or: arguments are missing".into())
    }

    fn operand(&self, operand: &Operand, dot: &Value) -> Result<Value, String> {
        match operand {
            Operand::Dot => Ok(dot.clone()),
            Operand::Constant(value) => Ok(value.clone()),
            Operand::Field(path) => follow(dot.clone(), path),
            Operand::Variable(name, path) => {
                let known = self.variables.iter().rev().find(|(known, _)| known == name);
                follow(known.ok_or_else(|| format!("${name} is not declared"))?.1.clone(), path)
            }
            Operand::Function(name) => call::call(name, Vec::new()).map_err(|why| format!("{name}: {why}")),
            Operand::Group(pipeline, path) => follow(self.value(pipeline, dot)?, path),
        }
    }
}

fn follow(value: Value, path: &[String]) -> Result<Value, String> {
    path.iter().try_fold(value, |value, name| value.field(name))
}

/// Keys and values, in the order of the keys.
fn elements(value: Value) -> Result<Vec<(Value, Value)>, String> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::List(values) => {
            Ok(values.into_iter().enumerate().map(|(at, value)| (Value::Int(at as i128), value)).collect())
        }
        Value::Map(map) => Ok(map.into_iter().map(|(key, value)| (Value::Text(key), value)).collect()),
        Value::Labels(map) => Ok(map.into_iter().map(|(key, value)| (Value::Text(key), Value::Text(value))).collect()),
        heading @ Value::Heading(_) => Ok(vec![(heading.clone(), heading)]),
        other => Err(format!("range over {other}, which has no elements")),
    }
}
