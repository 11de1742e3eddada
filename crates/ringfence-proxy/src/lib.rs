//! Mediation of bytes: every connection that leaves a world passes here, and only with a permit.

pub mod mcp;
pub mod net;
pub mod packages;
