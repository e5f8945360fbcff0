//! Limits for waiting for a node.

use super::{DRAINS, SLOWEST, Tail, changed, sleep_until_some};
use crate::client::later;
use futures_util::future::BoxFuture;
use std::time::Duration;
use tokio::time::Instant;

impl Tail {
    /// Awaits an answer for as long as it is wanted. `None` if the wait was dropped meanwhile, if time is up, or if the
    /// log is not to be followed any more: a kubelet sends no header before the first byte, which may never come.
    ///
    /// The answer gets at least `grace` if only the drain time is over, and not the total limit.
    pub(super) async fn beside<T>(
        &mut self,
        mut answer: BoxFuture<'static, T>,
        is_followed: bool,
        grace: Duration,
    ) -> Option<T> {
        let earliest = later(grace);
        loop {
            let deadline = self.end.map(|end| end.max(earliest).min(later(self.left())));
            tokio::select! {
                biased;
                answer = &mut answer => return Some(answer),
                () = changed(&mut self.board) => {
                    self.read_board();
                    self.waiting = self.waiting.or_else(|| self.end.map(|_| Instant::now()));
                    if self.is_over || is_followed && !self.is_to_be_followed() {
                        return None;
                    }
                }
                () = sleep_until_some(deadline) => return None,
            }
        }
    }

    /// The rest of the total limit for waiting for the node, once the wait is over.
    pub(super) fn left(&self) -> Duration {
        let (shortest, longest) = DRAINS;
        let longest = if self.is_so_far { Duration::MAX } else { self.drain.saturating_mul(longest) };
        let bought = Duration::from_secs(self.came / SLOWEST);
        let waiting = self.waiting.map_or(Duration::ZERO, |since| since.elapsed());
        let all = self.drain.saturating_mul(shortest).saturating_add(bought).min(longest);
        all.saturating_sub(self.waited.saturating_add(waiting))
    }
}
