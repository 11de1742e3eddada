//! Whole command-line sessions: what is typed, what is printed, how it ends.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::format_push_string,
    clippy::needless_raw_string_hashes,
    reason = "a test that cannot go on fails, and expect-test writes the snapshots"
)]

mod agents;
mod approve;
mod asked;
mod attacks;
mod bad_input;
mod decide;
mod demo;
mod docs;
mod explain;
mod grants;
mod hints;
mod home;
mod jobs;
mod log;
mod mcp;
mod mcp_add;
mod mcp_again;
mod mcp_beside;
mod mcp_broken;
mod mcp_clients;
mod mcp_conformance;
mod mcp_eras;
mod mcp_floods;
mod mcp_http;
mod mcp_import;
mod mcp_inline;
mod mcp_lacks;
mod mcp_login;
mod mcp_made;
mod mcp_meanwhile;
mod mcp_person;
mod mcp_places;
mod mcp_reasons;
mod mcp_refused;
mod mcp_results;
mod mcp_revisions;
mod mcp_serve;
mod mcp_servers;
mod mcp_tls;
mod mcp_told;
mod mcp_unanswered;
mod mcp_unseen;
mod mcp_usable;
mod net;
mod oci;
mod person;
mod policy;
mod profiles;
mod review;
mod rollback;
mod run;
mod sandbox;
mod schemas;
mod secret;
mod served;
mod spans;
mod started;
mod suggest;
mod taken_back;
mod talk;
mod tier;
mod toolchains;
mod trust;
mod warm;
mod work;

/// The program under test.
fn program() -> std::path::PathBuf {
    env!("CARGO_BIN_EXE_ringfence").into()
}
