//! The scripted model server against plain HTTP and against the real agents.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    reason = "a broken test must stop; the exceptions of clippy.toml do not reach helpers"
)]

mod agents;
mod model;
