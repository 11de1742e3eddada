//! What people read: pure functions from data to text.

pub mod entry;
pub(crate) mod explain;
pub mod har;
pub mod otlp;
pub mod plan;
pub mod problem;
pub(crate) mod question;
pub(crate) mod review;
pub mod session;
pub mod text;
pub mod timeline;
pub mod tree;
