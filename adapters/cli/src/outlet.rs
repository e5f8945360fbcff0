//! Standard output for logs: a separate thread writes, so a reader that does not read delays nothing else.

use crate::output;
use rustix::event::{PollFd, PollFlags, poll};
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

/// How many pieces wait for the thread.
const KEPT: usize = 16;

/// The length, in bytes, up to which pieces are joined.
const LONGEST_PIECE: usize = 64 << 10;

/// How many bytes are written at once. Each such chunk counts as progress of a slow reader.
const CHUNK: usize = 16 << 10;

/// The state of standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// It accepts data.
    Open,
    /// All data was written.
    All,
    /// The reader has closed it.
    Closed,
    /// It cannot be written any more: a disk is full, for instance. A note on standard error has reported that.
    Failed,
    /// It has accepted nothing for too long.
    Stalled,
}

pub(crate) struct Outlet {
    pieces: mpsc::Sender<Vec<u8>>,
    state: watch::Sender<Written>,
    progress: Arc<Progress>,
}

#[derive(Default)]
struct Progress {
    is_writing: AtomicBool,
    chunks: AtomicU64,
}

impl Outlet {
    pub(crate) fn new() -> Self {
        let (pieces, received) = mpsc::channel::<Vec<u8>>(KEPT);
        let (state, progress) = (watch::Sender::new(Written::Open), Arc::new(Progress::default()));
        let (ended, moved) = (state.clone(), Arc::clone(&progress));
        std::thread::spawn(move || {
            let end = write_all(received, &moved).unwrap_or_else(|error| {
                if error.kind() == ErrorKind::BrokenPipe {
                    return Written::Closed;
                }
                output::note(&format!("standard output cannot be written: {error}"));
                Written::Failed
            });
            end_with(&ended, end);
        });
        Self { pieces, state, progress }
    }

    /// Detects that the reader has closed standard output, even if there is nothing to write.
    pub(crate) fn watch_reader(&self) {
        let state = self.state.clone();
        std::thread::spawn(move || {
            let out = std::io::stdout();
            // Without flags poll reports only an error or a hangup.
            let mut files = [PollFd::new(&out, PollFlags::empty())];
            loop {
                match poll(&mut files, None) {
                    Err(rustix::io::Errno::INTR) => {}
                    Ok(1..) => {
                        end_with(&state, Written::Closed);
                        return;
                    }
                    Ok(0) | Err(_) => return,
                }
            }
        });
    }

    /// Queues a piece once there is room for it. Drops the piece if nothing can be written any more.
    pub(crate) async fn write(&self, piece: Vec<u8>) {
        tokio::select! {
            _ = self.pieces.send(piece) => {}
            _ = self.closed() => {}
        }
    }

    /// Returns when nothing can be written any more.
    pub(crate) async fn closed(&self) -> Written {
        let mut state = self.state.subscribe();
        state.wait_for(|state| *state != Written::Open).await.map_or(Written::Closed, |state| *state)
    }

    /// Gives up, and returns, when standard output has accepted nothing for the given time.
    pub(crate) async fn stalled(&self, limit: Duration) {
        let (mut chunks, mut since) = (0, Instant::now());
        loop {
            let now = self.progress.chunks.load(Ordering::Relaxed);
            if now != chunks || !self.progress.is_writing.load(Ordering::Relaxed) {
                (chunks, since) = (now, Instant::now());
            } else if since.elapsed() >= limit {
                if end_with(&self.state, Written::Stalled) {
                    output::note("the log is not printed to its end: standard output accepts no data");
                }
                return;
            }
            sleep(limit / 20).await;
        }
    }

    /// Ends the output: no piece follows.
    pub(crate) fn close(&mut self) {
        // The thread writes the queued pieces and ends.
        self.pieces = mpsc::channel(1).0;
    }
}

/// Sets the final state, unless there is one already. Returns whether it was set.
fn end_with(state: &watch::Sender<Written>, end: Written) -> bool {
    state.send_if_modified(|state| {
        let is_open = *state == Written::Open;
        if is_open {
            *state = end;
        }
        is_open
    })
}

fn write_all(mut pieces: mpsc::Receiver<Vec<u8>>, progress: &Progress) -> std::io::Result<Written> {
    // Not through the buffer of the standard library, whose flush at the end of the process could block.
    let mut out = File::from(std::io::stdout().as_fd().try_clone_to_owned()?);
    while let Some(mut piece) = pieces.blocking_recv() {
        while piece.len() < LONGEST_PIECE
            && let Ok(next) = pieces.try_recv()
        {
            piece.extend_from_slice(&next);
        }
        progress.is_writing.store(true, Ordering::Relaxed);
        for chunk in piece.chunks(CHUNK) {
            write_chunk(&mut out, chunk)?;
            progress.chunks.fetch_add(1, Ordering::Relaxed);
        }
        progress.is_writing.store(false, Ordering::Relaxed);
    }
    Ok(Written::All)
}

fn write_chunk(out: &mut File, mut chunk: &[u8]) -> std::io::Result<()> {
    while !chunk.is_empty() {
        match out.write(chunk) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => chunk = &chunk[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // Another process has set O_NONBLOCK for all processes that share standard output.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                poll(&mut [PollFd::new(out, PollFlags::OUT)], None)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
