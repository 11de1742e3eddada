//! Policies as people write them, against everything that should be refused.

mod cases;
mod decisions;
mod diagnostics;
mod grants;
mod plans;
mod properties;
mod support;
