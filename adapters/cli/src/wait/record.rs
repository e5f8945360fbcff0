//! `podwait wait --record`.

use crate::output;
use crate::status::{Complaint, Status};
use podwait::trace::{Header, Pods, Recorder};
use podwait::{Step, Wait};
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A trace that is being written.
pub(crate) struct Record {
    file: PathBuf,
    recorder: Arc<Mutex<Recorder<BufWriter<File>>>>,
}

impl Record {
    /// Creates the file.
    pub(crate) fn new(file: &Path, header: &Header, pods: Pods) -> Result<Self, Complaint> {
        let create = || Recorder::new(BufWriter::new(File::create(file)?), header, pods);
        let recorder = create().map_err(|error| {
            Complaint::new(Status::Usage, format!("cannot write the trace {}: {error}", file.display()))
        })?;
        Ok(Self { file: file.to_owned(), recorder: Arc::new(Mutex::new(recorder)) })
    }

    /// Lets the recorder look on.
    pub(crate) fn attach(&self, wait: Wait) -> Wait {
        let recorder = Arc::clone(&self.recorder);
        wait.look(move |step: Step<'_>| recorder.lock().unwrap_or_else(PoisonError::into_inner).look(step))
    }

    /// Ends the trace after its wait. What could not be written does not change the wait's answer.
    pub(crate) fn finish(self) {
        let Some(recorder) = Arc::into_inner(self.recorder) else { return };
        if let Err(error) = recorder.into_inner().unwrap_or_else(PoisonError::into_inner).finish() {
            output::note(&format!("the trace {} is not complete: {error}", self.file.display()));
        }
    }
}
