//! MCP over HTTP: "Streamable HTTP" of the revisions since 2025-03-26, and towards servers the older HTTP+SSE too.

pub mod carriers;
pub mod front;
pub mod remote;
pub mod sse;
mod traced;
mod turns;
pub mod url;
