//! The reasoning behind one decision.

use std::fmt::Write as _;

use ringfence_core::{Act, Outcome, RuleRef, SetName, Verdict};
use ringfence_policy::{Effect, Remedy, SetAnswer};
use ringfence_runtime::advice::Advice;
use ringfence_runtime::wording::{
    arguments, asked_by, content, describe, needs, printable, reason, rule_line, rule_place,
};

use super::entry::ended;
use super::text::{behind_margin, fold_lines, moment};
use crate::commands::explain::{Now, Recorded};
use crate::screen::{Paint, Tone};

/// Days as the clock numbers them, from 1.
const WEEKDAYS: [&str; 7] =
    ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/// Over what would permit a denied act.
const CHANGE: &str = "what would have to change";

/// The record first, then what the policy in force says about the same act; no line is wider than the screen.
pub(crate) fn render(
    recorded: &Recorded,
    now: Option<&Now>,
    (paint, columns): (Paint, usize),
) -> String {
    // Laid out already, so that all of it is seen as it is.
    let arguments = match &recorded.request.act {
        Act::CallTool(call) if !call.arguments.is_empty() => {
            let title = paint.tone(Tone::Heading, "the arguments of the call");
            let lines = behind_margin(&arguments(&call.arguments), columns);
            format!("\n{title}\n{}\n", lines.join("\n"))
        }
        Act::CallTool(_)
        | Act::Exec(_)
        | Act::Read(_)
        | Act::Write(_)
        | Act::Delete(_)
        | Act::Connect(_)
        | Act::ConnectUnix(_)
        | Act::Request(_)
        | Act::UseSecret(_) => String::new(),
    };
    let head = fold_lines(&head(recorded, paint), columns);
    head + &arguments + &fold_lines(&reasoning(recorded, now, paint), columns)
}

fn reasoning(recorded: &Recorded, now: Option<&Now>, paint: Paint) -> String {
    let mut out = String::new();
    if let Some(why) = &recorded.before_rules {
        let text =
            format!("the call: {}; no rule was asked, and none can permit it", printable(why));
        let _ = write!(out, "\n{}\n  {text}\n", paint.tone(Tone::Heading, CHANGE));
    }
    let Some(now) = now else { return out };
    if !now.same_policy {
        let note = "the policy in force now is not the one that decided; it would answer:";
        let _ = writeln!(out, "\n{}", paint.tone(Tone::Warning, note));
        let _ = writeln!(out, "  answer   {}", verdict_word(&now.explanation.ruling.verdict));
        let grounds = &now.explanation.ruling.grounds;
        let _ = writeln!(out, "  rule     {}", rule_line(grounds));
        if let Some(content) = content(&grounds.handling) {
            let _ = writeln!(out, "  content  {content}");
        }
    }
    for set in &now.explanation.sets {
        out.push_str(&answer(set, paint));
    }
    out.push_str(&change(recorded, now, paint));
    out
}

fn head(recorded: &Recorded, paint: Paint) -> String {
    let Recorded { entry, at_ms, request, verdict, grounds, facts, .. } = recorded;
    let agent = printable(&request.agent.0);
    let may = if recorded.is_permitted() { "may" } else { "may not" };
    let so = recorded.answered.as_ref().map(|answered| format!(", {}", answered.so));
    let so = so.unwrap_or_default();
    let word = if recorded.was_put_off() { "denied" } else { verdict_word(verdict) };
    let title = format!("{word}{so}: agent `{agent}` {may} {}", describe(&request.act));
    let mut out = paint.tone(Tone::Heading, &title) + "\n";
    let _ = writeln!(out, "  entry    {entry}, {}", moment(*at_ms));
    let rule = match verdict {
        Verdict::Ask(_) => asked_by(grounds),
        Verdict::Permit | Verdict::Deny => rule_line(grounds),
    };
    let _ = writeln!(out, "  rule     {rule}");
    for rule in grounds.rules.iter().skip(1) {
        let _ = writeln!(out, "           {}", rule_with_reason(rule));
    }
    if let Some(content) = content(&grounds.handling) {
        let _ = writeln!(out, "  content  {content}");
    }
    if let Act::Exec(exec) = &request.act {
        let line = &exec.command_line;
        let _ = writeln!(out, "  argv     {}", printable(&line.text));
        let word = line.subcommand.as_deref().map_or("none".to_owned(), printable);
        let opaque = if line.opaque { "; the text does not tell what runs" } else { "" };
        let _ = writeln!(out, "  facts    subcommand {word}, cwd {}{opaque}", exec.cwd);
    }
    let clock = &facts.clock;
    let day = usize::from(clock.weekday).checked_sub(1).and_then(|day| WEEKDAYS.get(day));
    let (day, hour, minute) = (day.unwrap_or(&"?"), clock.hour, clock.minute);
    let _ = writeln!(out, "  clock    {day} {hour:02}:{minute:02} {}", printable(&clock.zone));
    let roles: Vec<String> = facts.approvals.iter().map(|role| printable(&role.0)).collect();
    let roles = if roles.is_empty() { "none".to_owned() } else { roles.join(", ") };
    let _ = writeln!(out, "  approved {roles}");
    if let Some(answered) = &recorded.answered {
        let when = answered.entry.as_ref().zip(answered.at_ms);
        let when = when.map(|(entry, at_ms)| format!(", {} (entry {entry})", moment(at_ms)));
        let _ = writeln!(out, "  answer   {}{}", answered.said, when.unwrap_or_default());
        if let Some(then) = &answered.then {
            let _ =
                writeln!(out, "  then     {} (entry {})", verdict_word(&then.verdict), then.entry);
        }
    }
    if let Some(finished) = &recorded.finished {
        let how = ended(&finished.outcome);
        let policy = match finished.outcome {
            Outcome::Failed { .. } => "; the policy let it, the system did not",
            Outcome::Done
            | Outcome::Connection(_)
            | Outcome::Request(_)
            | Outcome::Mismatch { .. }
            | Outcome::Tool(_)
            | Outcome::NotMade { .. }
            | Outcome::Unknown => "",
        };
        let _ = writeln!(out, "  outcome  {how}{policy} (entry {})", finished.entry);
    }
    out
}

fn verdict_word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Permit => "permitted",
        Verdict::Ask(_) => "asked",
        Verdict::Deny => "denied",
    }
}

fn rule_with_reason(rule: &RuleRef) -> String {
    format!("{}{}", rule_place(rule), reason(rule))
}

fn answer(set: &SetAnswer, paint: Paint) -> String {
    let name = match set.set {
        "session" => "policy (yours, the project's, grants)",
        "system" => "system ceiling",
        other => other,
    };
    let word = if set.allows { "allows it" } else { "does not allow it" };
    let mut out = format!("\n{}\n", paint.tone(Tone::Heading, &format!("{name} {word}")));
    let mut line = |label: &str, text: String| {
        let _ = writeln!(out, "  {label:<8} {text}");
    };
    for rule in &set.forbids {
        line("forbids", rule_with_reason(rule));
    }
    for rule in &set.permits {
        line("permits", rule_with_reason(rule));
    }
    for error in &set.errors {
        line("error", printable(error));
    }
    for unmet in &set.unmet {
        let effect = match unmet.effect {
            Effect::Permit => "permit",
            Effect::Forbid => "forbid",
        };
        let (place, failed) = (rule_place(&unmet.rule), printable(&unmet.failed));
        let text = format!("{effect} {place} ({failed}){}", reason(&unmet.rule));
        line("no match", text);
    }
    out
}

fn change(recorded: &Recorded, now: &Now, paint: Paint) -> String {
    if recorded.is_permitted() {
        return String::new();
    }
    if recorded.was_put_off() {
        let text = "what else the same call needs, first: that is denied";
        return format!("\n{}\n  {text}\n", paint.tone(Tone::Heading, CHANGE));
    }
    // The policy had permitted it.
    if recorded.grounds.failure.as_deref().is_some_and(|why| why.contains("`limits.")) {
        let text = "a limit: raise it under `[limits]` in the settings";
        return format!("\n{}\n  {text}\n", paint.tone(Tone::Heading, CHANGE));
    }
    if let Some(Advice::Base(dir)) = &now.advice {
        let dir = printable(&dir.to_string_lossy());
        let text = format!("the place: `{dir}` belongs to the runtime base, not to the agent");
        return format!("\n{}\n  {text}\n", paint.tone(Tone::Heading, CHANGE));
    }
    if let Some(Advice::Kept { why, .. }) = &now.advice {
        let asks = match &now.explanation.remedy {
            Some(Remedy::Approvals(ask)) => format!("approval: {}; or ", needs(ask)),
            Some(Remedy::Grant(_)) | None => String::new(),
        };
        let text =
            format!("{asks}a grant or a rule that you write yourself, none is offered: {why}");
        return format!("\n{}\n  {text}\n", paint.tone(Tone::Heading, CHANGE));
    }
    let text = match &now.explanation.remedy {
        Some(Remedy::Approvals(ask)) => format!("approval: {}", needs(ask)),
        Some(Remedy::Grant(grant)) => format!("the smallest grant is {}", printable(grant)),
        None if now.explanation.ruling.verdict == Verdict::Permit => {
            "nothing: the policy in force now permits it".to_owned()
        }
        None => now.lifted_by.clone().unwrap_or_else(|| unliftable(now).to_owned()),
    };
    format!("\n{}\n  {text}\n", paint.tone(Tone::Heading, CHANGE))
}

/// What stands in the way where no approval and no grant helps.
fn unliftable(now: &Now) -> &'static str {
    let rules = &now.explanation.ruling.grounds.rules;
    if rules.first().is_some_and(|rule| rule.set == SetName::BuiltIn) {
        "nothing lifts it: the rule is built in"
    } else {
        "a rule: no approval and no grant can lift what forbids it"
    }
}
