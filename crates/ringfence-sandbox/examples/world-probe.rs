//! Starts one world as told by its arguments, and grants, revokes and signals as told by its
//! standard input: for tests and benchmarks, which have threads and so cannot start one themselves.
//!
//! `world-probe [--read P | --write P | --mask P | --hide P | --grantable P | --dir P | --cwd P |
//! --env K=V | --open-files N | --processes N | --file-bytes N | --bare-base | --tier NAME | --seccomp NAME |
//! --library P | --line P | --noexec | --calls PROFILE | --notify | --pty | --idmap-root | --identity UID |
//! --commands | --layers | --guarded | --lost-helper | --try]... SCRATCH -- COMMAND...`
//!
//! Commands, one a line: `read P`, `write P`, `copy SOURCE TARGET`, `revoke P`, `signal N`, `kill`;
//! each is answered on standard error with `done` or `error: ...`. `captured` and `captured6` wait for
//! a connection out of the world, `asked` and `asked6` for a datagram to its name server; each is
//! answered with where from and, for a connection, where to.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::indexing_slicing,
    clippy::too_many_lines,
    reason = "a tool of the tests"
)]

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead as _, Read as _, Write as _};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use ringfence_core::Exit;
use ringfence_sandbox::base::{Account, Base};
use ringfence_sandbox::notify::{Attempted, Listener};
use ringfence_sandbox::seccomp::{Profile, refusals};
use ringfence_sandbox::world::{
    Access, Bind, Happening, Hooks, IdMap, Identity, NotifyClasses, Programs, Require,
    ResourceLimits, Stdio, TerminalSize, Tier, World, WorldError, WorldSpec, prepare, prepare_tier,
};
use rustix::net::sockopt::{ip_original_dst, ipv6_original_dst};

fn main() {
    let mut args = std::env::args_os().skip(1);
    let mut spec = empty();
    let (mut commands, mut layers, mut lost_helper) = (false, false, false);
    let mut tier = Tier::default();
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
            "--env" => {
                let text = path().to_str().unwrap().to_owned();
                let (key, value) = text.split_once('=').unwrap();
                spec.env.push((key.into(), value.into()));
            }
            "--identity" => {
                let id = path().to_str().unwrap().parse().unwrap();
                spec.identity = Identity { uid: id, gid: id };
            }
            "--idmap-root" => spec.idmap = IdMap::Owner { uid: 0, gid: 0 },
            "--open-files" => spec.limits.open_files = Some(number(&path())),
            "--processes" => spec.limits.processes = Some(number(&path())),
            "--file-bytes" => spec.limits.file_bytes = Some(number(&path())),
            "--bare-base" => spec.base = bare(),
            "--tier" => tier = path().to_str().unwrap().parse().unwrap(),
            "--library" => {
                let line = PathBuf::new();
                let line = spec.hooks.map_or(line, |hooks| hooks.line);
                spec.hooks = Some(Hooks { library: Some(path()), line });
            }
            "--line" => {
                let line = path();
                let library = spec.hooks.and_then(|hooks| hooks.library);
                spec.hooks = Some(Hooks { library, line });
            }
            "--seccomp" => spec.seccomp = path().to_str().unwrap().parse().unwrap(),
            "--noexec" => spec.programs = Programs::NotWhereWritten,
            // Every call that the profile refuses, made where this process is.
            "--calls" => return calls(path().to_str().unwrap().parse().unwrap()),
            "--notify" => spec.notify = NotifyClasses::ALL,
            "--pty" => spec.stdio = Stdio::Pty(TerminalSize { rows: 24, cols: 80 }),
            "--commands" => commands = true,
            "--layers" => layers = true,
            "--lost-helper" => lost_helper = true,
            "--try" => {
                for layer in ringfence_sandbox::probe() {
                    println!("{} {:?} {}", layer.layer, layer.state, layer.detail);
                }
                return;
            }
            // As a broker that has started a world before.
            "--guarded" => {
                let guard = rustix::process::DumpableBehavior::NotDumpable;
                rustix::process::set_dumpable_behavior(guard).unwrap();
            }
            "--" => break,
            scratch => spec.scratch = scratch.into(),
        }
    }
    spec.argv = args.collect();
    let started = if lost_helper {
        start_without_helper(spec)
    } else {
        prepare_tier(tier).and_then(|prepared| prepared.begin(spec)?.finish())
    };
    let mut world = match started {
        Ok(world) => world,
        Err(error) => {
            eprintln!("error: {error}\nhint: {}", error.hint().unwrap_or("none"));
            std::process::exit(125);
        }
    };
    if layers {
        for layer in &world.layers {
            println!("{} {:?} {}", layer.layer, layer.state, layer.detail);
        }
    }
    serve(&mut world);
    let relay = relay(&mut world);
    let world = Arc::new(world);
    if commands {
        let world = Arc::clone(&world);
        std::thread::spawn(move || obey(&world));
    }
    let ended = world.wait(&mut |what| {
        if let Happening::Covered(path) = what {
            eprintln!("covered {}", path.display());
        }
    });
    let ended = ended.unwrap();
    if let Some(errno) = ended.not_started {
        eprintln!("not started: {}", std::io::Error::from_raw_os_error(errno));
    }
    // The thread that takes commands may hold it as well.
    world.kill();
    drop(Arc::into_inner(world));
    if let Some(relay) = relay {
        relay.join().unwrap();
    }
    std::process::exit(match ended.exit {
        Exit::Code(code) => code,
        Exit::Signal(signal) => 128 + signal,
        Exit::Unknown => 125,
    });
}

/// Tries every rule of a profile, and prints what became of it.
fn calls(profile: Profile) {
    for refusal in refusals(profile) {
        let answer = refusal.attempt().err().and_then(|error| error.raw_os_error());
        println!("{} {} {} {}", refusal.part, refusal.call, refusal.errno, answer.unwrap_or(0));
    }
}

/// Starts a world whose mount helper is killed while it waits to be told which.
fn start_without_helper(spec: WorldSpec) -> Result<World, WorldError> {
    let prepared = prepare()?;
    let helper = children(std::process::id())[0];
    // The world's first process, and for root one that maps owners.
    let all = if rustix::process::geteuid().is_root() { 2 } else { 1 };
    while children(helper).len() < all {
        std::thread::yield_now();
    }
    let pid = rustix::process::Pid::from_raw(helper.cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    prepared.begin(spec)?.finish()
}

fn children(pid: u32) -> Vec<u32> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    text.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// Permits every program and every change, and no connection out of the world.
fn serve(world: &mut World) {
    let Some(fd) = world.notify.take() else { return };
    let confinement = std::mem::take(&mut world.confinement);
    let listener = Listener::new(fd, None, vec![], confinement).unwrap();
    std::thread::spawn(move || {
        while let Ok(Some(attempt)) = listener.next() {
            match attempt.kind {
                Attempted::Exec(_) | Attempted::File(_) => drop(attempt.allow()),
                // Dropped is denied.
                Attempted::Tcp(_) | Attempted::Unix(_) | Attempted::Unresolvable(_) => {}
            }
        }
    });
}

/// Copies what the payload writes to its terminal.
fn relay(world: &mut World) -> Option<JoinHandle<()>> {
    let mut master = File::from(world.pty.take()?);
    Some(std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = master.read(&mut bytes) {
            std::io::stdout().write_all(&bytes[..count]).unwrap();
            std::io::stdout().flush().unwrap();
        }
    }))
}

fn obey(world: &World) {
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split(' ').collect();
        match (arrival(world, &words), command(world, &words)) {
            (Some(arrival), _) => eprintln!("{arrival}"),
            (None, Ok(())) => eprintln!("done"),
            (None, Err(error)) => eprintln!("error: {error}"),
        }
    }
}

/// What leaves the world next, as the net gate sees it.
fn arrival(world: &World, words: &[&str]) -> Option<String> {
    let capture = &world.network.capture;
    let asked = |socket: &UdpSocket| {
        let (count, from) = socket.recv_from(&mut [0; 512]).unwrap();
        format!("{} sent {count}", from.ip())
    };
    match words {
        ["captured"] => {
            let (stream, from) = capture.tcp.accept().unwrap();
            Some(format!("{} to {}", from.ip(), ip_original_dst(&stream).unwrap()))
        }
        ["captured6"] => {
            let (stream, from) = capture.tcp_v6.as_ref().unwrap().accept().unwrap();
            Some(format!("{} to {}", from.ip(), ipv6_original_dst(&stream).unwrap()))
        }
        ["asked"] => Some(asked(capture.dns.as_ref().unwrap())),
        ["asked6"] => Some(asked(capture.dns_v6.as_ref().unwrap())),
        _ => None,
    }
}

fn command(world: &World, words: &[&str]) -> Result<(), WorldError> {
    match words {
        ["read", path] => world.mount(Path::new(path), Path::new(path), Access::Read),
        ["write", path] => world.mount(Path::new(path), Path::new(path), Access::Write),
        ["copy", source, target] => {
            world.mount(Path::new(source), Path::new(target), Access::Write)
        }
        ["revoke", path] => world.unmount(Path::new(path)),
        ["signal", number] => world.signal(number.parse().unwrap()),
        ["kill"] => {
            world.kill();
            Ok(())
        }
        other => Err(WorldError::Spec(format!("unknown command {other:?}"))),
    }
}

fn bind(path: PathBuf, access: Access) -> Bind {
    Bind { source: path.clone(), target: path, access }
}

fn number(word: &Path) -> u64 {
    word.to_str().unwrap().parse().unwrap()
}

/// As many mounts as the simplest `bwrap` line has.
fn bare() -> Base {
    let links = ["bin", "lib", "lib64", "sbin"];
    Base {
        binds: vec!["/usr".into()],
        links: links.map(|name| (format!("/{name}").into(), format!("usr/{name}").into())).into(),
        files: vec![],
        dirs: vec!["/tmp".into()],
    }
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
        overlays: vec![],
        masks: vec![],
        hidden: vec![],
        grantable: vec![],
        files: vec![],
        dirs: vec![],
        env: env.map(|(key, value)| (OsString::from(key), OsString::from(value))).to_vec(),
        cwd: "/".into(),
        argv: vec![],
        identity: Identity { uid, gid },
        idmap: IdMap::None,
        stdio: Stdio::Inherit,
        notify: NotifyClasses::NONE,
        limits: ResourceLimits::default(),
        seccomp: Profile::Default,
        programs: Programs::Anywhere,
        landlock: Require::Full,
        inward: ringfence_sandbox::world::Switch::Off,
        proxy_port: 3128,
        container: None,
        hooks: None,
        scratch: PathBuf::new(),
    }
}
