//! The reflector against a small model of an API server with rules of its own, written independently.
#![allow(missing_docs, unreachable_pub, reason = "a test")]

mod exhaustive;
mod finish;
mod moves;
mod naive;
mod network;
mod pod;
mod promises;
mod random;
mod regressions;
mod server;
mod sim;
mod waiter;
mod world;
