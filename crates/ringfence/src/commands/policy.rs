//! `policy check` and `policy show`: whether the policy is well-formed, and what is in force.

use ringfence_core::{PolicyDigest, SetName};
use ringfence_policy::{Policy, Source, schema_text};
use ringfence_runtime::assemble::{AssembleError, Assembled};
use ringfence_runtime::settings::{Origin, SettingsFile};
use ringfence_runtime::trust::{Project, Trust};
use ringfence_runtime::wording::{printable, set_name, shell_word};
use serde_json::{Value, json};

use super::{context, edit, in_force, plan, reload, trust};
use crate::cli::{PolicyCheckArgs, PolicyCommand, PolicySchemaArgs, PolicyShowArgs};
use crate::exit::{Done, Failure, Message, Said};
use crate::screen::{Screen, Stream, Tone};

/// Version of the JSON of these commands.
pub(crate) const SCHEMA: u32 = 1;

pub(crate) fn policy(command: &PolicyCommand, screen: &Screen) -> Result<Done, Failure> {
    match command {
        PolicyCommand::Check(args) => check(args, screen),
        PolicyCommand::Test(args) => plan::test(args, screen),
        PolicyCommand::Plan(args) => plan::plan(args, screen),
        PolicyCommand::Show(args) => show(args, screen),
        PolicyCommand::Schema(args) => schema(args, screen),
        PolicyCommand::Edit(args) => edit::edit(args, screen),
        PolicyCommand::Reload(args) => reload::reload(args, screen),
    }
}

fn check(args: &PolicyCheckArgs, screen: &Screen) -> Result<Done, Failure> {
    if args.files.is_empty() {
        say_what_is_left_out(screen)?;
    }
    let here = (context::current_dir()?, in_force::no_session()?);
    match in_force::try_load((&here.0, &here.1, None), &args.files, screen)? {
        Ok(found) if args.json => {
            in_force::warn_of_vain(&found.policy, screen);
            let (warnings, policy) = (in_force::vain(&found.policy), found.digests);
            screen.json(&json!({
                "schema": SCHEMA, "ok": true, "policy": policy, "problems": [], "warnings": warnings,
            }))?;
            Ok(Done::Yes)
        }
        Ok(found) => {
            in_force::warn_of_vain(&found.policy, screen);
            if let Ok(dirs) = context::dirs_anywhere() {
                in_force::hint_at_logins(&found, dirs.home(), screen);
            }
            for digest in &found.digests {
                screen.data(&format!("ok  {}\n", digest_line(digest)))?;
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

/// A project's policy that is not trusted as it is now is not what is checked here.
fn say_what_is_left_out(screen: &Screen) -> Result<(), Failure> {
    let dirs = context::dirs()?;
    let project = trust::project(&dirs, None)?;
    if project.policy.is_none() || project.trust(&dirs)? == Trust::Trusted {
        return Ok(());
    }
    let own = project.dir.join(in_force::PROJECT_POLICY);
    let here = context::current_dir()?;
    let shown = own.strip_prefix(&here).unwrap_or(&own).to_string_lossy().into_owned();
    if let Some(file) = shell_word(&shown) {
        let said = format!(
            "to check the project's policy as it is now, run `ringfence policy check {file}`"
        );
        screen.hint(&said);
    }
    Ok(())
}

/// Checks a project's own files before they are trusted.
pub(crate) fn check_project(project: &Project, screen: &Screen) -> Result<(), Failure> {
    if let Some(file) = &project.settings {
        SettingsFile::parse(file, Origin::Project)
            .map_err(|error| in_force::refused(AssembleError::Settings(error), screen))?;
    }
    let Some(policy) = &project.policy else { return Ok(()) };
    let source = Source {
        set: SetName::Project,
        file: in_force::PROJECT_POLICY.to_owned(),
        text: policy.text.clone(),
        approves: Vec::new(),
    };
    let settings = in_force::settings_here(screen)?;
    let options = in_force::options_of(project, &settings, screen)?;
    let Err(errors) = Policy::load(vec![source], &options) else { return Ok(()) };
    in_force::say(&errors, screen);
    screen.hint("to correct it, run `ringfence policy edit`");
    Err(Failure::Said(Said::No))
}

fn show(args: &PolicyShowArgs, screen: &Screen) -> Result<Done, Failure> {
    let found = in_force::load(&[], screen)?;
    if args.json {
        screen.json(&as_json(&found))?;
        return Ok(Done::Yes);
    }
    let paint = screen.paint(Stream::Out);
    for (source, digest) in found.sources.iter().zip(&found.digests) {
        let title = paint.tone(Tone::Heading, &digest_line(digest));
        screen.data(&format!("{title}\n\n"))?;
        if source.set == SetName::BuiltIn {
            screen.data("    what nothing lifts: Ringfence's own files, and files that run code outside\n    (`--json` has the text)\n\n")?;
            continue;
        }
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

/// The schema of everything, or what a server's tools add to it.
fn schema(args: &PolicySchemaArgs, screen: &Screen) -> Result<Done, Failure> {
    let tools = in_force::load(&[], screen)?.options().tools;
    let Some(server) = &args.server else {
        screen.data(&schema_text(&tools))?;
        return Ok(Done::Yes);
    };
    let of_it: Vec<_> = tools.into_iter().filter(|it| it.tool.server() == server).collect();
    if of_it.is_empty() {
        return Err(Message::new(format!("no server `{server}`"))
            .hint("which there are says `ringfence mcp list`")
            .could_not());
    }
    let (whole, rest) = (schema_text(&of_it), schema_text(&[]));
    let own = whole.lines().filter(|line| !rest.lines().any(|it| it == *line));
    let own: String = own.filter(|it| !it.is_empty()).flat_map(|line| [line, "\n"]).collect();
    screen.data(&own)?;
    Ok(Done::Yes)
}

fn as_json(found: &Assembled) -> Value {
    let sets: Vec<Value> = found
        .sources
        .iter()
        .zip(&found.digests)
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
        "project": found.project.dir,
        "project_trust": found.trust,
        "roles": found.settings.roles,
    })
}

/// One set in one line: its name, file and the head of its digest.
fn digest_line(digest: &PolicyDigest) -> String {
    let head: String = digest.sha256.chars().take(12).collect();
    match digest.set {
        SetName::BuiltIn => format!("{}  sha256 {head}", set_name(digest.set)),
        SetName::User
        | SetName::Project
        | SetName::UntrustedProject
        | SetName::OuterProject
        | SetName::Grants
        | SetName::Override
        | SetName::System => {
            format!("{}  {}  sha256 {head}", set_name(digest.set), printable(&digest.file))
        }
    }
}
