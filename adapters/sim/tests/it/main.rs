//! The simulated cluster, seen from its clients.
// clippy.toml allows unwrap in test functions; the helpers of a test binary are not among them.
#![expect(clippy::unwrap_used)]

mod api;
mod deletion;
mod faults;
mod life;
mod serve;
mod watch;
mod wire;
