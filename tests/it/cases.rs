//! Cases as data: `tests/cases/*.jsonl`.

use podwait_tests::case::Case;
use serde_json::Value;
use std::collections::BTreeSet;

const API: &str = include_str!("../cases/api.jsonl");
const CAUSE: &str = include_str!("../cases/cause.jsonl");
const EXIT: &str = include_str!("../cases/exit.jsonl");
const FINAL: &str = include_str!("../cases/final.jsonl");
const FUZZ: &str = include_str!("../cases/fuzz.jsonl");
const GONE: &str = include_str!("../cases/gone.jsonl");
const IDENTITY: &str = include_str!("../cases/identity.jsonl");
const LOST: &str = include_str!("../cases/lost.jsonl");
const OBSERVED: &str = include_str!("../cases/observed.jsonl");
const TIMERS: &str = include_str!("../cases/timers.jsonl");
const WAITING: &str = include_str!("../cases/waiting.jsonl");

const ALL: [&str; 11] = [API, CAUSE, EXIT, FINAL, FUZZ, GONE, IDENTITY, LOST, OBSERVED, TIMERS, WAITING];

#[track_caller]
fn check(jsonl: &str) {
    let cases = Case::read_all(jsonl);
    let complaints: Vec<String> = cases.iter().filter_map(|case| case.check().err()).collect();
    assert!(
        complaints.is_empty(),
        "{} of {} cases:\n{}",
        complaints.len(),
        cases.len(),
        complaints.join("\n")
    );
}

#[test]
fn every_case_has_an_id_of_its_own_a_source_and_a_why() {
    let mut ids = BTreeSet::new();
    for line in ALL.iter().flat_map(|jsonl| jsonl.lines()) {
        let case: Value = serde_json::from_str(line).unwrap();
        let text = |pointer: &str| case.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let id = text("/id");
        assert!(ids.insert(id.to_owned()), "{id} is there twice");
        for pointer in ["/id", "/title", "/source", "/expect/why"] {
            assert!(!text(pointer).is_empty(), "{id} has no {pointer}");
        }
    }
}

/// Rules 1 and 2.
#[test]
fn identity_cases_have_their_answers() {
    check(IDENTITY);
}

/// Rule 3.
#[test]
fn final_cases_have_their_answers() {
    check(FINAL);
}

/// Rule 4.
#[test]
fn cause_cases_have_their_answers() {
    check(CAUSE);
}

/// Rules 5 and 6.
#[test]
fn exit_cases_have_their_answers() {
    check(EXIT);
}

/// Rule 8.
#[test]
fn waiting_cases_have_their_answers() {
    check(WAITING);
}

/// Rules 7 and 9.
#[test]
fn gone_cases_have_their_answers() {
    check(GONE);
}

/// Rule 10.
#[test]
fn lost_cases_have_their_answers() {
    check(LOST);
}

/// Rule 11.
#[test]
fn api_cases_have_their_answers() {
    check(API);
}

/// Rules 12 and 13, and the policy `settle`.
#[test]
fn timers_cases_have_their_answers() {
    check(TIMERS);
}

/// What was seen on real clusters and in the bug reports of others, over all rules.
#[test]
fn observed_cases_have_their_answers() {
    check(OBSERVED);
}

/// What the fuzzer found, as a pod could show it.
#[test]
fn fuzz_cases_have_their_answers() {
    check(FUZZ);
}
