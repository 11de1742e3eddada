//! Worlds kept ready: how who asks for one finds it, and what must be alike.
//!
//! `ringfence warm` keeps processes that have begun a run ([`crate::broker::Parked`]); each listens on
//! a socket of its own for one caller, who sends what a run of its own would have: words, environment,
//! directory and standard streams. Everything that depends on these, or on the files of anybody, is
//! done when they have come. `docs/adr/0017-a-warm-world-knows-nothing.md` says why.

pub mod kin;
pub mod letter;
pub mod line;
pub mod place;
pub mod proof;
