//! The faults of a spell, and how they are drawn.

use super::ELSEWHERE;
use crate::storm::dice::Dice;
use crate::storm::truth::STEP;
use podwait_sim::{Fault, FaultBody, RequestInfo, Verb};
use serde_json::json;
use std::time::Duration;

/// The effect of a spell on the requests during it, or on the connections that are open when it begins.
#[derive(Clone, Debug)]
pub enum What {
    /// No request gets a usable response; open watches break, or become silent.
    Outage {
        /// The fault of each request.
        fault: Fault,
        /// Whether open watches become silent.
        half_open: bool,
    },
    /// This percentage of the requests gets 429.
    Throttled {
        /// The percentage.
        percent: u64,
        /// `Retry-After`.
        retry_after: Option<u64>,
    },
    /// 401 or 403 for everything.
    Denied(u16),
    /// This percentage of the requests fails, each with a random fault.
    Flaky(u64),
    /// Responses take up to 12 s, longer than the timeout of a call.
    Slow,
    /// Reads get an object as it was some writes ago.
    Stale,
    /// Every watch is ended, broken, silent or expired.
    BadWatches,
    /// Watches are refused with this code; GETs are not.
    NoWatches(u16),
    /// Open watches end cleanly when the spell begins.
    Cut,
    /// Open watches break when the spell begins.
    Broken,
    /// Open watches become silent when the spell begins: half-open connections.
    Silence,
    /// The history is compacted when the spell begins: watches that would need it get 410.
    Compaction,
    /// This percentage of the requests gets a proxy's page. From the API server its code would refuse the request.
    Pages {
        /// The percentage.
        percent: u64,
        /// The code.
        code: u16,
    },
    /// This percentage of the GETs gets a pod with that name in another namespace, which has succeeded.
    Elsewhere(u64),
    /// Each watch sends at most one event, and breaks.
    OneEvent,
}

/// The `Retry-After` of a single 429.
pub(super) const FLAKY_RETRY_AFTER: u64 = 7;

impl What {
    /// The fault of a request during the spell.
    pub(super) fn fault(&self, request: &RequestInfo, dice: &mut Dice) -> Option<Fault> {
        let watches = request.verb == Verb::Watch;
        match self {
            Self::Outage { fault, .. } => Some(fault.clone()),
            Self::Throttled { percent, retry_after } => dice.chance(*percent).then(|| {
                let fault = Fault::status(429);
                retry_after.map_or(fault.clone(), |seconds| fault.retry_after(seconds))
            }),
            Self::Denied(code) => Some(Fault::status(*code)),
            Self::Flaky(percent) => dice.chance(*percent).then(|| failure(dice)),
            Self::Slow => Some(Fault::Delay(dice.time(0, 12_000))),
            Self::Stale => {
                let writes = usize::try_from(dice.below(4)).unwrap_or(0);
                (!watches && writes > 0).then_some(Fault::Stale { writes })
            }
            Self::BadWatches => watches.then(|| bad_watch(dice)),
            Self::NoWatches(code) => watches.then(|| Fault::status(*code)),
            Self::Pages { percent, code } => dice.chance(*percent).then(|| page(*code)),
            Self::Elsewhere(percent) => {
                let name = request.name.as_ref().filter(|_| request.verb == Verb::Get)?;
                dice.chance(*percent).then(|| namesake(name))
            }
            Self::OneEvent => watches.then_some(Fault::ResetAfter { events: 1 }),
            Self::Cut | Self::Broken | Self::Silence | Self::Compaction => None,
        }
    }

    /// The fault of an open watch when the spell begins, after this time.
    pub(super) fn breaks(&self, after: Duration) -> Option<Fault> {
        match self {
            Self::Outage { half_open: true, .. } | Self::Silence => Some(Fault::SilentIn(after)),
            Self::Outage { half_open: false, .. } | Self::Broken => Some(Fault::ResetIn(after)),
            Self::Cut => Some(Fault::CutIn(after)),
            Self::Throttled { .. } | Self::Denied(_) | Self::Flaky(_) | Self::Slow | Self::Stale => None,
            Self::BadWatches | Self::NoWatches(_) | Self::Compaction => None,
            Self::Pages { .. } | Self::Elsewhere(_) | Self::OneEvent => None,
        }
    }
}

/// Draws from the first edition.
pub(super) fn what(dice: &mut Dice) -> (What, Duration) {
    let outage = |fault, half_open| What::Outage { fault, half_open };
    match dice.weighted(&[
        (6, 0),
        (3, 1),
        (2, 2),
        (3, 3),
        (2, 4),
        (3, 5),
        (1, 6),
        (2, 7),
        (2, 8),
        (1, 9),
        (2, 10),
    ]) {
        0 => {
            let page = FaultBody::Text(String::from("<html><h1>502 Bad Gateway</h1></html>"));
            let page = Fault::Status { code: 502, retry_after: None, body: page };
            let faults =
                [Fault::Reset, Fault::Hang, page, Fault::status(503), Fault::status(500), Fault::status(504)];
            let length =
                if dice.chance(85) { dice.skewed_time(500, 200_000) } else { dice.time(200_000, 600_000) };
            (outage(dice.pick(&faults), dice.chance(40)), length)
        }
        1 => {
            let retry_after =
                dice.pick(&[None, None, Some(0), Some(1), Some(5), Some(10), Some(60), Some(3600)]);
            let percent = dice.pick(&[30, 70, 100]);
            (What::Throttled { percent, retry_after }, dice.skewed_time(1000, 120_000))
        }
        2 => (What::Denied(dice.pick(&[401, 403])), dice.skewed_time(500, 120_000)),
        3 => (What::Flaky(dice.pick(&[10, 30, 60])), dice.skewed_time(2000, 300_000)),
        4 => (What::Slow, dice.skewed_time(2000, 120_000)),
        5 => (What::BadWatches, dice.skewed_time(5000, 1_200_000)),
        6 => (What::NoWatches(dice.pick(&[400, 403, 405])), dice.skewed_time(5000, 1_200_000)),
        7 => (dice.pick(&[What::Cut, What::Broken]), Duration::ZERO),
        8 => (What::Silence, Duration::ZERO),
        9 => (What::Compaction, Duration::ZERO),
        _ => (What::Stale, dice.skewed_time(1000, 60_000)),
    }
}

/// Draws from the additions of the second edition.
pub(super) fn later(dice: &mut Dice) -> (What, Duration) {
    match dice.below(10) {
        0..4 => {
            let (percent, code) = (dice.pick(&[30, 70, 100]), dice.pick(&[400, 405, 406, 415, 422]));
            (What::Pages { percent, code }, dice.skewed_time(1000, 300_000))
        }
        4..6 => (What::Elsewhere(dice.pick(&[30, 70, 100])), dice.skewed_time(1000, 120_000)),
        6 => {
            let (fault, half_open) = (Fault::status(410), dice.chance(40));
            (What::Outage { fault, half_open }, dice.skewed_time(1000, 600_000))
        }
        _ => (What::OneEvent, dice.skewed_time(5000, 1_200_000)),
    }
}

/// A proxy's page.
fn page(code: u16) -> Fault {
    let body = FaultBody::Text(String::from("<html><body><h1>Bad Request</h1></body></html>"));
    Fault::Status { code, retry_after: None, body }
}

/// A response with another pod that has succeeded.
fn namesake(name: &str) -> Fault {
    let pod = json!({
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {
            "name": name,
            "namespace": ELSEWHERE,
            "uid": "00000000-0000-4000-9000-000000000000",
            "resourceVersion": "900000000",
        },
        "spec": { "restartPolicy": "Never", "containers": [{ "name": STEP, "image": "busybox" }] },
        "status": {
            "phase": "Succeeded",
            "containerStatuses": [{
                "name": STEP,
                "restartCount": 0,
                "containerID": "containerd://1",
                "state": { "terminated": {
                    "exitCode": 0,
                    "reason": "Completed",
                    "startedAt": "2026-01-01T00:00:00Z",
                    "finishedAt": "2026-01-01T00:00:01Z",
                    "containerID": "containerd://1",
                } },
            }],
        },
    });
    Fault::Status { code: 200, retry_after: None, body: FaultBody::Object(pod) }
}

/// A fault of one request.
fn failure(dice: &mut Dice) -> Fault {
    let text = |code: u16, text: &str| Fault::Status {
        code,
        retry_after: None,
        body: FaultBody::Text(text.to_owned()),
    };
    match dice.below(11) {
        0 => Fault::Reset,
        1 => Fault::Hang,
        2 => Fault::status(500),
        3 => Fault::status(503),
        4 => Fault::status(429).retry_after(FLAKY_RETRY_AFTER),
        5 => Fault::status(429),
        // These 404s are not about this pod: one is about another kind, one is a proxy's.
        6 => Fault::status(404),
        7 => text(404, "404 page not found\n"),
        8 => text(502, "<html>"),
        9 => Fault::CutMidLine { events: 0 },
        _ => Fault::Delay(dice.time(0, 12_000)),
    }
}

/// A fault of one watch.
fn bad_watch(dice: &mut Dice) -> Fault {
    let events = usize::try_from(dice.below(4)).unwrap_or(0);
    match dice.below(12) {
        0 => Fault::CutAfter { events },
        1 => Fault::CutMidLine { events },
        2 => Fault::ResetAfter { events },
        3 => Fault::SilentAfter { events },
        4 => Fault::CutIn(dice.skewed_time(1, 100_000)),
        5 => Fault::ResetIn(dice.skewed_time(1, 100_000)),
        6 => Fault::SilentIn(dice.skewed_time(1, 100_000)),
        7 => Fault::status(410),
        8 => Fault::status(429).retry_after(dice.below(6)),
        9 => Fault::status(503),
        10 => Fault::Hang,
        _ => Fault::Delay(dice.time(0, 12_000)),
    }
}
