//! What people read: pure functions from data to text.

pub mod entry;
pub mod problem;
pub mod session;
pub mod text;
pub mod tree;
