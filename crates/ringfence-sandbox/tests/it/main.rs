//! The sandbox against programs that try to get around it.
#![allow(unreachable_pub, reason = "the modules of a test binary are each other's only readers")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    clippy::print_stdout,
    reason = "a broken test must stop; the exceptions of clippy.toml do not reach helpers"
)]

mod notify;
mod world;
