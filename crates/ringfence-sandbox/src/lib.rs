//! A plan applied to a process, and the kernel's true answer.
//!
//! [`world`] starts the isolation an agent lives in; [`notify`] hears of the acts that are decided
//! one by one; [`attacks`] finds out whether it holds. All `unsafe` is in `sys`.

pub mod aside;
pub mod attacks;
pub mod base;
pub mod beneath;
pub mod cgroup;
pub mod copying;
mod netlink;
pub mod notify;
mod probe;
pub mod seccomp;
mod sys;
pub mod world;

pub use probe::{
    LANDLOCK_TIER_LACKS, PRELOAD_TIER_LACKS, PTRACE_TIER_LACKS, landlock_tier, probe, ptrace_tier,
};
pub use sys::process::close_on_exec_from;
pub use sys::{pidinfo, signals};
