//! `[limits]`: what a session may use.

use serde::Deserialize;

use ringfence_sandbox::world::ResourceLimits;

use super::LimitSettings;

/// Least that `[limits] log_bytes_max` may say, in bytes: one large entry must fit.
const LOG_BYTES_MAX_LEAST: u64 = 64 * 1024;
/// Fewest open files with which a world can be built and decided about.
const OPEN_FILES_MAX_LEAST: u64 = 32;
/// Fewest processes with which a shell can start a program.
const PROCESSES_MAX_LEAST: u64 = 4;
/// Least memory in which a program can start, in bytes.
const MEMORY_BYTES_MAX_LEAST: u64 = 4 << 20;
/// Slowest disk from which a program can be started, in bytes a second.
const IO_BYTES_PER_SECOND_LEAST: u64 = 64 * 1024;
/// One page of a WASM module's memory, in bytes.
const WASM_MEMORY_BYTES_MAX_LEAST: u64 = 64 * 1024;

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(clippy::struct_field_names, reason = "these are the keys that a person writes")]
pub(super) struct Raw {
    pub(super) steps_max: Option<u64>,
    pub(super) open_files_max: Option<u64>,
    pub(super) processes_max: Option<u64>,
    pub(super) file_bytes_max: Option<u64>,
    pub(super) log_bytes_max: Option<u64>,
    pub(super) wall_seconds_max: Option<u64>,
    pub(super) cpu_seconds_max: Option<u64>,
    pub(super) cpu_percent_max: Option<u64>,
    pub(super) memory_bytes_max: Option<u64>,
    pub(super) written_bytes_max: Option<u64>,
    pub(super) disk_bytes_max: Option<u64>,
    pub(super) io_bytes_per_second_max: Option<u64>,
    pub(super) wasm_fuel_max: Option<u64>,
    pub(super) wasm_seconds_max: Option<u64>,
    pub(super) wasm_memory_bytes_max: Option<u64>,
}

impl LimitSettings {
    /// Those that the kernel holds for each process.
    pub(crate) fn of_each_process(&self) -> ResourceLimits {
        let LimitSettings { open_files_max, processes_max, file_bytes_max, .. } = *self;
        ResourceLimits {
            open_files: open_files_max,
            processes: processes_max,
            file_bytes: file_bytes_max,
        }
    }
}

impl Raw {
    /// A limit that is less than anything could run with, and what it must be.
    pub(super) fn too_little(&self) -> Option<(&'static str, String)> {
        let all = [
            ("steps_max", self.steps_max, 1),
            ("open_files_max", self.open_files_max, OPEN_FILES_MAX_LEAST),
            ("processes_max", self.processes_max, PROCESSES_MAX_LEAST),
            ("file_bytes_max", self.file_bytes_max, 1),
            ("log_bytes_max", self.log_bytes_max, LOG_BYTES_MAX_LEAST),
            ("wall_seconds_max", self.wall_seconds_max, 1),
            ("cpu_seconds_max", self.cpu_seconds_max, 1),
            ("cpu_percent_max", self.cpu_percent_max, 1),
            ("memory_bytes_max", self.memory_bytes_max, MEMORY_BYTES_MAX_LEAST),
            ("written_bytes_max", self.written_bytes_max, 1),
            ("disk_bytes_max", self.disk_bytes_max, 1),
            ("io_bytes_per_second_max", self.io_bytes_per_second_max, IO_BYTES_PER_SECOND_LEAST),
            ("wasm_fuel_max", self.wasm_fuel_max, 1),
            ("wasm_seconds_max", self.wasm_seconds_max, 1),
            ("wasm_memory_bytes_max", self.wasm_memory_bytes_max, WASM_MEMORY_BYTES_MAX_LEAST),
        ];
        all.into_iter().find_map(|(key, most, least)| {
            most.filter(|most| *most < least).map(|_| (key, format!("must be at least {least}")))
        })
    }
}

/// Of each limit the least.
pub(super) fn join(files: &[&super::Raw]) -> LimitSettings {
    let least = |of: fn(&Raw) -> Option<u64>| files.iter().filter_map(|raw| of(&raw.limits)).min();
    LimitSettings {
        steps_max: least(|raw| raw.steps_max),
        open_files_max: least(|raw| raw.open_files_max),
        processes_max: least(|raw| raw.processes_max),
        file_bytes_max: least(|raw| raw.file_bytes_max),
        log_bytes_max: least(|raw| raw.log_bytes_max),
        wall_seconds_max: least(|raw| raw.wall_seconds_max),
        cpu_seconds_max: least(|raw| raw.cpu_seconds_max),
        cpu_percent_max: least(|raw| raw.cpu_percent_max),
        memory_bytes_max: least(|raw| raw.memory_bytes_max),
        written_bytes_max: least(|raw| raw.written_bytes_max),
        disk_bytes_max: least(|raw| raw.disk_bytes_max),
        io_bytes_per_second_max: least(|raw| raw.io_bytes_per_second_max),
        wasm_fuel_max: least(|raw| raw.wasm_fuel_max),
        wasm_seconds_max: least(|raw| raw.wasm_seconds_max),
        wasm_memory_bytes_max: least(|raw| raw.wasm_memory_bytes_max),
    }
}
