//! The task of a hub: drives its waits.

use super::{Place, Shared, lock};
use crate::client::Client;
use crate::driver::{Driver, Start};
use crate::wait::Look;
use podwait_core::{Exit, Failure};
use podwait_hub::{Observer, Turn, WaitId, Waits};
use podwait_wire::ApiFailure;
use std::any::Any;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, TryLockError};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// A wait's message to the task.
pub(super) enum Message {
    Join(Box<Join>),
    /// The caller cancelled the wait, and awaits the answer.
    Cancel(u64),
    /// The wait was dropped.
    Leave(u64),
}

/// A wait that joins.
pub(super) struct Join {
    pub(super) ticket: u64,
    pub(super) start: Box<Start>,
    pub(super) looks: Looks,
    pub(super) reply: oneshot::Sender<Reply>,
}

/// The reply to a wait, sent once. It is small, because each wait has room for it all the time.
pub(super) enum Reply {
    Answer(Box<Result<Exit, Failure>>),
    /// A closure of [`Wait::on_turn`](crate::Wait::on_turn) has panicked.
    Panic(Box<dyn Any + Send>),
    /// The task ends with its runtime: the wait continues elsewhere.
    Unserved(Box<Start>),
}

/// The closures that observe a wait. The wait and the task share them, so that none is called for a dropped wait.
#[derive(Clone)]
pub(super) struct Looks(Option<Arc<Mutex<Vec<Look>>>>);

impl Looks {
    pub(super) fn new(looks: Vec<Look>) -> Self {
        Self((!looks.is_empty()).then(|| Arc::new(Mutex::new(looks))))
    }

    fn on_turn(&self, turn: Turn<'_>) {
        // A closure that has panicked is not called again.
        if let Some(Ok(mut looks)) = self.0.as_ref().map(|looks| looks.lock()) {
            looks.iter_mut().for_each(|look| look(turn));
        }
    }

    pub(super) fn clear(&self) {
        let Some(looks) = &self.0 else { return };
        let looks = match looks.try_lock() {
            Ok(mut looks) => std::mem::take(&mut *looks),
            Err(TryLockError::Poisoned(looks)) => std::mem::take(&mut *looks.into_inner()),
            // A closure is running, and perhaps drops the wait itself: the task drops the closures soon.
            Err(TryLockError::WouldBlock) => return,
        };
        drop(looks);
    }
}

/// A wait in the task.
struct Member {
    ticket: u64,
    looks: Looks,
    reply: oneshot::Sender<Reply>,
}

/// The waits by their ids in the hub.
#[derive(Default)]
struct Members {
    by_wait: HashMap<WaitId, Member>,
    by_ticket: HashMap<u64, WaitId>,
    /// The closures of the wait that is joining, which has no id yet.
    joining: Option<Looks>,
    /// Waits with a closure that has panicked.
    panicked: Vec<(WaitId, Box<dyn Any + Send>)>,
}

impl Observer for Members {
    fn on_turn(&mut self, wait: WaitId, turn: Turn<'_>) {
        let looks = self.by_wait.get(&wait).map(|member| &member.looks).or(self.joining.as_ref());
        let Some(looks) = looks.filter(|looks| looks.0.is_some()) else { return };
        // The closure is not called again after a panic, so a broken state of it does no harm.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| looks.on_turn(turn))) {
            self.panicked.push((wait, panic));
        }
    }
}

impl Members {
    fn remove(&mut self, wait: WaitId) -> Option<Member> {
        let member = self.by_wait.remove(&wait)?;
        self.by_ticket.remove(&member.ticket);
        Some(member)
    }

    /// A wait that was dropped awaits no reply.
    fn reply(&mut self, wait: WaitId, reply: Reply) {
        if let Some(member) = self.remove(wait) {
            let _ = member.reply.send(reply);
        }
    }
}

pub(super) struct Task {
    driver: Driver,
    start: Instant,
    members: Members,
    messages: mpsc::UnboundedReceiver<Message>,
    shared: Arc<Shared>,
    /// The refusal that was published last.
    refusal: Option<ApiFailure>,
}

impl Task {
    pub(super) fn new(
        client: Client,
        waits: Waits,
        start: Instant,
        messages: mpsc::UnboundedReceiver<Message>,
        shared: Arc<Shared>,
    ) -> Self {
        let driver = Driver::new(client, waits, start);
        Self { driver, start, members: Members::default(), messages, shared, refusal: None }
    }

    /// Serves the waits until none is left; if the watch stays open, until the hub is dropped.
    pub(super) async fn run(mut self, stays_open: bool) {
        loop {
            // Before any other request is sent: waits that join at the same time share requests.
            while let Ok(message) = self.messages.try_recv() {
                self.handle(message);
            }
            self.advance();
            if !stays_open && self.members.by_wait.is_empty() && self.rests() {
                return;
            }
            tokio::select! {
                biased;
                message = self.messages.recv() => match message {
                    Some(message) => self.handle(message),
                    None => return,
                },
                () = self.driver.take(&mut self.members) => {}
            }
        }
    }

    fn handle(&mut self, message: Message) {
        match message {
            Message::Join(join) => {
                let Join { ticket, start, looks, reply } = *join;
                self.members.joining = Some(looks.clone());
                let wait = self.driver.join(*start, &mut self.members);
                self.members.joining = None;
                self.members.by_ticket.insert(ticket, wait);
                self.members.by_wait.insert(wait, Member { ticket, looks, reply });
            }
            Message::Cancel(ticket) => {
                if let Some(wait) = self.members.by_ticket.get(&ticket).copied() {
                    self.driver.cancel(wait, &mut self.members);
                }
            }
            Message::Leave(ticket) => {
                if let Some(wait) = self.members.by_ticket.get(&ticket).copied() {
                    self.driver.waits.leave(wait);
                    self.members.remove(wait);
                }
            }
        }
    }

    fn advance(&mut self) {
        self.driver.advance(&mut self.members);
        for (wait, panic) in std::mem::take(&mut self.members.panicked) {
            self.driver.waits.leave(wait);
            self.members.reply(wait, Reply::Panic(panic));
        }
        while let Some((wait, answer)) = self.driver.waits.next_answer() {
            self.members.reply(wait, Reply::Answer(Box::new(answer)));
        }
        if self.driver.waits.refusal() != self.refusal.as_ref() {
            self.refusal = self.driver.waits.refusal().cloned();
            lock(&self.shared.refusal).clone_from(&self.refusal);
        }
    }

    /// Stores the empty waits for the next task. Returns whether it did; it does not if a wait is joining.
    fn rests(&mut self) -> bool {
        let mut place = lock(&self.shared.place);
        if !self.messages.is_empty() {
            return false;
        }
        // If the hub is gone, there is nothing to store.
        if let Place::Task(_) = *place {
            let waits = std::mem::replace(&mut self.driver.waits, Waits::single());
            *place = Place::Here(Some(Box::new((waits, self.start))));
        }
        true
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.messages.close();
        while let Ok(message) = self.messages.try_recv() {
            if let Message::Join(join) = message {
                let _ = join.reply.send(Reply::Unserved(join.start));
            }
        }
        for (wait, member) in self.members.by_wait.drain() {
            if let Some((pod, machine, asleep)) = self.driver.waits.leave(wait) {
                let start = Start { pod, machine, asleep, may_watch: true };
                let _ = member.reply.send(Reply::Unserved(Box::new(start)));
            }
        }
    }
}
