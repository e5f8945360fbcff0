//! Whether the step may have done its work, if there is no exit.

use super::record;
use super::story::{Sight, Story};
use super::target::State;
use podwait_core::{FailReason, Input};

/// Whether the target may have run to its end by the last input of this story.
pub(super) fn may_have_finished(story: &Story<'_>, reason: FailReason) -> bool {
    // A spec without the target, or with more containers than before, is no evidence about the target's runs.
    let found: Vec<Sight<'_>> = story.sights.iter().filter(|sight| sight.target.is_ok()).cloned().collect();
    let Some(newest) = found.last() else {
        // A pod that was not seen may have run before. A container that its spec does not have cannot have run.
        return reason != FailReason::ContainerNotInSpec;
    };
    let is_over = newest.phase.is_terminal();
    if let Some((record, is_followed)) = record::latest_with_followers(&found) {
        return record.exit_code == 0 || (is_followed && !is_over);
    }
    has_started(story) || !(is_over || is_up_to_date(story))
}

fn has_started(story: &Story<'_>) -> bool {
    story.sights.iter().filter_map(|sight| sight.target.as_ref().ok()).any(|target| {
        let trace = target.status.is_some_and(|status| {
            status.restart_count > 0 || !status.container_id.is_empty() || status.last_terminated.is_some()
        });
        trace || matches!(target.state(), State::Running | State::Ended(_))
    })
}

/// Whether the newest sight is the current state: the last input shows it, or only time has passed since the last good
/// read.
fn is_up_to_date(story: &Story<'_>) -> bool {
    match story.last() {
        _ if story.confirming_since().is_some() => false,
        Input::Snapshot(_) | Input::Read(_) => story.ours,
        Input::Tick | Input::Cancel => {
            let quiet = |input: &Input<'_>| matches!(input, Input::Tick | Input::Cancel);
            let before = story.inputs.iter().rev().find(|(_, input)| !quiet(input));
            before.is_none_or(|(_, input)| !matches!(input, Input::ApiError(_)))
        }
        Input::Deleted(_) | Input::NotFound | Input::ApiError(_) => false,
    }
}
