//! What is asked of podman or docker. All words of the command are ours but for the image's id, which
//! the engine has said.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Resource;

use super::super::WorldError;
use super::{Container, Engine};

/// How long an engine may take for one thing: on a slow disk it copies a large image first.
const SECONDS_MAX: u64 = 120;
/// How often it is looked whether it is done.
const LOOK_MS: u64 = 5;
/// Longest name of an image: a host, a path of 255 and a digest.
const IMAGE_BYTES_MAX: usize = 512;
/// Most of what an engine says that is repeated, in bytes.
const SAID_BYTES_MAX: usize = 600;

/// Most open files and processes of the container's own process, and of its user in the container.
const LIMIT: u64 = 1024;

/// Where the program that holds the container open is in it: in a file system that the runtime
/// makes, so that the image is as it was.
const PAUSE: &str = "/dev/ringfence";

/// Where engines are looked for. Not in `PATH`: that may lead into a tree that agents write.
const DIRS: [&str; 3] = ["/usr/bin", "/usr/local/bin", "/run/current-system/sw/bin"];
/// What of the person's environment an engine is given: where its storage and its sockets are. The rest
/// may be a project's (`.envrc`), and names programs that an engine runs (`CONTAINERS_CONF`).
const PASSED: [&str; 7] = [
    "CONTAINERS_STORAGE_CONF",
    "DBUS_SESSION_BUS_ADDRESS",
    "HOME",
    "LANG",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
];

/// An engine's program, with an environment and a directory of ours.
fn program(engine: Engine) -> io::Result<Command> {
    let found = DIRS.iter().map(|dir| Path::new(dir).join(engine.name())).find(|it| it.is_file());
    let mut command = Command::new(found.ok_or(io::ErrorKind::NotFound)?);
    command
        .current_dir("/")
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    command.envs(PASSED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    Ok(command)
}

/// What an engine says of itself.
pub(super) fn version(engine: Engine) -> io::Result<String> {
    let output = asked(program(engine)?.arg("--version"))?;
    Ok(first_line(&output.stdout))
}

/// The id of an image that the engine has.
pub(super) fn find_image(engine: Engine, image: &str) -> Result<String, WorldError> {
    let plain = image.bytes().all(|byte| byte.is_ascii_graphic());
    if image.is_empty() || image.len() > IMAGE_BYTES_MAX || image.starts_with('-') || !plain {
        return Err(WorldError::Spec(format!("`{}` is no name of an image", image.escape_debug())));
    }
    let words = ["image", "inspect", "--format", "{{.Id}}", image];
    let output = program(engine)
        .and_then(|mut command| asked(command.args(words)))
        .map_err(|error| unusable(engine, &error))?;
    let id = first_line(&output.stdout);
    if output.status.success() && is_id(&id) {
        return Ok(id);
    }
    let said = said(&output);
    let absent = ["no such image", "image not known", "no such object"];
    if absent.iter().any(|text| said.to_lowercase().contains(text)) {
        return Err(WorldError::NoImage {
            engine: engine.name().to_owned(),
            image: image.to_owned(),
        });
    }
    Err(WorldError::Engine { engine: engine.name().to_owned(), said })
}

/// Makes the container, with nothing in it but `pause`; returns its id and its first process.
pub(super) fn make(container: &Container, pause: &Path) -> Result<(String, i32), WorldError> {
    let engine = container.engine;
    let wrong = |said: String| WorldError::Engine { engine: engine.name().to_owned(), said };
    let output = program(engine)
        .and_then(|mut command| asked(command.args(words(container, pause))))
        .map_err(|error| unusable(engine, &error))?;
    // The last line: warnings may come first.
    let text = String::from_utf8_lossy(&output.stdout);
    let id = text.lines().last().unwrap_or_default().trim().to_owned();
    if !output.status.success() || !is_id(&id) {
        // docker leaves one behind that could not be started.
        remove(engine, &container.name);
        return Err(wrong(said(&output)));
    }
    let words = ["container", "inspect", "--format", "{{.State.Pid}}", &id];
    let output = program(engine).and_then(|mut command| asked(command.args(words)));
    let pid = output.map_err(|error| unusable(engine, &error)).and_then(|output| {
        let pid = first_line(&output.stdout).parse().ok().filter(|pid| *pid > 1);
        pid.ok_or_else(|| wrong(format!("the container is not running: {}", said(&output))))
    });
    if pid.is_err() {
        remove(engine, &id);
    }
    pid.map(|pid| (id, pid))
}

/// Takes a container away with all that runs in it; one that is gone is as good.
pub(super) fn remove(engine: Engine, container: &str) {
    let Ok(mut command) = program(engine) else { return };
    let quick: &[&str] = match engine {
        Engine::Podman => &["container", "rm", "--force", "--ignore", "--time", "0"],
        Engine::Docker => &["container", "rm", "--force"],
    };
    // What an engine cannot remove it lists, under a name that is ours.
    let _ = asked(command.args(quick).arg(container));
}

/// The command that makes it. Whatever the image says of itself is overruled: its program, user,
/// directory, volumes and health checks.
fn words(container: &Container, pause: &Path) -> Vec<OsString> {
    let mut words: Vec<OsString> = Vec::new();
    let podman = container.engine == Engine::Podman;
    if podman && !Path::new("/run/systemd/system").exists() {
        // Its default asks a systemd that does not run here.
        words.push("--cgroup-manager=cgroupfs".into());
    }
    words.extend(["run", "--detach", "--rm", "--pull=never"].map(OsString::from));
    if !Path::new("/sys/fs/cgroup/cgroup.controllers").exists() && is_installed("runc") {
        // crun refuses machines whose control groups are of both versions.
        words.push("--runtime=runc".into());
    }
    words.push("--name".into());
    words.push(container.name.clone().into());
    let shut = [
        "--label=io.ringfence.world=1",
        "--network=none",
        "--read-only",
        "--cap-drop=all",
        "--security-opt=no-new-privileges",
        "--log-driver=none",
        "--no-healthcheck",
        "--user=0:0",
        "--workdir=/",
        "--entrypoint=/dev/ringfence",
    ];
    words.extend(shut.map(OsString::from));
    if podman {
        // Who root is in it is not for a configuration file to say, nor what else is mounted.
        words.extend(["--userns=host", "--image-volume=ignore"].map(OsString::from));
    }
    words.extend(limits().map(OsString::from));
    let mut mount = OsString::from("--mount=type=bind,readonly,target=");
    mount.push(PAUSE);
    mount.push(",source=");
    mount.push(pause);
    words.push(mount);
    words.push(container.id.clone().into());
    words
}

/// Engines raise these, which fails where the caller may have no more. They hold the process that
/// waits: those that enter keep their own.
fn limits() -> [String; 2] {
    let named = [("nofile", Resource::Nofile), ("nproc", Resource::Nproc)];
    named.map(|(name, resource)| {
        let most = rustix::process::getrlimit(resource).maximum;
        let most = most.map_or(LIMIT, |most| most.min(LIMIT));
        format!("--ulimit={name}={most}:{most}")
    })
}

/// Whether there is a runtime of this name where engines look for it, whatever `PATH` is.
fn is_installed(runtime: &str) -> bool {
    let dirs = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/bin", "/sbin"];
    dirs.iter().any(|dir| Path::new(dir).join(runtime).is_file())
}

/// Runs an engine to its end.
fn asked(command: &mut Command) -> io::Result<Output> {
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn()?;
    let end = Instant::now() + Duration::from_secs(SECONDS_MAX);
    // What it says fits into a pipe; one that says more is not answering what it was asked.
    while child.try_wait()?.is_none() {
        if Instant::now() > end {
            let _ = child.kill();
            let _ = child.wait();
            return Err(io::ErrorKind::TimedOut.into());
        }
        sleep(Duration::from_millis(LOOK_MS));
    }
    child.wait_with_output()
}

/// Why an engine cannot be asked at all.
fn unusable(engine: Engine, error: &io::Error) -> WorldError {
    let engine = engine.name().to_owned();
    if error.kind() == io::ErrorKind::NotFound {
        return WorldError::NoEngine { engine };
    }
    if error.kind() == io::ErrorKind::TimedOut {
        let said = format!("no answer within {SECONDS_MAX} seconds");
        return WorldError::Engine { engine, said };
    }
    WorldError::Engine { engine, said: error.to_string() }
}

/// What went wrong, by the engine's last line: the others are warnings.
fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let last = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
    let last = last.trim().trim_start_matches("Error: ");
    last.chars().filter(|letter| !letter.is_control()).take(SAID_BYTES_MAX).collect()
}

fn first_line(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.lines().next().unwrap_or_default().trim().to_owned()
}

/// Whether this is an id, of an image or a container.
fn is_id(text: &str) -> bool {
    let digits = text.strip_prefix("sha256:").unwrap_or(text);
    digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}
