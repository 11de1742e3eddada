//! For tests: a gate made of plain parts, a scripted model server, a double of a vault, real agents to drive it.
//!
//! Nothing here is linked into the product; it panics where a test has gone wrong.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a broken test must stop, and this crate is only ever part of one"
)]

pub mod agents;
pub mod gate;
pub mod model;
pub mod vault;
