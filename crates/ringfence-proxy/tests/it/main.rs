//! The net gate against real sockets: what it refuses, what it records, what it passes on.
#![allow(unreachable_pub, reason = "the modules of a test binary are each other's only readers")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    reason = "a broken test must stop; the exceptions of clippy.toml do not reach helpers"
)]

mod agents;
mod content;
mod decide;
mod forward;
mod harness;
mod names;
mod tunnel;
mod upstream;
