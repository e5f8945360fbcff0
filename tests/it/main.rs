//! The one integration binary.

mod bounds;
mod cases;
mod cli;
mod cluster;
mod connect;
mod corpora;
mod decoding;
mod encodings;
mod examples;
mod exhaustive;
mod final_states;
mod hold;
mod hub;
mod jobs;
mod journal;
mod kubelet;
mod logs;
mod network;
mod properties;
mod rates;
mod recordings;
mod refusals;
mod reliability;
mod restored;
mod sim;
mod traces;
