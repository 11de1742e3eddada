//! `policy check` and `policy show`: whether the policy is well-formed, and what is in force.

use ringfence_core::{PolicyDigest, SetName};
use ringfence_policy::{Policy, PolicyErrors, Source};
use ringfence_runtime::settings::Settings;
use ringfence_runtime::state::StateDirs;
use ringfence_runtime::trust::{Project, Trust};
use ringfence_runtime::wording::{printable, set_name};
use serde_json::{Value, json};

use super::in_force::{self, InForce, Texts};
use super::{edit, reload};
use crate::cli::{PolicyCheckArgs, PolicyCommand, PolicyShowArgs};
use crate::exit::{Done, Failure, Said};
use crate::screen::{Screen, Stream, Tone};

/// Version of the JSON of these commands.
pub(crate) const SCHEMA: u32 = 1;

pub(crate) fn policy(command: &PolicyCommand, screen: &Screen) -> Result<Done, Failure> {
    match command {
        PolicyCommand::Check(args) => check(args, screen),
        PolicyCommand::Test(_) | PolicyCommand::Plan(_) => {
            Err(crate::exit::Message::new("not in this build").could_not())
        }
        PolicyCommand::Show(args) => show(args, screen),
        PolicyCommand::Edit(args) => edit::edit(args, screen),
        PolicyCommand::Reload(args) => reload::reload(args, screen),
    }
}

fn check(args: &PolicyCheckArgs, screen: &Screen) -> Result<Done, Failure> {
    let texts = in_force::gather(&args.files, screen)?;
    match in_force::check(&texts) {
        Ok(policy) => {
            if args.json {
                screen.json(&json!({
                    "schema": SCHEMA, "ok": true, "policy": policy.digests(), "problems": [],
                }))?;
            } else {
                for digest in policy.digests() {
                    screen.data(&format!("ok  {}\n", digest_line(&digest)))?;
                }
            }
            Ok(Done::Yes)
        }
        Err(errors) => {
            if args.json {
                let problems = errors.summaries();
                screen.json(&json!({ "schema": SCHEMA, "ok": false, "problems": problems }))?;
            }
            in_force::say(&errors, screen);
            Ok(Done::No)
        }
    }
}

/// Checks a project's own files before they are trusted.
pub(crate) fn check_project(
    dirs: &StateDirs,
    project: &Project,
    screen: &Screen,
) -> Result<(), Failure> {
    let settings = in_force::settings_in_force(dirs, project, &Trust::Trusted, screen)?;
    if let Err(errors) = check_text(project, &settings) {
        in_force::say(&errors, screen);
        screen.hint("to correct it, run `ringfence policy edit`");
        return Err(Failure::Said(Said::No));
    }
    Ok(())
}

fn check_text(project: &Project, settings: &Settings) -> Result<(), PolicyErrors> {
    let Some(policy) = &project.policy else { return Ok(()) };
    let source = Source {
        set: SetName::Project,
        file: in_force::PROJECT_POLICY.to_owned(),
        text: policy.text.clone(),
        approves: Vec::new(),
    };
    Policy::load(vec![source], &in_force::options(settings)).map(|_| ())
}

fn show(args: &PolicyShowArgs, screen: &Screen) -> Result<Done, Failure> {
    let InForce { policy, texts } = in_force::load(&[], screen)?;
    if args.json {
        screen.json(&as_json(&policy, &texts))?;
        return Ok(Done::Yes);
    }
    let paint = screen.paint(Stream::Out);
    for (source, digest) in texts.sources.iter().zip(policy.digests()) {
        let title = paint.tone(Tone::Heading, &digest_line(&digest));
        screen.data(&format!("{title}\n\n"))?;
        for line in source.text.lines() {
            let line = line.split('\t').map(printable).collect::<Vec<_>>().join("    ");
            let line = format!("    {line}");
            screen.data(&format!("{}\n", line.trim_end()))?;
        }
        screen.data("\n")?;
    }
    screen.hint("to see what it means for files and acts, run `ringfence policy plan`");
    Ok(Done::Yes)
}

fn as_json(policy: &Policy, texts: &Texts) -> Value {
    let sets: Vec<Value> = texts
        .sources
        .iter()
        .zip(policy.digests())
        .map(|(source, digest)| {
            json!({
                "set": digest.set,
                "file": digest.file,
                "sha256": digest.sha256,
                "text": source.text,
            })
        })
        .collect();
    json!({
        "schema": SCHEMA,
        "sets": sets,
        "project": texts.project.dir,
        "project_trust": texts.trust,
        "roles": texts.settings.roles,
    })
}

/// One set in one line: its name, file and the head of its digest.
fn digest_line(digest: &PolicyDigest) -> String {
    let head: String = digest.sha256.chars().take(12).collect();
    format!("{}  {}  sha256 {head}", set_name(digest.set), printable(&digest.file))
}
