//! Defects that walks have found, each by its shortest sequence.

use crate::moves::Move::*;
use crate::moves::{Place, walk};

#[test]
fn a_read_ends_with_the_last_wait() {
    walk(Place::Own, &[Create, SlowReads, Join, Leave, Join]);
    walk(Place::Hub, &[Create, SlowReads, JoinPolled, Leave]);
}

#[test]
fn a_read_that_was_overtaken_is_closed_before_the_next_one() {
    walk(Place::Labels, &[Create, Join, EndDelete, RefuseWatch]);
    walk(Place::Labels, &[Create, Join, LabelLost, SlowReads, Replace, Replace, Replace]);
}

#[test]
fn a_read_from_before_the_join_is_no_evidence_about_a_pod_created_since() {
    walk(Place::Own, &[Create, EndDelete, SlowReads, Join, Create, Join]);
    walk(Place::Hub, &[Create, Join, EndDelete, SlowReads, Create, Join]);
}

#[test]
fn a_read_that_is_renewed_for_another_wait_is_no_excuse_for_a_late_answer() {
    walk(
        Place::Own,
        &[Create, Join, Hang, Millis(30_300), Join, Millis(400), Join, Millis(400), Join, Millis(400)],
    );
}

#[test]
fn the_final_state_of_a_pod_whose_successor_was_read_is_looked_for_before_the_read() {
    walk(Place::Own, &[Create, Join, Mute, Replace]);
    walk(Place::Own, &[Create, JoinMachine, Mute, EndDelete, Create]);
    walk(Place::Hub, &[Create, Join, Down, Replace, Millis(4_000), Heal]);
}

#[test]
fn the_final_state_of_a_pod_that_lost_its_label_is_looked_for_by_name() {
    walk(Place::Labels, &[Create, Join, Millis(31_000), LabelLost]);
    walk(Place::Labels, &[Create, Join, LabelLost, Millis(31_000), EndDelete, Create]);
    walk(Place::Labels, &[Create, JoinMachine, LabelLost, Millis(31_000), Replace]);
}

#[test]
fn the_loss_of_a_label_is_no_deletion_of_the_successor() {
    walk(Place::Labels, &[Create, Join, LabelLost, SlowEvents, EndDelete, Create, Join, LabelLost]);
}

#[test]
fn a_watch_that_passed_a_change_over_is_given_up() {
    walk(Place::Hub, &[Create, JoinMachine, Change, EndDelete, Restore]);
}

#[test]
fn a_list_without_a_pod_is_believed_while_its_predecessor_is_missed() {
    walk(
        Place::Labels,
        &[Create, Join, Millis(400), Mute, ReplaceUnlabelled, Compact, Millis(30_600), Join, Expire],
    );
}

#[test]
fn a_deletion_that_cannot_be_read_is_no_less_the_loss_of_the_label() {
    walk(Place::Labels, &[Create, Join, Millis(400), Garble, LabelLost]);
}
