//! A history by the rules: which inputs count as sights of our pod (rules 1 and 10), and what they show.

use super::config::{Config, Goal};
use super::record::Ending;
use super::target::Target;
use super::{Event, Verdict, cause, record};
use podwait_core::{FailReason, Input, Instant, Phase, PodSnapshot};
use std::cmp::Ordering;
use std::time::Duration;

/// A history, and the identity of its pods.
pub(super) struct Story<'a> {
    pub(super) config: &'a Config,
    /// Every input. If the time goes back, no time has passed.
    pub(super) inputs: Vec<Event<'a>>,
    /// The snapshots that count, in their order.
    pub(super) sights: Vec<Sight<'a>>,
    /// The last input is the newest sight.
    pub(super) fresh: bool,
    /// The last input shows our pod, perhaps an old state of it.
    pub(super) ours: bool,
    /// The last input shows that a namesake replaced our pod.
    pub(super) replaced: bool,
    /// Since when our pod is not found, until a read shows it again, and the reason by the newest response.
    pub(super) gone: Option<(Instant, FailReason)>,
    /// Since when reads show that the record is lost, and the verdict on that. These reads are no sights, since the
    /// earlier record is awaited.
    pub(super) lost: Option<(Instant, Verdict)>,
    /// The last input is older than the newest sight, as are all inputs since, for longer than any cache is behind.
    pub(super) outdated: bool,
}

/// A snapshot of our pod that is not older than the earlier sights.
#[derive(Clone)]
pub(super) struct Sight<'a> {
    /// The index of the input.
    pub(super) index: usize,
    pub(super) at: Instant,
    pub(super) pod: &'a PodSnapshot,
    /// It is the object of a DELETED event.
    pub(super) gone: bool,
    /// The phase. If a terminal phase goes back, this is still the latest terminal phase.
    pub(super) phase: Phase,
    /// The target in it.
    pub(super) target: Result<Target<'a>, FailReason>,
}

impl<'a> Story<'a> {
    pub(super) fn of(config: &'a Config, goal: &Goal, history: &[Event<'a>]) -> Self {
        let mut pinned = goal.uid.as_deref();
        let mut story = Self {
            config,
            inputs: Vec::new(),
            sights: Vec::new(),
            fresh: false,
            ours: false,
            replaced: false,
            gone: None,
            lost: None,
            outdated: false,
        };
        let mut now = Instant::ZERO;
        for (index, (at, input)) in history.iter().enumerate() {
            now = now.max(*at);
            story.inputs.push((now, *input));
            story.fresh = false;
            story.ours = false;
            story.replaced = false;
            story.outdated = false;
            if matches!(input, Input::NotFound) && !story.sights.is_empty() {
                story.lose(FailReason::PodDeleted);
            }
            let (Input::Snapshot(pod) | Input::Read(pod) | Input::Deleted(pod)) = input else { continue };
            let ours = *pinned.get_or_insert(&pod.uid) == pod.uid;
            story.ours = ours;
            let is_told_gone = matches!(input, Input::Deleted(_));
            let newest = story.newest();
            let older = newest.is_some_and(|known| is_older(pod, known.pod));
            let went_back =
                matches!(input, Input::Read(_)) && story.has_been_older(config.unknown_grace, is_read);
            let stale = older && !went_back;
            let longest = config.api_error_budget + config.unknown_grace;
            story.outdated = stale && !is_told_gone && story.has_been_older(longest, |_| true);
            let newest = story.newest();
            if ours && !stale {
                let terminal = newest.map(|known| known.phase).filter(|phase| phase.is_terminal());
                let phase = if pod.phase.is_terminal() { pod.phase } else { terminal.unwrap_or(pod.phase) };
                story.sights.push(Sight {
                    index,
                    at: now,
                    pod,
                    gone: matches!(input, Input::Deleted(_)),
                    phase,
                    target: Target::find(goal, pod),
                });
                story.fresh = true;
                if is_read(input) {
                    story.gone = None;
                    let since = story.lost.map_or(now, |(since, _)| since);
                    story.lost = story.loses_record().map(|verdict| (since, verdict));
                    if story.lost.is_some() {
                        story.sights.pop();
                        story.fresh = false;
                    }
                }
            } else if !ours && !stale && newest.is_some() && !is_told_gone && story.lost.is_none() {
                story.replaced = true;
                story.lose(FailReason::PodReplaced);
            }
        }
        story
    }

    /// The newest input shows that the pod is not found.
    fn lose(&mut self, how: FailReason) {
        if self.lost.is_some() {
            return;
        }
        let since = self.gone.map_or_else(|| self.now(), |(since, _)| since);
        self.gone = Some((since, how));
    }

    /// Rule 5: the verdict by the newest sight, if it shows a made-up end and an earlier sight did not.
    fn loses_record(&self) -> Option<Verdict> {
        if self.config.gone_grace.is_zero() || self.sights.len() < 2 {
            return None;
        }
        match record::ending(self.config, &self.sights) {
            Some(Ending::Final(
                verdict @ Verdict::Fail { reason: FailReason::ContainerStatusUnknown, .. },
            )) => Some(verdict),
            Some(Ending::Final(_) | Ending::Unsettled(_)) | None => None,
        }
    }

    /// Whether the first object of this kind that is older than the newest sight arrived at least this long ago.
    pub(super) fn has_been_older(&self, grace: Duration, kind: fn(&Input<'_>) -> bool) -> bool {
        let Some(known) = self.newest() else { return false };
        let first = self.inputs[known.index + 1..].iter().find(|(_, input)| match input {
            Input::Snapshot(pod) | Input::Read(pod) => is_older(pod, known.pod) && kind(input),
            Input::Deleted(_) | Input::NotFound | Input::ApiError(_) | Input::Tick | Input::Cancel => false,
        });
        first.is_some_and(|(at, _)| self.now().since(*at) >= grace)
    }

    /// Since when the machine awaits an earlier state than the one that reads show.
    pub(super) fn confirming_since(&self) -> Option<Instant> {
        self.lost.map(|(since, _)| since).or_else(|| self.gone.map(|(since, _)| since))
    }

    pub(super) fn start(&self) -> Instant {
        self.inputs.first().expect("a history that is not empty").0
    }

    pub(super) fn now(&self) -> Instant {
        self.inputs.last().expect("a history that is not empty").0
    }

    pub(super) fn last(&self) -> Input<'a> {
        self.inputs.last().expect("a history that is not empty").1
    }

    pub(super) fn newest(&self) -> Option<&Sight<'a>> {
        self.sights.last()
    }

    /// The code that a failure carries for information.
    pub(super) fn seen_code(&self) -> Option<i32> {
        record::latest(&self.sights).map(|record| record.exit_code)
    }
}

/// The terminal phase, if an object without any sign of an outside cause showed it: then the containers of the pod
/// caused it. A `Failed` after a clean `Succeeded` takes that back.
pub(super) fn clean_end(sights: &[Sight<'_>]) -> Option<Phase> {
    let terminal = sights.iter().enumerate().filter(|(_, sight)| sight.pod.phase.is_terminal());
    terminal.fold(None, |clean, (index, sight)| {
        let is_marked = cause::is_marked(sight.pod)
            || cause::was_deleted(&sights[..index])
            || cause::said_while_open(&sights[..index]).is_some();
        match (clean, sight.pod.phase) {
            (_, phase) if !is_marked => Some(phase),
            (Some(Phase::Succeeded), Phase::Failed) => None,
            (clean, _) => clean,
        }
    })
}

fn is_read(input: &Input<'_>) -> bool {
    matches!(input, Input::Read(_))
}

/// Whether `pod` is an older state than `known`: both versions are decimal, and it has the smaller one.
pub(super) fn is_older(pod: &PodSnapshot, known: &PodSnapshot) -> bool {
    match (decimal(&pod.resource_version), decimal(&known.resource_version)) {
        (Some(new), Some(old)) => new.len().cmp(&old.len()).then_with(|| new.cmp(old)) == Ordering::Less,
        _ => false,
    }
}

fn decimal(version: &str) -> Option<&str> {
    (!version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| version.trim_start_matches('0'))
}
