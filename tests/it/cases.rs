//! Cases as data: `tests/cases/*.jsonl`.

use podwait_tests::case::Case;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;

const README: &str = include_str!("../cases/README.md");
const API: &str = include_str!("../cases/api.jsonl");
const CAUSE: &str = include_str!("../cases/cause.jsonl");
const EXIT: &str = include_str!("../cases/exit.jsonl");
const FINAL: &str = include_str!("../cases/final.jsonl");
const FUZZ: &str = include_str!("../cases/fuzz.jsonl");
const GONE: &str = include_str!("../cases/gone.jsonl");
const IDENTITY: &str = include_str!("../cases/identity.jsonl");
const JOBS: &str = include_str!("../cases/jobs.jsonl");
const LOST: &str = include_str!("../cases/lost.jsonl");
const OBSERVED: &str = include_str!("../cases/observed.jsonl");
const REPORTED: &str = include_str!("../cases/reported.jsonl");
const TIMERS: &str = include_str!("../cases/timers.jsonl");
const WAITING: &str = include_str!("../cases/waiting.jsonl");

const ALL: [&str; 13] =
    [API, CAUSE, EXIT, FINAL, FUZZ, GONE, IDENTITY, JOBS, LOST, OBSERVED, REPORTED, TIMERS, WAITING];

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

/// The ids of all cases, each of which must be unique.
fn ids() -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for case in ALL.iter().flat_map(|jsonl| Case::read_all(jsonl)) {
        assert!(ids.insert(case.id.clone()), "{} is not unique", case.id);
    }
    ids
}

#[test]
fn every_case_has_a_unique_id_a_source_and_a_why() {
    assert!(!ids().is_empty());
    for line in ALL.iter().flat_map(|jsonl| jsonl.lines()) {
        let case: Value = serde_json::from_str(line).unwrap();
        let text = |pointer: &str| case.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let (id, source) = (text("/id"), text("/source"));
        for pointer in ["/id", "/title", "/source", "/expect/why"] {
            assert!(!text(pointer).is_empty(), "{id} has no {pointer}");
        }
        let is_ours = |part: &str| part.starts_with("rule") || part.starts_with("invariant");
        assert!(!source.split("; ").all(is_ours), "{id} has no source but our own rules");
        assert_eq!(
            id.starts_with("FZ"),
            source.starts_with("fuzz target "),
            "{id} is from the fuzzer, or it is not"
        );
    }
}

#[test]
fn the_readme_lists_every_file_and_only_existing_cases() {
    let files = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/cases")).unwrap();
    let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
    let names: Vec<String> = names.filter(|name| name.ends_with(".jsonl")).collect();
    assert_eq!(names.len(), ALL.len(), "a file of cases that no test plays: {names:?}");
    for name in names {
        assert!(README.contains(&format!("| [{name}]({name}) |")), "{name} is not in the table of files");
    }
    let ids = ids();
    let is_id = |word: &&str| {
        let digits = word.trim_start_matches(|letter: char| letter.is_ascii_uppercase());
        word.len() > digits.len() && digits.len() > 1 && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    let named: BTreeSet<&str> = README.split_whitespace().filter(is_id).collect();
    let unknown: Vec<_> = named.iter().filter(|word| !ids.contains(**word)).collect();
    assert!(unknown.is_empty() && !named.is_empty(), "no such case: {unknown:?}");
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

/// Observations on real clusters and in bug reports of other users, over all rules.
#[test]
fn observed_cases_have_their_answers() {
    check(OBSERVED);
}

/// Newer bug reports of other users, over all rules.
#[test]
fn reported_cases_have_their_answers() {
    check(REPORTED);
}

/// Findings of the fuzzer that a pod could show.
#[test]
fn fuzz_cases_have_their_answers() {
    check(FUZZ);
}

/// Rules 14 to 20.
#[test]
fn cases_of_jobs_have_their_answers() {
    check(JOBS);
}
