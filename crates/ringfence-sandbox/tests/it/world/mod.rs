//! Worlds started for real.

mod advisory;
mod attacks;
mod covers;
mod files;
mod grants;
mod harness;
mod landlocked;
mod life;
mod limits;
mod network;
mod profiles;
