//! A temporary home and project for the benchmarks, with a policy of our own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::process::Done;

/// A policy under which any program runs unverified.
pub(crate) const DECIDED: &str = r#"
@id("programs") permit (principal, action == Action::"exec", resource);
"#;

/// A policy under which each program is verified: one rule looks at argv.
pub(crate) const VERIFIED: &str = r#"
@id("programs") permit (principal, action == Action::"exec", resource);
@id("no-push") forbid (principal, action == Action::"exec", resource)
  when { context has subcommand && context.subcommand == "push" };
"#;

/// A home, a project and the environment that names them; removed when dropped.
pub(crate) struct Place {
    root: PathBuf,
}

impl Place {
    /// Makes a place whose policy is `exec_rules` and everything in the project; `settings` is the
    /// text of settings.toml.
    pub(crate) fn new(name: &str, exec_rules: &str, settings: &str) -> Result<Place, String> {
        let place = Place { root: Place::root(name) };
        let project = place.project();
        let policy = format!(
            "{exec_rules}\n@id(\"project\") permit (principal, action in Action::\"fs\", \
             resource in Dir::\"{}\");\n",
            project.display()
        );
        let config = place.root.join("home/.config/ringfence");
        let write = |path: PathBuf, text: &str| {
            std::fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
        };
        for dir in [&project, &config, &place.root.join("run")] {
            std::fs::create_dir_all(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        }
        write(config.join("policy.cedar"), &policy)?;
        write(config.join("settings.toml"), settings)?;
        Ok(place)
    }

    /// Where the place of this name is, or will be.
    pub(crate) fn root(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("ringfence-bench-{}-{name}", std::process::id()))
    }

    /// The project directory.
    pub(crate) fn project(&self) -> PathBuf {
        self.root.join("project")
    }

    /// Runs a command under Ringfence in the project.
    pub(crate) fn ringfence(&self, command: &[&str]) -> Done {
        self.finish(&mut self.command(command))
    }

    /// The same with further flags of `run`.
    pub(crate) fn ringfence_with(&self, flags: &[&str], command: &[&str]) -> Done {
        self.finish(&mut self.command_with(flags, command))
    }

    /// The same, to be started by the caller.
    pub(crate) fn command(&self, command: &[&str]) -> Command {
        self.command_with(&[], command)
    }

    /// A command with nothing around it, in the project.
    pub(crate) fn bare(&self, command: &[&str]) -> Command {
        let (program, arguments) = command.split_first().unwrap_or((&"true", &[]));
        let mut run = Command::new(program);
        run.args(arguments);
        self.at_home(&mut run);
        run
    }

    /// Our program with these words, in the project.
    pub(crate) fn ours(&self, words: &[&str]) -> Command {
        let mut run = Command::new(super::ringfence());
        run.args(words);
        self.at_home(&mut run);
        run
    }

    /// A command to be started by the caller, with further flags of `run`.
    pub(crate) fn command_with(&self, flags: &[&str], command: &[&str]) -> Command {
        let mut run = Command::new(super::ringfence());
        run.args(["run", "--agent", "bench"]).args(flags).arg("--").args(command);
        self.at_home(&mut run);
        run
    }

    /// Runs a command under bubblewrap with the same namespaces and as many binds.
    pub(crate) fn bwrap(&self, mounts: usize, command: &[&str]) -> Done {
        let project = self.project();
        let project = project.to_string_lossy();
        let mut run = Command::new("bwrap");
        run.args(["--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"]);
        run.args(["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--tmpfs", "/run"]);
        run.args(["--ro-bind", "/usr", "/usr"]);
        for dir in ["/bin", "/sbin", "/lib", "/lib64", "/lib32", "/libx32"] {
            if let Ok(to) = std::fs::read_link(dir) {
                run.args(["--symlink", &to.to_string_lossy(), dir]);
            }
        }
        for file in ETC.iter().filter(|file| Path::new(file).exists()) {
            run.args(["--ro-bind", file, file]);
        }
        // As many mounts as a world of ours has: it shows masks and private copies besides.
        let own = BWRAP_MOUNTS + ETC.iter().filter(|file| Path::new(file).exists()).count();
        for number in own..mounts {
            run.args(["--ro-bind", &project, &format!("/mnt/{number}")]);
        }
        run.args(["--bind", &project, &project, "--chdir", &project, "--"]).args(command);
        self.finish(&mut run)
    }

    /// How many mounts a world of ours shows.
    pub(crate) fn mounts(&self) -> Result<usize, String> {
        let listed = self.project().join("mounts");
        let script = format!("cat /proc/self/mountinfo > {}", listed.display());
        self.ringfence(&["sh", "-c", &script])?;
        let text = std::fs::read_to_string(&listed).map_err(|error| error.to_string())?;
        std::fs::remove_file(&listed).map_err(|error| error.to_string())?;
        Ok(text.lines().count())
    }

    fn at_home(&self, command: &mut Command) {
        command
            .current_dir(self.project())
            .env("HOME", self.root.join("home"))
            .env("XDG_RUNTIME_DIR", self.root.join("run"))
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("XDG_STATE_HOME")
            .env_remove("CARGO_TARGET_DIR");
    }

    /// Runs it to its end; an error with what it said when it fails.
    pub(crate) fn finish(&self, command: &mut Command) -> Done {
        self.at_home(command);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let shown = format!("{command:?}");
        let made = command.output().map_err(|error| format!("{shown}: {error}"))?;
        if made.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&made.stderr).replace('\n', " ");
        Err(format!("{shown} ended with {}: {said}", made.status))
    }
}

/// Mounts that bubblewrap makes besides what is bound: its root, `/proc` and what it covers in it,
/// `/dev` with its nodes and terminals, `/tmp`, `/run`, `/usr` and the project.
const BWRAP_MOUNTS: usize = 17;

/// What both sides bind of /etc.
const ETC: &[&str] = &[
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/ssl",
    "/etc/ca-certificates",
    "/etc/passwd",
    "/etc/group",
    "/etc/hosts",
    "/etc/resolv.conf",
];

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.root);
    }
}
