//! `doctor`: what this machine can enforce, what is in order, and what each finding means.

mod limits;
mod tiers;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use ringfence_core::{Event, LayerState, LayerStatus};
use ringfence_log::{HostKey, LogError, VerifyError, verify_host, verify_session};
use ringfence_runtime::assemble::{AssembleError, Inputs, assemble};
use ringfence_runtime::environment::Environment;
use ringfence_runtime::state::StateDirs;
use ringfence_runtime::trust::Trust;
use ringfence_runtime::wording::printable;
use serde::Serialize;
use serde_json::json;

use super::{context, in_force, warm};
use crate::cli::DoctorArgs;
use crate::exit::{Done, Failure};
use crate::render::text;
use crate::screen::{Screen, Stream, Tone};

/// Version of the JSON.
const SCHEMA: u32 = 1;
/// What findings about policies are called, and how those about tiers begin.
const POLICY: &str = "policy";
const TIER: &str = "tier ";
/// Programs that are known as agents.
const AGENTS: [&str; 2] = ["claude", "codex"];

/// One finding.
#[derive(Debug, Clone, Serialize)]
struct Finding {
    /// What was looked at.
    check: String,
    /// How it is.
    state: State,
    /// What was found.
    found: String,
    /// What that means for enforcement.
    means: String,
    /// What to run or install.
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    /// In order.
    Ok,
    /// Worth knowing; nothing is weaker for it.
    Note,
    /// Something is weaker or will not start.
    Problem,
}

pub(crate) fn doctor(args: &DoctorArgs, screen: &Screen) -> Result<Done, Failure> {
    let environment = context::environment();
    let dirs = context::dirs()?;
    let mut findings = layers(&dirs);
    findings.push(limits::limits());
    findings.extend(tiers::landlock());
    findings.extend(tiers::ptrace());
    findings.extend(tiers::preload());
    findings.push(tiers::wasm());
    findings.push(tiers::oci());
    findings.extend(switches(Path::new("/proc/sys")));
    findings.extend([state_dir(&dirs), host_key(&dirs), logs(&dirs)]);
    findings.extend(policy(&dirs)?);
    findings.push(agents(&environment));
    let means = "`run --warm` starts in one; nothing is weaker for it";
    let kept = warm::kept(&dirs);
    findings.extend(kept.into_iter().map(|it| Finding::new("warm worlds", State::Ok, it, means)));
    if args.json {
        screen.json(&json!({ "schema": SCHEMA, "findings": findings }))?;
    } else if args.fix {
        print_fixes(&findings, screen)?;
    } else {
        print(&findings, if args.all { Length::Whole } else { Length::Short }, screen)?;
    }
    let bad = findings.iter().any(|finding| finding.state == State::Problem);
    Ok(if bad { Done::No } else { Done::Yes })
}

impl Finding {
    fn new(check: &str, state: State, found: impl Into<String>, means: &str) -> Finding {
        let (check, means) = (check.to_owned(), means.to_owned());
        Finding { check, state, found: found.into(), means, fix: None }
    }

    fn fix(self, fix: impl Into<String>) -> Finding {
        Finding { fix: Some(fix.into()), ..self }
    }
}

/// The layers as tried now; where that says nothing, as the last session recorded them.
fn layers(dirs: &StateDirs) -> Vec<Finding> {
    let tried = ringfence_sandbox::probe();
    if !tried.is_empty() {
        return tried.iter().map(of_layer).collect();
    }
    let opening = context::session(dirs, None).ok().and_then(|id| context::opening(dirs, &id));
    let Some(Event::SessionOpened { layers, session, .. }) = opening.map(|first| first.entry.event)
    else {
        let means = "what this kernel can enforce is known after the first session";
        let finding = Finding::new("layers", State::Note, "not tried yet", means);
        return vec![finding.fix("ringfence demo")];
    };
    let recorded = |layer: &LayerStatus| {
        let finding = of_layer(layer);
        Finding { found: format!("{} (in session {session})", finding.found), ..finding }
    };
    layers.iter().map(recorded).collect()
}

fn of_layer(layer: &LayerStatus) -> Finding {
    // Without nftables nothing more gets out, only less.
    if layer.layer == "net" && layer.state == LayerState::Degraded {
        let means = "the world is as closed, and every program's TCP is decided by name; peers look \
                     like the net gate's own address to programs that ask";
        let found = format!("degraded: {}", layer.detail);
        return Finding::new(&layer.layer, State::Note, found, means);
    }
    let means = layer_means(&layer.layer);
    let (state, found, means) = match layer.state {
        LayerState::Enforced => (State::Ok, "enforced", String::new()),
        LayerState::Degraded => (State::Problem, "degraded", format!("in part not held: {means}")),
        LayerState::Off => (State::Problem, "off", format!("not held: {means}")),
    };
    // Without a terminal there is none to protect.
    let state = if layer.layer == "pty" && state == State::Problem { State::Note } else { state };
    Finding::new(&layer.layer, state, format!("{found}: {}", layer.detail), &means)
}

/// What a layer holds.
fn layer_means(layer: &str) -> &'static str {
    match layer {
        "namespaces" => "without namespaces no world can be built, and `run` refuses to start",
        "mounts" => "what a policy does not grant would exist for the agent",
        "landlock" => "mounts alone bound files; a flaw in them would not be caught a second time",
        "seccomp" => "dangerous system calls would reach the kernel",
        "notify" => "programs, file changes and unix sockets could not be decided or recorded",
        "net" => "connections would not pass the net gate",
        "pty" => "the agent could make the terminal type answers",
        "rlimits" => "the agent could use up files, processes and memory",
        _ => "see docs/security-model.md",
    }
}

/// Kernel switches that forbid an ordinary user what a world is made of.
fn switches(sys: &Path) -> Vec<Finding> {
    let read = |name: &str| {
        std::fs::read_to_string(sys.join(name)).ok().map(|text| text.trim().to_owned())
    };
    let none = "an ordinary user cannot build a world: `run` refuses to start";
    let mut found = Vec::new();
    if read("kernel/apparmor_restrict_unprivileged_userns").as_deref() == Some("1") {
        let what = "kernel.apparmor_restrict_unprivileged_userns = 1";
        found.push(Finding::new("apparmor", State::Problem, what, none).fix(apparmor_profile()));
    }
    if read("kernel/unprivileged_userns_clone").as_deref() == Some("0") {
        let what = "kernel.unprivileged_userns_clone = 0";
        let fix = "sudo sysctl -w kernel.unprivileged_userns_clone=1";
        found.push(Finding::new("user namespaces", State::Problem, what, none).fix(fix));
    }
    if read("user/max_user_namespaces").as_deref() == Some("0") {
        let what = "user.max_user_namespaces = 0";
        let fix = "sudo sysctl -w user.max_user_namespaces=15000";
        found.push(Finding::new("user namespaces", State::Problem, what, none).fix(fix));
    }
    found
}

/// The AppArmor profile that lets this one program make user namespaces, and nothing else new.
fn apparmor_profile() -> String {
    let program = std::env::current_exe().unwrap_or_else(|_| PathBuf::from("/usr/bin/ringfence"));
    let program = program.display();
    format!(
        "sudo tee /etc/apparmor.d/ringfence >/dev/null <<'END'\n\
         abi <abi/4.0>,\n\
         include <tunables/global>\n\
         profile ringfence \"{program}\" flags=(unconfined) {{\n  \
           userns,\n  \
           include if exists <local/ringfence>\n\
         }}\n\
         END\n\
         sudo apparmor_parser -r /etc/apparmor.d/ringfence"
    )
}

fn state_dir(dirs: &StateDirs) -> Finding {
    let shown = dirs.state().display().to_string();
    let Ok(metadata) = std::fs::metadata(dirs.state()) else {
        let found = format!("{shown} does not exist yet");
        return Finding::new("state", State::Ok, found, "the first session makes it");
    };
    let mode = metadata.permissions().mode() & 0o777;
    if mode.trailing_zeros() >= 6 {
        return Finding::new("state", State::Ok, format!("{shown} is open to you only"), "");
    }
    let found = format!("{shown} is open to others (mode {mode:03o})");
    let means = "other users can read what your agents did";
    Finding::new("state", State::Problem, found, means).fix(format!("chmod 700 '{shown}'"))
}

fn host_key(dirs: &StateDirs) -> Finding {
    let path = dirs.host().join("key");
    match HostKey::load(dirs.state()) {
        Ok(_) => Finding::new("host key", State::Ok, "is there, and open to you only", ""),
        Err(LogError::NoKey(_)) => {
            Finding::new("host key", State::Ok, "does not exist yet", "the first session makes it")
        }
        Err(LogError::DangerousKey { mode, .. }) => Finding::new(
            "host key",
            State::Problem,
            format!("is open to others (mode {mode:03o})"),
            "whoever can read it can change logs unnoticed; no session starts",
        )
        .fix(format!("chmod 600 '{}'", path.display())),
        Err(error) => {
            let found = error.to_string().lines().next().unwrap_or("").to_owned();
            Finding::new("host key", State::Problem, found, "no session starts without it")
        }
    }
}

/// The host log and the session that started last: all others are `log verify`'s business.
fn logs(dirs: &StateDirs) -> Finding {
    let Ok(key) = HostKey::load(dirs.state()) else {
        return Finding::new("log", State::Ok, "nothing to verify", "");
    };
    let key = key.public();
    let last = context::session(dirs, None).ok();
    let results = [
        Some(("the host log".to_owned(), verify_host(dirs.state(), &key))),
        last.map(|id| (format!("session {id}"), verify_session(&dirs.session(&id), &id, &key))),
    ];
    let wrong: Vec<String> = results
        .into_iter()
        .flatten()
        .filter_map(|(name, result)| match result {
            Ok(_) => None,
            Err(VerifyError::Io { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                None
            }
            Err(error) => Some(format!("{name}: {error}")),
        })
        .collect();
    if wrong.is_empty() {
        let found = "the host log and the last session verify";
        return Finding::new("log", State::Ok, found, "`ringfence log verify` looks at all");
    }
    let means = "what was signed was changed afterwards: it proves nothing from there on";
    Finding::new("log", State::Problem, wrong.join("; "), means).fix("ringfence log verify")
}

fn policy(dirs: &StateDirs) -> Result<Vec<Finding>, Failure> {
    let (session, cwd) = (in_force::no_session()?, context::current_dir()?);
    let now_ms = context::now_ms();
    let inputs = Inputs { dirs, cwd: &cwd, session: &session, overrides: &[], now_ms };
    let found = match assemble(inputs) {
        Ok(found) => found,
        Err(AssembleError::NoPolicy(none)) => {
            let means = "nothing is permitted here, and `run` will not start";
            let fix = match none.untrusted {
                None if none.is_too_high() => "cd PROJECT && ringfence init",
                None => "ringfence init",
                Some(_) => "ringfence trust",
            };
            let finding = Finding::new(POLICY, State::Note, none.to_string(), means);
            return Ok(vec![finding.fix(fix)]);
        }
        Err(error) => {
            let means = "no session starts here; running ones keep the policy they have";
            let said = error.to_string().replace("\n  --> ", ", at ");
            let finding = Finding::new(POLICY, State::Problem, said, means);
            return Ok(vec![finding.fix("ringfence policy check")]);
        }
    };
    let files: Vec<&str> = found.digests.iter().map(|digest| digest.file.as_str()).collect();
    let mut findings = vec![Finding::new(POLICY, State::Ok, files.join(", "), "")];
    if found.trust != Trust::Trusted && found.project.is_configured() {
        let what = format!("{} is not trusted as it is now", found.project.dir.display());
        let means = "its permits count for nothing, its forbids hold";
        findings.push(Finding::new("trust", State::Note, what, means).fix("ringfence trust"));
    }
    for gap in &found.settings.accepted_gaps {
        let what = format!("settings accept that `{}` is missing", gap.name());
        let means = layer_means(gap.name());
        findings.push(Finding::new("dangerous", State::Problem, what, means));
    }
    for class in &found.settings.unnotified {
        let what = format!("settings leave `{}` undecided", class.name());
        findings.push(Finding::new("dangerous", State::Problem, what, class.means()));
    }
    Ok(findings)
}

fn agents(environment: &Environment) -> Finding {
    let path = environment.text("PATH").unwrap_or("");
    let is_there = |name: &&str| {
        path.split(':').any(|dir| !dir.is_empty() && Path::new(dir).join(name).is_file())
    };
    let found: Vec<&str> = AGENTS.iter().copied().filter(is_there).collect();
    if found.is_empty() {
        let means = "any other program can be run just the same";
        return Finding::new("agents", State::Note, "neither claude nor codex is in PATH", means);
    }
    Finding::new("agents", State::Ok, found.join(", "), "")
}

/// Where what was found begins in a line.
const FOUND_AT: usize = 26;

/// How much is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Length {
    /// What is in order by its names alone, and everything else in full.
    Short,
    /// Everything in full.
    Whole,
}

fn print(findings: &[Finding], length: Length, screen: &Screen) -> Result<(), Failure> {
    match length {
        Length::Whole => print_all(findings, screen)?,
        Length::Short => print_all(&shortened(findings), screen)?,
    }
    let to_fix = |it: &Finding| it.state == State::Problem && it.fix.is_some();
    if findings.iter().any(to_fix) {
        screen.hint("to see what to run or install, run `ringfence doctor --fix`");
    }
    if length == Length::Short {
        screen.hint(
            "to see all of it, and what each tier does not hold, run `ringfence doctor --all`",
        );
    }
    Ok(())
}

/// What is in order, and what other tiers there are, each as one finding; the rest as it is.
fn shortened(findings: &[Finding]) -> Vec<Finding> {
    let of = |is: &dyn Fn(&&Finding) -> bool| {
        let mut names: Vec<&str> =
            findings.iter().filter(is).map(|finding| finding.check.as_str()).collect();
        names.dedup();
        names.join(", ")
    };
    // Which policy is in force is what is looked for here.
    let is_fine = |it: &&Finding| it.state == State::Ok && it.check != POLICY;
    let is_tier = |it: &&Finding| it.state == State::Note && it.check.starts_with(TIER);
    let (fine, tiers) = (of(&is_fine), of(&is_tier));
    let mut short = Vec::new();
    if !fine.is_empty() {
        short.push(Finding::new("in order", State::Ok, fine, ""));
    }
    short.extend(findings.iter().filter(|it| !is_fine(it) && !is_tier(it)).cloned());
    if !tiers.is_empty() {
        let means = "used where they are named only; each holds less than the usual one";
        short.push(Finding::new("other tiers", State::Note, tiers.replace(TIER, ""), means));
    }
    short
}

fn print_all(findings: &[Finding], screen: &Screen) -> Result<(), Failure> {
    let paint = screen.paint(Stream::Out);
    let mut before = None;
    for finding in findings {
        let (tone, word) = match finding.state {
            State::Ok => (Tone::Good, "ok     "),
            State::Note => (Tone::Warning, "note   "),
            State::Problem => (Tone::Bad, "problem"),
        };
        // What belongs together is headed once.
        let now = Some((&finding.check, finding.state));
        let again = std::mem::replace(&mut before, now) == now;
        let (word, check) = if again {
            (" ".repeat(word.len()), "")
        } else {
            (paint.tone(tone, word), &*finding.check)
        };
        let rest = " ".repeat(FOUND_AT);
        let mut head = format!("{word}  {check:<15}  ");
        for line in folded(&printable(&finding.found), screen) {
            screen.data(&format!("{head}{line}\n"))?;
            head.clone_from(&rest);
        }
        let fix = match (finding.state, &finding.fix) {
            (State::Note, Some(fix)) => format!("to change it, run `{fix}`"),
            (_, _) => String::new(),
        };
        for text in [printable(&finding.means), fix].iter().filter(|text| !text.is_empty()) {
            for line in folded(text, screen) {
                screen.data(&format!("{rest}{line}\n"))?;
            }
        }
    }
    Ok(())
}

/// A text in lines that a terminal does not break within a word; one line where a program reads it.
fn folded(text: &str, screen: &Screen) -> Vec<String> {
    text::wrap(text, screen.room().saturating_sub(FOUND_AT).max(FOUND_AT))
}

fn print_fixes(findings: &[Finding], screen: &Screen) -> Result<(), Failure> {
    let fixes: Vec<(&Finding, &String)> = findings
        .iter()
        .filter_map(|finding| finding.fix.as_ref().map(|fix| (finding, fix)))
        .collect();
    if fixes.is_empty() {
        screen.note("there is nothing to fix");
    }
    for (finding, fix) in fixes {
        let found = printable(&finding.found);
        screen.data(&format!("# {}: {found}\n{fix}\n\n", finding.check))?;
    }
    screen.note("nothing was changed: run what you agree with");
    Ok(())
}
