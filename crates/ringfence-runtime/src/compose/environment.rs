//! The payload's environment: what programs need, the way to the net gate, and nothing else.

use std::ffi::{OsStr, OsString};

use super::RunRequest;
use crate::assemble::Assembled;
use crate::broker::tools::{TOOLS_SOCKET, TOOLS_VARIABLE};
use crate::home::{Home, for_world};
use crate::notice::Notice;
use crate::otel;
use crate::settings::ProfileName;
use crate::signing::{GPG_HOME, SSH_SOCKET};

/// Names the session for the agent and its tools.
pub const SESSION_VARIABLE: &str = "RINGFENCE_SESSION";

/// Where, in the world, denials are listed as JSON lines; `RINGFENCE_DENIALS` names it.
pub const DENIALS_PATH: &str = "/run/ringfence/denials.jsonl";

/// Variables that are passed as they are; a `*` at the end stands for anything.
const PASSED: &[&str] = &[
    "AR",
    "CARGO_BUILD_JOBS",
    "CARGO_HOME",
    "CARGO_INCREMENTAL",
    "CARGO_NET_OFFLINE",
    "CARGO_TARGET_DIR",
    "CARGO_TERM_*",
    "CC",
    "CFLAGS",
    "CI",
    "CLICOLOR*",
    "COLORFGBG",
    "COLORTERM",
    "COLUMNS",
    "CURL_CA_BUNDLE",
    "CXX",
    "CXXFLAGS",
    "DEBIAN_FRONTEND",
    "EDITOR",
    "FORCE_COLOR",
    "GIT_AUTHOR_EMAIL",
    "GIT_AUTHOR_NAME",
    "GIT_COMMITTER_EMAIL",
    "GIT_COMMITTER_NAME",
    "GIT_EDITOR",
    "GIT_PAGER",
    "GIT_SSL_CAINFO",
    "GOFLAGS",
    "GOINSECURE",
    "GONOPROXY",
    "GONOSUMDB",
    "GOPATH",
    "GOPRIVATE",
    "GOROOT",
    "GOSUMDB",
    "GOTOOLCHAIN",
    "HOME",
    "JAVA_HOME",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "LD",
    "LDFLAGS",
    "LESS",
    "LINES",
    "LOGNAME",
    "LS_COLORS",
    "MAKEFLAGS",
    "MANPATH",
    "NODE_ENV",
    "NODE_EXTRA_CA_CERTS",
    "NO_COLOR",
    "NVM_DIR",
    "PAGER",
    "PATH",
    "PIP_CERT",
    "PIP_DISABLE_PIP_VERSION_CHECK",
    "PIP_NO_INDEX",
    "PKG_CONFIG_PATH",
    "PYENV_ROOT",
    "PYTHONDONTWRITEBYTECODE",
    "PYTHONUNBUFFERED",
    "REQUESTS_CA_BUNDLE",
    "RUSTC",
    "RUSTDOCFLAGS",
    "RUSTFLAGS",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "RUST_BACKTRACE",
    "RUST_LOG",
    "SHELL",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TERM",
    "TERMINFO",
    "TERM_PROGRAM",
    "TERM_PROGRAM_VERSION",
    "TZ",
    "UV_NO_INDEX",
    "UV_OFFLINE",
    "USER",
    "VIRTUAL_ENV",
    "VISUAL",
];

/// Variables that say where packages are had from: passed with their addresses as a world may see them.
const REGISTRIES: &[&str] = &[
    "GOPROXY",
    "NPM_CONFIG_REGISTRY",
    "PIP_EXTRA_INDEX_URL",
    "PIP_INDEX_URL",
    "UV_DEFAULT_INDEX",
    "UV_EXTRA_INDEX_URL",
    "UV_INDEX",
    "UV_INDEX_URL",
    "npm_config_registry",
];

/// What belongs to an agent: its own keys too, until the net gate holds them for it.
fn of_profile(profile: ProfileName) -> &'static [&'static str] {
    match profile {
        ProfileName::ClaudeCode => &[
            "ANTHROPIC_*",
            "API_TIMEOUT_MS",
            "BASH_DEFAULT_TIMEOUT_MS",
            "BASH_MAX_*",
            "CLAUDE_*",
            "DISABLE_*",
            "MAX_MCP_OUTPUT_TOKENS",
            "MAX_THINKING_TOKENS",
            "MCP_*",
        ],
        ProfileName::Codex => &["CODEX_*", "OPENAI_*"],
        ProfileName::Generic => &["ANTHROPIC_*", "OPENAI_*"],
    }
}

/// What a name ends in or starts with when its value is likely a secret.
const SECRET_MARKS: &[&str] =
    &["TOKEN", "SECRET", "PASSWORD", "PASSWD", "API_KEY", "APIKEY", "ACCESS_KEY", "CREDENTIALS"];

/// Variables that lead to a service which holds secrets.
const SECRET_SERVICES: &[&str] =
    &["SSH_AUTH_SOCK", "GPG_AGENT_INFO", "DBUS_SESSION_BUS_ADDRESS", "DOCKER_HOST", "KUBECONFIG"];

const SSH_AGENT: &str = "SSH_AUTH_SOCK";
const TO_PASS: &str = "to pass one on, name it in `[run] pass_env` of your settings";
/// The agent itself would be all keys, undecided.
const FOR_SSH: &str =
    "to log in and sign by your ssh agent, name its keys in `[ssh] keys` of your settings";

/// The environment of the payload, and a notice that names the secrets left behind.
pub(super) fn clean(
    home: &Home<'_>,
    (assembled, believed): (&Assembled, Vec<(String, OsString)>),
    request: &RunRequest,
) -> (Vec<(OsString, OsString)>, Option<Notice>) {
    let own = of_profile(home.profile);
    let extra = &assembled.settings.pass_env;
    let is_withheld = |name: &str| request.withheld.iter().any(|it| it == name);
    let is_passed = |name: &OsStr| {
        name.to_str().filter(|name| !is_withheld(name)).is_some_and(|name| {
            PASSED.iter().chain(own).any(|pattern| matches(pattern, name))
                || extra.iter().any(|extra| extra == name)
        })
    };
    let (passed, left): (Vec<_>, Vec<_>) =
        request.environment.iter().partition(|(name, _)| is_passed(name));
    let mut all: Vec<(OsString, OsString)> =
        passed.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let registries = REGISTRIES.iter().filter(|name| !is_withheld(name)).filter_map(|name| {
        let value = request.environment.text(name).and_then(for_world)?;
        Some(((*name).to_owned(), OsString::from(value)))
    });
    let registries: Vec<_> = registries.filter(|(name, _)| !is_passed(OsStr::new(name))).collect();
    let ours_all = ours(home, assembled, request);
    for (name, value) in registries.into_iter().chain(ours_all).chain(believed) {
        all.retain(|(taken, _)| taken != name.as_str());
        all.push((name.into(), value));
    }
    if super::tools::are_offered(assembled, request) {
        super::tools::extend_path(&mut all);
    }
    for (name, value) in &request.own_env {
        set(&mut all, name, value.as_ref());
    }
    let ours = |name: &str| all.iter().any(|(taken, _)| taken == name);
    let secrets: Vec<&str> = left
        .iter()
        .filter_map(|(name, _)| name.to_str())
        .filter(|name| is_secret(name) && !ours(name) && !is_withheld(name))
        .collect();
    let notice = (!secrets.is_empty()).then(|| {
        let text = format!("left out of the environment: {}", secrets.join(", "));
        Notice::new(text).hint(match secrets.as_slice() {
            [SSH_AGENT] => FOR_SSH.to_owned(),
            all if all.contains(&SSH_AGENT) => format!("{TO_PASS}; {FOR_SSH}"),
            _ => TO_PASS.to_owned(),
        })
    });
    (all, notice)
}

/// What we set ourselves.
fn ours(home: &Home<'_>, assembled: &Assembled, request: &RunRequest) -> Vec<(String, OsString)> {
    let proxy = format!("http://127.0.0.1:{}", assembled.settings.proxy_port);
    let mut all: Vec<(String, OsString)> = Vec::new();
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        all.push((name.to_owned(), OsString::from(&proxy)));
        all.push((name.to_ascii_lowercase(), OsString::from(&proxy)));
    }
    // The world's own services are reached directly; the host's go through the gate by its name.
    for name in ["NO_PROXY", "no_proxy"] {
        all.push((name.to_owned(), "localhost,127.0.0.1,::1".into()));
    }
    let set = |name: &str, value: &str| (name.to_owned(), OsString::from(value));
    all.push(set("NODE_USE_ENV_PROXY", "1"));
    all.push(set("HOME", &home.dir.to_string_lossy()));
    all.push(set(SESSION_VARIABLE, request.session.as_str()));
    all.push(set("RINGFENCE_DENIALS", DENIALS_PATH));
    all.push(set("TRACEPARENT", &otel::traceparent(&request.session)));
    all.push(set("TMPDIR", "/tmp"));
    if super::ssh::upstream(&assembled.settings, &request.environment).is_some() {
        all.push(set("SSH_AUTH_SOCK", SSH_SOCKET));
    }
    if super::tools::are_offered(assembled, request) {
        all.push(set(TOOLS_VARIABLE, TOOLS_SOCKET));
    }
    if home.may_sign.gpg.is_some() {
        all.push(set("GNUPGHOME", GPG_HOME));
    }
    match home.profile {
        // Both look for a sandbox of their own, which cannot be nested here.
        ProfileName::ClaudeCode => {
            all.push(set("IS_SANDBOX", "1"));
            all.push(set("DISABLE_AUTOUPDATER", "1"));
        }
        ProfileName::Codex | ProfileName::Generic => {}
    }
    all
}

/// Sets one variable, which has this value alone.
pub(super) fn set(env: &mut Vec<(OsString, OsString)>, name: &str, value: &OsStr) {
    env.retain(|(taken, _)| taken != name);
    env.push((name.into(), value.to_owned()));
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    }
}

fn is_secret(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    SECRET_SERVICES.contains(&upper.as_str())
        || SECRET_MARKS.iter().any(|mark| upper.contains(mark))
        || upper.ends_with("_KEY")
        || upper.ends_with("_PAT")
        || upper.ends_with("DATABASE_URL")
}
