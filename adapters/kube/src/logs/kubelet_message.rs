//! Error messages that a kubelet writes in place of a log, or after it: with status 200, as if the step had written
//! them (kubernetes#142258).

use crate::client::failure;
use podwait_wire::{ApiFailure, Via};

/// Why a line does not belong to a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoLog {
    /// The node has removed the log of the run.
    Removed,
    /// The node has no resources left to follow a log.
    Unfollowable,
    /// The node cannot read the log.
    Unreadable,
    /// The line has no time, although other lines have one.
    Untimed,
}

/// The beginnings of the messages: `GetContainerLogs` in `pkg/kubelet/kuberuntime/kuberuntime_container.go`, and
/// `ReadLogs` and `waitLogs` in `staging/src/k8s.io/cri-client/pkg/logs/logs.go`.
const SENTENCES: [(&str, NoLog); 13] = [
    ("unable to retrieve container logs for ", NoLog::Removed),
    ("failed to create fsnotify watcher: ", NoLog::Unfollowable),
    ("failed to watch directory ", NoLog::Unfollowable),
    ("failed to try resolving symlinks in path ", NoLog::Unreadable),
    ("failed to open log file ", NoLog::Unreadable),
    ("failed to tail ", NoLog::Unreadable),
    ("failed to seek ", NoLog::Unreadable),
    ("failed to reset seek in log file ", NoLog::Unreadable),
    ("failed to read log file ", NoLog::Unreadable),
    ("failed to get parse function: ", NoLog::Unreadable),
    ("rpc error: code = ", NoLog::Unreadable),
    ("container status is nil", NoLog::Unreadable),
    ("context cancelled", NoLog::Unreadable),
];

/// The kubelet message at the beginning of a text, if any; `Some(None)` if the text is too short to know, and does not
/// end here.
pub(crate) fn kubelet_message(text: &[u8], is_end: bool) -> Option<Option<NoLog>> {
    let known = SENTENCES.iter().find(|(sentence, _)| text.starts_with(sentence.as_bytes()));
    if let Some((_, message)) = known {
        return Some(Some(*message));
    }
    let may_become = SENTENCES.iter().any(|(sentence, _)| sentence.as_bytes().starts_with(text));
    (may_become && !is_end).then_some(None)
}

impl NoLog {
    /// The same as a failure. It does not quote the line, because the step may have written it.
    pub(crate) fn failure(self) -> ApiFailure {
        let message = match self {
            Self::Removed => "the node has no log of the container",
            Self::Unfollowable => {
                "the node cannot follow the log: its inotify instances or watches are used up"
            }
            Self::Unreadable => "the node cannot read the log",
            Self::Untimed => "the node sends a line without its time",
        };
        failure(Via::Get, 0, message)
    }
}
