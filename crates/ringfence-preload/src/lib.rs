//! The library that asks the broker before a program acts, in worlds of the tier `preload`.
//!
//! The dynamic loader puts it before libc (`LD_PRELOAD`), so that a program that opens, renames,
//! removes, connects or starts something by libc's functions comes here first. Each such call is told to the
//! broker over a connection of its own: socket, question, answer, closed. So there is nothing to be
//! shared or kept by threads, forks and signal handlers, and a child of `vfork` may ask as well as
//! anybody. Nothing here allocates on the heap, and all is done by system calls of our own, which no hook sees.
//!
//! It is advice and no wall: who makes a system call without libc is not heard of, nor is what libc does
//! inside itself. `docs/security-model.md` lists it. What fails here denies.
#![expect(
    unsafe_code,
    reason = "hooks are called by C and make system calls: the second island, docs/adr/0020"
)]
#![cfg_attr(test, allow(dead_code, reason = "the hooks are left out: a test would call them"))]

mod ask;
mod memory;
mod raw;
mod told;
mod wire;

// A test that had them would be hooked by them.
#[cfg(not(test))]
mod hooks;
