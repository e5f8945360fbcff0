//! How the model server answers a request, under which faults.

use crate::pod::Pod;
use crate::world::World;
use podwait_hub::{ApiFailure, From, Request, Selection, Via};
use std::rc::Rc;
use std::time::Duration;

/// How every new request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage {
    None,
    /// The connection is refused.
    Refused,
    /// No answer comes.
    Silent,
    /// The API server fails.
    Failing,
    /// A proxy answers with a page of its own.
    Proxy,
    /// 429 with so many seconds of Retry-After.
    Throttled(u64),
}

/// The faults of the server and of the network.
#[derive(Clone, Debug)]
pub struct Weather {
    pub outage: Outage,
    /// 403 for requests for more than one pod.
    pub refuses_scope: bool,
    /// 403 for every watch.
    pub refuses_watch: bool,
    /// How long the answer to a read takes after the server has made it.
    pub answers_take: u64,
    /// How long an event takes.
    pub events_take: u64,
    /// 410 comes as an ERROR event of a watch that was opened.
    pub expires_in_stream: bool,
    /// How many items a page has.
    pub page: usize,
    /// 422 for a LIST at the beginning of a watch.
    pub refuses_watch_list: bool,
}

impl Default for Weather {
    fn default() -> Self {
        Self {
            outage: Outage::None,
            refuses_scope: false,
            refuses_watch: false,
            answers_take: 1,
            events_take: 1,
            expires_in_stream: true,
            page: 2,
            refuses_watch_list: false,
        }
    }
}

/// The server's side of a watch.
#[derive(Clone, Debug)]
pub struct Stream {
    pub cursor: u64,
    pub is_open: bool,
    /// The connection is half-open: nothing comes any more, and no end.
    pub is_muted: bool,
    /// The objects with which the watch begins.
    pub first: Vec<Pod>,
    /// The LIST at the beginning of the watch is complete, or there is none.
    pub is_listed: bool,
}

impl Stream {
    /// Not open yet; it begins after that revision.
    fn at(cursor: u64) -> Self {
        Self { cursor, is_open: false, is_muted: false, first: Vec::new(), is_listed: true }
    }
}

/// A request that is under way.
#[derive(Clone, Debug)]
pub struct Open {
    pub request: Request,
    /// The tick of its sending; for a page, of that of the first page.
    pub began: u64,
    pub stream: Option<Stream>,
}

/// An answer or a part of one.
#[derive(Clone, Debug)]
pub enum Answer {
    Failed(ApiFailure),
    Opened,
    /// All events so far.
    Events,
    /// The end of the LIST at the beginning of a watch.
    Listed,
    Ended,
    Pod(Option<Pod>),
    Bytes,
    Page(Rc<Page>),
}

#[derive(Clone, Debug)]
pub struct Page {
    pub items: Vec<Pod>,
    pub revision: u64,
    pub next: Option<String>,
}

/// A LIST whose further pages may be asked for.
#[derive(Clone, Debug)]
pub struct Listed {
    pub began: u64,
    revision: u64,
    pods: Rc<[Pod]>,
}

pub fn via(request: &Request) -> Via {
    match request {
        Request::Get(_) => Via::Get,
        Request::List { .. } => Via::List,
        Request::Watch { .. } | Request::WatchList { .. } => Via::Watch,
    }
}

pub fn failure(via: Via, code: u16, is_status: bool) -> ApiFailure {
    ApiFailure { via, code, is_status, retry_after: None, message: format!("{code}") }
}

/// The selection of a request for more than one pod.
pub fn wide(request: &Request) -> Option<&Selection> {
    match request {
        Request::Get(_) => None,
        Request::List { selection, .. }
        | Request::Watch { selection, .. }
        | Request::WatchList { selection, .. } => Some(selection).filter(|selection| selection.pod.is_none()),
    }
}

/// The pod of a read.
pub fn read_of(world: &World, request: &Request) -> Option<usize> {
    match request {
        Request::Get(pod) => Some(world.index(pod)),
        Request::List { selection, .. } => selection.pod.as_ref().map(|pod| world.index(pod)),
        Request::Watch { .. } | Request::WatchList { .. } => None,
    }
}

/// The selection of a watch.
pub fn watched(request: &Request) -> Option<&Selection> {
    match request {
        Request::Watch { selection, .. } | Request::WatchList { selection, .. } => Some(selection),
        Request::Get(_) | Request::List { .. } => None,
    }
}

impl Weather {
    pub fn is_fair(&self) -> bool {
        self.outage == Outage::None
            && !self.refuses_scope
            && !self.refuses_watch
            && self.answers_take == 1
            && self.events_take == 1
    }

    /// The failure of a new request, if it fails; `Err` if it never gets an answer.
    pub fn fate(&self, request: &Request) -> Result<Option<ApiFailure>, ()> {
        let via = via(request);
        Ok(Some(match self.outage {
            Outage::Silent => return Err(()),
            Outage::Refused => failure(via, 0, false),
            Outage::Failing => failure(via, 503, true),
            Outage::Proxy => failure(via, 404, false),
            Outage::Throttled(seconds) => {
                ApiFailure { retry_after: Some(Duration::from_secs(seconds)), ..failure(via, 429, true) }
            }
            Outage::None if self.refuses_scope && wide(request).is_some() => failure(via, 403, true),
            Outage::None if self.refuses_watch && via == Via::Watch => failure(via, 403, true),
            Outage::None => return Ok(None),
        }))
    }

    /// The answers to a request, each after how many milliseconds. They show the state of this instant.
    pub fn answer(&self, world: &World, open: &mut Open, lists: &mut Vec<Listed>) -> Vec<(u64, Answer)> {
        match self.fate(&open.request) {
            Err(()) => return Vec::new(),
            Ok(Some(failure)) => return vec![(1, Answer::Failed(failure))],
            Ok(None) => {}
        }
        match &open.request {
            Request::Get(pod) => {
                vec![(self.answers_take, Answer::Pod(world.pods[world.index(pod)].clone()))]
            }
            Request::List { selection, .. } if selection.pod.is_some() => {
                vec![(self.answers_take, Answer::Pod(world.list(selection).pop()))]
            }
            Request::List { selection, token, .. } => {
                let (index, start) = match token.as_deref().and_then(|token| token.split_once(':')) {
                    Some((index, start)) => (index.parse().expect("my own"), start.parse().expect("my own")),
                    None => {
                        let pods = world.list(selection).into();
                        lists.push(Listed { began: open.began, revision: world.revision, pods });
                        (lists.len() - 1, 0)
                    }
                };
                let list = &lists[index];
                open.began = list.began;
                if token.is_some() && list.revision < world.compacted {
                    return vec![(1, Answer::Failed(failure(Via::List, 410, true)))];
                }
                let end = (start + self.page).min(list.pods.len());
                let next = (end < list.pods.len()).then(|| format!("{index}:{end}"));
                let page = Page { items: list.pods[start..end].to_vec(), revision: list.revision, next };
                vec![(1, Answer::Bytes), (self.answers_take, Answer::Page(Rc::new(page)))]
            }
            Request::WatchList { .. } if self.refuses_watch_list => {
                vec![(1, Answer::Failed(failure(Via::Watch, 422, true)))]
            }
            Request::WatchList { selection, seconds } => {
                // A consistent read: the cache has caught up with the store.
                let first = world.list(selection);
                open.stream = Some(Stream { first, is_listed: false, ..Stream::at(world.revision) });
                let listed = 1 + self.answers_take + self.events_take;
                vec![
                    (1, Answer::Opened),
                    (1 + self.events_take, Answer::Events),
                    (listed, Answer::Listed),
                    (u64::from(*seconds) * 1000, Answer::Ended),
                ]
            }
            Request::Watch { selection, from, seconds } => {
                let mut stream = Stream::at(0);
                let expired = match from {
                    From::Any(_) => {
                        stream.first = world.cached_list(selection);
                        stream.cursor = world.cached;
                        false
                    }
                    From::After(revision) => {
                        stream.cursor = revision.parse().expect("a revision");
                        stream.cursor < world.compacted
                    }
                };
                open.stream = Some(stream);
                let gone = Answer::Failed(failure(Via::Watch, 410, true));
                match (expired, self.expires_in_stream) {
                    (true, false) => vec![(1, gone)],
                    (true, true) => vec![(1, Answer::Opened), (2, gone)],
                    (false, _) => vec![
                        (1, Answer::Opened),
                        (1 + self.events_take, Answer::Events),
                        (u64::from(*seconds) * 1000, Answer::Ended),
                    ],
                }
            }
        }
    }
}
