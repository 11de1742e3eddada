//! Whole commands: the start of a world, ordinary work in it, many programs, many files.

use std::path::Path;
use std::process::Command;

use super::place::{DECIDED, Place, VERIFIED};
use super::{Row, interleave, row};
use crate::process::{Done, status};

/// How many files are read or written.
pub(super) const FILES: usize = 2_000;
/// How many programs are started.
pub(super) const PROGRAMS: usize = 1_000;
/// How many small C files are compiled.
const SOURCES: usize = 20;

/// `run -- true` against bubblewrap.
pub(crate) fn start() -> Result<Vec<Row>, String> {
    let place = Place::new("start", DECIDED, "")?;
    let mounts = place.mounts()?;
    let times = interleave(|| place.ringfence(&["true"]), || place.bwrap(mounts, &["true"]))?;
    Ok(vec![row("`run -- true` against `bwrap`", ("1.0x", "0.6x"), &times)])
}

/// Ordinary work, and the commands that do it.
pub(crate) const WORK: [(&str, &[&str]); 3] = [
    ("reading 2,000 files", &["sh", "-c", "cat files/*"]),
    ("`git status` on 2,000 files", &["git", "-c", "safe.directory=*", "status", "--short"]),
    ("`cc` on 20 files", &["sh", "-c", "cc -O1 -c *.c"]),
];

/// Reading files, `git status` and `cc`, each against the same under bubblewrap.
pub(crate) fn work() -> Result<Vec<Row>, String> {
    let place = Place::new("work", DECIDED, "")?;
    let project = place.project();
    let mounts = place.mounts()?;
    fill(&project)?;
    WORK.iter()
        .map(|(what, command)| {
            let times = interleave(|| place.ringfence(command), || place.bwrap(mounts, command))?;
            Ok(row(&format!("{what} against `bwrap`"), ("1.05x", "1.0x"), &times))
        })
        .collect()
}

/// Programs started with notification against without: decided, then decided and verified.
pub(crate) fn exec() -> Result<Vec<Row>, String> {
    let off = Place::new("exec-off", DECIDED, "[dangerous]\nunnotified = [\"exec\"]\n")?;
    build_spawner(&off.project())?;
    let mut rows = Vec::new();
    for (what, rules, marks) in [
        ("1,000 execs, decided", DECIDED, ("1.15x", "1.08x")),
        ("1,000 execs, decided and verified", VERIFIED, ("1.25x", "1.15x")),
    ] {
        let on = Place::new("exec-on", rules, "")?;
        build_spawner(&on.project())?;
        let command = ["./spawn", "./nothing"];
        let times = interleave(|| on.ringfence(&command), || off.ringfence(&command))?;
        rows.push(row(&format!("{what}, against notification off"), marks, &times));
    }
    Ok(rows)
}

/// Files created and written with notification against without.
pub(crate) fn write() -> Result<Vec<Row>, String> {
    let on = Place::new("write-on", DECIDED, "")?;
    let off = Place::new("write-off", DECIDED, "[dangerous]\nunnotified = [\"write\"]\n")?;
    for place in [&on, &off] {
        build_writer(&place.project())?;
    }
    let times = interleave(|| on.ringfence(&["./write"]), || off.ringfence(&["./write"]))?;
    let what = "2,000 files created and written, against notification off";
    Ok(vec![row(what, ("1.25x", "1.1x"), &times)])
}

/// Files read with `--trace=files`, and programs started with `--trace=full`, each against without.
pub(crate) fn trace() -> Result<Vec<Row>, String> {
    let place = Place::new("trace", DECIDED, "")?;
    fill(&place.project())?;
    build_reader(&place.project())?;
    let command = ["./read"];
    let times = interleave(
        || place.ringfence_with(&["--trace=files"], &command),
        || place.ringfence(&command),
    )?;
    let reads = row("reading 2,000 files with `--trace=files`, against off", ("15x", "8x"), &times);
    build_spawner(&place.project())?;
    let command = ["./spawn", "./nothing"];
    let times = interleave(
        || place.ringfence_with(&["--trace=full"], &command),
        || place.ringfence(&command),
    )?;
    Ok(vec![reads, row("1,000 execs with `--trace=full`, against off", ("-", "-"), &times)])
}

/// Files read that nobody asks about, where another file is asked about and all opens are notified.
pub(crate) fn asked() -> Result<Vec<Row>, String> {
    let file = Place::root("ask-on").join("project/.env");
    let asks = format!(
        "{DECIDED}@id(\"ask\") forbid (principal, action in Action::\"fs\", resource == Path::\"{}\")\n\
         unless {{ context.approvals.contains(\"owner\") }};\n",
        file.display()
    );
    let (on, off) = (Place::new("ask-on", &asks, "")?, Place::new("ask-off", DECIDED, "")?);
    for place in [&on, &off] {
        fill(&place.project())?;
        build_reader(&place.project())?;
        std::fs::write(place.project().join(".env"), "KEY=1\n").map_err(|it| it.to_string())?;
    }
    let times = interleave(|| on.ringfence(&["./read"]), || off.ringfence(&["./read"]))?;
    let what = "reading 2,000 files where another one is asked about, against not";
    Ok(vec![row(what, ("-", "-"), &times)])
}

pub(crate) fn fill(project: &Path) -> Done {
    let put = |path: std::path::PathBuf, text: String| {
        std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
    };
    std::fs::create_dir_all(project.join("files")).map_err(|error| error.to_string())?;
    for number in 0..FILES {
        put(project.join(format!("files/{number}.txt")), format!("file {number}\n").repeat(40))?;
    }
    for number in 0..SOURCES {
        let text = format!(
            "#include <stdio.h>\nint f{number}(int x) {{ printf(\"%d\\n\", x); return x * {number}; }}\n"
        );
        put(project.join(format!("f{number}.c")), text)?;
    }
    let git = |arguments: &[&str]| {
        status(
            Command::new("git")
                .args(arguments)
                .current_dir(project)
                .stdout(std::process::Stdio::null()),
        )
    };
    git(&["init", "-q"])?;
    git(&["add", "."])?;
    git(&["-c", "user.name=b", "-c", "user.email=b@localhost", "commit", "-qm", "files"])
}

/// A static program that starts another static program many times.
pub(super) fn build_spawner(project: &Path) -> Done {
    let spawner = format!(
        "#include <spawn.h>\n#include <sys/wait.h>\nextern char **environ;\n\
         int main(int c, char **v) {{ for (int i = 0; i < {PROGRAMS}; i++) {{ pid_t p; int s;\n\
         if (posix_spawn(&p, v[1], 0, 0, v + 1, environ)) return 1; waitpid(p, &s, 0);\n\
         if (s) return 1; }} return 0; }}\n"
    );
    compile(project, "spawn", &spawner)?;
    compile(project, "nothing", "int main(void) { return 0; }\n")
}

/// A static program that creates and writes many files, in a new directory each time: to truncate
/// a file that exists makes ext4 flush it, and that would be all there is to measure.
pub(super) fn build_writer(project: &Path) -> Done {
    let writer = format!(
        "#include <fcntl.h>\n#include <stdio.h>\n#include <string.h>\n#include <sys/stat.h>\n\
         #include <time.h>\n#include <unistd.h>\n\
         int main(void) {{ char n[64], b[4096]; struct timespec t; memset(b, 'x', sizeof b);\n\
         clock_gettime(CLOCK_REALTIME, &t);\n\
         snprintf(n, sizeof n, \"w%ld.%ld\", t.tv_sec, t.tv_nsec);\n\
         if (mkdir(n, 0755) || chdir(n)) return 1;\n\
         for (int i = 0; i < {FILES}; i++) {{ snprintf(n, sizeof n, \"w%d\", i);\n\
         int f = open(n, O_CREAT | O_WRONLY | O_TRUNC, 0644); if (f < 0) return 1;\n\
         if (write(f, b, sizeof b) < 0) return 1; close(f); }}\n return 0; }}\n"
    );
    compile(project, "write", &writer)
}

/// A static program that opens, reads and closes each of many files.
fn build_reader(project: &Path) -> Done {
    let reader = format!(
        "#include <fcntl.h>\n#include <stdio.h>\n#include <unistd.h>\n\
         int main(void) {{ char n[64], b[4096];\n\
         for (int i = 0; i < {FILES}; i++) {{ snprintf(n, sizeof n, \"files/%d.txt\", i);\n\
         int f = open(n, O_RDONLY); if (f < 0) return 1;\n\
         if (read(f, b, sizeof b) <= 0) return 1; close(f); }}\n return 0; }}\n"
    );
    compile(project, "read", &reader)
}

pub(super) fn compile(project: &Path, name: &str, text: &str) -> Done {
    let source = project.join(format!("{name}.c"));
    std::fs::write(&source, text).map_err(|error| format!("{}: {error}", source.display()))?;
    status(
        Command::new("cc").args(["-O1", "-static", "-o", name]).arg(&source).current_dir(project),
    )
}
