//! Whole logs under attack, under crashes and on a full disk.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that fails may panic; helpers outside #[test] are not exempt by themselves"
)]

mod crash;
mod disk;
mod host;
mod living;
mod small;
mod tamper;
mod tree;
