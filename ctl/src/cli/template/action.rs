//! What a template consists of, once read.

use super::Value;

/// A piece of a template.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    /// As it is.
    Text(String),
    /// The pipeline's value, unless it is an assignment.
    Print(Pipeline),
    /// `if` and `with`; `with` makes the value the dot.
    If { with: bool, condition: Pipeline, then: Vec<Node>, otherwise: Vec<Node> },
    /// For each element, else `otherwise`.
    Range { over: Pipeline, body: Vec<Node>, otherwise: Vec<Node> },
    /// Ends the innermost range.
    Break,
    /// Ends the innermost range's body.
    Continue,
}

/// Commands, each of which gets the value of the one before as its last argument.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pipeline {
    /// The variables that get the value: one, or two in a range.
    pub(super) variables: Vec<String>,
    /// `:=`, not `=`.
    pub(super) declares: bool,
    /// One at the least.
    pub(super) commands: Vec<Command>,
}

/// A function with its arguments, or a value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Command {
    pub(super) first: Operand,
    pub(super) arguments: Vec<Operand>,
}

/// A value in a command.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operand {
    /// `.`
    Dot,
    /// `"text"`, `1`, `true`, `nil`
    Constant(Value),
    /// `.A.B`
    Field(Vec<String>),
    /// `$x.A.B`; `$` has no name.
    Variable(String, Vec<String>),
    /// `len`
    Function(String),
    /// `(pipeline).A.B`
    Group(Box<Pipeline>, Vec<String>),
}
