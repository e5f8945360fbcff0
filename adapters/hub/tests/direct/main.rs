//! Cases that walks of a few pods do not reach, driven by hand.
#![allow(missing_docs, unreachable_pub, reason = "a test")]

mod host;
mod lists;
mod past;
mod reads;
mod scope;
