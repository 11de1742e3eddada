//! Running other programs, and where things lie.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// What a task answers: nothing, or one line that says what is wrong.
pub(crate) type Done = Result<(), String>;

/// The top of the checkout that cargo was called in. What is known at compile time may be another
/// checkout: two that share a target directory share this program too.
pub(crate) fn top() -> PathBuf {
    let set = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let here = set.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    here.parent().unwrap_or(&here).to_path_buf()
}

/// Where cargo puts what it builds.
pub(crate) fn target_dir() -> PathBuf {
    let set = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    set.unwrap_or_else(|| top().join("target"))
}

/// Where tools and npm packages for the tests are kept between runs, outside the checkout.
pub(crate) fn cache() -> PathBuf {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home);
    base.unwrap_or_else(std::env::temp_dir).join("ringfence")
}

/// Runs a program in the checkout with our standard streams; an error when it fails.
pub(crate) fn call(program: &str, arguments: &[&str]) -> Done {
    status(Command::new(program).args(arguments).current_dir(top()))
}

/// Runs a prepared command to its end; an error when it fails.
pub(crate) fn status(command: &mut Command) -> Done {
    let shown = format!("{command:?}").replace('"', "");
    let status = on_its_own(command)
        .status()
        .map_err(|error| format!("`{shown}` did not start: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{shown}` ended with {status}")) }
}

/// What a program prints on its standard output.
pub(crate) fn output(program: &str, arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(top()).stderr(Stdio::inherit());
    let made = on_its_own(&mut command)
        .output()
        .map_err(|error| format!("`{program}` did not start: {error}"))?;
    if !made.status.success() {
        return Err(format!("`{program} {}` ended with {}", arguments.join(" "), made.status));
    }
    Ok(String::from_utf8_lossy(&made.stdout).into_owned())
}

/// The same command without what `cargo run` says of us: build scripts (`ring`) take it for what they are built for, and
/// all that is above them would be built once more, and again by the next cargo that a person calls.
pub(crate) fn on_its_own(command: &mut Command) -> &mut Command {
    let ours = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(ours) {
            command.env_remove(name);
        }
    }
    command
}

/// Whether a program of this name is on the path.
pub(crate) fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}
