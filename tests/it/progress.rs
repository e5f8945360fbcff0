//! What a wait says about why it goes on, over all cases: it is one clean line, and its limit is the one that decides.

use podwait_core::{Decision, FailReason, Input, Instant, Limit, ProgressLog, WaitMachine};
use podwait_tests::case::Case;
use podwait_tests::sentence;
use std::ffi::OsStr;

/// Plays a case, and returns the last limit that its progress named before its end, with the failure of the end and the input that
/// brought it.
fn last_limit(case: &Case) -> Option<(Option<Limit>, FailReason, Instant, bool)> {
    let (mut machine, mut log): (WaitMachine, _) = (case.header().machine(), ProgressLog::default());
    for (at, observed) in case.events() {
        let input = observed.as_input();
        let before = log.last().and_then(|progress| progress.limit);
        let decision = machine.handle(at, input);
        let is_new = log.see(&machine, input).is_some();
        match decision {
            Decision::Retry { .. } => {
                let progress = log.last().unwrap_or_else(|| panic!("{}: nothing is awaited", case.id));
                sentence::check_text(&progress.message)
                    .unwrap_or_else(|fault| panic!("{}: {fault}", case.id));
                assert!(progress.since <= machine.now(), "{}: {progress:?}", case.id);
                if let Some(limit) = progress.limit {
                    assert!(limit.at > machine.now(), "{}: {limit:?} is over", case.id);
                }
            }
            Decision::Fail(failure) => {
                assert!(!is_new, "{}: there is an answer", case.id);
                return Some((before, failure.reason, at, input == Input::Tick));
            }
            Decision::Done(_) => return None,
        }
    }
    None
}

#[test]
fn a_limit_that_expires_was_named_with_its_failure() {
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/cases")).expect("the cases");
    let files = files.map(|file| file.expect("a file").path());
    let mut checked = 0;
    let of_pods = |name: &str| name.ends_with(".jsonl") && name != "jobs.jsonl";
    for file in files.filter(|file| file.file_name().and_then(OsStr::to_str).is_some_and(of_pods)) {
        for case in Case::read_all(&std::fs::read_to_string(file).expect("a file of cases")) {
            // Only time has passed, so what decided is the limit.
            if let Some((limit, reason, at, true)) = last_limit(&case) {
                let limit =
                    limit.unwrap_or_else(|| panic!("{}: no limit was named before {reason}", case.id));
                assert!(limit.at <= at, "{}: {limit:?} at {at:?}", case.id);
                // What is known of a pod that is gone decides about its end.
                let is_gone = matches!(limit.reason, FailReason::PodDeleted | FailReason::PodReplaced);
                assert!(is_gone || limit.reason == reason, "{}: {limit:?}, {reason}", case.id);
                checked += 1;
            }
        }
    }
    assert!(checked > 80, "{checked} cases");
}
