//! The entries of the list.

use crate::pod::Pod;
use podwait_hub::{ApiFailure, Confirms, Event, From, Observed, PodName, Request, RequestId, Scope, WaitId};
use std::rc::Rc;

/// How long a probe is open, in seconds. Every other watch is open for longer.
const PROBE: u32 = 10;

/// What the reflector was made for.
#[derive(Debug)]
pub struct Setup {
    pub names: Rc<[PodName]>,
    pub scope: Option<Scope>,
    /// Requests per second for the scope; `None` without a limit.
    pub rate: Option<u64>,
}

/// An entry of the list. A pod is its place in [`Setup::names`], a version is a resourceVersion.
#[derive(Debug)]
pub enum What {
    // Inputs and commands.
    /// Nothing but time has passed.
    Time,
    Join {
        wait: WaitId,
        pod: usize,
        may_watch: bool,
        uid: Option<String>,
    },
    Leave {
        wait: WaitId,
    },
    Want {
        wait: WaitId,
        after: u64,
        confirms: Confirms,
    },
    Sent {
        id: RequestId,
        request: Request,
    },
    Closed {
        id: RequestId,
    },
    Opened {
        id: RequestId,
    },
    Bytes {
        id: RequestId,
    },
    Bookmark {
        id: RequestId,
        version: u64,
    },
    /// The bookmark after the last object of a LIST at the beginning of a watch.
    Listed {
        id: RequestId,
        version: u64,
    },
    /// An event with an object; without it, the object cannot be read.
    Event {
        id: RequestId,
        event: Event,
        version: u64,
        pod: usize,
        object: Option<Pod>,
    },
    /// An item of a page.
    Item {
        id: RequestId,
        object: Pod,
    },
    /// The end of a page.
    Page {
        id: RequestId,
        next: Option<String>,
    },
    Answer {
        id: RequestId,
        object: Option<Pod>,
    },
    Ended {
        id: RequestId,
    },
    Failed {
        id: RequestId,
        failure: ApiFailure,
    },
    Delivered {
        wait: WaitId,
    },

    // Conclusions from the entries before.
    /// These waits for a pod have to receive this next.
    Shown {
        pod: usize,
        how: How,
        observed: Observed<Pod>,
        to: Vec<WaitId>,
    },
    /// A watch with a label selector has sent a DELETED: the pod is gone, or has lost its label.
    Doubted {
        pod: usize,
        object: Pod,
    },
    /// The label selector does not match the pod, which is then read, unless it is missed or that read is under way.
    Unmatched {
        pod: usize,
        is_read: bool,
    },
    /// A LIST that was complete had not the pod. The watch before had shown everything up to that place.
    Unlisted {
        pod: usize,
        place: u64,
    },
    /// The pod has to be read now.
    Ask {
        pod: usize,
    },
    /// The watch of the scope does not serve the pod from now on.
    Alone {
        pod: usize,
        why: Alone,
    },
    /// It does.
    Served {
        pod: usize,
    },
    /// The first wait for the scope has come, or the scope is tried again.
    Runs,
    /// No wait needs the scope.
    Idle,
    /// The API server refuses the scope.
    Refused {
        until: u64,
    },
    /// The scope has to be watched from there.
    Watch {
        from: u64,
    },
    /// The scope has to be listed, not before that time.
    List {
        from: u64,
    },
    /// A wait takes part in the next LIST.
    Gather,
    /// The LIST that began there is over.
    Over {
        began: usize,
    },
    /// The LIST under way begins anew in pages.
    Pages,
    /// A LIST at the beginning of a watch broke off.
    Broken,
    /// A LIST was complete, at the beginning of a watch or in pages.
    Whole {
        is_stream: bool,
    },
    /// A refusal that is tolerated.
    Tolerated,
    /// The store went back, so the scope is listed anew.
    Restored,
    /// A wait has received that the state of its pod is unknown.
    Behind,
    /// The watch or a LIST of the scope has shown the present state.
    Current,
    /// A watch was open for too long or is too far behind.
    Dead {
        id: RequestId,
    },
    /// The watch of the scope should reach this version within five seconds.
    Ahead {
        version: u64,
    },
    /// The pod has to be watched by its name from there.
    OwnWatch {
        pod: usize,
        from: From,
    },
    /// The pod is not watched by its name before that time.
    OwnRest {
        pod: usize,
        until: u64,
    },
    /// A wait confirms that the pod is gone, which was at this version before.
    Missed {
        pod: usize,
        at: u64,
        uid: String,
        is_shared: bool,
    },
    /// No wait confirms that any more.
    Found {
        pod: usize,
    },
    /// Missed pods of the scope are probed by name from now on.
    ByName,
    /// A probe is due at that time: of this pod, or of the scope.
    Probe {
        of: Option<usize>,
        from: u64,
        at: u64,
    },
    /// There is no probe any more, although a pod is missed.
    NoProbe {
        of: Option<usize>,
    },
}

/// Why a pod is not served by the watch of the scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alone {
    /// The pod is outside of the scope, or the caller chose this.
    Chosen,
    /// The API server refuses the scope.
    Refused,
}

/// Why something is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// It is the newest state, or the result of a read.
    News,
    /// It is older than what was shown, for the waits that need that.
    Replay,
    /// A read confirms a deletion that was doubted.
    Confirmed,
    /// A request other than the read of this pod failed.
    Beside,
    /// Time has passed.
    Late,
}

#[derive(Debug)]
pub struct Entry {
    pub at: u64,
    pub what: What,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Watch,
    Probe,
    Page,
    WatchList,
    OwnWatch(usize),
    OwnProbe(usize),
    Get(usize),
    /// A LIST by name and label selector.
    Question(usize),
}

impl Role {
    /// The pod of a read.
    pub const fn read(self) -> Option<usize> {
        match self {
            Self::Get(pod) | Self::Question(pod) => Some(pod),
            Self::Watch
            | Self::Probe
            | Self::Page
            | Self::WatchList
            | Self::OwnWatch(_)
            | Self::OwnProbe(_) => None,
        }
    }

    /// The pod of a probe, or `None` for that of the scope.
    pub const fn probe(self) -> Option<Option<usize>> {
        match self {
            Self::Probe => Some(None),
            Self::OwnProbe(pod) => Some(Some(pod)),
            Self::Watch
            | Self::Page
            | Self::WatchList
            | Self::OwnWatch(_)
            | Self::Get(_)
            | Self::Question(_) => None,
        }
    }
}

/// A request and its place in the list.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    pub id: RequestId,
    pub request: &'a Request,
    pub sent: usize,
    pub role: Role,
    /// When the watch was opened; for a LIST at its beginning, when the LIST was complete.
    pub opened: Option<u64>,
}

impl Setup {
    pub fn place(&self, pod: &PodName) -> usize {
        self.names.iter().position(|name| name == pod).expect("a name of this walk")
    }

    /// What a request is for when it is sent.
    pub fn role(&self, request: &Request) -> Role {
        match request {
            Request::Get(pod) => Role::Get(self.place(pod)),
            Request::List { selection, .. } => match &selection.pod {
                Some(pod) => Role::Question(self.place(pod)),
                None => Role::Page,
            },
            Request::Watch { selection, seconds, .. } => match (&selection.pod, *seconds == PROBE) {
                (None, false) => Role::Watch,
                (None, true) => Role::Probe,
                (Some(pod), false) => Role::OwnWatch(self.place(pod)),
                (Some(pod), true) => Role::OwnProbe(self.place(pod)),
            },
            Request::WatchList { .. } => Role::WatchList,
        }
    }
}
