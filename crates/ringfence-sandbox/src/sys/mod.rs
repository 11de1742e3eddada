//! The kernel's interface: every `unsafe` block of the workspace is in this directory.
#![expect(unsafe_code, reason = "the island: nothing outside this directory is unsafe")]

pub mod pidinfo;
pub mod signals;
