//! What the tests need beyond Rust and a C compiler, and how it is installed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use crate::process::{Done, cache, on_path, output, status, top};

/// Programs the tests drive, and the Debian package that holds each.
const PACKAGES: &[(&str, &str)] = &[
    ("busybox", "busybox-static"), // with podman, its runtime and uidmap: containers, and what is in them
    ("bwrap", "bubblewrap"),       // the peer of the benchmarks and the nested sandbox of the tests
    ("chromium", "chromium"), // it and those below that are no build tools: clients and servers
    ("cmake", "cmake"),       // it, go, mvn and an editor: tools that have to work in a world
    ("curl", "curl"),
    ("dbus-run-session", "dbus"),
    ("fish", "fish"), // with zsh: shells in which agents start under Ringfence
    ("gcc", "gcc"),
    ("git", "git"),
    ("gnome-keyring-daemon", "gnome-keyring"), // the keyring of a desktop
    ("go", "golang-go"),
    ("gpg", "gnupg"),
    ("javac", "default-jdk-headless"),
    ("make", "make"),
    ("musl-gcc", "musl-tools"),
    ("mvn", "maven"),
    (
        "/usr/share/maven-repo/org/apache/maven/plugins/maven-compiler-plugin",
        "libmaven-compiler-plugin-java",
    ),
    (
        "/usr/share/maven-repo/org/apache/maven/plugins/maven-resources-plugin",
        "libmaven-resources-plugin-java",
    ),
    // The compiler plugin's own parent names it, and Debian's package does not ask for it.
    ("/usr/share/maven-repo/org/junit/junit-bom", "junit5"),
    ("npm", "npm"),
    ("node", "nodejs"),
    ("openssl", "openssl"),
    ("newuidmap", "uidmap"),
    ("podman", "podman"),
    ("/usr/lib/postgresql", "postgresql"),
    ("python3", "python3"),
    ("/usr/sbin/runc", "runc"), // crun refuses control groups of both versions
    ("secret-tool", "libsecret-tools"),
    ("setpriv", "util-linux"),
    ("ssh", "openssh-client"),
    ("/usr/sbin/sshd", "openssh-server"),
    ("strace", "strace"),
    ("tmux", "tmux"), // real terminals for the questions
    ("vim.tiny", "vim-tiny"),
    ("zsh", "zsh"),
];

/// `cargo-deny` is built once per machine, unoptimised, into the cache.
const DENY_VERSION: &str = "0.20.2";

/// Downloads fail now and then: how often they are tried, and how long to wait between, in seconds.
const TRIES: u32 = 3;
const WAIT_SECONDS: u64 = 10;

/// Where `cargo-deny` is.
pub(crate) fn deny() -> PathBuf {
    cache().join("tools").join(format!("deny-{DENY_VERSION}")).join("bin/cargo-deny")
}

/// Where the pinned agents are: their `node_modules/.bin`.
pub(crate) fn agents() -> PathBuf {
    cache().join("agents")
}

/// Where the pinned Python packages are: a virtual environment.
pub(crate) fn python() -> PathBuf {
    cache().join("python")
}

/// Where the pinned clients and servers of MCP are: `node_modules`, and `python`, a virtual environment.
pub(crate) fn mcp() -> PathBuf {
    cache().join("mcp")
}

/// Where the pinned packages that speak to AWS and as AWS are: a virtual environment.
pub(crate) fn aws() -> PathBuf {
    cache().join("aws")
}

/// Everything that is missing, each with the way it will be got.
pub(crate) fn missing() -> Vec<String> {
    let mut found: Vec<String> = PACKAGES
        .iter()
        .filter(|(program, _)| !is_there(program))
        .map(|(program, package)| format!("{program} (Debian package {package})"))
        .collect();
    if !python_has_venv() {
        found.push("python3 -m venv (Debian package python3-venv)".to_owned());
    }
    if !deny().is_file() {
        found
            .push(format!("cargo-deny {DENY_VERSION} (built by cargo into {})", cache().display()));
    }
    if !holds_npm(&agents(), "agents") {
        found.push(format!("the pinned agents (npm, into {})", agents().display()));
    }
    if !holds_npm(&mcp(), "mcp") || !holds(&mcp_python(), MCP_PYTHON) {
        let mcp = mcp();
        found.push(format!("the pinned clients of MCP (npm and pip, into {})", mcp.display()));
    }
    if !holds(&python(), PYTHON) {
        found.push(format!("the pinned Python packages (pip, into {})", python().display()));
    }
    if !holds(&aws(), AWS) {
        found.push(format!("the pinned packages of AWS (pip, into {})", aws().display()));
    }
    found
}

/// `cargo xtask setup`.
#[expect(clippy::unnecessary_wraps, reason = "the shape of every task")]
pub(crate) fn report() -> Done {
    let missing = missing();
    if missing.is_empty() {
        println!("nothing is missing");
    } else {
        println!("missing:\n  {}", missing.join("\n  "));
        println!("hint: `cargo xtask setup --yes` installs it");
    }
    Ok(())
}

/// `cargo xtask setup --yes`.
pub(crate) fn install() -> Done {
    install_packages()?;
    if !deny().is_file() {
        install_deny()?;
    }
    for (dir, list) in [(agents(), "agents"), (mcp(), "mcp")] {
        if !holds_npm(&dir, list) {
            install_npm(&dir, list)?;
        }
    }
    for (dir, list) in [(python(), PYTHON), (mcp_python(), MCP_PYTHON), (aws(), AWS)] {
        if !holds(&dir, list) {
            install_python(&dir, list)?;
        }
    }
    match missing().as_slice() {
        [] => Ok(()),
        left => Err(format!("still missing: {}", left.join(", "))),
    }
}

fn install_packages() -> Done {
    let mut wanted: Vec<&str> = PACKAGES
        .iter()
        .filter(|(program, _)| !is_there(program))
        .map(|(_, package)| *package)
        .collect();
    if !python_has_venv() {
        wanted.push("python3-venv");
    }
    if wanted.is_empty() {
        return Ok(());
    }
    println!("installing {}", wanted.join(" "));
    let root = output("id", &["-u"])?.trim() == "0";
    let apt = |arguments: &[&str]| {
        let mut command = Command::new(if root { "apt-get" } else { "sudo" });
        if !root {
            command.arg("apt-get");
        }
        status(command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive"))
    };
    retry(|| apt(&["update", "-qq"]))?;
    let mut install = vec!["install", "-y", "-qq", "--no-install-recommends"];
    install.extend(&wanted);
    retry(|| apt(&install))
}

fn install_deny() -> Done {
    println!("building cargo-deny {DENY_VERSION}");
    let root = cache().join("tools").join(format!("deny-{DENY_VERSION}"));
    retry(|| {
        let mut cargo = Command::new("cargo");
        cargo.args(["install", "--locked", "--debug", "--version", DENY_VERSION, "--root"]);
        // Its own target directory goes away with it: it is built once and kept as a binary.
        status(cargo.arg(&root).arg("cargo-deny").env_remove("CARGO_TARGET_DIR"))
    })
}

/// Installs what a directory of `tests` pins for npm.
fn install_npm(dir: &Path, list: &str) -> Done {
    println!("installing the pinned npm packages of {list}");
    let make = |error: std::io::Error| format!("cannot prepare `{}`: {error}", dir.display());
    std::fs::create_dir_all(dir).map_err(make)?;
    for file in ["package.json", "package-lock.json"] {
        std::fs::copy(top().join("tests").join(list).join(file), dir.join(file)).map_err(make)?;
    }
    retry(|| {
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"]).current_dir(dir);
        status(&mut npm)
    })?;
    std::fs::copy(dir.join("package-lock.json"), dir.join("installed.json")).map_err(make)?;
    Ok(())
}

/// Whether what was installed last is what the lock file asks for.
fn holds_npm(dir: &Path, list: &str) -> bool {
    let wanted = std::fs::read(top().join("tests").join(list).join("package-lock.json"));
    let installed = std::fs::read(dir.join("installed.json"));
    matches!((wanted, installed), (Ok(wanted), Ok(installed)) if wanted == installed)
}

/// The peer of the benchmarks of the net gate, got when it is first asked for.
pub(crate) fn mitmdump() -> Result<PathBuf, String> {
    let dir = cache().join("bench");
    if !holds(&dir, BENCH) {
        install_python(&dir, BENCH)?;
    }
    Ok(dir.join("bin/mitmdump"))
}

/// The peers of the benchmarks of the gate of tools, got when they are first asked for: a directory with
/// `node_modules`, and `python`, a virtual environment.
pub(crate) fn between() -> Result<PathBuf, String> {
    let dir = cache().join("bench-mcp");
    if !holds_npm(&dir, "bench") {
        install_npm(&dir, "bench")?;
    }
    if !holds(&dir.join("python"), BENCH_MCP) {
        install_python(&dir.join("python"), BENCH_MCP)?;
    }
    Ok(dir)
}

/// What virtual environments are made of, below `tests`.
const PYTHON: &str = "python/requirements.txt";
const AWS: &str = "python/aws.txt";
const BENCH: &str = "python/bench.txt";
const BENCH_MCP: &str = "bench/requirements.txt";
const MCP_PYTHON: &str = "mcp/requirements.txt";

fn mcp_python() -> PathBuf {
    mcp().join("python")
}

/// Makes a virtual environment of what a file of `tests` lists.
fn install_python(dir: &Path, list: &str) -> Done {
    println!("installing the pinned Python packages of {list}");
    let wanted = top().join("tests").join(list);
    // The worlds of the tests see the system's own, whatever comes first here.
    let system = Path::new("/usr/bin/python3");
    let program = if system.is_file() { system } else { Path::new("python3") };
    status(Command::new(program).args(["-m", "venv", "--clear"]).arg(dir))?;
    retry(|| {
        let mut pip = Command::new(dir.join("bin/pip"));
        pip.args(["install", "-q", "--disable-pip-version-check", "--no-deps", "-r"]);
        status(pip.arg(&wanted))
    })?;
    std::fs::copy(&wanted, dir.join("installed.txt"))
        .map_err(|error| format!("cannot prepare `{}`: {error}", dir.display()))?;
    Ok(())
}

/// Whether what was installed last into a virtual environment is what the list asks for.
fn holds(dir: &Path, list: &str) -> bool {
    let wanted = std::fs::read(top().join("tests").join(list));
    let installed = std::fs::read(dir.join("installed.txt"));
    matches!((wanted, installed), (Ok(wanted), Ok(installed)) if wanted == installed)
}

/// Whether a program is found, or a file that is named by its whole path.
fn is_there(program: &str) -> bool {
    if program.starts_with('/') { Path::new(program).exists() } else { on_path(program) }
}

fn python_has_venv() -> bool {
    Command::new("python3")
        .args(["-c", "import venv, ensurepip"])
        .stderr(std::process::Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

fn retry(mut attempt: impl FnMut() -> Done) -> Done {
    let mut last = Ok(());
    for round in 1..=TRIES {
        last = attempt();
        if last.is_ok() {
            return Ok(());
        }
        if round < TRIES {
            sleep(Duration::from_secs(WAIT_SECONDS));
        }
    }
    last
}
