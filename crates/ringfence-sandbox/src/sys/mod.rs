//! The kernel's interface: every `unsafe` block of the workspace is in this directory.
#![expect(unsafe_code, reason = "the island: nothing outside this directory is unsafe")]

pub(crate) mod attempts;
pub(crate) mod file_user;
pub(crate) mod landlock;
pub(crate) mod mount;
pub(crate) mod namespaces;
pub(crate) mod process;
pub(crate) mod seccomp;

pub(crate) mod notify;
pub mod pidinfo;
pub(crate) mod ptrace;
pub mod signals;
