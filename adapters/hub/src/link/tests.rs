//! The states of a watch, and what counts as a failure.

use super::*;
use crate::table::Table;

const fn at(millis: u64) -> Instant {
    Instant::from_millis(millis)
}

fn id() -> RequestId {
    Table::<RequestId, ()>::new().insert(())
}

fn open(at: Instant) -> Link {
    let mut link = Link::down(at);
    link.want(From::After("7".into()));
    link.sent(id());
    link.opened(at);
    link
}

#[test]
fn a_watch_is_wanted_opened_and_ends() {
    let mut link = Link::down(at(0));
    assert!(!link.is_on() && link.request().is_none());
    link.want(From::Any("7".into()));
    assert_eq!(link.wanted().map(From::resource_version), Some("0"));
    link.sent(id());
    assert!(link.is_on() && !link.is_open() && link.request().is_some());
    link.opened(at(10));
    assert_eq!((link.is_open(), link.reached()), (true, Some("7")));
    link.has_reached("9", true);
    link.rest(at(20));
    assert_eq!((link.place(), link.down_until()), (9, Some(at(20))));
}

#[test]
fn one_that_brings_nothing_and_breaks_counts_as_failed() {
    for (news, open_for, expected) in [(false, 9_999, 1), (false, 10_000, 0), (true, 999, 1), (true, 1000, 0)]
    {
        let mut link = open(at(0));
        let _ = link.fail(at(0));
        link.state = open(at(0)).state;
        if news {
            link.has_reached("8", true);
        }
        assert_eq!(link.fail(at(open_for)), expected, "{news} {open_for}");
    }
    let rests: alloc::vec::Vec<u64> = (0..9).map(|failed| rest_after(failed).as_secs()).collect();
    assert_eq!(rests, [0, 1, 2, 4, 8, 16, 32, 60, 60]);
}

#[test]
fn one_that_is_open_for_too_long_or_falls_behind_is_dead() {
    let mut link = open(at(0));
    assert_eq!(link.alarm(), Some(at(300_000)));
    assert!(!link.is_dead(at(299_999)) && link.is_dead(at(300_000)));
    link.expect(at(1000), 7);
    assert_eq!(link.alarm(), Some(at(300_000)), "it is there already");
    link.expect(at(1000), 9);
    assert_eq!(link.alarm(), Some(at(6000)));
    assert!(!link.is_dead(at(5999)) && link.is_dead(at(6000)));
    link.expect(at(7000), 9);
    link.has_reached("9", true);
    assert!(!link.is_dead(at(12_000)));
}

#[test]
fn only_a_newer_state_is_news() {
    // A watch that breaks after a second is as good as one without news.
    for (version, is_event, expected) in
        [("8", true, 0), ("8", false, 1), ("7", true, 1), ("7", false, 1), ("6", true, 1)]
    {
        let mut link = open(at(0));
        let _ = link.fail(at(0));
        link.state = open(at(0)).state;
        link.has_reached(version, is_event);
        assert_eq!(link.fail(at(1_000)), expected, "{version} {is_event}");
    }
}

#[test]
fn failures_of_one_that_brings_news_count_up_to_three() {
    for (news, expected) in [(false, [0, 1, 2, 3, 4, 5]), (true, [0, 1, 2, 3, 3, 3])] {
        let mut link = open(at(0));
        let failed = expected.map(|_| {
            link.state = open(at(0)).state;
            if news {
                link.has_reached("8", true);
            }
            link.fail(at(999))
        });
        assert_eq!(failed, expected);
    }
}

#[test]
fn one_that_stood_and_ended_has_no_failures() {
    for (open_for, expected) in [(9_999, 1), (10_000, 0)] {
        let mut link = open(at(0));
        let _ = link.fail(at(0));
        link.state = open(at(0)).state;
        link.end(at(open_for));
        assert_eq!(link.fail(at(0)), expected, "{open_for}");
    }
}

#[test]
fn an_end_is_in_order_after_a_second() {
    let mut link = open(at(50));
    assert!(!link.ends_in_order(at(1_049)) && link.ends_in_order(at(1_050)));
    link.rest(at(60));
    assert!(!link.ends_in_order(at(5_000)), "it is down");
}

#[test]
fn without_a_list_the_first_failure_counts() {
    let mut link = Link::down(at(0));
    link.fail_without();
    assert_eq!((link.fail(at(0)), link.failed), (1, 2));
    link.fail_without();
    assert_eq!(link.failed, 2);
}
