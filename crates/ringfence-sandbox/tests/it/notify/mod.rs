//! Acts that wait for an answer, made by real programs; each attack has an oracle that shows it
//! works where nobody stands in its way.

mod connect;
mod exec;
mod files;
mod harness;
mod speed;
mod stderr;
mod swaps;
