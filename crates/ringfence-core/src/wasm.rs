//! What broker and runner agree on about a WASM module: the job it is given, and how it ended.

use serde::{Deserialize, Serialize};

use crate::path::AbsolutePath;

/// What a runner is to run, as its only argument has it (JSON).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WasmJob {
    /// The module, as the world names it.
    pub module: AbsolutePath,
    /// Its arguments, its own name included.
    pub args: Vec<String>,
    /// Directories that it finds open.
    pub preopens: Vec<Preopen>,
    /// What it may use up.
    pub limits: WasmLimits,
    /// The file that is told how it ended.
    pub end: AbsolutePath,
}

/// A directory that a module finds open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preopen {
    /// Where it is in the world.
    pub dir: AbsolutePath,
    /// What it is called for the module.
    pub name: String,
    /// What may be done in it, at most.
    pub access: PreopenAccess,
}

/// What may be done in an open directory, at most: the world decides beneath it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PreopenAccess {
    /// Read and list.
    Read,
    /// Create, change and remove as well.
    Write,
}

/// What a module may use up, as `[limits]` of the settings has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WasmLimits {
    /// Most fuel: about one for each instruction.
    pub fuel_max: Option<u64>,
    /// How long its code may run, in seconds, waiting included.
    pub seconds_max: Option<u64>,
    /// Most bytes of its memories and tables together.
    pub memory_bytes_max: Option<u64>,
}

/// How a module ended, as the runner says it (JSON).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum WasmEnd {
    /// By itself, with a code.
    Exited(i32),
    /// The file cannot be opened in the world: `errno`.
    Unopened(i32),
    /// The file is no module that can be run, and why.
    Unfit(String),
    /// By a trap.
    Trapped(String),
    /// By a limit.
    Limit(WasmLimit),
}

/// A limit of [`WasmLimits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WasmLimit {
    /// `fuel_max`.
    Fuel,
    /// `seconds_max`.
    Seconds,
    /// `memory_bytes_max`.
    Memory,
}

impl WasmLimits {
    /// What a limit is called in the settings, and how much it allows.
    pub fn named(&self, limit: WasmLimit) -> (&'static str, Option<u64>) {
        match limit {
            WasmLimit::Fuel => ("wasm_fuel_max", self.fuel_max),
            WasmLimit::Seconds => ("wasm_seconds_max", self.seconds_max),
            WasmLimit::Memory => ("wasm_memory_bytes_max", self.memory_bytes_max),
        }
    }
}
