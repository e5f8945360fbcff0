//! Cases as data: `tests/cases/*.jsonl`.

use podwait_tests::case::Case;

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
fn observed_cases_have_their_answers() {
    check(include_str!("../cases/observed.jsonl"));
}
