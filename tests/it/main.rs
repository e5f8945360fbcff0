//! The one integration binary.

mod cases;
mod cli;
mod cluster;
mod sim;
