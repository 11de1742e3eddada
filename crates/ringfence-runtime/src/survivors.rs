//! What outlives a revoke: descriptors, working directories and maps that a world's processes hold.

use std::fs;
use std::path::{Path, PathBuf};

/// Most survivors that are listed; the last line says how many more there are.
const LISTED_MAX: usize = 100;

/// What the processes of the world of `init_pid` hold at or beneath `path`, one line each.
///
/// To be called before the path is unmounted: afterwards the kernel no longer tells where in the
/// world an open file was.
pub fn survivors(init_pid: i32, path: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for pid in processes_of(init_pid) {
        held_by(&pid, path, &mut found);
    }
    let more = found.len().saturating_sub(LISTED_MAX);
    found.truncate(LISTED_MAX);
    if more > 0 {
        found.push(format!("and {more} more"));
    }
    found
}

/// The directories in `/proc` of all processes in the pid namespace of a world's first process.
fn processes_of(init_pid: i32) -> Vec<PathBuf> {
    let namespace = |dir: &Path| fs::read_link(dir.join("ns/pid")).ok();
    let Some(world) = namespace(&PathBuf::from(format!("/proc/{init_pid}"))) else {
        return Vec::new();
    };
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().bytes().all(|b| b.is_ascii_digit()))
        .map(|entry| entry.path())
        .filter(|dir| namespace(dir).as_ref() == Some(&world))
        .collect()
}

fn held_by(process: &Path, path: &Path, found: &mut Vec<String>) {
    let pid = process.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = fs::read_to_string(process.join("comm")).unwrap_or_default();
    let who = format!("process {pid} ({})", crate::wording::printable(name.trim_end()));
    let mut tell = |what: String, target: &Path| {
        found.push(format!(
            "{who}: {what} {}",
            crate::wording::printable(&target.to_string_lossy())
        ));
    };
    if let Ok(cwd) = fs::read_link(process.join("cwd"))
        && cwd.starts_with(path)
    {
        tell("working directory".to_owned(), &cwd);
    }
    for entry in fs::read_dir(process.join("fd")).into_iter().flatten().flatten() {
        if let Ok(target) = fs::read_link(entry.path())
            && target.starts_with(path)
        {
            tell(format!("descriptor {}", entry.file_name().to_string_lossy()), &target);
        }
    }
    let maps = fs::read_to_string(process.join("maps")).unwrap_or_default();
    let mut mapped: Vec<&Path> = maps
        .lines()
        .filter_map(|line| line.find('/').and_then(|at| line.get(at..)))
        .map(Path::new)
        .filter(|file| file.starts_with(path))
        .collect();
    mapped.sort_unstable();
    mapped.dedup();
    for file in mapped {
        tell("map of".to_owned(), file);
    }
}

#[cfg(test)]
mod tests {
    use super::survivors;

    #[test]
    fn an_open_file_of_a_process_is_listed() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().canonicalize().unwrap();
        let _open = std::fs::File::create(dir.join("held")).unwrap();
        let us = i32::try_from(std::process::id()).unwrap();
        let found = survivors(us, &dir);
        assert!(found.iter().any(|line| line.contains("held")), "{found:?}");
    }

    #[test]
    fn a_path_that_nobody_holds_has_no_survivors() {
        let dir = tempfile::tempdir().unwrap();
        let us = i32::try_from(std::process::id()).unwrap();
        assert!(survivors(us, dir.path()).is_empty());
    }
}
