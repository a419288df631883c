//! The topologies, built when the first case needs them, kept while a later one does, and gone then: who is not measured does
//! not run.

use anyhow::{Result, anyhow};
use tests::Lab;

use crate::cases::{Case, Kind};
use crate::peer::Peer;
use crate::topology::{Edge, Model, Side, docker, kernel, ours, ovs};

/// A side of a comparison: ours, or a peer's.
pub(crate) type Who = Option<Peer>;

/// What exists so far.
pub(crate) struct Worlds<'a> {
    lab: &'a Lab,
    local: Sides<Side>,
    xdp: Sides<Side>,
    tunnel: Sides<Side>,
    edge: Sides<Edge>,
}

impl<'a> Worlds<'a> {
    /// Nothing yet.
    pub(crate) fn new(lab: &'a Lab) -> Worlds<'a> {
        Worlds {
            lab,
            local: Sides(Vec::new()),
            xdp: Sides(Vec::new()),
            tunnel: Sides(Vec::new()),
            edge: Sides(Vec::new()),
        }
    }

    /// Two containers of one host, by everyone that the case names.
    pub(crate) fn local(&mut self, case: &Case) -> &Sides<Side> {
        let lab = self.lab;
        self.local.provide(case, |who| match who {
            None => ours::local(lab),
            Some(Peer::OvsTso) => ovs::on_veth(lab),
            Some(Peer::OvsTsoTap) => ovs::on_tap(lab),
            Some(_) => kernel::local(lab),
        })
    }

    /// Two containers of one host on AF_XDP ports; the kernel's bridge as it is.
    pub(crate) fn xdp(&mut self, case: &Case) -> &Sides<Side> {
        let lab = self.lab;
        self.xdp.provide(case, |who| match who {
            None => ours::xdp(lab),
            Some(Peer::OvsAfxdp) => ovs::on_afxdp(lab),
            Some(_) => kernel::beside_xdp(lab),
        })
    }

    /// Two hosts with a container each, over an underlay of this kind.
    pub(crate) fn tunnel(&mut self, case: &Case, model: Model) -> Result<&Sides<Side>> {
        let lab = self.lab;
        let sides = self.tunnel.provide(case, |who| match who {
            None => ours::tunnel(lab),
            Some(Peer::Docker) => docker::overlay(lab),
            Some(_) => kernel::tunnel(lab),
        });
        sides.all().try_for_each(|side| model.impose(side))?;
        Ok(sides)
    }

    /// A container, and the outside of its host.
    pub(crate) fn edge(&mut self, case: &Case) -> &Sides<Edge> {
        let lab = self.lab;
        self.edge.provide(case, |who| match who {
            None => ours::edge(lab),
            Some(Peer::Docker) => docker::edge(lab),
            Some(_) => kernel::edge(lab),
        })
    }

    /// Takes down what none of these cases needs.
    pub(crate) fn keep_for(&mut self, cases: &[&Case]) {
        self.local.keep_for(cases, |kind| matches!(kind, Kind::Local(_)));
        self.xdp.keep_for(cases, |kind| matches!(kind, Kind::Xdp(_)));
        self.tunnel.keep_for(cases, |kind| matches!(kind, Kind::Tunnel(..)));
        self.edge.keep_for(cases, |kind| matches!(kind, Kind::Edge(_)));
    }
}

/// The sides of one kind of topology, or why one cannot be had.
pub(crate) struct Sides<S>(Vec<(Who, Result<S, String>)>);

impl<S> Sides<S> {
    /// The side, if it could be set up.
    pub(crate) fn get(&self, who: Who) -> Result<&S> {
        let (_, side) = self.0.iter().find(|(known, _)| *known == who).ok_or_else(|| anyhow!("it was not set up"))?;
        side.as_ref().map_err(|reason| anyhow!("cannot be set up here: {reason}"))
    }

    fn all(&self) -> impl Iterator<Item = &S> {
        self.0.iter().filter_map(|(_, side)| side.as_ref().ok())
    }

    fn provide(&mut self, case: &Case, make: impl Fn(Who) -> Result<S>) -> &Sides<S> {
        for who in everyone(case) {
            if !self.0.iter().any(|(known, _)| *known == who) {
                self.0.push((who, make(who).map_err(|error| format!("{error:#}"))));
            }
        }
        self
    }

    fn keep_for(&mut self, cases: &[&Case], mine: impl Fn(Kind) -> bool) {
        let needed = |who| cases.iter().any(|case| mine(case.kind) && everyone(case).any(|wanted| wanted == who));
        self.0.retain(|(who, _)| needed(*who));
    }
}

/// Ours first, then the case's peers.
pub(crate) fn everyone(case: &Case) -> impl Iterator<Item = Who> {
    std::iter::once(None).chain(case.peers.iter().map(|(peer, _)| Some(*peer)))
}
