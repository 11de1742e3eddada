//! The MCP gate: stands between agents and the servers of their tools.

mod bounded;
pub mod edit;
pub mod frame;
pub mod headers;
pub mod http;
pub mod lines;
pub mod middle;
pub mod oauth;
pub mod outcome;
pub mod results;
pub mod revision;
pub mod roles;
pub mod schema;
