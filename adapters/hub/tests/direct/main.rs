//! Cases that walks of a few pods do not reach, driven by hand.
#![allow(missing_docs, unreachable_pub, reason = "a test")]

mod collections;
mod events;
mod host;
mod labels;
mod lists;
mod own;
mod past;
mod probes;
mod reads;
mod scope;
mod turns;
mod watch_list;
