//! Where a packet belongs: a connection, an error about one, something new, or nothing that makes sense.
//! Whatever is known of a connection has moved on when this returns.

use std::net::IpAddr;

use wire::{Fragment, Frame, Headers, Layer3, Time, checksum, protocol};

use super::warm;
use crate::conn::{ConnId, State};
use crate::fragment::{self, Datagram, First, Piece};
use crate::tcp::{Segment, Tcp};
use crate::tick::Tick;
use crate::translate::{Icmp, Place, embedded, icmp_kind, ipv4_header_is_sound};
use crate::{Address, Direction, Reason, Tracker, Tuple, Zone};

/// A packet's connection, and its place in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The connection.
    pub conn: ConnId,
    /// Which way the packet goes.
    pub direction: Direction,
    /// The connection's state with this packet.
    pub state: State,
}

/// Where a packet belongs.
#[derive(Clone, Copy, Debug)]
pub enum Tracked {
    /// To no connection yet: decide, then [`Tracker::commit`].
    New(Fresh),
    /// To this connection.
    Known(Hit),
    /// It is an ICMP error about this connection; the direction is that of the error.
    Related(Hit),
    /// It is none that connections are made of: not IP, or talk on one link (neighbour discovery).
    Untracked,
    /// It is a later fragment, and the first has not come: hold it back, or drop it (it is counted).
    Early(Datagram),
    /// It makes no sense; it is counted.
    Invalid(Reason),
}

/// A packet that would begin a connection, as far as one has to remember it.
#[derive(Clone, Copy, Debug)]
pub struct Fresh {
    pub(crate) zone: Zone,
    pub(crate) tuple: Tuple,
    pub(crate) len: u32,
    pub(crate) tcp: Tcp,
    /// The TCP segment, in case somebody else makes the connection first.
    pub(crate) segment: Option<Segment>,
}

impl Fresh {
    /// Who talks to whom, before translation.
    pub fn tuple(&self) -> Tuple {
        self.tuple
    }

    /// Where the packet came from.
    pub fn zone(&self) -> Zone {
        self.zone
    }
}

/// What a packet's tuple was read from.
enum Seen {
    Ends { tuple: Tuple, piece: Option<(Piece, First)> },
    Early(Datagram),
}

impl Tracker {
    /// Says where a packet from `zone` belongs. `frame` is as it arrived, not translated.
    ///
    /// For every packet that no cached flow decides; ICMP, ICMPv6 and fragments always come here, since a flow key does not
    /// hold their identifiers.
    pub fn track(&mut self, now: Time, zone: Zone, frame: &Frame, headers: &Headers) -> Tracked {
        match self.place_of(Tick::of(now), zone, frame, headers) {
            Ok(tracked) => tracked,
            Err(reason) => {
                self.reasons.count(reason);
                Tracked::Invalid(reason)
            }
        }
    }

    /// Whether a TCP or UDP packet from `zone` belongs to a connection, also in fragments, or an ICMP error is about one; not
    /// one that stays in its zone as it is. Nothing here moves it on. Other queries and their answers are not looked up.
    pub fn is_known(&self, now: Time, zone: Zone, frame: &Frame, headers: &Headers) -> bool {
        let find = |tuple: Tuple| {
            let found = self.table.find(zone, &tuple).and_then(|(slot, _)| self.table.at(slot));
            found.is_some_and(|conn| !conn.is_plain())
        };
        if let Some(tuple) = warm::tuple(headers) {
            return find(tuple);
        }
        if headers.fragment == Fragment::Whole {
            return embedded(frame.bytes(), headers).is_some_and(|quoted| find(quoted.tuple.reverse()));
        }
        let address = |ip: Option<IpAddr>| ip.and_then(Address::new);
        let (Some(src), Some(dst)) = (address(headers.key.src()), address(headers.key.dst())) else { return false };
        match self.ends(Tick::of(now), zone, src, dst, frame, headers) {
            Ok(Seen::Ends { tuple, .. }) => find(tuple),
            Ok(Seen::Early(_)) | Err(_) => false,
        }
    }

    /// The datagram that a first fragment begins, for releasing what was held back for it; `None` for any other packet.
    pub fn datagram(&self, zone: Zone, frame: &Frame, headers: &Headers) -> Option<Datagram> {
        if headers.fragment == Fragment::First { self.piece_of(zone, frame, headers) } else { None }
    }

    /// The datagram that a fragment is of; `None` for any other packet.
    pub fn piece_of(&self, zone: Zone, frame: &Frame, headers: &Headers) -> Option<Datagram> {
        if headers.fragment == Fragment::Whole {
            return None;
        }
        let (src, dst) = (Address::new(headers.key.src()?)?, Address::new(headers.key.dst()?)?);
        Some(Piece::read(zone, src, dst, frame.bytes(), headers)?.datagram)
    }

    fn place_of(&mut self, now: Tick, zone: Zone, frame: &Frame, headers: &Headers) -> Result<Tracked, Reason> {
        let bytes = frame.bytes();
        let (Some(src), Some(dst)) = (headers.key.src(), headers.key.dst()) else { return Ok(Tracked::Untracked) };
        let (src, dst) = (Address::new(src).ok_or(Reason::Address)?, Address::new(dst).ok_or(Reason::Address)?);
        if headers.layer3 == Layer3::Ipv4 && !ipv4_header_is_sound(bytes, headers) {
            return Err(Reason::HeaderChecksum);
        }
        let number = headers.key.protocol();
        let mut answer = false;
        if headers.fragment != Fragment::Later && matches!(number, protocol::ICMP | protocol::ICMPV6) {
            let message = bytes.get(usize::from(headers.l4)..headers.end as usize).unwrap_or_default();
            let [kind, ..] = *message.first_chunk::<8>().ok_or(Reason::Short)?;
            match icmp_kind(number, kind) {
                Icmp::Query(_) => {}
                Icmp::Answer(_) => answer = true,
                Icmp::Error => {
                    self.verify(frame, headers)?;
                    return self.related(now, zone, dst, frame, headers);
                }
                Icmp::Link => return Ok(Tracked::Untracked),
                Icmp::Other => return Err(Reason::IcmpType),
            }
        }
        self.verify(frame, headers)?;
        let (tuple, piece) = match self.ends(now, zone, src, dst, frame, headers)? {
            Seen::Ends { tuple, piece } => (tuple, piece),
            Seen::Early(datagram) => {
                self.counters.early_fragments += 1;
                return Ok(Tracked::Early(datagram));
            }
        };
        let later = headers.fragment == Fragment::Later;
        let segment = match number {
            protocol::TCP if !later => Some(Segment::read(bytes, headers).ok_or(Reason::TcpFlags)?),
            _ => None,
        };
        let tracked = match self.known(now, zone, &tuple, segment.as_ref(), frame.len())? {
            Some(hit) => Tracked::Known(hit),
            None if later => return Err(Reason::FragmentOrphan),
            None if answer => return Err(Reason::IcmpAnswer),
            None => {
                let tcp = match &segment {
                    Some(segment) => Tcp::begin(segment, &self.settings)?,
                    None => Tcp::NONE,
                };
                Tracked::New(Fresh { zone, tuple, len: frame.len() as u32, tcp, segment })
            }
        };
        if let Some((piece, first)) = piece {
            self.in_pieces(now, &tracked, piece, first, headers)?;
        }
        Ok(tracked)
    }

    /// Checks the transport checksum, unless the sender's kernel or a device vouches for it.
    fn verify(&self, frame: &Frame, headers: &Headers) -> Result<(), Reason> {
        if !self.settings.verify_checksums || frame.offload.is_trusted() {
            return Ok(());
        }
        match checksum::verify_transport(frame.bytes(), headers) {
            Some(false) => Err(Reason::Checksum),
            _ => Ok(()),
        }
    }

    fn ends(
        &self,
        now: Tick,
        zone: Zone,
        src: Address,
        dst: Address,
        frame: &Frame,
        headers: &Headers,
    ) -> Result<Seen, Reason> {
        let bytes = frame.bytes();
        let number = headers.key.protocol();
        if headers.fragment == Fragment::Later {
            let piece = Piece::read(zone, src, dst, bytes, headers).ok_or(Reason::Short)?;
            let Some(first) = self.fragments.get(now, &piece.datagram) else { return Ok(Seen::Early(piece.datagram)) };
            if piece.offset < u32::from(first.header_len) {
                return Err(Reason::Fragment);
            }
            let First { src_port, dst_port, protocol, .. } = first;
            let tuple = Tuple { src, dst, src_port, dst_port, protocol };
            return Ok(Seen::Ends { tuple, piece: Some((piece, first)) });
        }
        let place = Place::of(frame, headers).ok_or(Reason::Short)?;
        let (src_port, dst_port) = place.ports(bytes);
        let tuple = Tuple { src, dst, src_port, dst_port, protocol: number };
        if headers.fragment == Fragment::Whole {
            return Ok(Seen::Ends { tuple, piece: None });
        }
        let piece = Piece::read(zone, src, dst, bytes, headers).ok_or(Reason::Short)?;
        let header_len = match number {
            protocol::TCP | protocol::UDP => headers.payload.saturating_sub(piece.start),
            _ => headers.l4.saturating_sub(piece.start) + 8,
        };
        let seq = match bytes.get(usize::from(headers.l4) + 4..usize::from(headers.l4) + 8) {
            Some(word) => u32::from_be_bytes([word[0], word[1], word[2], word[3]]),
            None => 0,
        };
        let first =
            First { src_port, dst_port, protocol: number, header_len, base: fragment::base(number, seq, header_len) };
        Ok(Seen::Ends { tuple, piece: Some((piece, first)) })
    }

    /// Remembers a first fragment that is in order; lets TCP know how far a later one reaches.
    fn in_pieces(
        &mut self,
        now: Tick,
        tracked: &Tracked,
        piece: Piece,
        first: First,
        headers: &Headers,
    ) -> Result<(), Reason> {
        if headers.fragment == Fragment::First {
            return self.fragments.insert(now, piece.datagram, first, self.settings.fragment_timeout);
        }
        if first.protocol == protocol::TCP
            && let Tracked::Known(hit) = tracked
            && let Some(conn) = self.table.at_mut(hit.conn.slot)
        {
            let reach = piece.offset + headers.end.saturating_sub(u32::from(headers.l4));
            conn.tcp.extend(hit.direction, first.base.wrapping_add(reach.min(u32::from(u16::MAX))));
        }
        Ok(())
    }

    /// The connection of a packet, moved on by it. `None` if there is none, or the packet begins a new one in its place.
    pub(super) fn known(
        &mut self,
        now: Tick,
        zone: Zone,
        tuple: &Tuple,
        segment: Option<&Segment>,
        len: usize,
    ) -> Result<Option<Hit>, Reason> {
        let Some((slot, direction)) = self.find_live(now, zone, tuple) else { return Ok(None) };
        if let Some(state) = self.advance_slot(now, slot, direction, segment, len)? {
            return Ok(Some(Hit { conn: self.table.id(slot), direction, state }));
        }
        self.remove(slot);
        self.counters.reopened += 1;
        Ok(None)
    }

    /// The connection of a tuple, if it has not been idle for too long.
    pub(super) fn find_live(&mut self, now: Tick, zone: Zone, tuple: &Tuple) -> Option<(u32, Direction)> {
        let (slot, direction) = self.table.find(zone, tuple)?;
        if self.table.at(slot)?.expires <= now {
            self.remove(slot);
            self.counters.expired += 1;
            return None;
        }
        Some((slot, direction))
    }

    /// The connection that an ICMP error is about. It neither keeps it alive nor ends it (RFC 5508 REQ-6, RFC 5382 REQ-10).
    fn related(
        &mut self,
        now: Tick,
        zone: Zone,
        dst: Address,
        frame: &Frame,
        headers: &Headers,
    ) -> Result<Tracked, Reason> {
        let quoted = embedded(frame.bytes(), headers).ok_or(Reason::IcmpQuotation)?;
        // An error goes to whom it says has sent the packet.
        if quoted.tuple.src != dst {
            return Err(Reason::IcmpUnrelated);
        }
        // What is quoted went the other way.
        let (slot, direction) = self.find_live(now, zone, &quoted.tuple.reverse()).ok_or(Reason::IcmpUnrelated)?;
        let state = self.table.at(slot).ok_or(Reason::IcmpUnrelated)?.state();
        self.counters.related += 1;
        Ok(Tracked::Related(Hit { conn: self.table.id(slot), direction, state }))
    }
}
