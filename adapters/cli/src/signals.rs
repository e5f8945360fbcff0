//! SIGINT and SIGTERM: the first asks to stop, the second does not wait for that.

use crate::status::{Complaint, Status};
use podwait::CancellationToken;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that end a command.
#[derive(Clone)]
pub(crate) struct Signals {
    first: CancellationToken,
    second: CancellationToken,
}

impl Signals {
    /// Listens from now on.
    pub(crate) fn listen() -> Result<Self, Complaint> {
        let listen = |kind| {
            signal(kind).map_err(|error| Complaint::new(Status::Config, format!("no signals: {error}")))
        };
        let (mut interrupt, mut terminate) =
            (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
        let signals = Self { first: CancellationToken::new(), second: CancellationToken::new() };
        let (first, second) = (signals.first.clone(), signals.second.clone());
        tokio::spawn(async move {
            any(&mut interrupt, &mut terminate).await;
            first.cancel();
            any(&mut interrupt, &mut terminate).await;
            second.cancel();
        });
        Ok(signals)
    }

    /// Cancelled by the first signal.
    pub(crate) fn token(&self) -> CancellationToken {
        self.first.clone()
    }

    /// Returns at the first signal.
    pub(crate) async fn first(&self) {
        self.first.cancelled().await;
    }

    /// Returns at the second signal.
    pub(crate) async fn second(&self) {
        self.second.cancelled().await;
    }
}

async fn any(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
