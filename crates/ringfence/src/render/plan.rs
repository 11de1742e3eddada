//! What a policy means for the kernel: what exists for the agent, and what is decided when.

use std::fmt::Write as _;

use ringfence_core::{AbsolutePath, Access, Action, FilePlan, SetName};
use ringfence_policy::{ActPlan, Cost, Effect, PlanReport, PlannedRule};
use ringfence_runtime::wording::{printable, rule_place};

use super::text::{count, fold_lines, table_within};
use crate::screen::{Paint, Tone};

/// The whole text, with what is wider than the screen folded.
pub fn render(
    report: &PlanReport,
    (base, absent): (&[String], &[AbsolutePath]),
    (paint, columns): (Paint, usize),
) -> String {
    let mut out = files(&report.files, (paint, columns));
    if !absent.is_empty() {
        let label = paint.tone(Tone::Warning, "held by the gate only:");
        let _ =
            writeln!(out, "  {label} what does not exist has no mount; make it, and it is a wall");
        for place in absent {
            let _ = writeln!(out, "    {}", printable(place.as_str()));
        }
    }
    for act in &report.acts {
        out.push_str(&act_plan(act, paint));
    }
    out.push_str(&runtime_base(base, paint));
    if !report.lints.is_empty() {
        let _ = writeln!(out, "\n{}", paint.tone(Tone::Warning, "remarks"));
        for lint in &report.lints {
            let _ = writeln!(out, "  {}\n    {}", rule_place(&lint.rule), printable(&lint.message));
        }
    }
    fold_lines(&out, columns)
}

fn files(plan: &FilePlan, (paint, columns): (Paint, usize)) -> String {
    let title = "files: mounts, without cost while the agent runs";
    let mut out = paint.tone(Tone::Heading, title) + "\n";
    let rows: Vec<Vec<String>> = plan
        .rules
        .iter()
        .map(|rule| {
            let access = match rule.access {
                Access::Hidden if is_asked(plan, &rule.path) => "asked about",
                Access::Hidden => "absent",
                Access::Read => "read",
                Access::Write => "read, write",
            };
            let because = rule.because.as_ref().map_or("built in".to_owned(), rule_place);
            vec![format!("  {access}"), printable(rule.path.as_str()), because]
        })
        .collect();
    out.push_str(&table_within(&rows, columns));
    out.push_str("  every other path does not exist for the agent\n");
    let all = plan.rules.iter().find(|rule| rule.path.as_str() == "/");
    if all.is_some_and(|rule| rule.access == Access::Write) {
        out.push_str(
            "  the system's programs, libraries and /etc stay read-only; /dev, /proc, /run, /sys\n  \
             and /tmp are the world's own\n",
        );
    }
    out.push_str(&asked(plan, (paint, columns)));
    for left_out in &plan.left_out {
        let label = paint.tone(Tone::Warning, "left out:");
        let _ = writeln!(out, "  {label} {}", printable(left_out));
    }
    out
}

/// Whether what no mount shows is opened when a person says so.
fn is_asked(plan: &FilePlan, path: &AbsolutePath) -> bool {
    plan.asked(path).is_some_and(|place| place.asks.contains(&Action::FsRead))
}

/// Where acts are asked about, and what is shown there meanwhile.
fn asked(plan: &FilePlan, (paint, columns): (Paint, usize)) -> String {
    if plan.asked.is_empty() {
        return String::new();
    }
    let title = "asked about: opened outside of the world, file by file, each when it is answered";
    let mut out = format!("  {}\n", paint.tone(Tone::Heading, title));
    let rows: Vec<Vec<String>> = plan
        .asked
        .iter()
        .map(|place| {
            let names: Vec<&str> = place.asks.iter().map(|act| act.name()).collect();
            let what = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
            let because = place.because.as_ref().map(rule_place).unwrap_or_default();
            vec![format!("    {what}"), printable(place.path.as_str()), because]
        })
        .collect();
    out.push_str(&table_within(&rows, columns));
    out
}

fn act_plan(act: &ActPlan, paint: Paint) -> String {
    let cost = match act.cost {
        Cost::Nothing => "held by the kernel, costs nothing",
        Cost::EveryOpenNotified => {
            "held by the kernel; because some are asked about, every file that is opened is looked \
             at, some ten microseconds each"
        }
        Cost::Decided => "decided act by act, some microseconds each",
        Cost::DecidedAndVerified => {
            "decided act by act and verified at the start, some microseconds each"
        }
    };
    let title = paint.tone(Tone::Heading, act.action.name());
    let mut out = format!("\n{title}: {cost}\n");
    if act.rules.iter().all(|rule| rule.effect == Effect::Forbid) {
        out.push_str("  no permit: always denied\n");
    }
    let is_built_in = |rule: &&PlannedRule| rule.rule.set == SetName::BuiltIn;
    for rule in act.rules.iter().filter(|rule| !is_built_in(rule)) {
        out.push_str(&planned(rule));
    }
    let built_in = act.rules.iter().filter(is_built_in).count();
    if built_in > 0 {
        let rules = count(built_in, "built-in rule", "built-in rules");
        let _ = writeln!(out, "  forbid  {rules} that nothing lifts: `--json` names them");
    }
    out
}

fn planned(rule: &PlannedRule) -> String {
    let effect = match rule.effect {
        Effect::Permit => "permit",
        Effect::Forbid => "forbid",
    };
    let what = rule.resource.as_deref().map_or("anything".to_owned(), printable);
    let asks = if rule.asks { ", asks" } else { "" };
    let mut out = format!("  {effect}  {what}  ({}{asks})\n", rule_place(&rule.rule));
    for condition in &rule.conditions {
        let _ = writeln!(out, "          {}", printable(condition));
    }
    out
}

fn runtime_base(base: &[String], paint: Paint) -> String {
    let title = "runtime base: in every world, read-only, outside the fs actions";
    let mut out = format!("\n{}\n", paint.tone(Tone::Heading, title));
    for path in base {
        let _ = writeln!(out, "  {}", printable(path));
    }
    out.push_str("  and a private /tmp, a minimal /dev, /proc of the world's own processes\n");
    out
}
