//! The one integration binary.

mod cases;
mod cluster;
mod sim;
