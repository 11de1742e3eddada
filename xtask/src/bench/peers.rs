//! Ringfence against nothing at all and against the sandboxes that people use: the start of `true`,
//! everyday work, and many worlds at once.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::place::{DECIDED, Place};
use super::{Row, SETTLE, Times, interleave_for, row};
use crate::process::{Done, cache, output, status};

/// Counted rounds of all sides, after one that is not counted; `srt` takes half a second in each.
const ROUNDS: usize = 11;
/// The same for whole work, of which each takes seconds.
const WORK_ROUNDS: usize = 5;
/// How many files the large trees have.
const FILES: usize = 20_000;
/// How many crates and packages are built.
const PARTS: usize = 20;
/// Worlds that are there at once.
const WORLDS: usize = 100;

/// One of those that start `true`.
struct Side {
    what: &'static str,
    marks: (&'static str, &'static str),
    command: Command,
    times: Times,
    failed: Option<String>,
}

/// `true` under each of them in turn, in one run.
pub(crate) fn peers() -> Result<Vec<Row>, String> {
    let place = Place::new("peers", DECIDED, "")?;
    let project = place.project();
    let side = |what, marks, command| Side {
        what,
        marks,
        command,
        times: Times(Vec::new()),
        failed: None,
    };
    let mut ours = side("ours", ("", ""), place.command(&["/bin/true"]));
    let mut sides = [
        side("bare fork and exec", ("4.5x", "2.7x"), place.bare(&["/bin/true"])),
        side("`bwrap --unshare-all --ro-bind / /`", ("1.0x", "0.6x"), bwrap(&project)),
        side("firejail", ("-", "-"), firejail()),
        side("codex sandbox", ("0.15x", "0.09x"), codex()),
        side("srt", ("0.025x", "0.014x"), srt(&project)?),
    ];
    for round in 0..=ROUNDS {
        for side in std::iter::once(&mut ours).chain(&mut sides) {
            if side.failed.is_some() {
                continue;
            }
            let begun = Instant::now();
            match place.finish(&mut side.command) {
                Err(error) => side.failed = Some(error),
                Ok(()) if round > 0 => side.times.0.push(begun.elapsed()),
                Ok(()) => {}
            }
            std::thread::sleep(SETTLE);
        }
    }
    if let Some(error) = ours.failed {
        return Err(error);
    }
    let rows = sides.into_iter().map(|side| {
        let what = format!("`run -- true` against {}", side.what);
        let mut row = super::row_of(&what, side.marks, &ours.times, &side.times);
        if let Some(error) = side.failed {
            row.note = format!("not measured: {error}");
        }
        row
    });
    Ok(rows.collect())
}

/// The plain line of the sandboxes that are made of it.
fn bwrap(project: &Path) -> Command {
    let mut run = Command::new("bwrap");
    run.args(["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--bind"]);
    run.arg(project).arg(project);
    run.args(["--unshare-all", "--die-with-parent", "--new-session", "/bin/true"]);
    run
}

fn firejail() -> Command {
    let mut run = Command::new("firejail");
    run.args(["--quiet", "--noprofile", "--net=none", "--seccomp", "--caps.drop=all", "/bin/true"]);
    run
}

/// The pinned one that the tests run.
fn codex() -> Command {
    let _ = std::fs::create_dir_all(cache().join("peers/codex"));
    let mut run = Command::new(cache().join("agents/node_modules/.bin/codex"));
    run.args(["sandbox", "--", "/bin/true"]);
    // It refuses a home beneath the directory for temporary files.
    run.env("CODEX_HOME", cache().join("peers/codex"));
    run
}

/// `npm install @anthropic-ai/sandbox-runtime@0.0.78` in the directory `peers` of the cache.
fn srt(project: &Path) -> Result<Command, String> {
    let settings = project.join("srt.json");
    let text = format!(
        "{{\"network\":{{\"allowedDomains\":[],\"deniedDomains\":[]}},\"filesystem\":{{\
         \"denyRead\":[],\"allowWrite\":[\"{}\"],\"denyWrite\":[]}}}}",
        project.display()
    );
    std::fs::write(&settings, text).map_err(|error| error.to_string())?;
    let mut run = Command::new(cache().join("peers/node_modules/.bin/srt"));
    run.arg("--settings").arg(settings).args(["-c", "/bin/true"]);
    Ok(run)
}

/// `cargo build` of crates of which each depends on another, without what was built before.
pub(crate) fn build() -> Result<Vec<Row>, String> {
    let toolchain = PathBuf::from(output("rustc", &["--print", "sysroot"])?.trim());
    let rules = format!(
        "{DECIDED}\n@id(\"toolchain\") permit (principal, action == Action::\"fs.read\", resource in \
         Dir::\"{}\");\n",
        toolchain.display()
    );
    let place = Place::new("build", &rules, "")?;
    crates(&place.project())?;
    let bin = toolchain.join("bin");
    let script = format!(
        "rm -rf target && PATH={0}:$PATH CARGO_HOME=$PWD/home {0}/cargo build -q --offline",
        bin.display()
    );
    against_bare(&place, "`cargo build` of 20 crates", &script)
}

/// `npm ci` of packages that are in its cache.
pub(crate) fn install() -> Result<Vec<Row>, String> {
    let place = Place::new("install", DECIDED, "")?;
    packages(&place.project())?;
    let script = "rm -rf node_modules && npm ci --offline --no-audit --no-fund --cache $PWD/cache \
                  --silent";
    against_bare(&place, "`npm ci` of 20 packages from a local cache", script)
}

/// `git status` on a large tree, and a search through it.
pub(crate) fn tree() -> Result<Vec<Row>, String> {
    let place = Place::new("tree", DECIDED, "")?;
    large_tree(&place.project())?;
    let status = "git -c safe.directory='*' status --short";
    let mut rows = against_bare(&place, "`git status` on 20,000 files", status)?;
    let search = "! grep -rn nothing-of-the-kind files";
    rows.extend(against_bare(&place, "`grep -r` over 20,000 files", search)?);
    Ok(rows)
}

/// The same work in a world and without one.
fn against_bare(place: &Place, what: &str, script: &str) -> Result<Vec<Row>, String> {
    let command = ["sh", "-c", script];
    let bare = || place.finish(&mut place.bare(&command));
    let times = interleave_for(WORK_ROUNDS, || place.ringfence(&command), bare)?;
    Ok(vec![row(&format!("{what} against bare"), ("1.05x", "1.02x"), &times)])
}

/// Crates that depend on the one before, each with a few hundred lines.
fn crates(dir: &Path) -> Done {
    let mut members = Vec::new();
    for number in 0..PARTS {
        let name = format!("part{number}");
        let before = match number.checked_sub(4) {
            Some(before) => format!("part{before} = {{ path = \"../part{before}\" }}\n"),
            None => String::new(),
        };
        let manifest = format!(
            "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n[dependencies]\n{before}"
        );
        let functions: Vec<String> = (0..60)
            .map(|n| {
                format!(
                    "pub fn f{n}(x: &str) -> Vec<String> {{ let mut v: Vec<String> = x.split(' ')\
                     .map(|it| format!(\"{{it}}{n}\")).collect(); v.sort(); v.dedup(); v }}\n"
                )
            })
            .collect();
        put(&dir.join(&name).join("Cargo.toml"), &manifest)?;
        put(&dir.join(&name).join("src/lib.rs"), &functions.concat())?;
        members.push(format!("\"{name}\""));
    }
    let text = format!("[workspace]\nresolver = \"2\"\nmembers = [{}]\n", members.join(", "));
    put(&dir.join("Cargo.toml"), &text)?;
    let lock = Command::new("cargo")
        .args(["generate-lockfile", "--offline", "--quiet"])
        .current_dir(dir)
        .status();
    ended(lock)
}

/// A project with packages in archives, and npm's cache of them.
fn packages(dir: &Path) -> Done {
    let mut wanted = Vec::new();
    for number in 0..PARTS {
        let name = format!("part{number}");
        let package = dir.join("sources").join(&name);
        put(
            &package.join("package.json"),
            &format!("{{\"name\":\"{name}\",\"version\":\"1.0.0\"}}\n"),
        )?;
        for file in 0..50 {
            put(
                &package.join(format!("lib/{file}.js")),
                &format!("exports.f{file} = (x) => x + {file};\n").repeat(40),
            )?;
        }
        let pack = Command::new("npm")
            .args(["pack", "--silent", "--pack-destination"])
            .arg(dir)
            .current_dir(&package)
            .stdout(Stdio::null())
            .status();
        ended(pack)?;
        wanted.push(format!("\"{name}\":\"file:{name}-1.0.0.tgz\""));
    }
    let text = format!(
        "{{\"name\":\"all\",\"version\":\"1.0.0\",\"dependencies\":{{{}}}}}\n",
        wanted.join(",")
    );
    put(&dir.join("package.json"), &text)?;
    let install = Command::new("npm")
        .args(["install", "--offline", "--silent", "--no-audit", "--no-fund", "--cache"])
        .arg(dir.join("cache"))
        .current_dir(dir)
        .status();
    ended(install)
}

/// A repository of many files in directories of a hundred.
fn large_tree(dir: &Path) -> Done {
    for number in 0..FILES {
        let text = format!("file {number}\n").repeat(40);
        put(&dir.join(format!("files/{}/{number}.txt", number / 100)), &text)?;
    }
    for arguments in [
        &["init", "-q"][..],
        &["add", "."],
        &["-c", "user.name=b", "-c", "user.email=b@localhost", "commit", "-qm", "files"],
    ] {
        status(Command::new("git").args(arguments).current_dir(dir))?;
    }
    Ok(())
}

fn put(path: &Path, text: &str) -> Done {
    let said = |error| format!("{}: {error}", path.display());
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(said)?;
    }
    std::fs::write(path, text).map_err(said)
}

fn ended(status: std::io::Result<std::process::ExitStatus>) -> Done {
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("preparing ended with {status}")),
        Err(error) => Err(error.to_string()),
    }
}

/// A hundred worlds that are there at once, and the memory of our own processes in each.
pub(crate) fn worlds() -> Result<Vec<Row>, String> {
    let place = Place::new("worlds", DECIDED, "")?;
    let began = place.project().join("began");
    std::fs::create_dir_all(&began).map_err(|error| error.to_string())?;
    let begun = Instant::now();
    let mut running: Vec<Child> = Vec::new();
    for number in 0..WORLDS {
        let script = format!("touch began/{number}; exec sleep 1000");
        let mut command = place.command(&["sh", "-c", &script]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        running.push(command.spawn().map_err(|error| error.to_string())?);
    }
    let all_there = || std::fs::read_dir(&began).map_or(0, Iterator::count) == WORLDS;
    while !all_there() && begun.elapsed() < Duration::from_mins(2) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let took = begun.elapsed();
    let there = std::fs::read_dir(&began).map_or(0, Iterator::count);
    let bytes: u64 = ours().map(|pid| proportional_bytes(&pid)).sum();
    for child in &mut running {
        let _ = child.kill();
    }
    for child in &mut running {
        let _ = child.wait();
    }
    if there != WORLDS {
        return Err(format!("{there} of {WORLDS} worlds had started after {took:?}"));
    }
    #[expect(clippy::cast_precision_loss, reason = "mebibytes")]
    let each = bytes as f64 / WORLDS as f64 / 1e6;
    Ok(vec![Row {
        what: "100 worlds at once, our own memory in each".to_owned(),
        must: "20 MB",
        aim: "8 MB",
        min: each,
        median: each,
        unit: " MB",
        note: format!(
            "all started after {:.1} s; proportional set size, one run",
            took.as_secs_f64()
        ),
    }])
}

/// All processes that run our program.
fn ours() -> impl Iterator<Item = String> {
    let program = super::ringfence();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(move |entry| {
        let runs = std::fs::read_link(entry.path().join("exe")).ok()?;
        (runs == program).then(|| entry.file_name().to_string_lossy().into_owned())
    })
}

/// `Pss` of `/proc/PID/smaps_rollup`, in bytes: what processes share is counted once among them.
fn proportional_bytes(pid: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    number.unwrap_or_default().saturating_mul(1024)
}
