//! A scheduler over bytes: its requests as paths, and the answers of the API server as objects.

mod body;

use crate::call::{Command, Request, RequestId, Resource};
use crate::failure::{ApiFailure, Via};
use crate::name::PodName;
use crate::observed::{Object, Observed};
use crate::reflector::Reflector;
use crate::registry::WaitId;
use crate::table::{Table, pop};
use alloc::collections::{BTreeSet, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use body::Body;
use podwait_core::Instant;
use podwait_wire::{ACCEPT, DecodeError, Encoding, Event, Item};

pub use body::ResponseHead;

/// An object that can be read from the answers of an API server.
pub(crate) trait Readable: Object {
    /// The resource to ask for.
    const RESOURCE: Resource;

    /// Reads the answer to a GET. With `keeps_json` the object keeps its text.
    fn of_bytes(encoding: Encoding, bytes: Vec<u8>, keeps_json: bool) -> Result<Self, DecodeError>;

    /// Reads the item of a LIST.
    fn of_item(item: &Item<'_>, keeps_json: bool) -> Result<Self, DecodeError>;

    /// Reads the object of a watch event.
    fn of_event(event: &Event<'_>, keeps_json: bool) -> Result<Self, DecodeError>;

    /// `metadata.namespace`; may be empty.
    fn namespace(&self) -> &str;

    /// `metadata.name`
    fn name(&self) -> &str;

    /// Reads the answer to a GET of this object.
    ///
    /// # Errors
    /// The answer cannot be read, or is about another object.
    fn of_answer(
        asked: &PodName,
        encoding: Encoding,
        bytes: Vec<u8>,
        keeps_json: bool,
    ) -> Result<Self, ApiFailure> {
        body::of_answer(asked, encoding, bytes, keeps_json)
    }
}

/// Takes the deliveries of a scheduler, one after the other.
pub(crate) trait Sink<O> {
    /// A delivery for a wait. Calls [`Reflector::want`] or [`Reflector::leave`] for the wait.
    fn deliver(&mut self, now: Instant, reflector: &mut Reflector<O>, wait: WaitId, observed: &Observed<O>);
}

/// An action for the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send a GET of this path and query, with this `Accept`.
    Send {
        /// The id under which the answer is handed over.
        id: RequestId,
        /// Path and query.
        target: String,
        /// The header `Accept`.
        accept: &'static str,
    },
    /// Drop this request.
    Close(RequestId),
}

/// A [`Reflector`], with the answers that are being received.
#[derive(Debug)]
pub(crate) struct Feed<O> {
    pub(crate) reflector: Reflector<O>,
    bodies: Table<RequestId, Body<O>>,
    /// The deadlines for the bodies of refusals.
    refusals: BTreeSet<(Instant, RequestId)>,
    /// Requests whose answer was used before its end.
    to_close: VecDeque<RequestId>,
    /// Requests only JSON, and keeps each object's text.
    pub(crate) keeps_json: bool,
}

impl<O: Readable> Feed<O> {
    pub(crate) fn new(reflector: Reflector<O>) -> Self {
        Self {
            reflector,
            bodies: Table::new(),
            refusals: BTreeSet::new(),
            to_close: VecDeque::new(),
            keeps_json: false,
        }
    }

    /// The next action for the host.
    pub(crate) fn next_action(&mut self, now: Instant) -> Option<Action> {
        if let Some(id) = pop(&mut self.to_close) {
            return Some(Action::Close(id));
        }
        loop {
            match self.reflector.next_command()? {
                Command::Close(id) => {
                    self.take_body(id);
                    return Some(Action::Close(id));
                }
                Command::Send(id, request) => match request.invalid_name(O::RESOURCE) {
                    None => {
                        let target = request.target(O::RESOURCE);
                        self.bodies.put(id, Body::awaited(&request, &target));
                        let accept = if self.keeps_json { Encoding::Json.media_type() } else { ACCEPT };
                        return Some(Action::Send { id, target, accept });
                    }
                    // The failure is the same as the API server's answer would be.
                    Some((what, name)) => self.reflector.failed(now, id, rejected(&request, what, name)),
                },
            }
        }
    }

    /// Does everything that is due. Returns the time at which to call this again, if there is no input before.
    pub(crate) fn poll(&mut self, now: Instant, sink: &mut impl Sink<O>) -> Option<Instant> {
        while let Some((by, id)) = self.refusals.first().copied().filter(|(by, _)| *by <= now) {
            self.refusals.remove(&(by, id));
            // Without its body, a refusal still has its code.
            self.end(now, id, None, sink);
            self.to_close.push_back(id);
        }
        loop {
            let next = self.reflector.poll(now);
            if !self.take_deliveries(now, sink) {
                let refusal = self.refusals.first().map(|(by, _)| *by);
                return [next, refusal].into_iter().flatten().min();
            }
        }
    }

    /// Passes on the deliveries. Returns whether there were any.
    fn take_deliveries(&mut self, now: Instant, sink: &mut impl Sink<O>) -> bool {
        let mut has_any = false;
        while let Some((wait, observed)) = self.reflector.next_delivery() {
            has_any = true;
            sink.deliver(now, &mut self.reflector, wait, &observed);
        }
        has_any
    }
}

/// A request that cannot be sent. It fails as the API server would fail it: permanently.
fn rejected(request: &Request, what: &str, name: &str) -> ApiFailure {
    let via = match request {
        Request::Get(_) => Via::Get,
        Request::List { .. } => Via::List,
        Request::Watch { .. } | Request::WatchList { .. } => Via::Watch,
    };
    let message = format!("{name:?} is not a valid {what} name");
    ApiFailure { is_status: true, ..ApiFailure::new(via, 400, &message) }
}

#[cfg(test)]
impl<O> Feed<O> {
    /// Whether any deadline of a refusal is left.
    pub(crate) fn has_refusals(&self) -> bool {
        !self.refusals.is_empty()
    }

    /// Whether an answer to this request is being received.
    pub(crate) fn has_body(&self, id: RequestId) -> bool {
        self.bodies.get(id).is_some()
    }
}
