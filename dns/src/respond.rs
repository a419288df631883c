//! What is said to a query: answers about the names of the asker's networks, refusals, or that somebody else is to be asked.
//!
//! A name that one of the networks has is never asked for elsewhere, whatever the type. Names of other networks are not known.

use std::net::IpAddr;

use crate::known::{Outcome, Question, Scratch};
use crate::name::Name;
use crate::names::Names;
use crate::query::{Fault, Query};
use crate::reply::{IN, Rcode, Reply, fail_bare};
use crate::{LONGEST_UDP, kind};

/// Longest answer over TCP, in bytes: its length is sent as a word.
const LONGEST_TCP: usize = 65_535;

/// What a client may know.
#[derive(Clone, Copy, Debug)]
pub struct View<N, C> {
    /// The names of its networks; the first that knows a name answers.
    pub networks: N,
    /// Whether an address belongs to one of its networks, so that nobody else is asked whose it is.
    pub covers: C,
    /// Whether it may ask for names of the outside.
    pub forwards: bool,
}

/// How a query came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// In a datagram; the answer has room for so many bytes.
    Udp {
        /// Longest message that fits the link, in bytes.
        room: usize,
    },
    /// In a stream.
    Tcp,
}

impl Transport {
    fn limit(self, query: &Query<'_>) -> usize {
        match self {
            Transport::Udp { room } => query.takes().min(LONGEST_UDP).min(room),
            Transport::Tcp => LONGEST_TCP,
        }
    }
}

/// What is to be done about a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Response<'a> {
    /// Send this: it is known here.
    Answer(&'a [u8]),
    /// Send this: the client may not ask that, or makes no sense.
    Refused(&'a [u8]),
    /// Ask somebody else.
    Forward {
        /// Longest answer that the client can be sent, in bytes; see [`crate::truncate`].
        limit: usize,
    },
    /// Say nothing: that was no query.
    Ignore,
}

/// Answers queries. Keeps the memory that it needs for that.
#[derive(Debug)]
pub struct Responder {
    scratch: Scratch,
    out: Vec<u8>,
}

impl Responder {
    /// A responder; `seed` decides about the order of answers.
    pub fn new(seed: u64) -> Responder {
        Responder { scratch: Scratch::new(seed), out: Vec::with_capacity(1_500) }
    }

    /// What is to be done about a query that came by `transport` from who has that view.
    pub fn respond<'a, N, C>(&mut self, query: &[u8], transport: Transport, view: &View<N, C>) -> Response<'_>
    where
        N: Iterator<Item = &'a Names> + Clone,
        C: Fn(IpAddr) -> bool,
    {
        let query = match Query::parse(query) {
            Ok(query) => query,
            Err(Fault::Silent) => return Response::Ignore,
            Err(Fault::Says(rcode)) => {
                fail_bare(query, rcode, &mut self.out);
                return Response::Refused(&self.out);
            }
        };
        let limit = transport.limit(&query);
        let refusal = match query.edns {
            Some(edns) if edns.version != 0 => Some(Rcode::BadVersion),
            // A transfer of what is not a zone; a class that has no names here.
            _ if matches!(query.kind, kind::AXFR | kind::IXFR) || query.class != IN => Some(Rcode::Refused),
            _ => None,
        };
        if let Some(rcode) = refusal {
            return self.refuse(&query, limit, view.forwards, rcode);
        }
        if Name::from_labels(query.labels).is_some_and(|name| self.answer(&query, name.labels(), limit, view)) {
            return Response::Answer(&self.out);
        }
        match view.forwards {
            true => Response::Forward { limit },
            false => self.refuse(&query, limit, false, Rcode::Refused),
        }
    }

    fn refuse(&mut self, query: &Query<'_>, limit: usize, forwards: bool, rcode: Rcode) -> Response<'_> {
        Reply::begin(&mut self.out, query, limit, forwards).finish(rcode);
        Response::Refused(&self.out)
    }

    /// Answers, if the name is known here.
    fn answer<'a, N, C>(&mut self, query: &Query<'_>, name: &[u8], limit: usize, view: &View<N, C>) -> bool
    where
        N: Iterator<Item = &'a Names> + Clone,
        C: Fn(IpAddr) -> bool,
    {
        let mut reply = Reply::begin(&mut self.out, query, limit, view.forwards);
        let question = Question { kind: query.kind, name, limit };
        let Some(outcome) = question.answer(&mut reply, view, &mut self.scratch) else { return false };
        reply.authoritative();
        let rcode = match outcome {
            Outcome::Records => Rcode::NoError,
            Outcome::Nothing => {
                reply.authority();
                Rcode::NoError
            }
            Outcome::NoSuchName => {
                reply.authority();
                Rcode::NoSuchName
            }
        };
        reply.finish(rcode);
        true
    }
}
