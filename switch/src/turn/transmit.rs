//! Sending what the engine decided. What a port or the underlay does not take is dropped with its reason: it is never
//! kept, because a frame sent late is worse than a frame lost. Only a port with a rate of its own keeps frames, for a moment.

use std::io;

use port::{Port, SendOutcome, Sent};
use wire::Frame;

use super::Turn;
use crate::police::Offer;
use crate::{DropReason, PortId};

impl Turn {
    /// Sends everything in `out` and empties it.
    pub(super) fn transmit(&mut self) {
        if let Some(helm) = &mut self.helm {
            helm.steer(&mut self.switch);
        }
        self.transmit_frames();
        if !self.out.trains.is_empty() {
            self.transmit_trains();
            self.out.trains.clear();
        }
    }

    fn transmit_frames(&mut self) {
        let mut frames = std::mem::take(&mut self.out.frames);
        for (id, frame) in frames.drain(..) {
            match self.shapers.is_empty() {
                true => self.send(id, frame),
                false => self.shape(id, frame),
            }
        }
        self.out.frames = frames;
    }

    /// Sends a frame now, later, or not at all, by its port's rate.
    fn shape(&mut self, id: PortId, frame: Frame) {
        match self.shapers.offer(self.round, id, frame, &mut self.out.pool) {
            Offer::Pass(frame) => self.send(id, frame),
            Offer::Held => {}
            Offer::Full(frame) => self.lose(id, DropReason::ShaperFull, [frame]),
        }
    }

    /// Gives up frames that were for a port.
    pub(super) fn lose(&mut self, id: PortId, reason: DropReason, frames: impl IntoIterator<Item = Frame>) {
        for frame in frames {
            self.switch.transmitted(id, frame.len(), Err(reason));
            self.out.pool.put(frame);
        }
    }

    /// Sends what has waited for its time.
    pub(super) fn release_shaped(&mut self) {
        while let Some((id, frame)) = self.shapers.due(self.round, &mut self.out.pool) {
            self.send(id, frame);
        }
    }

    pub(super) fn send(&mut self, id: PortId, mut frame: Frame) {
        let len = frame.len();
        let sent = match self.ports.get_mut(&id) {
            Some(Port::Tap(tap)) => {
                let sent = tap.send(&mut frame);
                self.out.pool.put(frame);
                sent
            }
            Some(Port::Xdp(xdp)) => {
                let was_dirty = xdp.is_dirty();
                let sent = xdp.send(frame, &mut self.out.pool);
                if !was_dirty && xdp.is_dirty() {
                    self.kicks.push(id);
                }
                Ok(sent)
            }
            None => {
                self.out.pool.put(frame);
                Ok(Sent::Gone)
            }
        };
        if matches!(sent, Ok(Sent::Gone)) && self.ports.contains_key(&id) {
            self.gone(id);
        }
        self.switch.transmitted(id, len, port_outcome(sent));
    }

    fn transmit_trains(&mut self) {
        let Turn { underlay, switch, out, .. } = self;
        for train in out.trains.iter() {
            for (bytes, segment) in train.sends() {
                let outcome = match underlay {
                    Some(underlay) => {
                        underlay_outcome(underlay.send_marked(train.to, train.entropy, train.ecn, bytes, segment))
                    }
                    None => Err(DropReason::NoUnderlay),
                };
                if let Err(reason) = outcome {
                    switch.lost(reason, bytes.len().div_ceil(segment));
                }
            }
        }
    }
}

fn port_outcome(sent: io::Result<Sent>) -> Result<(), DropReason> {
    match sent {
        Ok(Sent::Done) => Ok(()),
        Ok(Sent::Full) => Err(DropReason::PortFull),
        Ok(Sent::TooBig) => Err(DropReason::PortTooBig),
        Ok(Sent::Down) => Err(DropReason::PortDown),
        Ok(Sent::Gone) => Err(DropReason::PortGone),
        Ok(Sent::Refused) | Err(_) => Err(DropReason::PortRefused),
    }
}

fn underlay_outcome(sent: io::Result<SendOutcome>) -> Result<(), DropReason> {
    match sent {
        Ok(SendOutcome::Done) => Ok(()),
        Ok(SendOutcome::Full) => Err(DropReason::UnderlayFull),
        Ok(SendOutcome::TooBig) => Err(DropReason::UnderlayTooBig),
        Ok(SendOutcome::Unreachable) | Err(_) => Err(DropReason::UnderlayUnreachable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The outcomes that no test can bring about on a real link.
    #[test]
    fn full_queues_and_refusals_have_reasons() {
        assert_eq!(port_outcome(Ok(Sent::Refused)), Err(DropReason::PortRefused));
        assert_eq!(port_outcome(Ok(Sent::Full)), Err(DropReason::PortFull));
        assert_eq!(port_outcome(Ok(Sent::TooBig)), Err(DropReason::PortTooBig));
        assert_eq!(underlay_outcome(Ok(SendOutcome::Full)), Err(DropReason::UnderlayFull));
    }
}
