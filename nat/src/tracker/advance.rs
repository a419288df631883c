//! A packet of a known connection: state, window, timer, counters. This is what every packet costs, so it does no look-up.

use wire::{Frame, Headers, Time, checksum, protocol};

use crate::conn::{ConnId, State};
use crate::tcp::{Held, Segment, Step};
use crate::tick::Tick;
use crate::{Direction, Reason, TcpState, Tracker};

/// What comes of a packet of a cached flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advance {
    /// It passes.
    Pass(State),
    /// It does not; it is counted.
    Invalid(Reason),
    /// The connection is gone, was idle for too long, or this packet begins another: take [`Tracker::track`].
    Again,
}

impl Tracker {
    /// Takes a packet of a cached flow into account. `frame` is as it arrived, not translated.
    ///
    /// Checksums are verified only where a packet opens or closes a connection: what a wrong one could do else is little,
    /// and its receiver will drop it.
    #[inline]
    pub fn advance(
        &mut self,
        now: Time,
        conn: ConnId,
        direction: Direction,
        frame: &Frame,
        headers: &Headers,
    ) -> Advance {
        let now = Tick::of(now);
        let Some(known) = self.table.get(conn).filter(|conn| now < conn.expires) else { return Advance::Again };
        let outcome = if known.protocol() == protocol::TCP {
            match Segment::read(frame.bytes(), headers) {
                None => Err(Reason::TcpFlags),
                Some(segment) if self.is_spoilt(&segment, frame, headers) => Err(Reason::Checksum),
                Some(segment) => self.advance_slot(now, conn.slot, direction, Some(&segment), frame.len()),
            }
        } else {
            self.advance_slot(now, conn.slot, direction, None, frame.len())
        };
        match outcome {
            Ok(Some(state)) => Advance::Pass(state),
            Ok(None) => Advance::Again,
            Err(reason) => {
                self.reasons.count(reason);
                Advance::Invalid(reason)
            }
        }
    }

    fn is_spoilt(&self, segment: &Segment, frame: &Frame, headers: &Headers) -> bool {
        segment.changes_state()
            && self.settings.verify_checksums
            && !frame.offload.is_trusted()
            && checksum::verify_transport(frame.bytes(), headers) == Some(false)
    }

    /// Moves a connection on. `None` if the packet begins another one in its place; then nothing changed.
    pub(super) fn advance_slot(
        &mut self,
        now: Tick,
        slot: u32,
        direction: Direction,
        segment: Option<&Segment>,
        len: usize,
    ) -> Result<Option<State>, Reason> {
        let settings = &self.settings;
        let Some(conn) = self.table.at_mut(slot) else { return Ok(None) };
        let was_open = matches!(conn.tcp.state, TcpState::SynRecv | TcpState::Established);
        let replied = conn.is_replied();
        let step = match segment {
            Some(segment) => {
                let held = Held { replied, assured: conn.is_assured() || conn.is_closed() };
                conn.tcp.step(direction, segment, held, settings)
            }
            None => Step::Pass,
        };
        match step {
            Step::Pass | Step::Ignored => {}
            Step::Reopen => return Ok(None),
            Step::Invalid(reason) => return Err(reason),
            Step::Diverged(reason) => {
                conn.expires = conn.expires.min(now.after(settings.timers.tcp_unacknowledged));
                return Err(reason);
            }
        }
        let traffic = &mut conn.traffic[direction as usize];
        traffic.frames += 1;
        traffic.bytes += len as u64;
        if direction == Direction::Reply {
            conn.set_replied();
        }
        let state = conn.state();
        if step == Step::Ignored {
            return Ok(Some(state));
        }
        if settings.forget_refused && !replied && segment.is_some_and(|segment| segment.rst) {
            // Nobody wants this connection: as good as never begun.
            conn.expires = now;
        } else if conn.is_refreshed_by(direction, settings) {
            conn.expires = now.after(conn.timeout(replied, now, settings));
        }
        if replied && conn.earns_assurance(was_open, now) {
            self.zones.assure(&mut self.table, slot);
        } else if conn.has_ended() {
            self.zones.close(&mut self.table, slot);
        }
        Ok(Some(state))
    }
}
