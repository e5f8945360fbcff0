//! The one integration binary.

mod cases;
mod cli;
mod cluster;
mod corpora;
mod examples;
mod exhaustive;
mod properties;
mod sim;
mod traces;
