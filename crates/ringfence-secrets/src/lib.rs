//! Secrets that a world's programs use and never hold: what each is bound to, the stand-in that a
//! world finds in its place, and where the real ones are kept.
//!
//! The path of a secret: it is kept by a [`store`]; a session ([`Held`]) makes a [`sentinel`] for
//! it, which goes into the world; a request is looked at ([`Held::look`]) before it leaves; each use
//! is decided as an act of its own, and only a `Permit` for it puts the real value in
//! ([`Held::swap`]). Where a vault has the value it is asked then, under that permit, and given back
//! what it lent when the session ends ([`Held::end`]). What comes back passes a [`scrub::Scrubber`].

pub mod backend;
pub mod binding;
pub mod client;
pub mod held;
pub mod keyring;
pub mod kinds;
pub mod loans;
pub mod look;
pub mod place;
mod put;
pub mod scrub;
pub mod secrets_manager;
pub mod sentinel;
pub mod sigv4;
mod stand_in;
pub mod store;
mod value;
mod variable;
pub mod vault;

pub use binding::{Binding, BindingError};
pub use held::Held;
pub use value::{Secret, ValueError};
