//! The acts of a session that were asked about, and what came of the questions.

use std::fmt::Write as _;

use ringfence_core::{Answer, Channel};
use ringfence_runtime::view::{AskedAct, SessionView};
use ringfence_runtime::wording::{needs, printable};

use super::super::text::{count, fit};
use super::{LIST_LINES_MAX, Style, more};
use crate::screen::Tone;

/// Each question once, those alike together: a shell tries a program again at every place of it.
pub(super) fn questions(view: &SessionView, style: Style) -> String {
    let mut groups: Vec<(&AskedAct, usize)> = Vec::new();
    for question in &view.questions {
        match groups.iter_mut().find(|(first, _)| alike(first, question)) {
            Some((_, times)) => *times += 1,
            None => groups.push((question, 1)),
        }
    }
    if groups.is_empty() {
        return String::new();
    }
    let title = format!("{} asked about", count(view.questions.len(), "act", "acts"));
    let mut out = style.paint.tone(Tone::Heading, &title) + "\n";
    for (question, times) in groups.iter().take(LIST_LINES_MAX) {
        let times = if *times > 1 { format!(" ({times} times)") } else { String::new() };
        let by = question.by.as_ref().map_or(String::new(), |by| format!(" by {}", printable(by)));
        let room = style.columns.saturating_sub(9);
        let act = fit(&question.act, room.saturating_sub(times.len()));
        let rule = style.paint.tone(Tone::Quiet, &fit(&question.rule, room));
        let _ = writeln!(out, "{:>7}  {act}{times}\n         {rule}", question.entry);
        let (answer, needs) = (answer(question), needs(&question.needs));
        let _ = writeln!(out, "         {answer}{by}; needs {needs}");
    }
    out + &more(groups.len(), LIST_LINES_MAX, "question", "questions")
}

fn alike(one: &AskedAct, other: &AskedAct) -> bool {
    one.act == other.act
        && one.rule == other.rule
        && one.needs == other.needs
        && one.by == other.by
        && answer(one) == answer(other)
}

fn answer(question: &AskedAct) -> &'static str {
    match (question.answer, question.channel) {
        (Some(Answer::Approved), _) => "approved",
        (Some(Answer::Refused), _) => "denied: refused",
        (Some(Answer::Expired), _) => "denied: not answered in time",
        (Some(Answer::Invalid), _) => "denied: no valid answer",
        (Some(Answer::Granted), _) => "granted meanwhile",
        (Some(Answer::NotAsked), _) => "denied: something else of the same call is denied",
        (None, Some(Channel::None)) => "denied: no terminal to ask on",
        (None, Some(Channel::Terminal | Channel::Elsewhere)) => "no answer",
        (None, None) => "denied: not asked again so soon",
    }
}
