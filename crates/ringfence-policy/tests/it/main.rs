//! Policies as people write them, against everything that should be refused.
#![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]

#[cfg(test)]
mod cases;
#[cfg(test)]
mod cookbook;
#[cfg(test)]
mod decisions;
#[cfg(test)]
mod diagnostics;
#[cfg(test)]
mod grants;
#[cfg(test)]
mod kinds;
#[cfg(test)]
mod plans;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod requests;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tools;
