//! Jobs: both encodings give the same, also where they are cut off or damaged.

use crate::cuts::Lot;
use crate::data::{ENCODINGS, data};
use podwait_core::{CompletionMode, PodReplacementPolicy, Timestamp};
use podwait_wire::{Encoding, Event, EventKind, Frames, Job, ListItems, job, pod};

fn full(encoding: Encoding, end: &str) -> Job {
    job(encoding, &data(&format!("job.{end}"))).expect("a Job")
}

/// The Jobs of a list in pieces of this size.
fn list(encoding: Encoding, answer: &[u8], size: usize) -> Vec<Job> {
    let mut items = ListItems::jobs(encoding);
    let mut jobs = Vec::new();
    for mut piece in answer.chunks(size) {
        while let Some(item) = items.next_item(&mut piece).expect("a list") {
            let job = item.job().expect("a Job");
            assert_eq!(&*item.head().expect("a head").name, &*job.name);
            jobs.push(job);
        }
    }
    assert_eq!(items.finish().expect("a whole list").resource_version, "78");
    jobs
}

#[test]
fn everything_that_is_read_is_in_the_full_job() {
    for (encoding, end) in ENCODINGS {
        let Job { namespace, name, selector, snapshot } = full(encoding, end);
        assert_eq!((&*namespace, &*name, &*snapshot.uid), ("ci", "build", "7a0c"));
        assert_eq!(selector, "!tmp,a=b,app in (x,y),debug,stage notin (t)");
        assert_eq!((&*snapshot.resource_version, snapshot.generation), ("12345678901234", 1 << 40));
        assert_eq!(snapshot.deletion_timestamp, Some(Timestamp(1_767_225_650)));
        assert_eq!((snapshot.suspend, snapshot.parallelism, snapshot.completions), (true, Some(0), Some(7)));
        assert_eq!(snapshot.completion_mode, CompletionMode::Indexed);
        assert_eq!((snapshot.backoff_limit, snapshot.backoff_limit_per_index), (Some(0), Some(1)));
        assert_eq!((snapshot.max_failed_indexes, snapshot.active_deadline_seconds), (Some(3), Some(1 << 33)));
        assert_eq!(&*snapshot.managed_by, "kueue.x-k8s.io/multikueue");
        assert_eq!(snapshot.pod_replacement_policy, PodReplacementPolicy::Failed);
        assert_eq!(snapshot.ttl_seconds_after_finished, Some(0));
        assert_eq!(snapshot.start_time, Some(Timestamp(1_767_225_601)));
        assert_eq!((snapshot.active, snapshot.ready, snapshot.succeeded, snapshot.failed), (3, 2, 1, -1));
        assert_eq!(snapshot.terminating, Some(0));
        assert_eq!(
            (snapshot.uncounted_succeeded, snapshot.uncounted_failed.len()),
            (vec!["a".into(), "b".into()], 1)
        );
        assert_eq!((&*snapshot.completed_indexes, &*snapshot.failed_indexes), ("1", "2,4-6"));
        let conditions = snapshot.conditions;
        let failed = conditions.failed.expect("a condition");
        assert_eq!((failed.is_true, &*failed.reason), (true, "MaxFailedIndexesExceeded"), "the first counts");
        assert_eq!(
            (&*failed.message, failed.last_transition_time),
            ("\"quoted\" é", Some(Timestamp(1_767_225_609)))
        );
        let is_true = [
            conditions.failure_target,
            conditions.suspended,
            conditions.complete,
            conditions.success_criteria_met,
        ]
        .map(|condition| condition.expect("a condition").is_true);
        assert_eq!(is_true, [true, false, false, false]);
    }
}

#[test]
fn a_watch_and_a_list_of_jobs_are_the_same_in_both_encodings() {
    for (encoding, end) in ENCODINGS {
        let expected = full(encoding, end);
        assert_eq!(expected, full(Encoding::Json, "json"));
        let answer = data(&format!("jobs.list.{end}"));
        for size in [1, 7, answer.len()] {
            let jobs = list(encoding, &answer, size);
            assert_eq!((jobs.len(), &jobs[0], &*jobs[1].name), (2, &expected, "empty"));
        }
        let stream = data(&format!("jobs.watch.{end}"));
        let (mut piece, mut frames) = (&*stream, Frames::new(encoding));
        let mut kinds = Vec::new();
        while let Some(frame) = frames.next_frame(&mut piece).expect("a frame") {
            let event = Event::read(encoding, frame).expect("an event");
            match event.kind {
                EventKind::Added => assert_eq!(event.job().expect("a Job"), expected),
                EventKind::Deleted => assert_eq!(event.job().expect("a Job").name, "empty"),
                EventKind::Bookmark => assert!(event.ends_initial_events().expect("a bookmark")),
                EventKind::Error => assert_eq!(event.failure().code, 410),
                EventKind::Modified | EventKind::Unrecognized => panic!("{event:?}"),
            }
            kinds.push(event.kind);
        }
        assert_eq!(kinds.len(), 4);
    }
}

#[test]
fn a_job_is_no_pod_and_a_pod_no_job() {
    for (encoding, end) in ENCODINGS {
        let error =
            |what: Result<_, podwait_wire::DecodeError>| what.map(drop::<()>).expect_err("no").to_string();
        let of_a_job = pod(encoding, &data(&format!("job.{end}"))).map(drop);
        assert_eq!(error(of_a_job), "not a Pod but a Job");
        let of_a_pod = job(encoding, &data(&format!("full.{end}"))).map(drop);
        // In JSON a field of the pod has another type than that of a Job, which is found first.
        assert!(encoding == Encoding::Json || error(of_a_pod) == "not a Job but a Pod");
        let lists = [(ListItems::new(encoding), "jobs.list"), (ListItems::jobs(encoding), "empty.list")];
        for (mut items, name) in lists {
            let answer = data(&format!("{name}.{end}"));
            let read = items.next_item(&mut &*answer).map(drop);
            assert!(error(read).starts_with("not a "), "{name}");
        }
        let old = br#"{"apiVersion":"batch/v2","kind":"Job","metadata":{"name":"j","uid":"u"}}"#;
        assert_eq!(error(job(Encoding::Json, old).map(drop)), "not a Job but a Job of batch/v2");
    }
}

#[test]
fn what_is_cut_off_is_no_job_and_damage_never_panics() {
    let mut lot = Lot(11);
    for (encoding, end) in ENCODINGS {
        let bytes = data(&format!("job.{end}"));
        let whole = full(encoding, end);
        for cut in (0..bytes.len()).step_by(5) {
            match job(encoding, &bytes[..cut]) {
                Err(_) => {}
                // The empty fields at the end of the envelope.
                Ok(read) => assert!(cut + 4 >= bytes.len() && read == whole, "cut at {cut}"),
            }
        }
        let mut changed = 0;
        for _ in 0..4000 {
            let mut damaged = bytes.clone();
            let at = lot.below(damaged.len());
            damaged[at] ^= 1 << lot.below(8);
            changed += usize::from(job(encoding, &damaged).is_ok_and(|read| read != whole));
        }
        assert!(changed > 0, "some values are changed");
    }
}
