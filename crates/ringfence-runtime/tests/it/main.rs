//! Runs of whole worlds, and what passes their gate.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    reason = "a broken test must stop; the exceptions of clippy.toml do not reach helpers"
)]

mod compose;
mod passing;
