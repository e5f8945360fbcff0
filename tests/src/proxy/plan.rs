//! Which request gets which fault, and the counts of both.

use super::fault::Fault;
use podwait_sim::{RequestCounts, Verb};
use serde_json::Value;
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;
use tokio::time::Instant;

/// A received request, for a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Its verb.
    pub verb: Verb,
    /// Its number among the requests with this verb; the first is 1.
    pub nth: u64,
    /// The path and query.
    pub uri: String,
    /// Its bearer token.
    pub token: Option<String>,
}

/// The traffic so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// Accepted TCP connections.
    pub connections: u64,
    /// Requests by verb, including those with a fault.
    pub requests: RequestCounts,
    /// Requests with a fault.
    pub faults: u64,
    /// Connections whose client chose HTTP/2, which the proxy does not support.
    pub http2: u64,
}

type Rule = Box<dyn FnMut(&Request) -> Option<Fault> + Send>;

/// The faults for future requests, the traffic so far, and forwarded pods.
pub(super) struct Plan {
    started: Instant,
    queue: VecDeque<(Verb, Fault)>,
    rule: Option<Rule>,
    traffic: Traffic,
    log: Vec<(Duration, Request, Option<Fault>)>,
    /// The first and the newest forwarded pod.
    pub(super) memory: Option<(Value, Value)>,
}

impl Plan {
    pub(super) fn new() -> Self {
        let traffic = Traffic { connections: 0, requests: RequestCounts::default(), faults: 0, http2: 0 };
        Self {
            started: Instant::now(),
            queue: VecDeque::new(),
            rule: None,
            traffic,
            log: Vec::new(),
            memory: None,
        }
    }

    pub(super) const fn traffic(&self) -> Traffic {
        self.traffic
    }

    pub(super) fn push(&mut self, verb: Verb, fault: Fault) {
        self.queue.push_back((verb, fault));
    }

    pub(super) fn rule(&mut self, rule: Rule) {
        self.rule = Some(rule);
    }

    pub(super) fn clear(&mut self) {
        self.queue.clear();
        self.rule = None;
    }

    pub(super) fn count_connection(&mut self) {
        self.traffic.connections += 1;
    }

    pub(super) fn count_http2(&mut self) {
        self.traffic.http2 += 1;
    }

    /// Counts a request, and returns its fault.
    pub(super) fn admit(&mut self, request: &mut Request) -> Option<Fault> {
        let requests = &mut self.traffic.requests;
        let is_watch = request.verb == Verb::Watch;
        let count = if is_watch { &mut requests.watch } else { &mut requests.get };
        *count += 1;
        request.nth = *count;
        let due = self.queue.iter().position(|(verb, _)| *verb == request.verb);
        let pushed = due.and_then(|due| self.queue.remove(due)).map(|(_, fault)| fault);
        let fault = pushed.or_else(|| self.rule.as_mut().and_then(|rule| rule(request)));
        self.traffic.faults += u64::from(fault.is_some());
        self.log.push((self.started.elapsed(), request.clone(), fault.clone()));
        fault
    }

    /// Keeps a forwarded pod, from the line of a watch or the response to a GET.
    pub(super) fn remember(&mut self, line: &[u8]) {
        let Ok(mut value) = serde_json::from_slice::<Value>(line) else { return };
        let is_event = value["type"].is_string();
        let pod = if is_event { value["object"].take() } else { value };
        if pod["kind"] != "Pod" || pod["spec"].is_null() {
            return;
        }
        match &mut self.memory {
            Some((_, newest)) => *newest = pod,
            memory @ None => *memory = Some((pod.clone(), pod)),
        }
    }
}

/// One request on each line, for the message of a failed test.
impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:?}", self.traffic)?;
        for (at, request, fault) in &self.log {
            write!(f, "{:>7} ms {:?} {}", at.as_millis(), request.verb, request.nth)?;
            match fault {
                Some(fault) => writeln!(f, " {fault:?}")?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}
