//! `settings.toml`: what stands beside a policy and cannot be said in Cedar.
//!
//! Three files are joined. The system's is a ceiling, the user's fills in, and a trusted project's
//! may only restrict: it may narrow `roles`, say `[fs] dynamic = false`, lower `[limits]`, and name
//! its `[agent] profile` and `[net] proxy_port` (which carry no authority). Anything else in it is
//! refused, not ignored: whoever trusted the project believed that it holds. The settings of a
//! project that is not trusted are not read at all. A trusted project around it restricts as well.

mod dangerous;
mod keys;
mod limits;
mod registries;
mod results;
mod seccomp;
mod tables;
mod tier;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;

use ringfence_core::Role;
use ringfence_sandbox::world::Programs;
use serde::{Deserialize, Serialize};

use crate::notice::Notice;
use crate::protected;
use crate::whole_file::FileText;

pub use dangerous::{ActClass, Gap};
pub use registries::RegistrySetting;
pub use results::ResultSettings;
pub use seccomp::{SeccompFixed, SeccompSetting};
use tables::{RawAgent, RawFs, RawNet, RawRun};
pub use tier::{ImageFixed, ImageSetting, TierFixed, TierSetting};

/// The role everyone who runs Ringfence at a terminal holds unless settings declare others.
pub const ROLE_DEFAULT: &str = "owner";

/// Most bytes of one session's log, in bytes: about a million entries.
pub const LOG_BYTES_MAX_DEFAULT: u64 = 512 * 1024 * 1024;

/// TCP port of the net gate inside the world unless settings say otherwise.
pub const PROXY_PORT_DEFAULT: u16 = 3128;

/// Most roles that may be declared: an ask tries their combinations.
pub const ROLES_MAX: usize = 8;

/// The settings in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Settings {
    /// Declared roles; the user of the terminal holds all of them.
    pub roles: Vec<Role>,
    /// IANA name of the time zone of `context.clock`; the host's where absent.
    pub time_zone: Option<String>,
    /// Whether `fs` rules may depend on state.
    pub fs_dynamic: FsDynamicSetting,
    /// What a session may use.
    pub limits: LimitSettings,
    /// Name of the user that a world runs as when Ringfence is started by root.
    pub run_user: Option<String>,
    /// How worlds are isolated.
    pub tier: TierSetting,
    /// Of which image the containers of the tier `oci` are, and who makes them.
    pub container: ImageSetting,
    /// Which system calls worlds may make.
    pub seccomp: SeccompSetting,
    /// From where programs start.
    #[serde(rename = "noexec", serialize_with = "seccomp::as_written")]
    pub programs: Programs,
    /// TCP port of the net gate inside the world.
    pub proxy_port: u16,
    /// Which agent the world is prepared for, where settings say.
    pub profile: Option<ProfileName>,
    /// Keys of the person's ssh agent that worlds may have sign, by their names: fingerprints.
    pub ssh_keys: BTreeMap<String, String>,
    /// Keys of the person's gpg agent that worlds may have sign, by their names: fingerprints.
    pub gpg_keys: BTreeMap<String, String>,
    /// Further environment variables that are passed into the world.
    pub pass_env: Vec<String>,
    /// Layers whose absence was accepted, by name.
    pub accepted_gaps: BTreeSet<Gap>,
    /// Protected places of a project that agents may write nevertheless, by name.
    pub unprotected: Vec<String>,
    /// Classes of acts that go on without being decided or recorded, by name.
    pub unnotified: BTreeSet<ActClass>,
    /// Where registries of packages are.
    pub registries: Vec<RegistrySetting>,
    /// What is done about results of tools.
    pub results: ResultSettings,
}

/// Whether `fs` rules may depend on state (time, approvals), which costs a notification each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum FsDynamicSetting {
    /// Such a rule is a load error.
    Refused,
    /// Such a rule is decided act by act.
    Allowed,
}

/// What a session may use.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct LimitSettings {
    /// Most permitted acts.
    pub steps_max: Option<u64>,
    /// Most open files of a process, `RLIMIT_NOFILE`.
    pub open_files_max: Option<u64>,
    /// Most processes and threads, `RLIMIT_NPROC` and a control group.
    pub processes_max: Option<u64>,
    /// Largest file a process may write, in bytes, `RLIMIT_FSIZE`.
    pub file_bytes_max: Option<u64>,
    /// Most bytes of the session's log.
    pub log_bytes_max: Option<u64>,
    /// How long the session may take, in seconds.
    pub wall_seconds_max: Option<u64>,
    /// Most processor time of all processes, in seconds.
    pub cpu_seconds_max: Option<u64>,
    /// Most of the processors' time at any moment, in percent of one processor.
    pub cpu_percent_max: Option<u64>,
    /// Most memory of all processes, in bytes.
    pub memory_bytes_max: Option<u64>,
    /// Most bytes that all processes write to file systems.
    pub written_bytes_max: Option<u64>,
    /// Most that what the world may write takes up on disks more than before, in bytes.
    pub disk_bytes_max: Option<u64>,
    /// Most that is read from each disk, and written to it, in bytes a second.
    pub io_bytes_per_second_max: Option<u64>,
    /// Most fuel of a WASM module: about one for each instruction.
    pub wasm_fuel_max: Option<u64>,
    /// How long the code of a WASM module may run, in seconds.
    pub wasm_seconds_max: Option<u64>,
    /// Most bytes of a WASM module's memories and tables together.
    pub wasm_memory_bytes_max: Option<u64>,
}

/// An agent that Ringfence knows how to prepare a world for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProfileName {
    /// Anthropic's Claude Code.
    ClaudeCode,
    /// OpenAI's Codex.
    Codex,
    /// Any program.
    Generic,
}

/// Which file settings come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// `/etc/ringfence/settings.toml`.
    System,
    /// The user's.
    User,
    /// A trusted project's.
    Project,
}

/// One file's settings, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsFile {
    raw: Raw,
}

/// Why a settings file was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}\n  --> {file}:{line}:{column}")]
pub struct SettingsError {
    /// The file, as shown to a person.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl ProfileName {
    /// All profiles, in the order of the command line's help.
    pub const ALL: [ProfileName; 3] =
        [ProfileName::ClaudeCode, ProfileName::Codex, ProfileName::Generic];

    /// The name in settings and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            ProfileName::ClaudeCode => "claude-code",
            ProfileName::Codex => "codex",
            ProfileName::Generic => "generic",
        }
    }

    /// The profile for a program of this base name.
    pub fn of_program(base_name: &str) -> ProfileName {
        match base_name {
            "claude" => ProfileName::ClaudeCode,
            "codex" => ProfileName::Codex,
            _ => ProfileName::Generic,
        }
    }
}

impl fmt::Display for ProfileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for ProfileName {
    type Err = String;
    fn from_str(text: &str) -> Result<ProfileName, String> {
        ProfileName::ALL
            .into_iter()
            .find(|profile| profile.name() == text)
            .ok_or_else(|| format!("unknown agent profile `{text}`"))
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            roles: vec![Role(ROLE_DEFAULT.to_owned())],
            time_zone: None,
            fs_dynamic: FsDynamicSetting::Refused,
            limits: LimitSettings::default(),
            run_user: None,
            tier: TierSetting::Unsaid,
            container: ImageSetting::default(),
            seccomp: SeccompSetting::Unsaid,
            programs: Programs::Anywhere,
            proxy_port: PROXY_PORT_DEFAULT,
            profile: None,
            ssh_keys: BTreeMap::new(),
            gpg_keys: BTreeMap::new(),
            pass_env: Vec::new(),
            accepted_gaps: BTreeSet::new(),
            unprotected: Vec::new(),
            unnotified: BTreeSet::new(),
            registries: Vec::new(),
            results: ResultSettings::default(),
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    roles: Option<Vec<String>>,
    time_zone: Option<String>,
    #[serde(default)]
    fs: RawFs,
    #[serde(default)]
    limits: limits::Raw,
    #[serde(default)]
    run: RawRun,
    #[serde(default)]
    world: tier::Raw,
    #[serde(default)]
    net: RawNet,
    #[serde(default)]
    agent: RawAgent,
    #[serde(default)]
    ssh: keys::Raw,
    #[serde(default)]
    gpg: keys::Raw,
    #[serde(default)]
    detect: results::RawDetect,
    #[serde(default)]
    tools: results::RawTools,
    dangerous: Option<dangerous::Raw>,
    #[serde(default)]
    registry: Vec<RegistrySetting>,
}

impl SettingsFile {
    /// Parses one file and refuses what its origin may not say.
    pub fn parse(file: &FileText, origin: Origin) -> Result<SettingsFile, SettingsError> {
        let shown = file.path.display().to_string();
        let place = Place { file: &shown, text: &file.text };
        let raw: Raw = toml::from_str(&file.text).map_err(|error| place.syntax(&error))?;
        check_values(&raw, &place)?;
        if origin == Origin::Project {
            check_project(&raw, &place)?;
        }
        Ok(SettingsFile { raw })
    }
}

/// Joins the files: the system's ceiling over the user's choice over the project's restrictions.
pub fn join(
    system: Option<&SettingsFile>,
    user: Option<&SettingsFile>,
    project: Option<&SettingsFile>,
    around: &[SettingsFile],
) -> (Settings, Vec<Notice>) {
    let nothing = Raw::default();
    let of = |file: Option<&SettingsFile>| file.map_or(nothing.clone(), |file| file.raw.clone());
    let (system, user, project) = (of(system), of(user), of(project));
    let mut projects = vec![&project];
    projects.extend(around.iter().map(|file| &file.raw));
    let all = [&[&system, &user][..], &projects].concat();
    let mut notices = Vec::new();
    let settings = Settings {
        roles: join_roles(&system, &user, &projects, &mut notices),
        time_zone: system.time_zone.clone().or_else(|| user.time_zone.clone()),
        fs_dynamic: join_dynamic(&all),
        limits: limits::join(&all),
        tier: tier::join(&system.world, &user.world),
        container: tier::join_image(&system.world, &user.world),
        seccomp: seccomp::join(&system.world, &user.world, &projects),
        programs: seccomp::join_noexec(&all),
        run_user: system.run.user.clone().or_else(|| user.run.user.clone()),
        proxy_port: [&system, &user, &project]
            .iter()
            .find_map(|raw| raw.net.proxy_port)
            .unwrap_or(PROXY_PORT_DEFAULT),
        profile: system.agent.profile.or(project.agent.profile).or(user.agent.profile),
        ssh_keys: keys::join(&system.ssh, &user.ssh),
        gpg_keys: keys::join(&system.gpg, &user.gpg),
        pass_env: system.run.pass_env.clone().or(user.run.pass_env.clone()).unwrap_or_default(),
        accepted_gaps: dangerous::gaps(&system, &user, &mut notices),
        unprotected: dangerous::unprotected(&system, &user),
        unnotified: dangerous::unnotified(&system, &user, &mut notices),
        results: results::join(&system, &user, &projects),
        registries: [system.registry, user.registry].concat(),
    };
    (settings, notices)
}

fn join_roles(system: &Raw, user: &Raw, projects: &[&Raw], notices: &mut Vec<Notice>) -> Vec<Role> {
    let default = || vec![ROLE_DEFAULT.to_owned()];
    let mut roles = system.roles.clone().or_else(|| user.roles.clone()).unwrap_or_else(default);
    if system.roles.is_some() {
        narrow(&mut roles, user.roles.as_ref(), "your settings", notices);
    }
    for project in projects {
        narrow(&mut roles, project.roles.as_ref(), "the project's settings", notices);
    }
    roles.into_iter().map(Role).collect()
}

/// Keeps the roles that `wanted` names too: a role that is declared is held by the person at the
/// terminal, so whoever may add one could answer a question that the ceiling puts to others.
fn narrow(
    roles: &mut Vec<String>,
    wanted: Option<&Vec<String>>,
    whose: &str,
    notices: &mut Vec<Notice>,
) {
    let Some(wanted) = wanted else { return };
    for role in wanted.iter().filter(|role| !roles.contains(role)) {
        let text = format!("role `{role}` of {whose} is not declared above them and was left out");
        notices.push(Notice::new(text).hint("declare it in your own or the system's settings"));
    }
    roles.retain(|role| wanted.contains(role));
}

fn join_dynamic(files: &[&Raw]) -> FsDynamicSetting {
    let said = |value| files.iter().any(|raw| raw.fs.dynamic == Some(value));
    if said(true) && !said(false) { FsDynamicSetting::Allowed } else { FsDynamicSetting::Refused }
}

fn check_values(raw: &Raw, place: &Place<'_>) -> Result<(), SettingsError> {
    if let Some(roles) = &raw.roles {
        if roles.len() > ROLES_MAX {
            return Err(place.at("roles", format!("more than {ROLES_MAX} roles"), None));
        }
        if let Some(bad) = roles.iter().find(|role| !is_role_name(role)) {
            let hint = Some("use lower-case letters, digits and hyphens".to_owned());
            return Err(place.at("roles", format!("`{bad}` is not a role name"), hint));
        }
    }
    if let Some(zone) = &raw.time_zone
        && let Err(error) = jiff::tz::TimeZone::get(zone)
    {
        let hint = Some("name it as in `Europe/Berlin`, or `UTC`".to_owned());
        return Err(place.at("time_zone", format!("unknown time zone `{zone}`: {error}"), hint));
    }
    if let Some((key, why)) = raw.limits.too_little().or_else(|| raw.tools.too_little()) {
        return Err(place.at(key, format!("`{key}` {why}"), None));
    }
    let unprotect = raw.dangerous.iter().flat_map(|dangerous| &dangerous.unprotect);
    let known = |name: &str| protected::IN_PROJECT.iter().any(|(listed, _, _)| *listed == name);
    if let Some(name) = unprotect.into_iter().find(|name| !known(name) || *name == ".ringfence") {
        let message = format!("`{name}` is not a protected place that can be given up");
        return Err(place.at("unprotect", message, None));
    }
    if let Some((message, hint)) = keys::wrong(&raw.ssh, &raw.gpg) {
        return Err(place.at("keys", message, hint));
    }
    if raw.net.proxy_port.is_some_and(|port| port < 1024) {
        let message = "the net gate's port must be 1024 or above".to_owned();
        return Err(place.at("proxy_port", message, None));
    }
    if let Some(message) = registries::wrong(&raw.registry) {
        let hint = Some("write it as in `url = \"https://packages.example/npm/\"`".to_owned());
        return Err(place.at("registry", message, hint));
    }
    Ok(())
}

fn check_project(raw: &Raw, place: &Place<'_>) -> Result<(), SettingsError> {
    let refused = [
        ("dangerous", raw.dangerous.is_some()),
        ("user", raw.run.user.is_some()),
        ("tier", raw.world.tier.is_some()),
        ("image", raw.world.image.is_some()),
        ("engine", raw.world.engine.is_some()),
        ("seccomp", seccomp::loosens(&raw.world)),
        ("pass_env", raw.run.pass_env.is_some()),
        ("time_zone", raw.time_zone.is_some()),
        ("ssh", raw.ssh.keys.is_some()),
        ("gpg", raw.gpg.keys.is_some()),
        ("dynamic", raw.fs.dynamic == Some(true)),
        ("registry", !raw.registry.is_empty()),
    ];
    let Some((key, _)) = refused.into_iter().find(|(_, said)| *said) else { return Ok(()) };
    let message = format!("a project's settings may only restrict: they cannot set `{key}`");
    let hint = "say it in your own settings, `~/.config/ringfence/settings.toml`".to_owned();
    Err(place.at(key, message, Some(hint)))
}

fn is_role_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// A text and its name, to say where something is wrong.
struct Place<'a> {
    file: &'a str,
    text: &'a str,
}

impl Place<'_> {
    fn syntax(&self, error: &toml::de::Error) -> SettingsError {
        let span = error.span().unwrap_or(0..0);
        let numbers = [("expected u64", "expected a number"), ("expected u16", "expected a port")];
        let message = error.message().replace(", expected", "; expected");
        let message = numbers.iter().fold(message, |said, (rust, plain)| said.replace(rust, plain));
        let hint = self.nearest_key(&span, error.message());
        self.error(span.start, message.trim().to_owned(), hint)
    }

    /// An error at the first line that sets or opens `key`.
    fn at(&self, key: &str, message: String, hint: Option<String>) -> SettingsError {
        let mut offset = 0;
        for line in self.text.split_inclusive('\n') {
            let bare = line.trim_start();
            if bare.trim_start_matches('[').trim_start().starts_with(key) {
                return self.error(offset + line.len() - bare.len(), message, hint);
            }
            offset += line.len();
        }
        self.error(0, message, hint)
    }

    fn error(&self, at: usize, message: String, hint: Option<String>) -> SettingsError {
        let before = self.text.get(..at).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        SettingsError { file: self.file.to_owned(), line, column, message, hint }
    }

    /// The key that is written most like the one at `span`, out of those the message lists.
    fn nearest_key(&self, span: &Range<usize>, message: &str) -> Option<String> {
        let written = self.text.get(span.clone())?;
        let (_, expected) = message.split_once("expected")?;
        let known = expected.split('`').skip(1).step_by(2);
        let (distance, nearest) = known.map(|key| (edits(written, key), key)).min()?;
        (distance <= 3).then(|| format!("did you mean `{nearest}`?"))
    }
}

/// Levenshtein distance.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (above, left) in from.chars().enumerate() {
        let mut next = vec![above + 1];
        for ((target, pair), inserted) in to.iter().zip(row.windows(2)).zip(1..) {
            let (diagonal, up) = (pair.first().copied(), pair.last().copied());
            let previous = next.last().copied().unwrap_or(inserted);
            let replaced = diagonal.unwrap_or(0) + usize::from(left != *target);
            next.push(replaced.min(up.unwrap_or(0) + 1).min(previous + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests;
