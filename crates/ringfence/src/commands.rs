//! One module per command: from its arguments to what it prints.

pub(crate) mod context;
pub(crate) mod log;
pub(crate) mod run;
pub(crate) mod sessions;
pub(crate) mod show;
