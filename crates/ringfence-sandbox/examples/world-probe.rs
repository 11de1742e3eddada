//! Starts a world from a specification in words and answers its notifications: for tests, which
//! have threads and so cannot start one themselves.
//!
//! `world-probe [--read P]... [--write P]... [--mask P]... [--hide P]... [--grantable P]...
//! [--dir P]... [--notify] [--pty] [--commands] [--cwd P] SCRATCH -- COMMAND...`
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::exit,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test's tool"
)]

use std::ffi::OsString;
use std::path::PathBuf;

use ringfence_core::Exit;
use ringfence_sandbox::base::{Account, Base};
use ringfence_sandbox::world::{
    Access, Bind, IdMap, Identity, NotifyClasses, Require, Stdio, WorldSpec, start,
};

fn main() {
    let mut args = std::env::args_os().skip(1);
    let mut spec = empty();
    while let Some(arg) = args.next() {
        let mut path = || PathBuf::from(args.next().expect("a path"));
        match arg.to_str().unwrap() {
            "--read" => spec.binds.push(bind(path(), Access::Read)),
            "--write" => spec.binds.push(bind(path(), Access::Write)),
            "--mask" => spec.masks.push(path()),
            "--hide" => spec.hidden.push(path()),
            "--grantable" => spec.grantable.push(path()),
            "--dir" => spec.dirs.push(path()),
            "--cwd" => spec.cwd = path(),
            "--" => break,
            scratch => spec.scratch = scratch.into(),
        }
    }
    spec.argv = args.collect();
    let world = match start(spec) {
        Ok(world) => world,
        Err(error) => {
            eprintln!("error: {error}\nhint: {}", error.hint().unwrap_or("none"));
            std::process::exit(125);
        }
    };
    let ended = world.wait().unwrap();
    if let Some(errno) = ended.not_started {
        eprintln!("not started: {}", std::io::Error::from_raw_os_error(errno));
    }
    drop(world);
    std::process::exit(match ended.exit {
        Exit::Code(code) => code,
        Exit::Signal(signal) => 128 + signal,
        Exit::Unknown => 125,
    });
}

fn bind(path: PathBuf, access: Access) -> Bind {
    Bind { source: path.clone(), target: path, access }
}

fn empty() -> WorldSpec {
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let (uid, gid) = if uid == 0 { (65534, 65534) } else { (uid, gid) };
    let account = Account {
        name: "agent".into(),
        uid,
        gid,
        home: "/home/agent".into(),
        shell: "/bin/sh".into(),
    };
    let env = [("PATH", "/usr/local/bin:/usr/bin:/bin"), ("HOME", "/home/agent")];
    WorldSpec {
        base: Base::of_host(&account),
        binds: vec![],
        masks: vec![],
        hidden: vec![],
        grantable: vec![],
        files: vec![],
        dirs: vec!["/home/agent".into()],
        env: env.map(|(key, value)| (OsString::from(key), OsString::from(value))).to_vec(),
        cwd: "/".into(),
        argv: vec![],
        identity: Identity { uid, gid },
        idmap: IdMap::None,
        stdio: Stdio::Inherit,
        notify: NotifyClasses::NONE,
        landlock: Require::Full,
        proxy_port: 3128,
        scratch: PathBuf::new(),
    }
}
