//! Attacks that run programs which the policy does not permit.

use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Attack, failed};

pub(super) const ALL: &[Attack] = &[
    Attack::new("run", "start a program that is not permitted", |t| {
        run(&t.at("readonly/forbidden"), &[])
    }),
    Attack::new("run-outside", "start a program that is not granted", |t| {
        run(&t.at("outside/program"), &[])
    }),
    Attack::new("run-copy", "start a copy of a program", |t| {
        let copy = t.at("granted/copy");
        fs::copy(program()?, &copy)?;
        fs::set_permissions(&copy, Permissions::from_mode(0o755))?;
        run(&copy, &[])
    }),
    Attack::new("run-loader", "have the loader start a program that is not permitted", |t| {
        let Some(loader) = loader() else { return failed("there is no loader") };
        run(&loader, &[t.at("readonly/forbidden").to_str().unwrap_or_default()])
    }),
    Attack::new("run-memory", "start a program from memory (memfd)", |_| {
        let flags = rustix::fs::MemfdFlags::empty();
        let mut memory = fs::File::from(rustix::fs::memfd_create("attack", flags)?);
        memory.write_all(&fs::read(program()?)?)?;
        run(Path::new(&format!("/proc/self/fd/{}", memory.as_raw_fd())), &[])
    }),
    Attack::new("run-script", "start a script that names a program that is not permitted", |t| {
        let script = t.at("granted/script");
        fs::write(&script, format!("#!{}\n", t.at("readonly/forbidden").display()))?;
        fs::set_permissions(&script, Permissions::from_mode(0o755))?;
        run(&script, &[])
    }),
    Attack::new("run-shell", "have a shell start a program that is not permitted", |t| {
        run(Path::new("/bin/sh"), &["-c", t.at("readonly/forbidden").to_str().unwrap_or_default()])
    }),
    Attack::new("run-link", "start it by another name", |t| {
        let link = t.at("granted/linked");
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(t.at("readonly/forbidden"), &link)?;
        run(&link, &[])
    }),
];

/// What loads programs and their libraries, by its own path.
pub(super) fn loader() -> Option<PathBuf> {
    let known = ["/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1"];
    known.iter().find_map(|it| fs::canonicalize(it).ok())
}

/// A program that only succeeds.
fn program() -> io::Result<&'static str> {
    let found = ["/usr/bin/true", "/bin/true"].into_iter().find(|it| Path::new(it).exists());
    found.ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn run(program: &Path, words: &[&str]) -> io::Result<()> {
    let mut command = Command::new(program);
    let command = command.args(words).stdin(Stdio::null()).stdout(Stdio::null());
    let status = command.stderr(Stdio::null()).status()?;
    if status.success() { Ok(()) } else { failed("it ended with a failure") }
}
