//! Standard output for what never ends: written by a thread of its own, so that a reader that does not read holds up nothing.

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

/// How many pieces are kept for the thread.
const KEPT: usize = 16;

/// The longest piece that is made of several.
const LONGEST_PIECE: usize = 64 << 10;

/// How much is written at once: what a slow reader takes counts as progress so often.
const CHUNK: usize = 16 << 10;

/// How standard output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// It takes what it is given.
    Open,
    /// All that was given was written.
    All,
    /// It was closed by its reader.
    Closed,
    /// It takes no more: a disk is full, for instance. That was said on standard error.
    Failed,
    /// It has taken nothing for too long.
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

    /// Finds out that the reader has gone though there is nothing to write.
    pub(crate) fn watch_reader(&self) {
        let state = self.state.clone();
        std::thread::spawn(move || {
            let out = std::io::stdout();
            // Nothing is asked for, and so only an error or a hangup is reported.
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

    /// Writes a piece after those before, once there is room for it; not if nothing can be written any more.
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

    /// Gives up, and returns, when nothing of what was given was taken for so long.
    pub(crate) async fn stalled(&self, limit: Duration) {
        let (mut chunks, mut since) = (0, Instant::now());
        loop {
            let now = self.progress.chunks.load(Ordering::Relaxed);
            if now != chunks || !self.progress.is_writing.load(Ordering::Relaxed) {
                (chunks, since) = (now, Instant::now());
            } else if since.elapsed() >= limit {
                if end_with(&self.state, Written::Stalled) {
                    output::note("the log is not printed to its end: standard output takes nothing");
                }
                return;
            }
            sleep(limit / 20).await;
        }
    }

    /// Nothing more will come.
    pub(crate) fn close(&mut self) {
        // The thread ends after what it has.
        self.pieces = mpsc::channel(1).0;
    }
}

/// The first end is the one that counts.
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
    // Without the standard library's own buffer, which would be flushed at the process's end and could block there.
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
            // Another process has made it so for all that share it.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                poll(&mut [PollFd::new(out, PollFlags::OUT)], None)?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
