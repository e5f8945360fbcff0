//! Jobs as bytes.

use crate::sentence;
use podwait_core::{Decision, Instant, JobDecision, JobInput, JobMachine};
use podwait_wire::{Encoding, Event, Job, job};

/// The result is a Job or a typed error, never a panic; the same in a watch. The answer about the Job is a clean line.
///
/// # Panics
/// A finding.
pub(super) fn job_bytes(data: &[u8]) {
    let in_json = job(Encoding::Json, data);
    let line = [br#"{"type":"ADDED","object":"#, data, b"}"].concat();
    let in_a_watch = Event::read(Encoding::Json, &line).and_then(|event| event.job());
    if let Ok(job) = &in_json {
        assert_eq!(in_a_watch.ok().as_ref(), Some(job));
    }
    for job in [in_json, job(Encoding::Protobuf, data)].into_iter().flatten() {
        decide(&job);
    }
}

fn decide(job: &Job) {
    let mut machine = JobMachine::new(Default::default());
    for (at, input) in
        [(0, JobInput::Read(&job.snapshot)), (1, JobInput::Pods(&[])), (600_000, JobInput::Tick)]
    {
        let decision = machine.handle(Instant::from_millis(at), input);
        assert!(JobMachine::restore(machine.save()) == machine);
        if let JobDecision::Fail(failure) = decision {
            assert_eq!(sentence::check(&Decision::Fail(failure)), Ok(()));
        }
    }
}
