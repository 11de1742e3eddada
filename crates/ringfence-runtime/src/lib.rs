//! A session's life: what is in force, the world it means, the run, and its end.

pub mod approvals;
pub mod assemble;
pub mod builtin;
pub mod clock;
pub mod compose;
pub mod control;
pub mod denials;
pub mod environment;
pub mod gitconfig;
pub mod grants;
mod home;
pub mod init;
pub mod notice;
pub mod processes;
pub mod protected;
pub mod pty;
pub mod quarantine;
pub mod registration;
pub mod settings;
pub mod state;
pub mod tally;
pub mod trust;
pub mod users;
pub mod view;
pub mod whole_file;
pub mod wording;
