//! Cancellation by the caller.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Ready once the caller's token is cancelled, and from then on. Most waits have no token; for them this is one
/// pointer.
pub(crate) enum Cancelled {
    Never,
    Awaited(Pin<Box<WaitForCancellationFutureOwned>>),
    Yes,
}

impl Cancelled {
    pub(crate) fn of(token: Option<CancellationToken>) -> Self {
        token.map_or(Self::Never, |token| Self::Awaited(Box::pin(token.cancelled_owned())))
    }
}

impl Future for Cancelled {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if let Self::Awaited(cancelled) = &mut *self {
            ready!(cancelled.as_mut().poll(context));
            *self = Self::Yes;
        }
        if matches!(*self, Self::Yes) { Poll::Ready(()) } else { Poll::Pending }
    }
}
