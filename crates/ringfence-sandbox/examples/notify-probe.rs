//! Runs a command in a world and shows every act that somebody would have to decide; programs are
//! verified, everything is permitted: `notify-probe SCRATCH WRITABLE -- COMMAND...`
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a tool of the tests")]

use std::ffi::OsString;
use std::path::PathBuf;

use ringfence_core::{AbsolutePath, Exit};
use ringfence_sandbox::base::{Account, Base};
use ringfence_sandbox::notify::{Attempt, Attempted, Listener};
use ringfence_sandbox::seccomp::Profile;
use ringfence_sandbox::world::{
    Access, Bind, IdMap, Identity, NotifyClasses, Programs, Require, ResourceLimits, Stdio, World,
    WorldSpec, start,
};

/// Places that are the world's own.
const PRIVATE: [&str; 5] = ["/dev", "/proc", "/run", "/tmp", "/var/tmp"];

fn main() {
    let mut args = std::env::args_os().skip(1);
    let (scratch, writable) = (args.next().unwrap(), args.next().unwrap());
    let exposed = AbsolutePath::parse(writable.to_str().unwrap()).unwrap();
    let mut world = start(spec(scratch.into(), writable.into(), args.skip(1).collect())).unwrap();
    let served = serve(&mut world, exposed);
    let ended = world.wait(&mut |_| ()).unwrap();
    drop(world);
    served.join().unwrap();
    std::process::exit(match ended.exit {
        Exit::Code(code) => code,
        Exit::Signal(signal) => 128 + signal,
        Exit::Unknown => 125,
    });
}

/// Shows and permits every act until the world is gone.
fn serve(world: &mut World, exposed: AbsolutePath) -> std::thread::JoinHandle<()> {
    let diagnosis = world.network.unix_diag.as_ref().unwrap().try_clone().unwrap();
    let private = PRIVATE.map(|path| AbsolutePath::parse(path).unwrap()).to_vec();
    let confinement = std::mem::take(&mut world.confinement);
    let listener =
        Listener::new(world.notify.take().unwrap(), Some(diagnosis), private, confinement).unwrap();
    listener.expose(exposed);
    std::thread::spawn(move || {
        while let Some(attempt) = listener.next().unwrap() {
            answer(attempt);
        }
        eprintln!("the world is gone");
    })
}

fn answer(attempt: Attempt) {
    let who = format!("{} of {:?}", attempt.pid, attempt.parent());
    match &attempt.kind {
        Attempted::Exec(exec) => {
            let argv: Vec<_> = exec.argv.iter().map(|word| String::from_utf8_lossy(word)).collect();
            let what = format!("{} [{}] in {}", exec.program, argv.join(" "), exec.cwd);
            eprintln!("{who}: exec {what}: {:?}", attempt.allow_verified());
        }
        Attempted::File(file) => {
            eprintln!("{who}: {:?}", file.acts);
            attempt.allow();
        }
        Attempted::Unix(connect) => {
            let what = format!("{} {:?}", connect.path, connect.bound_inside);
            eprintln!("{who}: connect {what}: {:?}", attempt.connect());
        }
        Attempted::Tcp(connect) => {
            eprintln!("{who}: connect {}", connect.target);
            attempt.carry_on();
        }
        Attempted::Unresolvable(it) => {
            eprintln!("{who}: {}: {}", it.syscall, it.why);
            let errno = it.errno;
            attempt.deny(errno);
        }
    }
}

fn spec(scratch: PathBuf, writable: PathBuf, argv: Vec<OsString>) -> WorldSpec {
    let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
    let (uid, gid) = if uid == 0 { (65534, 65534) } else { (uid, gid) };
    let home = PathBuf::from("/home/agent");
    let account =
        Account { name: "agent".into(), uid, gid, home: home.clone(), shell: "/bin/sh".into() };
    let env = [("PATH", "/usr/local/bin:/usr/bin:/bin"), ("HOME", "/home/agent")];
    WorldSpec {
        base: Base::of_host(&account),
        binds: vec![Bind {
            source: writable.clone(),
            target: writable.clone(),
            access: Access::Write,
        }],
        overlays: vec![],
        masks: vec![],
        hidden: vec![],
        grantable: vec![],
        files: vec![],
        dirs: vec![home],
        env: env.map(|(key, value)| (OsString::from(key), OsString::from(value))).to_vec(),
        cwd: writable,
        argv,
        identity: Identity { uid, gid },
        idmap: IdMap::None,
        stdio: Stdio::Inherit,
        notify: NotifyClasses::ALL,
        limits: ResourceLimits::default(),
        seccomp: Profile::Default,
        programs: Programs::Anywhere,
        landlock: Require::Full,
        inward: ringfence_sandbox::world::Switch::Off,
        proxy_port: 3128,
        container: None,
        hooks: None,
        scratch,
    }
}
