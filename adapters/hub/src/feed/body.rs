//! Answers that are being received.

use super::{Feed, Readable, Sink};
use crate::call::{Request, RequestId};
use crate::failure::{ApiFailure, Via};
use crate::name::PodName;
use crate::reflector::{Event, Head};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;
use podwait_core::Instant;
use podwait_wire::{
    Answer, DecodeError, Encoding, EventKind, Frames, LONGEST_OBJECT, ListItems, Refusal, Subject,
};

/// How long the body of a refusal may take.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);

/// The head of an answer.
#[derive(Clone, Copy, Debug, Default)]
pub struct ResponseHead<'a> {
    /// The HTTP status.
    pub status: u16,
    /// `Content-Type`
    pub content_type: Option<&'a str>,
    /// `Retry-After`
    pub retry_after: Option<&'a str>,
    /// `Date`
    pub date: Option<&'a str>,
}

/// The kind of request that an answer belongs to.
#[derive(Clone, Debug)]
enum Kind {
    Get(PodName),
    /// A LIST of one pod by its name.
    Find(PodName),
    Page,
    Watch,
}

/// An answer that is being received.
#[derive(Debug)]
pub(super) struct Body<O> {
    kind: Kind,
    subject: Subject,
    state: State<O>,
}

#[derive(Debug)]
enum State<O> {
    /// Its head is awaited.
    Awaited,
    Refused {
        code: u16,
        retry_after: Option<String>,
        date: Option<String>,
        body: Vec<u8>,
        by: Instant,
    },
    /// Of a [`Kind::Get`], with the requested pod.
    Object(PodName, Encoding, Vec<u8>),
    /// With the pod of a [`Kind::Find`].
    List(ListItems, Option<O>),
    Watch(Frames, Encoding),
}

impl<O> Body<O> {
    pub(super) fn awaited(request: &Request, target: &str) -> Self {
        let kind = match request {
            Request::Get(pod) => Kind::Get(pod.clone()),
            Request::List { selection, .. } => selection.pod.clone().map_or(Kind::Page, Kind::Find),
            Request::Watch { .. } | Request::WatchList { .. } => Kind::Watch,
        };
        let (path, query) =
            target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        Self { kind, subject: Subject::of("GET", path, query), state: State::Awaited }
    }
}

impl Kind {
    const fn via(&self) -> Via {
        match self {
            Self::Get(_) => Via::Get,
            Self::Find(_) | Self::Page => Via::List,
            Self::Watch => Via::Watch,
        }
    }
}

impl<O: Readable> Feed<O> {
    /// The head of an answer has arrived. An answer has one; further ones are ignored.
    pub(crate) fn head(&mut self, now: Instant, id: RequestId, head: &ResponseHead<'_>) {
        let Some(body) = self.bodies.get_mut(id).filter(|body| matches!(body.state, State::Awaited)) else {
            return;
        };
        let encoding = head.content_type.and_then(Encoding::of_content_type).unwrap_or(Encoding::Json);
        body.state = match (head.status, &body.kind) {
            (200, Kind::Get(asked)) => State::Object(asked.clone(), encoding, Vec::new()),
            (200, Kind::Find(_) | Kind::Page) => State::List(ListItems::new(encoding), None),
            (200, Kind::Watch) => State::Watch(Frames::new(encoding), encoding),
            (code, _) => {
                let by = now.after(REFUSAL_TIMEOUT);
                self.refusals.insert((by, id));
                let [retry_after, date] = [head.retry_after, head.date].map(|text| text.map(String::from));
                State::Refused { code, retry_after, date, body: Vec::new(), by }
            }
        };
        if let State::Watch(..) = body.state {
            self.reflector.opened(now, id);
        }
    }

    /// A piece of an answer's body has arrived.
    pub(crate) fn body(&mut self, now: Instant, id: RequestId, piece: &[u8], sink: &mut impl Sink<O>) {
        let Some(body) = self.bodies.get_mut(id) else { return };
        self.reflector.progress(now, id, piece.len());
        let taken = match &mut body.state {
            State::Awaited => Ok(()),
            State::Refused { body, .. } => {
                let room = (Refusal::LONGEST_BODY + 1).saturating_sub(body.len());
                body.extend_from_slice(&piece[..piece.len().min(room)]);
                Ok(())
            }
            State::Object(_, _, bytes) if bytes.len() + piece.len() > LONGEST_OBJECT => {
                Err(DecodeError::TooLong)
            }
            State::Object(_, _, bytes) => {
                bytes.extend_from_slice(piece);
                Ok(())
            }
            State::List(..) => self.take_items(id, piece),
            State::Watch(..) => self.take_events(now, id, piece, sink),
        };
        if let Err(error) = taken {
            self.give_up(now, id, &error);
        }
        self.take_deliveries(now, sink);
    }

    /// Removes an answer that is complete or not needed, with its deadline.
    pub(super) fn take_body(&mut self, id: RequestId) -> Option<Body<O>> {
        let body = self.bodies.remove(id)?;
        if let State::Refused { by, .. } = body.state {
            self.refusals.remove(&(by, id));
        }
        Some(body)
    }

    /// An answer cannot be used.
    fn give_up(&mut self, now: Instant, id: RequestId, error: &DecodeError) {
        let Some(body) = self.take_body(id) else { return };
        let what = match body.kind {
            Kind::Get(_) => O::RESOURCE.kind(),
            Kind::Find(_) | Kind::Page => "list",
            Kind::Watch => "watch event",
        };
        let failure = unreadable(body.kind.via(), &format!("unreadable {what}: {error}"));
        self.reflector.close(now, id, failure);
    }

    fn take_items(&mut self, id: RequestId, mut piece: &[u8]) -> Result<(), DecodeError> {
        let keeps = self.keeps_json;
        let Some(Body { kind, state: State::List(items, found), .. }) = self.bodies.get_mut(id) else {
            return Ok(());
        };
        while let Some(item) = items.next_item(&mut piece)? {
            if let Kind::Find(_) = kind {
                *found = Some(O::of_item(&item, keeps)?);
                continue;
            }
            let head = item.head()?;
            let head = Head {
                namespace: &head.namespace,
                name: &head.name,
                resource_version: &head.resource_version,
            };
            self.reflector.item(id, head, || {
                O::of_item(&item, keeps).map_err(|error| unreadable(Via::List, &format!("{error}")))
            });
        }
        Ok(())
    }

    fn take_events(
        &mut self,
        now: Instant,
        id: RequestId,
        mut piece: &[u8],
        sink: &mut impl Sink<O>,
    ) -> Result<(), DecodeError> {
        let keeps = self.keeps_json;
        loop {
            let Some(Body { state: State::Watch(frames, encoding), .. }) = self.bodies.get_mut(id) else {
                return Ok(());
            };
            let Some(frame) = frames.next_frame(&mut piece)? else { return Ok(()) };
            let event = podwait_wire::Event::read(*encoding, frame)?;
            let kind = match event.kind {
                EventKind::Added | EventKind::Modified => Ok(Event::State),
                EventKind::Deleted => Ok(Event::Deleted),
                EventKind::Bookmark if event.ends_initial_events()? => Ok(Event::Listed),
                EventKind::Bookmark => Ok(Event::Bookmark),
                EventKind::Error => Err(event.failure()),
                EventKind::Unrecognized => {
                    Err(unreadable(Via::Watch, "unreadable watch event: unknown type"))
                }
            };
            let kind = match kind {
                Ok(kind) => kind,
                Err(failure) => {
                    self.take_body(id);
                    self.reflector.close(now, id, failure);
                    return Ok(());
                }
            };
            let head = Head {
                namespace: &event.head.namespace,
                name: &event.head.name,
                resource_version: &event.head.resource_version,
            };
            self.reflector.event(now, id, kind, head, || {
                O::of_event(&event, keeps).map_err(|error| unreadable(Via::Watch, &format!("{error}")))
            });
            self.take_deliveries(now, sink);
        }
    }

    /// An answer has ended, or failed with this message.
    pub(crate) fn end(&mut self, now: Instant, id: RequestId, error: Option<&str>, sink: &mut impl Sink<O>) {
        let Some(Body { kind, subject, state }) = self.take_body(id) else { return };
        let via = kind.via();
        match (state, error) {
            (State::Refused { code, retry_after, date, body, .. }, _) => {
                // If the body breaks or is too long, the refusal still has its code.
                let (retry_after, date) = (retry_after.as_deref(), date.as_deref());
                let answer = Answer { code, retry_after, date, body: &body };
                let refusal = Refusal::read(via, &subject, &answer);
                match kind {
                    Kind::Get(pod) if refusal.is_absence_of(pod.name()) => {
                        self.reflector.answer(now, id, None)
                    }
                    Kind::Get(_) | Kind::Find(_) | Kind::Page | Kind::Watch => {
                        self.reflector.failed(now, id, refusal.failure);
                    }
                }
            }
            (_, Some(message)) => self.reflector.failed(now, id, ApiFailure::new(via, 0, message)),
            (State::Awaited, None) => {
                self.reflector.failed(now, id, ApiFailure::new(via, 0, "the connection was closed"));
            }
            (State::Object(asked, encoding, bytes), None) => {
                match of_answer(&asked, encoding, bytes, self.keeps_json) {
                    Ok(object) => self.reflector.answer(now, id, Some(object)),
                    Err(failure) => self.reflector.failed(now, id, failure),
                }
            }
            (State::List(items, found), None) => match (items.finish(), kind) {
                (Err(error), _) => {
                    self.reflector.failed(now, id, unreadable(via, &format!("unreadable list: {error}")));
                }
                (Ok(_), Kind::Find(asked)) => {
                    match found.as_ref().map(|found| check_subject(&asked, via, found)) {
                        Some(Err(failure)) => self.reflector.failed(now, id, failure),
                        Some(Ok(())) | None => self.reflector.answer(now, id, found),
                    }
                }
                (Ok(meta), _) => {
                    let next = Some(meta.next).filter(|next| !next.is_empty());
                    self.reflector.page(now, id, &meta.resource_version, next);
                }
            },
            (State::Watch(frames, _), None) if frames.is_torn() => {
                let failure = ApiFailure::new(via, 0, "the stream broke in the middle of an event");
                self.reflector.failed(now, id, failure);
            }
            (State::Watch(..), None) => self.reflector.ended(now, id),
        }
        self.take_deliveries(now, sink);
    }
}

/// Reads the answer to a GET of one object.
///
/// # Errors
/// The answer cannot be read, or is about another object.
pub(super) fn of_answer<O: Readable>(
    asked: &PodName,
    encoding: Encoding,
    bytes: Vec<u8>,
    keeps_json: bool,
) -> Result<O, ApiFailure> {
    let kind = O::RESOURCE.kind();
    let object = O::of_bytes(encoding, bytes, keeps_json)
        .map_err(|error| unreadable(Via::Get, &format!("unreadable {kind}: {error}")))?;
    check_subject(asked, Via::Get, &object)?;
    Ok(object)
}

/// An answer about one object must be about the requested one: a cache on the way may mix up its answers. An object
/// without a namespace is accepted.
fn check_subject<O: Readable>(asked: &PodName, via: Via, object: &O) -> Result<(), ApiFailure> {
    let (namespace, name) = (object.namespace(), object.name());
    if name == asked.name() && (namespace.is_empty() || namespace == asked.namespace()) {
        return Ok(());
    }
    let kind = O::RESOURCE.kind();
    Err(unreadable(via, &format!("requested {kind} {asked}, received {namespace}/{name}")))
}

pub(super) fn unreadable(via: Via, message: &str) -> ApiFailure {
    ApiFailure::new(via, 200, message)
}
