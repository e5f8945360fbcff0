//! `podwait wait --record`.

use crate::output;
use crate::status::{Complaint, Status};
use podwait::core::one_line;
use podwait::trace::{self, Header, Pods, Recorder};
use podwait::{Turn, Wait};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// How long the start of the wait is delayed until the file is open. A FIFO without a reader opens later, or never.
const OPENING: Duration = Duration::from_secs(1);

/// How long the command waits, after the answer, for the rest of the trace to be written.
const DRAINING: Duration = Duration::from_secs(5);

/// Most bytes that are queued for a slow file. A single turn may have more.
const KEPT: usize = 16 << 20;

/// A trace that a separate thread writes: neither a pipe without a reader nor a slow disk delays the wait.
pub(crate) struct Record {
    file: PathBuf,
    recorder: Arc<Mutex<Option<Recorder<Queue>>>>,
    written: oneshot::Receiver<io::Result<()>>,
}

impl Record {
    /// Creates the file, and begins the trace.
    ///
    /// # Errors
    /// The file cannot be opened. [`finish`](Self::finish) reports later errors.
    pub(crate) async fn new(file: &Path, header: &Header, pods: Pods) -> Result<Self, Complaint> {
        let complaint = |error: io::Error| {
            Complaint::new(Status::Usage, format!("cannot write the trace {}: {error}", shown(file)))
        };
        let (opened, mut is_open) = oneshot::channel();
        let (done, written) = oneshot::channel();
        let (turns, received) = mpsc::channel::<Vec<u8>>();
        let waiting = Arc::new(AtomicUsize::new(0));
        let (path, taken) = (file.to_owned(), Arc::clone(&waiting));
        // The thread is never joined: it may be blocked for ever, and ends with the process.
        let thread = std::thread::Builder::new().name(String::from("trace"));
        let thread = thread.spawn(move || {
            let written = trace::create(path).map(|file| {
                // If the delay is over, `finish` reports an error.
                let _ = opened.send(());
                write_all(file, &received, &taken)
            });
            let _ = done.send(written.flatten());
        });
        thread.map_err(complaint)?;
        let mut record = Self { file: file.to_owned(), recorder: Arc::default(), written };
        if let Ok(Err(_)) = timeout(OPENING, &mut is_open).await {
            let error = (&mut record.written).await.ok().and_then(Result::err);
            return Err(complaint(error.unwrap_or_else(|| io::Error::other("it cannot be opened"))));
        }
        let queue = Queue { turn: Vec::new(), turns, waiting };
        record.recorder = Arc::new(Mutex::new(Some(Recorder::new(queue, header, pods).map_err(complaint)?)));
        Ok(record)
    }

    /// Makes the recorder an observer of the wait.
    pub(crate) fn attach(&self, wait: Wait) -> Wait {
        let recorder = Arc::clone(&self.recorder);
        wait.on_turn(move |turn: Turn<'_>| {
            if let Some(recorder) = &mut *recorder.lock().unwrap_or_else(PoisonError::into_inner) {
                recorder.on_turn(turn);
            }
        })
    }

    /// Ends the trace after its wait, and waits a few seconds until it is written. A failure to write does not change the answer.
    pub(crate) async fn finish(self) {
        let recorder = self.recorder.lock().unwrap_or_else(PoisonError::into_inner).take();
        // With the end of the queue the thread ends, once it has written everything.
        let recorded = recorder.map_or(Ok(()), Recorder::finish);
        let written = match timeout(DRAINING, self.written).await {
            Ok(Ok(written)) => written,
            // The thread panicked, and the panic was printed.
            Ok(Err(_)) => Err(io::Error::other("the writing thread has ended")),
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "writing it takes too long")),
        };
        // The error of the thread comes first: it is the cause of a closed queue.
        if let Err(error) = written.and(recorded) {
            output::note(&format!("the trace {} is not complete: {error}", shown(&self.file)));
        }
    }
}

/// The name of a file, cleaned for a sentence.
fn shown(file: &Path) -> String {
    one_line(&file.to_string_lossy(), 1000).into_owned()
}

/// Writes all received turns until the queue ends.
fn write_all(mut file: impl Write, turns: &mpsc::Receiver<Vec<u8>>, waiting: &AtomicUsize) -> io::Result<()> {
    for turn in turns {
        file.write_all(&turn)?;
        waiting.fetch_sub(turn.len(), Ordering::Relaxed);
    }
    Ok(())
}

/// The queue to the thread. A write never blocks.
struct Queue {
    turn: Vec<u8>,
    turns: mpsc::Sender<Vec<u8>>,
    /// Bytes that the thread has not written yet.
    waiting: Arc<AtomicUsize>,
}

impl Write for Queue {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.turn.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    /// Sends the bytes since the last flush to the thread.
    fn flush(&mut self) -> io::Result<()> {
        let length = self.turn.len();
        let waiting = self.waiting.load(Ordering::Relaxed);
        if waiting > 0 && waiting + length > KEPT {
            let sentence = format!("the file is written too slowly: {waiting} bytes are queued");
            return Err(io::Error::new(io::ErrorKind::WouldBlock, sentence));
        }
        self.waiting.fetch_add(length, Ordering::Relaxed);
        let turn = std::mem::take(&mut self.turn);
        self.turns.send(turn).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}
