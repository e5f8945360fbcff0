//! The reflector, driven by bytes: waits begin and end, any responses arrive in any order, and then the API server is
//! unreachable.

use arbitrary::{Arbitrary, Result, Unstructured};
use podwait_core::{Instant, Policy, WaitMachine};
use podwait_hub::{Action, PodName, RequestId, ResponseHead, Scope, WaitId, Waits};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Most moves of one input, and most waits at once.
const MOVES: usize = 200;
const WAITS: usize = 6;

/// The limit of each wait, so that it ends without any observation.
const DEADLINE: Duration = Duration::from_secs(600);

/// A reflector has one rate for the scope and ten times that rate for single pods, and may have a burst of two seconds.
const PER_SECOND: u64 = 10;
const MOST_PER_SECOND: u64 = PER_SECOND * 11;

/// The host: the requests under way, and the requests that were sent.
struct Host {
    waits: Waits,
    now: Instant,
    in_flight: BTreeMap<RequestId, String>,
    sent: u64,
    has_scope: bool,
    /// The waits without an answer.
    open: Vec<WaitId>,
}

/// For any responses: each wait that has not left has its answer by its deadline, requests keep to their rate, and no
/// request is under way once no wait is left.
///
/// # Panics
/// A finding.
pub fn hub(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let mut host = Host::new(&mut input);
    for _ in 0..MOVES {
        if input.is_empty() || host.step(&mut input).is_err() {
            break;
        }
        host.advance();
    }
    host.lose_the_server();
}

impl Host {
    fn new(input: &mut Unstructured<'_>) -> Self {
        let scope = Scope::namespace("ci");
        let of_scope = |scope| Waits::of_scope(scope, u32::try_from(PER_SECOND).expect("small"));
        let kind = u8::arbitrary(input).unwrap_or(0) % 4;
        let waits = match kind {
            0 => Waits::single(),
            1 => of_scope(Scope::all()),
            2 => of_scope(scope),
            _ => of_scope(scope.labels("agent=7")),
        };
        let now = Instant::ZERO;
        Self { waits, now, in_flight: BTreeMap::new(), sent: 0, has_scope: kind > 0, open: Vec::new() }
    }

    fn step(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        match u8::arbitrary(input)? % 12 {
            0 | 1 if self.open.len() < WAITS => self.join(input)?,
            0..=2 => {
                let wait = self.open_wait(input)?;
                if let Some(wait) = wait {
                    self.waits.leave(wait);
                    self.open.retain(|open| *open != wait);
                }
            }
            3 => {
                if let Some(wait) = self.open_wait(input)? {
                    self.waits.cancel(self.now, wait, &mut ());
                }
            }
            4 | 5 => {
                let millis = [0, 1, 50, 200, 1_000, 3_000, 5_000, 11_000, 30_000, 61_000];
                self.now = self.now.after(Duration::from_millis(*input.choose(&millis)?));
            }
            6 | 7 => {
                if let Some(id) = self.request(input)? {
                    let status = *input.choose(&[200, 200, 200, 403, 404, 410, 422, 429, 500, 503])?;
                    let types = [None, Some("application/json"), Some("application/vnd.kubernetes.protobuf")];
                    let content_type = *input.choose(&types)?;
                    let retry_after = input.choose(&[None, Some("1"), Some("40")]).copied()?;
                    let head = ResponseHead { status, content_type, retry_after, date: None };
                    self.waits.head(self.now, id, &head);
                }
            }
            8..=10 => {
                if let Some(id) = self.request(input)? {
                    let piece = self.piece(id, input)?;
                    self.waits.body(self.now, id, &piece, &mut ());
                }
            }
            _ => {
                if let Some(id) = self.request(input)? {
                    self.in_flight.remove(&id);
                    let error = bool::arbitrary(input)?.then_some("connection reset by peer");
                    self.waits.end(self.now, id, error, &mut ());
                }
            }
        }
        Ok(())
    }

    fn join(&mut self, input: &mut Unstructured<'_>) -> Result<()> {
        let name = *input.choose(&["a", "b", "c", "Not A Name"])?;
        let namespace = *input.choose(&["ci", "ci", "ci", "other"])?;
        let policy = Policy::builder().deadline(DEADLINE);
        let policy = if bool::arbitrary(input)? { policy.gone_grace(Duration::from_secs(3)) } else { policy };
        let mut machine = WaitMachine::new(Arc::new(policy.build().expect("a policy")));
        if bool::arbitrary(input)? {
            machine = machine.uid("u1");
        }
        let may_watch = u8::arbitrary(input)? % 4 > 0;
        let pod = PodName::new(namespace, name);
        self.open.push(self.waits.join(self.now, pod, machine, Duration::ZERO, may_watch, &mut ()));
        Ok(())
    }

    fn open_wait(&self, input: &mut Unstructured<'_>) -> Result<Option<WaitId>> {
        if self.open.is_empty() { Ok(None) } else { input.choose(&self.open).copied().map(Some) }
    }

    fn request(&self, input: &mut Unstructured<'_>) -> Result<Option<RequestId>> {
        let ids: Vec<RequestId> = self.in_flight.keys().copied().collect();
        if ids.is_empty() { Ok(None) } else { input.choose(&ids).copied().map(Some) }
    }

    /// A piece of a response that fits the request, or any bytes.
    fn piece(&self, id: RequestId, input: &mut Unstructured<'_>) -> Result<Vec<u8>> {
        let name = *input.choose(&["a", "b", "c"])?;
        let uid = *input.choose(&["u1", "u2"])?;
        let version = input.int_in_range(1..=40)?;
        let state = *input.choose(&[
            r#"{"running":{}}"#,
            r#"{"terminated":{"exitCode":0}}"#,
            r#"{"terminated":{"exitCode":3}}"#,
            r#"{"waiting":{"reason":"ErrImagePull"}}"#,
        ])?;
        let phase = *input.choose(&["Pending", "Running", "Succeeded", "Failed"])?;
        let pod = format!(
            r#"{{"kind":"Pod","apiVersion":"v1","metadata":{{"namespace":"ci","name":"{name}","uid":"{uid}","resourceVersion":"{version}"}},"spec":{{"containers":[{{"name":"step"}}]}},"status":{{"phase":"{phase}","containerStatuses":[{{"name":"step","restartCount":0,"state":{state}}}]}}}}"#
        );
        let is_watch = self.in_flight.get(&id).is_some_and(|target| target.contains("watch=true"));
        Ok(match u8::arbitrary(input)? % 8 {
            0..=3 if is_watch => {
                let kind = *input.choose(&["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "listed"])?;
                match kind {
                    // The bookmark after the last object of a LIST at the beginning of a watch.
                    "listed" => format!(
                        "{{\"type\":\"BOOKMARK\",\"object\":{{\"kind\":\"Pod\",\"metadata\":{{\"resourceVersion\":\"{version}\",\"annotations\":{{\"k8s.io/initial-events-end\":\"true\"}}}}}}}}\n"
                    ),
                    kind => format!("{{\"type\":\"{kind}\",\"object\":{pod}}}\n"),
                }
                .into_bytes()
            }
            0 | 1 => pod.into_bytes(),
            2 | 3 => format!(r#"{{"kind":"PodList","metadata":{{"resourceVersion":"{version}"}},"items":[{pod}]}}"#)
                .into_bytes(),
            4 => format!(
                r#"{{"kind":"PodList","metadata":{{"resourceVersion":"{version}","continue":"{version}"}},"items":[]}}"#
            )
            .into_bytes(),
            5 => format!(
                r#"{{"kind":"Status","code":404,"reason":"NotFound","details":{{"kind":"pods","name":"{name}"}}}}"#
            )
            .into_bytes(),
            6 => b"{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\"}}\n".to_vec(),
            _ => {
                let length = input.int_in_range(0..=40)?;
                input.bytes(length)?.to_vec()
            }
        })
    }

    /// Does everything that is due, as every host does. Returns the time of the next call.
    fn advance(&mut self) -> Option<Instant> {
        for _ in 0..1_000 {
            let next = self.waits.poll(self.now, &mut ());
            let mut has_acted = false;
            while let Some(action) = self.waits.next_action(self.now) {
                has_acted = true;
                match action {
                    Action::Send { id, target, .. } => {
                        self.sent += 1;
                        let before = self.in_flight.insert(id, target);
                        assert_eq!(before, None, "an id is used once");
                    }
                    Action::Close(id) => drop(self.in_flight.remove(&id)),
                }
            }
            while let Some((wait, _)) = self.waits.next_answer() {
                has_acted = true;
                let count = self.open.len();
                self.open.retain(|open| *open != wait);
                assert_eq!(self.open.len() + 1, count, "one answer for each wait");
            }
            // A request that cannot be sent has failed at once, and its result is due now.
            if !has_acted && next != Some(self.now) {
                self.check(next);
                return next;
            }
        }
        panic!("the reflector always has something to do");
    }

    fn check(&self, next: Option<Instant>) {
        if self.open.is_empty() {
            assert!(self.waits.is_empty());
            assert!(self.in_flight.is_empty(), "{:?}", self.in_flight);
        } else {
            assert!(next.is_some_and(|next| next > self.now), "{next:?} at {:?}", self.now);
        }
        let most = MOST_PER_SECOND * (self.now.as_millis() / 1_000 + 4);
        assert!(!self.has_scope || self.sent <= most, "{} requests", self.sent);
    }

    /// From now on each request fails, and only time passes.
    fn lose_the_server(&mut self) {
        let end = self.now.after(DEADLINE + Duration::from_secs(2));
        for _ in 0..200_000 {
            let next = self.advance();
            if self.open.is_empty() {
                return;
            }
            if let Some(id) = self.in_flight.keys().next().copied() {
                self.in_flight.remove(&id);
                self.waits.end(self.now, id, Some("connection refused"), &mut ());
                continue;
            }
            self.now = next.expect("an open wait has a next deadline");
            assert!(
                self.now <= end,
                "a wait is open at {:?}, {} ms after its deadline",
                self.now,
                end.as_millis()
            );
        }
        panic!("{} waits have no answer at {:?}", self.open.len(), self.now);
    }
}
