//! The topologies, built when the first case needs them and kept for the following ones.

use anyhow::Result;
use tests::Lab;

use crate::topology::{Edge, Model, Pair, Side, kernel, ours};

/// What exists so far.
pub(crate) struct Worlds<'a> {
    lab: &'a Lab,
    local: Option<Pair<Side>>,
    tunnel: Option<Pair<Side>>,
    edge: Option<Pair<Edge>>,
}

impl<'a> Worlds<'a> {
    /// Nothing yet.
    pub(crate) fn new(lab: &'a Lab) -> Worlds<'a> {
        Worlds { lab, local: None, tunnel: None, edge: None }
    }

    /// Two containers of one host.
    pub(crate) fn local(&mut self) -> Result<&Pair<Side>> {
        let pair = match self.local.take() {
            Some(pair) => pair,
            None => Pair { kernel: kernel::local(self.lab)?, ours: ours::local(self.lab)? },
        };
        Ok(self.local.insert(pair))
    }

    /// Two hosts with a container each, over an underlay of this kind.
    pub(crate) fn tunnel(&mut self, model: Model) -> Result<&Pair<Side>> {
        let pair = match self.tunnel.take() {
            Some(pair) => pair,
            None => Pair { kernel: kernel::tunnel(self.lab)?, ours: ours::tunnel(self.lab)? },
        };
        model.impose(&pair.kernel)?;
        model.impose(&pair.ours)?;
        Ok(self.tunnel.insert(pair))
    }

    /// A container, and the outside of its host.
    pub(crate) fn edge(&mut self) -> Result<&Pair<Edge>> {
        let pair = match self.edge.take() {
            Some(pair) => pair,
            None => Pair { kernel: kernel::edge(self.lab)?, ours: ours::edge(self.lab)? },
        };
        Ok(self.edge.insert(pair))
    }
}
