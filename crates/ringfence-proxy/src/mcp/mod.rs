//! The MCP gate: stands between agents and the servers of their tools.

pub mod frame;
pub mod lines;
pub mod middle;
pub mod revision;
pub mod roles;
pub mod schema;
