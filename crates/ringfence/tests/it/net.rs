//! The net gate from within: programs that know nothing of it, against servers of our own on
//! loopback with our own names; and attacks on it, each with an oracle.

mod answered;
mod attacks;
mod aws;
mod believers;
mod clients;
mod gpg;
mod inspect;
mod led;
mod looked;
mod packages;
mod secrets;
mod signing;
mod smuggling;
pub(crate) mod stage;
mod streams;
mod tools;
mod vaults;

pub(crate) use stage::certificate;
