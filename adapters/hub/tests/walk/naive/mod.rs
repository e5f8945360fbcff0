//! The naive model of the reflector, written from its documentation.
//!
//! It keeps a plain list of all that has happened: joins, wants, requests, answers, events, time. Each question has a
//! function that reads the list from its beginning or its end: which requests may be sent and which must be under way,
//! what each wait has to receive, when the reflector has to be called next. It sets no timers and has no queues. What
//! follows from an input becomes an entry of the list, too. Only public types are shared with the reflector.

mod answers;
mod entries;
mod events;
mod history;
mod index;
mod losses;
mod pod;
mod probes;
mod requests;
mod scope;
mod show;
mod story;
mod wait;
mod waits;

use crate::network::head;
use crate::pod::Pod;
use entries::{How, Setup, What};
use history::History;
use index::{Index, Topic};
use podwait_core::Instant;
use podwait_hub::{
    ApiFailure, Command, Confirms, Event, Head, Observed, PodName, Reflector, RequestId, Scope, WaitId,
};
use std::fmt;
use std::rc::Rc;
use std::time::Duration;
use wait::is_same;

/// A reflector and the model, which have the same inputs. Each command and each delivery of the reflector is compared
/// with the model.
#[derive(Clone)]
pub struct Pair {
    reflector: Reflector<Pod>,
    history: History,
    /// The first disagreement.
    disagreement: Option<String>,
    /// Whether the model takes part.
    is_compared: bool,
    wake: Option<u64>,
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reflector.fmt(f)
    }
}

impl Pair {
    /// Without a scope, or for the pods of a scope with this rate.
    pub fn new(scope: Option<(Scope, u32)>, names: Rc<[PodName]>) -> Self {
        let rate = scope.as_ref().map(|(_, rate)| u64::from(*rate));
        let reflector = match &scope {
            None => Reflector::single(),
            Some((scope, rate)) => Reflector::of_scope(scope.clone(), *rate),
        };
        let setup = Rc::new(Setup { names, scope: scope.map(|(scope, _)| scope), rate });
        let history = History { setup, entries: Vec::new(), index: Index::default(), now: 0 };
        Self { reflector, history, disagreement: None, is_compared: true, wake: None }
    }

    /// From now on the model takes no part.
    pub fn compare_no_longer(&mut self) {
        self.is_compared = false;
    }

    pub fn disagreement(&self) -> Option<&str> {
        self.disagreement.as_deref()
    }

    fn compare(&mut self, result: Result<(), String>) {
        if let (true, Err(why)) = (self.is_compared, result) {
            self.disagreement.get_or_insert(why);
        }
    }

    /// The history, if the model takes part and has agreed so far.
    fn model(&mut self, now: Option<Instant>) -> Option<&mut History> {
        if !self.is_compared || self.disagreement.is_some() {
            return None;
        }
        if let Some(now) = now {
            self.history.is_at(now.as_millis());
        }
        Some(&mut self.history)
    }

    /// The same for an answer to a request that is under way.
    fn model_of(&mut self, now: Option<Instant>, id: RequestId) -> Option<&mut History> {
        let history = self.model(now)?;
        history.story().under_way().iter().any(|call| call.id == id).then_some(history)
    }

    pub fn join(&mut self, now: Instant, name: usize, may_watch: bool, uid: Option<&str>) -> WaitId {
        let pod = self.history.setup.names[name].clone();
        let wait = self.reflector.join(now, pod, may_watch, uid);
        if let Some(history) = self.model(Some(now)) {
            history.joins(wait, name, may_watch, uid.map(Into::into));
        }
        wait
    }

    pub fn leave(&mut self, wait: WaitId) {
        self.reflector.leave(wait);
        if let Some(history) = self.model(None) {
            history.leaves(wait);
        }
    }

    pub fn want(&mut self, now: Instant, wait: WaitId, after: Duration, confirms: Confirms) {
        self.reflector.want(now, wait, after, confirms);
        if let Some(history) = self.model(Some(now)) {
            history.wants(wait, after.as_millis() as u64, confirms);
        }
    }

    pub fn opened(&mut self, now: Instant, id: RequestId) {
        self.reflector.opened(now, id);
        if let Some(history) = self.model_of(Some(now), id) {
            history.opens(id);
        }
    }

    pub fn progress(&mut self, now: Instant, id: RequestId, bytes: usize) {
        self.reflector.progress(now, id, bytes);
        if let Some(history) = self.model_of(Some(now), id) {
            history.push(What::Bytes { id });
        }
    }

    pub fn failed(&mut self, now: Instant, id: RequestId, failure: ApiFailure) {
        self.reflector.failed(now, id, failure.clone());
        if let Some(history) = self.model_of(Some(now), id) {
            history.loses(id, Some(failure));
        }
    }

    pub fn ended(&mut self, now: Instant, id: RequestId) {
        self.reflector.ended(now, id);
        if let Some(history) = self.model_of(Some(now), id) {
            history.loses(id, None);
        }
    }

    pub fn answer(&mut self, now: Instant, id: RequestId, pod: Option<Pod>) {
        self.reflector.answer(now, id, pod.clone());
        if let Some(history) = self.model_of(Some(now), id) {
            history.answers(id, pod);
        }
    }

    pub fn item(&mut self, id: RequestId, pod: &Pod) {
        let names = self.history.setup.names.clone();
        self.reflector.item(id, head(&names, pod), || Ok(pod.clone()));
        if let Some(history) = self.model_of(None, id) {
            history.items(id, pod);
        }
    }

    pub fn page(&mut self, now: Instant, id: RequestId, version: u64, next: Option<String>) {
        self.reflector.page(now, id, &version.to_string(), next.clone());
        if let Some(history) = self.model_of(Some(now), id) {
            history.ends_page(id, version, next);
        }
    }

    /// An event with an object, which cannot be read if there is a failure.
    pub fn event(
        &mut self,
        now: Instant,
        id: RequestId,
        event: Event,
        pod: &Pod,
        failure: Option<ApiFailure>,
    ) {
        let names = self.history.setup.names.clone();
        let object = failure.is_none().then(|| pod.clone());
        let read = || failure.map_or_else(|| Ok(pod.clone()), Err);
        self.reflector.event(now, id, event, head(&names, pod), read);
        if let Some(history) = self.model_of(Some(now), id) {
            history.has_event(id, event, pod.revision, pod.name, object);
        }
    }

    /// An event without an object.
    pub fn mark(&mut self, now: Instant, id: RequestId, event: Event, version: u64) {
        let text = version.to_string();
        let head = Head { namespace: "", name: "", resource_version: &text };
        self.reflector.event(now, id, event, head, || unreachable!("it has no object"));
        if let Some(history) = self.model_of(Some(now), id) {
            match event {
                Event::Listed => history.lists(id, version),
                Event::State | Event::Deleted | Event::Bookmark => history.has_bookmark(id, version),
            }
        }
    }

    /// As [`Reflector::next_command`], for a request that the model allows.
    pub fn next_command(&mut self) -> Option<Command> {
        let command = self.reflector.next_command()?;
        if let Some(history) = self.model(None) {
            let result = match &command {
                Command::Send(id, request) => {
                    history.push(What::Sent { id: *id, request: request.clone() });
                    history.story().may_send(*id).map_err(|why| format!("{id:?} {request:?}: {why}"))
                }
                Command::Close(id) => history.closes(*id),
            };
            self.compare(result);
        }
        Some(command)
    }

    /// As [`Reflector::next_delivery`], for the delivery that the model demands.
    pub fn next_delivery(&mut self) -> Option<(WaitId, Observed<Pod>)> {
        let (wait, observed) = self.reflector.next_delivery()?;
        if let Some(history) = self.model(None) {
            let result = history.delivers(wait, &observed);
            self.compare(result.map_err(|why| format!("{wait:?} receives {observed:?}: {why}")));
        }
        Some((wait, observed))
    }

    pub fn poll(&mut self, now: Instant) -> Option<Instant> {
        if let Some(history) = self.model(Some(now)) {
            history.passes();
        }
        let wake = self.reflector.poll(now);
        self.wake = wake.map(Instant::as_millis);
        wake
    }

    /// The reflector has nothing more to do at this time.
    pub fn rests(&mut self) {
        let wake = self.wake;
        if let Some(history) = self.model(None) {
            let story = history.story();
            let result = story.is_wrong().and_then(|()| match (story.next(), wake) {
                (Some(next), wake) if wake.is_none_or(|wake| wake > next) => {
                    Err(format!("the next call is at {wake:?}, and something is due at {next}"))
                }
                (Some(_) | None, _) => Ok(()),
            });
            history.asks_what_is_due();
            self.compare(result);
        }
    }
}

impl History {
    fn closes(&mut self, id: RequestId) -> Result<(), String> {
        let is_late =
            self.story().last(Topic::Call(id), |what| matches!(what, What::Failed { .. })).is_some();
        let result = if is_late || self.story().may_close(id) {
            Ok(())
        } else {
            Err(format!("{id:?} is closed although it is needed"))
        };
        self.push(What::Closed { id });
        result
    }

    fn delivers(&mut self, wait: WaitId, observed: &Observed<Pod>) -> Result<(), String> {
        let story = self.story();
        let result = match story.pending(wait).first() {
            Some(expected) if is_same(expected, observed) => Ok(()),
            Some(expected) => Err(format!("it should be {expected:?}")),
            None => {
                let result = story.late(wait, observed);
                let (pod, is_failure) = (story.pod_of(wait), matches!(observed, Observed::Failed(_)));
                let shown = What::Shown { pod, how: How::Late, observed: observed.clone(), to: vec![wait] };
                self.push(shown);
                if is_failure && self.setup.scope.is_some() {
                    self.push(What::Behind);
                }
                result
            }
        };
        self.push(What::Delivered { wait });
        result
    }
}
