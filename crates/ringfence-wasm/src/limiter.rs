//! The memory of one module: all its memories and tables together.

use std::fmt;

use wasmtime::ResourceLimiter;

/// As much as an element of a table takes up, in bytes.
const ELEMENT_BYTES: usize = 16;

/// What the module has, and how much it may have.
#[derive(Debug)]
pub(crate) struct Limiter {
    most: Option<usize>,
    has: usize,
}

/// A module wanted more memory than it may have.
#[derive(Debug)]
pub(crate) struct OutOfMemory;

impl fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the module wants more memory than it may have")
    }
}

impl std::error::Error for OutOfMemory {}

impl Limiter {
    pub(crate) fn new(most: Option<u64>) -> Limiter {
        let most = most.map(|most| usize::try_from(most).unwrap_or(usize::MAX));
        Limiter { most, has: 0 }
    }

    /// Ends the module where it would have too much: to be told `no` and go on is what a bomb wants.
    fn grow(&mut self, more: usize) -> wasmtime::Result<bool> {
        let has = self.has.saturating_add(more);
        if self.most.is_some_and(|most| has > most) {
            return Err(wasmtime::Error::new(OutOfMemory));
        }
        self.has = has;
        Ok(true)
    }
}

impl ResourceLimiter for Limiter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            // The module's own limit, which it is told of.
            return Ok(false);
        }
        self.grow(desired.saturating_sub(current))
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if maximum.is_some_and(|maximum| desired > maximum) {
            return Ok(false);
        }
        self.grow(desired.saturating_sub(current).saturating_mul(ELEMENT_BYTES))
    }
}
