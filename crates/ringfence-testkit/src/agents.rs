//! The real agents that tests drive: where they are installed, how they are started.
//!
//! What each needs is written down in `docs/agents.md`; `tests/agents` pins the versions.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::model::{Script, Step};

const PACKAGE: &str = include_str!("../../../tests/agents/package.json");
const LOCK: &str = include_str!("../../../tests/agents/package-lock.json");

/// Names an installation to use instead of the cache: a directory with `node_modules`.
pub const AGENTS_ENV: &str = "RINGFENCE_TEST_AGENTS";

/// The pinned agents, installed.
#[derive(Debug, Clone)]
pub struct Agents {
    dir: PathBuf,
}

/// One task for an agent.
#[derive(Debug, Clone)]
pub struct Task<'a> {
    /// Its home directory; outside /tmp, where Codex refuses to put its helpers.
    pub home: &'a Path,
    /// Where its model is, without a path: `http://host.ringfence.internal:8899`.
    pub model_url: &'a str,
    /// What it is asked to do.
    pub prompt: &'a str,
}

/// How an agent is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentCommand {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Variables besides `PATH` and the proxy's; the home is among them.
    pub env: Vec<(String, String)>,
}

/// What a scripted model makes an agent try: each thing once allowed and once forbidden.
#[derive(Debug, Clone)]
pub struct Attempts {
    /// A shell command that may run.
    pub allowed_command: String,
    /// A shell command that may not.
    pub forbidden_command: String,
    /// A file that may be written.
    pub allowed_file: String,
    /// A file that may not.
    pub forbidden_file: String,
    /// A host that may not be reached.
    pub forbidden_host: String,
}

impl Attempts {
    /// The steps, in the order of the fields; a denial does not end the script.
    pub fn script(&self) -> Script {
        let write =
            |path: &String| Step::Write { path: path.clone(), content: "text\n".to_owned() };
        Script::new([
            Step::Shell(self.allowed_command.clone()),
            Step::Shell(self.forbidden_command.clone()),
            write(&self.allowed_file),
            write(&self.forbidden_file),
            Step::Shell(format!("curl -sS --max-time 20 https://{}/", self.forbidden_host)),
            Step::Say("the script is done".to_owned()),
        ])
    }
}

impl Agents {
    /// The installed agents; on CI they are installed where they are missing, elsewhere it is said
    /// on stderr that the test is skipped. Where [`AGENTS_ENV`] names them they must be there.
    pub fn for_tests() -> Option<Agents> {
        // Tests run side by side; one of them installs, the others wait for it.
        static INSTALLING: Mutex<()> = Mutex::new(());
        let _one = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(agents) = Agents::find() {
            return Some(agents);
        }
        let named = std::env::var_os(AGENTS_ENV);
        assert!(named.is_none(), "{AGENTS_ENV} names {named:?}, where the pinned agents are not");
        if std::env::var_os("CI").is_some() {
            return Some(Agents::install().expect("the pinned agents can be installed"));
        }
        #[expect(clippy::print_stderr, reason = "a skipped test must say so")]
        {
            eprintln!("skipped: the pinned agents are not installed; CI=true installs them");
        }
        None
    }

    /// The agents of [`AGENTS_ENV`] or of the cache, if they are there.
    pub fn find() -> Option<Agents> {
        let named = std::env::var_os(AGENTS_ENV).map(PathBuf::from);
        let agents = Agents { dir: named.unwrap_or_else(cache_dir) };
        let all = [agents.claude_program(), agents.codex_program(), agents.server_of_files()];
        all.iter().all(|program| program.exists()).then_some(agents)
    }

    /// Installs the agents into the cache with `npm ci`; their own install scripts do not run.
    pub fn install() -> Result<Agents, String> {
        let dir = cache_dir();
        let parent = dir.parent().ok_or("the cache has no parent")?;
        fs::create_dir_all(parent).map_err(|error| format!("{}: {error}", parent.display()))?;
        let fresh = tempfile::tempdir_in(parent).map_err(|error| error.to_string())?;
        for (name, text) in [("package.json", PACKAGE), ("package-lock.json", LOCK)] {
            fs::write(fresh.path().join(name), text).map_err(|error| error.to_string())?;
        }
        let status = Command::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .current_dir(fresh.path())
            .stdin(Stdio::null())
            .status()
            .map_err(|error| format!("npm: {error}"))?;
        if !status.success() {
            return Err(format!("npm ci: {status}"));
        }
        let fresh = fresh.keep();
        if fs::rename(&fresh, &dir).is_err() {
            // Another test was faster.
            let _ = fs::remove_dir_all(&fresh);
        }
        Agents::find().ok_or_else(|| "npm ci did not install the agents".to_owned())
    }

    /// Where they are: a world must be able to read this directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Claude Code's native program, which needs no node.
    pub fn claude_program(&self) -> PathBuf {
        let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
        self.dir.join(format!("node_modules/@anthropic-ai/claude-code-linux-{arch}/claude"))
    }

    /// Codex's native program, which needs no node.
    pub fn codex_program(&self) -> PathBuf {
        let (arch, triple) = if cfg!(target_arch = "aarch64") {
            ("arm64", "aarch64-unknown-linux-musl")
        } else {
            ("x64", "x86_64-unknown-linux-musl")
        };
        self.dir.join(format!("node_modules/@openai/codex-linux-{arch}/vendor/{triple}/bin/codex"))
    }

    /// The MCP server of files: a script for node.
    pub fn server_of_files(&self) -> PathBuf {
        self.dir.join("node_modules/@modelcontextprotocol/server-filesystem/dist/index.js")
    }

    /// Claude Code on one task, without questions.
    pub fn claude_code(&self, task: &Task<'_>) -> AgentCommand {
        let program = self.claude_program().display().to_string();
        let arguments =
            ["-p", task.prompt, "--model", "scripted", "--allowedTools", "Bash", "Write"];
        let variables = [
            ("ANTHROPIC_BASE_URL", task.model_url),
            ("ANTHROPIC_API_KEY", "scripted"),
            ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
            ("DISABLE_AUTOUPDATER", "1"),
        ];
        command(program, &arguments, task.home, &variables)
    }

    /// Codex on one task, without its own sandbox; writes `~/.codex/config.toml`.
    pub fn codex(&self, task: &Task<'_>) -> AgentCommand {
        let config = format!(
            "model = \"scripted\"\nmodel_provider = \"scripted\"\n\
             check_for_update_on_startup = false\n\n[analytics]\nenabled = false\n\n\
             [features]\nplugins = false\n\n[model_providers.scripted]\nname = \"scripted\"\n\
             base_url = \"{}/v1\"\nenv_key = \"OPENAI_API_KEY\"\nwire_api = \"responses\"\n",
            task.model_url
        );
        let dir = task.home.join(".codex");
        fs::create_dir_all(&dir).expect("the agent's home can be written");
        fs::write(dir.join("config.toml"), config).expect("the agent's home can be written");
        let program = self.codex_program().display().to_string();
        let arguments =
            ["exec", "--skip-git-repo-check", "--sandbox", "danger-full-access", task.prompt];
        command(program, &arguments, task.home, &[("OPENAI_API_KEY", "scripted")])
    }
}

impl AgentCommand {
    /// The command in a world: `RINGFENCE run ARGUMENTS -- COMMAND`, stdin empty, the environment
    /// the caller's with the agent's variables on top.
    pub fn under(&self, ringfence: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(ringfence);
        command.arg("run").args(arguments).arg("--").args(&self.argv);
        command.envs(self.env.iter().cloned()).stdin(Stdio::null());
        command
    }

    /// The command as it is, outside any world: nothing of the caller's environment but `PATH`.
    pub fn to_command(&self) -> Command {
        let mut command = Command::new(&self.argv[0]);
        command.args(&self.argv[1..]).env_clear().envs(self.env.iter().cloned());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).stdin(Stdio::null());
        command
    }
}

fn command(
    program: String,
    arguments: &[&str],
    home: &Path,
    variables: &[(&str, &str)],
) -> AgentCommand {
    let argv = std::iter::once(program).chain(arguments.iter().map(|&it| it.to_owned()));
    let mut env = vec![("HOME".to_owned(), home.display().to_string())];
    env.extend(variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())));
    AgentCommand { argv: argv.collect(), env }
}

/// `${XDG_CACHE_HOME:-~/.cache}/ringfence/agents-VERSIONS`.
fn cache_dir() -> PathBuf {
    let package: Value = serde_json::from_str(PACKAGE).expect("tests/agents/package.json is JSON");
    let pinned = package["dependencies"].as_object().expect("it has dependencies");
    let versions: Vec<&str> = pinned.values().filter_map(Value::as_str).collect();
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|it| it.is_absolute());
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache");
    cache.unwrap_or_else(home).join("ringfence").join(format!("agents-{}", versions.join("-")))
}
