//! The part of Go's text/template that `--format` of docker is used with: fields, pipelines, variables, `if`, `range`,
//! `with`, the built-in functions and docker's own. No named templates. Knows nothing of the API.
//!
//! Invariant: a template that parses ends for every value, with text or with a reason.

mod action;
mod call;
mod lex;
mod parse;
mod printf;
mod run;
#[cfg(test)]
mod tests;
mod value;

pub(crate) use value::{Value, is_same};

/// A template that can be filled in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Template {
    nodes: Vec<action::Node>,
}

impl Template {
    /// Reads the text of a template.
    ///
    /// # Errors
    /// Says which action makes no sense, and why.
    pub(crate) fn parse(text: &str) -> Result<Template, String> {
        Ok(Template { nodes: parse::parse(text)? })
    }

    /// Fills it in with `dot`.
    ///
    /// # Errors
    /// Says which field or function is not there, or not for that.
    pub(crate) fn fill(&self, dot: &Value) -> Result<String, String> {
        run::run(&self.nodes, dot)
    }
}
