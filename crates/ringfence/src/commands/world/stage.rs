//! What is attacked: trees, listeners and shared memory of the host, set up for one run.

use std::collections::{HashMap, HashSet};
use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ringfence_runtime::broker::{Profile, Tier};
use ringfence_sandbox::attacks::{self, Leaves, SharedMemory, Target};

use crate::commands::context;
use crate::commands::run::preload_library;
use crate::exit::{Failure, Message};

/// Twice as long as it takes a process that stays to say that it lives, and then some.
const BEAT: Duration = Duration::from_millis(300);

/// How long it is waited for where it lives for certain: less than it lives.
const BEAT_OUTSIDE_MAX: Duration = Duration::from_secs(8);

/// Where the attacks are tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Run {
    Outside,
    Inside(Tier, Profile, Option<String>),
}

/// A directory with everything that is attacked, and what listens.
#[derive(Debug)]
pub(super) struct Stage {
    run: Run,
    target: Target,
    policies: Vec<PathBuf>,
    planted: Vec<PathBuf>,
    _shared: Option<SharedMemory>,
    _datagrams: UnixDatagram,
}

impl Stage {
    /// Makes one; `policies` are the texts that hold beside its own.
    pub(super) fn set_up(run: Run, token: &str, policies: &[String]) -> Result<Stage, Failure> {
        make(run, token, policies).map_err(|error| cannot_set_up(&error))?
    }

    /// The attacks, to be tried here.
    pub(super) fn play(&self) -> Command {
        let program = self.target.at("readonly/ringfence");
        let mut command = Command::new(&program);
        if let Run::Inside(tier, profile, image) = &self.run {
            command.args(["run", "--tier", tier.name()]);
            // A tier without a filter is started with no profile; any other than the usual is refused there.
            if *tier != Tier::Preload || *profile != Profile::default() {
                command.args(["--seccomp", profile.name()]);
            }
            if let (Tier::Oci, Some(image)) = (tier, image) {
                command.arg(format!("--image={image}"));
            }
            for policy in &self.policies {
                command.arg("--policy").arg(policy);
            }
            command.args(["--agent", context::VERIFIER, "--"]).arg(&program);
        }
        command.args(["world", "attack"]).args(self.target.words());
        command.current_dir(self.target.at("granted")).stdin(Stdio::null());
        command
    }

    /// What is in the files that attacks make or change.
    pub(super) fn prints(&self) -> HashMap<&'static str, Vec<u8>> {
        let all = attacks::all().into_iter().filter_map(|attack| match attack.leaves {
            Leaves::File(file) => Some(file),
            Leaves::Nothing | Leaves::Beat(_) => None,
        });
        all.filter_map(|file| {
            let path = self.target.at(file);
            let meta = fs::symlink_metadata(&path).ok()?;
            // Reading a pipe would not end.
            let bytes = if meta.is_file() { fs::read(path).ok()? } else { vec![0] };
            Some((file, bytes))
        })
        .collect()
    }

    /// The files that somebody still writes.
    pub(super) fn beats(&self) -> HashSet<&'static str> {
        let read = |file: &str| fs::read(self.target.at(file)).unwrap_or_default();
        let files = attacks::all().into_iter().filter_map(|attack| match attack.leaves {
            Leaves::Beat(file) => Some(file),
            Leaves::Nothing | Leaves::File(_) => None,
        });
        let before: Vec<_> = files.map(|file| (file, read(file))).collect();
        // Outside of a world each is to be seen, however long the machine lets it wait.
        let most = if self.run == Run::Outside { BEAT_OUTSIDE_MAX } else { BEAT };
        let since = Instant::now();
        loop {
            std::thread::sleep(BEAT);
            let still = before.iter().filter(|(file, bytes)| read(file) != *bytes);
            let still: HashSet<_> = still.map(|(file, _)| *file).collect();
            if still.len() == before.len() || since.elapsed() >= most {
                return still;
            }
        }
    }

    /// Whether the policy permits the program that an attack starts.
    pub(super) fn permits(&self, attack: &str) -> bool {
        if self.run == Run::Outside {
            return false;
        }
        let program = match attack {
            "run-copy" => self.target.at("granted/copy"),
            // Whoever may start the loader may have it start whatever can be read.
            "run-loader" => attacks::loader().unwrap_or_default(),
            _ => return false,
        };
        let asked = serde_json::json!({
            "agent": context::VERIFIER, "action": "exec", "resource": program, "argv": [program],
        });
        let mut command = Command::new(self.target.at("readonly/ringfence"));
        command.arg("decide");
        for policy in &self.policies {
            command.arg("--policy").arg(policy);
        }
        let streams = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(mut child) = streams.spawn() else { return false };
        let written = child.stdin.take().map(|mut stdin| write!(stdin, "{asked}"));
        let ended = child.wait();
        written.is_some_and(|it| it.is_ok()) && ended.is_ok_and(|status| status.success())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for path in &self.planted {
            let _ = fs::remove_file(path);
        }
        // Under another name nobody makes anything in it any more.
        let gone = self.target.dir.with_extension("gone");
        let _ = fs::rename(&self.target.dir, &gone).and_then(|()| fs::remove_dir_all(&gone));
    }
}

fn make(run: Run, token: &str, policies: &[String]) -> io::Result<Result<Stage, Failure>> {
    let dirs = match context::dirs() {
        Ok(dirs) => dirs,
        Err(failure) => return Ok(Err(failure)),
    };
    let cache = context::environment().path("XDG_CACHE_HOME");
    let cache = cache.unwrap_or_else(|| dirs.home().join(".cache"));
    fs::create_dir_all(&cache)?;
    let pid = std::process::id();
    // Not where the other one was: something may still be at work there.
    let side = match run {
        Run::Outside => "outside",
        Run::Inside(..) => "inside",
    };
    let dir = fs::canonicalize(cache)?.join(format!("ringfence-verify-{pid}-{side}"));
    let _ = fs::remove_dir_all(&dir);
    trees(&dir, token)?;
    let ports = listeners(&dir, token)?;
    let datagrams = UnixDatagram::bind(dir.join("granted/datagrams"))?;
    for socket in ["granted/socket", "granted/datagrams", "readonly/socket"] {
        fs::set_permissions(dir.join(socket), Permissions::from_mode(0o777))?;
    }
    let planted =
        ["/tmp", "/dev/shm"].map(|place| Path::new(place).join(format!("ringfence-verify-{pid}")));
    let shared_memory = 0x5246_0000 | (pid & 0xffff);
    let shared = SharedMemory::make(shared_memory).ok();
    let policies = write_policies(&dir, policies)?;
    let state = dirs.sessions();
    let pid = i32::try_from(pid).map_err(io::Error::other)?;
    let target = Target { dir, token: token.to_owned(), pid, ports, shared_memory, state };
    let stage = Stage {
        run,
        target,
        policies,
        planted: planted.to_vec(),
        _shared: shared,
        _datagrams: datagrams,
    };
    for path in &planted {
        fs::write(path, token)?;
    }
    Ok(Ok(stage))
}

fn cannot_set_up(error: &io::Error) -> Failure {
    Message::new(format!("cannot set up what is attacked: {error}")).could_not()
}

/// A text that nobody can guess, by which a success is known.
pub(super) fn token() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| cannot_set_up(&error.into()))?;
    Ok(bytes.iter().fold(String::from("token-"), |text, byte| text + &format!("{byte:02x}")))
}

/// `granted` may be written, `readonly` read, and of `outside` nothing is granted.
fn trees(dir: &Path, token: &str) -> io::Result<()> {
    let repository = ["hooks", "objects", "refs/heads"].map(|it| format!("granted/repo/.git/{it}"));
    let others = ["readonly", "outside", "policies"].map(str::to_owned);
    for name in repository.into_iter().chain(others) {
        fs::create_dir_all(dir.join(name))?;
    }
    for file in ["outside/secret", "outside/movable", "readonly/file"] {
        fs::write(dir.join(file), token)?;
    }
    for file in ["readonly/deletable", "readonly/movable"] {
        fs::write(dir.join(file), "x")?;
    }
    symlink("secret", dir.join("outside/link"))?;
    fs::write(dir.join("granted/repo/.git/HEAD"), "ref: refs/heads/main\n")?;
    fs::write(dir.join("granted/repo/.git/config"), "[core]\n\tbare = false\n")?;
    let own = std::env::current_exe()?;
    let program = dir.join("readonly/ringfence");
    if fs::hard_link(&own, &program).is_err() {
        fs::copy(&own, &program)?;
    }
    // Absent, no world of the tier that needs it is started.
    if let Some(library) = preload_library() {
        let beside = dir.join("readonly").join(library.file_name().unwrap_or_default());
        fs::copy(&library, &beside)?;
        fs::set_permissions(&beside, Permissions::from_mode(0o644))?;
    }
    let found = ["/usr/bin/true", "/bin/true"].into_iter().find(|it| Path::new(it).exists());
    for copy in ["readonly/forbidden", "outside/program"] {
        fs::copy(found.ok_or(io::ErrorKind::NotFound)?, dir.join(copy))?;
    }
    Ok(())
}

/// The stage's own policy, and then those that hold beside it.
fn write_policies(dir: &Path, texts: &[String]) -> io::Result<Vec<PathBuf>> {
    let at = |name: &str| dir.join(name).display().to_string();
    let own = format!(
        "@id(\"verify-program\")\n\
         permit (principal, action == Action::\"exec\", resource == Program::{:?});\n\
         @id(\"verify-forbidden\") @reason(\"an attack\")\n\
         forbid (principal, action == Action::\"exec\", resource == Program::{:?});\n\
         @id(\"verify-read\")\n\
         permit (principal, action == Action::\"fs.read\", resource in Dir::{:?});\n\
         @id(\"verify-write\")\n\
         permit (principal, action in Action::\"fs\", resource in Dir::{:?});\n",
        at("readonly/ringfence"),
        at("readonly/forbidden"),
        at("readonly"),
        at("granted"),
    );
    let all = std::iter::once(&own).chain(texts).enumerate();
    all.map(|(number, text)| {
        let path = dir.join(format!("policies/{number}.cedar"));
        fs::write(&path, text).map(|()| path)
    })
    .collect()
}

/// Starts what greets everybody who reaches it; it ends with this process.
fn listeners(dir: &Path, token: &str) -> io::Result<[u16; 3]> {
    let greet = |mut stream: Box<dyn io::Write>, token: &str| {
        // One who has gone needs no greeting.
        let _ = stream.write_all(token.as_bytes());
    };
    let tcp = TcpListener::bind("127.0.0.1:0")?;
    let port = tcp.local_addr()?.port();
    // A machine without IPv6 has nothing to protect there.
    let tcp_v6 = TcpListener::bind("[::1]:0").ok();
    let port_v6 = tcp_v6.as_ref().and_then(|it| it.local_addr().ok()).map_or(0, |it| it.port());
    for listener in [Some(tcp), tcp_v6].into_iter().flatten() {
        let token = token.to_owned();
        std::thread::spawn(move || {
            listener.incoming().flatten().for_each(|stream| greet(Box::new(stream), &token));
        });
    }
    let name = format!("ringfence-verify-{}", std::process::id());
    let unix = [
        UnixListener::bind(dir.join("granted/socket"))?,
        UnixListener::bind(dir.join("readonly/socket"))?,
    ];
    // A second stage of the same process finds the name taken, and answered.
    let by_name = UnixListener::bind_addr(&SocketAddr::from_abstract_name(name)?).ok();
    for listener in unix.into_iter().chain(by_name) {
        let token = token.to_owned();
        std::thread::spawn(move || {
            listener.incoming().flatten().for_each(|stream| greet(Box::new(stream), &token));
        });
    }
    let udp = UdpSocket::bind("127.0.0.1:0")?;
    let port_udp = udp.local_addr()?.port();
    let token = token.to_owned();
    std::thread::spawn(move || {
        let mut heard = [0; 16];
        while let Ok((_, from)) = udp.recv_from(&mut heard) {
            let _ = udp.send_to(token.as_bytes(), from);
        }
    });
    Ok([port, port_v6, port_udp])
}
