//! One module per command: from its arguments to what it prints.

pub(crate) mod context;
pub(crate) mod decide;
pub(crate) mod demo;
pub(crate) mod doctor;
pub(crate) mod edit;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod follow;
pub(crate) mod foreseen;
pub(crate) mod grant;
pub(crate) mod grants;
pub(crate) mod in_force;
pub(crate) mod init;
pub(crate) mod log;
pub(crate) mod net;
pub(crate) mod overruled;
pub(crate) mod plan;
pub(crate) mod policy;
pub(crate) mod reload;
pub(crate) mod review;
pub(crate) mod run;
pub(crate) mod secret;
pub(crate) mod sessions;
pub(crate) mod show;
pub(crate) mod trust;
pub(crate) mod world;
