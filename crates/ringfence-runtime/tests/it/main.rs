//! Runs of whole worlds.

mod compose;
