//! The kernel's interface: every `unsafe` block of the workspace is in this directory.
