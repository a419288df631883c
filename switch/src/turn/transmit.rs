//! Sending what the engine decided. What a port or the underlay does not take is dropped with its reason: it is never
//! kept, because a frame sent late is worse than a frame lost.

use port::{SendOutcome, Sent};

use super::Turn;
use crate::DropReason;

impl Turn {
    /// Sends everything in `out` and empties it.
    pub(super) fn transmit(&mut self) {
        self.transmit_frames();
        if !self.out.trains.is_empty() {
            self.transmit_trains();
            self.out.trains.clear();
        }
    }

    fn transmit_frames(&mut self) {
        let mut frames = std::mem::take(&mut self.out.frames);
        for (id, mut frame) in frames.drain(..) {
            let sent = self.taps.get_mut(&id).map(|tap| tap.send(&mut frame));
            let outcome = match sent {
                Some(Ok(Sent::Done)) => Ok(()),
                Some(Ok(Sent::Full)) => Err(DropReason::PortFull),
                Some(Ok(Sent::Down)) => Err(DropReason::PortDown),
                Some(Ok(Sent::Refused) | Err(_)) => Err(DropReason::PortRefused),
                Some(Ok(Sent::Gone)) => {
                    self.gone(id);
                    Err(DropReason::PortGone)
                }
                None => Err(DropReason::PortGone),
            };
            self.switch.transmitted(id, frame.len(), outcome);
            self.out.pool.put(frame);
        }
        self.out.frames = frames;
    }

    fn transmit_trains(&mut self) {
        let Turn { underlay, switch, out, .. } = self;
        for train in out.trains.iter() {
            for (bytes, segment) in train.sends() {
                let outcome = match underlay {
                    Some(underlay) => underlay.send_marked(train.to, train.entropy, train.ecn, bytes, segment),
                    None => {
                        switch.lost(DropReason::NoUnderlay, bytes.len().div_ceil(segment));
                        continue;
                    }
                };
                let reason = match outcome {
                    Ok(SendOutcome::Done) => continue,
                    Ok(SendOutcome::Full) => DropReason::UnderlayFull,
                    Ok(SendOutcome::TooBig) => DropReason::UnderlayTooBig,
                    Ok(SendOutcome::Unreachable) | Err(_) => DropReason::UnderlayUnreachable,
                };
                switch.lost(reason, bytes.len().div_ceil(segment));
            }
        }
    }
}
