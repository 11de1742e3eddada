//! `policy plan` and `policy test`: what the policy means, and whether it means what it should.

use ringfence_core::{AbsolutePath, Access, Agent, FilePlan, SetName, Verdict};
use ringfence_policy::cases::{self, CasesError, CasesReport};
use ringfence_runtime::whole_file::{self, Links};
use ringfence_runtime::wording::{printable, rule_line, rule_place};
use serde_json::json;

use super::in_force;
use super::policy::SCHEMA;
use crate::cli::{PolicyPlanArgs, PolicyTestArgs};
use crate::exit::{Done, Failure, Message};
use crate::render;
use crate::screen::{Screen, Stream, Tone};

pub(crate) fn plan(args: &PolicyPlanArgs, screen: &Screen) -> Result<Done, Failure> {
    let found = in_force::load(&args.policy, screen)?;
    let report = found.policy.plan(&Agent(args.agent.clone()));
    let base = runtime_base();
    let absent = absent(&report.files);
    if args.json {
        screen.json(&json!({ "schema": SCHEMA, "plan": report, "runtime_base": base, "held_by_the_gate_only": absent,
        }))?;
    } else {
        let how = (screen.paint(Stream::Out), screen.room());
        screen.data(&render::plan::render(&report, (&base, &absent), how))?;
    }
    Ok(Done::Yes)
}

/// Places that a policy keeps from being written and that do not exist, so that no mount covers
/// them. What is built in is covered where it is missing.
fn absent(plan: &FilePlan) -> Vec<AbsolutePath> {
    let kept = plan.rules.iter().filter(|rule| {
        let above = rule.path.parent().map_or(Access::Hidden, |above| plan.access(&above).0);
        let by_person = rule.because.as_ref().is_some_and(|rule| rule.set != SetName::BuiltIn);
        above == Access::Write && rule.access < Access::Write && by_person
    });
    let absent = kept.filter(|rule| std::fs::symlink_metadata(rule.path.as_path()).is_err());
    absent.map(|rule| rule.path.clone()).collect()
}

/// What every world has, whatever the policy says: read-only, outside the `fs` actions.
fn runtime_base() -> Vec<String> {
    let account = ringfence_sandbox::base::Account {
        name: String::new(),
        uid: 0,
        gid: 0,
        home: "/".into(),
        shell: "/bin/sh".into(),
    };
    let base = ringfence_sandbox::base::Base::of_host(&account);
    base.binds.iter().map(|path| path.display().to_string()).collect()
}

pub(crate) fn test(args: &PolicyTestArgs, screen: &Screen) -> Result<Done, Failure> {
    let Some(table) = whole_file::read_text(&args.file, Links::Follow)? else {
        let file = args.file.display();
        return Err(Message::new(format!("there is no file `{file}`")).could_not());
    };
    let found = in_force::load(&args.policy, screen)?;
    in_force::warn_of_vain(&found.policy, screen);
    let report =
        cases::run(&found.policy, &table.text).map_err(|error| wrong_table(args, &error))?;
    if args.json {
        let (passed, failed) = (report.passed(), report.failed());
        screen.json(&json!({
            "schema": SCHEMA, "passed": passed, "failed": failed,
            "cases": report.results, "unhit": report.unhit,
        }))?;
    } else {
        print(&report, screen)?;
    }
    for rule in &report.unhit {
        screen.warn(&format!("no case hits {}", rule_place(rule)));
    }
    Ok(if report.failed() == 0 { Done::Yes } else { Done::No })
}

/// A table that is wrong is an answer about the table: *no*.
fn wrong_table(args: &PolicyTestArgs, error: &CasesError) -> Failure {
    let text = error.to_string();
    let mut lines = text.lines();
    let first = lines.next().unwrap_or("").trim_end_matches(':').to_owned();
    let message = Message::new(format!("{}: {first}", args.file.display()));
    lines.fold(message, Message::detail).no()
}

fn print(report: &CasesReport, screen: &Screen) -> Result<(), Failure> {
    let paint = screen.paint(Stream::Out);
    for result in &report.results {
        let name = printable(&result.name);
        let Some(wrong) = &result.wrong else {
            screen.data(&format!("{}  {name}\n", paint.tone(Tone::Good, "ok    ")))?;
            continue;
        };
        let answer = match result.ruling.verdict {
            Verdict::Permit => "permit",
            Verdict::Ask(_) => "ask",
            Verdict::Deny => "deny",
        };
        let rule = rule_line(&result.ruling.grounds);
        screen.data(&format!(
            "{}  {name}\n        {}\n        got {answer}: {rule}\n",
            paint.tone(Tone::Bad, "FAILED"),
            printable(wrong),
        ))?;
    }
    screen.data(&format!("{} passed, {} failed\n", report.passed(), report.failed()))
}
