//! Suggested rules as text, and the difference that they make to a policy.

use std::fmt::Write as _;

use super::merge::Item;
use super::{Denied, Suggested};
use crate::wording::printable;

/// Lines of the policy around a change.
const CONTEXT_LINES: usize = 3;

/// The rules, each with a name that none of the texts in force has.
pub(super) fn rules(
    items: &[Item],
    denied: &[Denied],
    (taken, session): (&[&str], &str),
) -> Vec<Suggested> {
    let free = |number: &u32| {
        let name = format!("\"suggested-{number}\"");
        !taken.iter().any(|text| text.contains(&name))
    };
    let numbers = (1_u32..).filter(free);
    let rule = |(number, item): (u32, &Item)| {
        let id = format!("suggested-{number}");
        let times = item.covers.iter().filter_map(|at| denied.get(*at)).map(|act| act.times);
        let denials: u64 = times.sum();
        let noun = if denials == 1 { "denial" } else { "denials" };
        let head = format!("// Suggested for {denials} {noun} of session {session}.");
        let cedar = format!("{head}\n{}", visible(&item.grant.to_cedar(&id)));
        Suggested { id, grant: item.grant.clone(), cedar, covers: item.covers.clone(), denials }
    };
    numbers.zip(items).map(rule).collect()
}

/// Cedar text with what hides or reorders text written as escapes: outside of string literals, where
/// others' words are, our rules have none.
fn visible(cedar: &str) -> String {
    cedar.chars().fold(String::with_capacity(cedar.len()), |mut text, character| {
        let same = character == '\n'
            || printable(character.encode_utf8(&mut [0; 4])).len() == character.len_utf8();
        if same {
            text.push(character);
        } else {
            let _ = write!(text, "\\u{{{:x}}}", u32::from(character));
        }
        text
    })
}

/// The policy with the rules at its end.
pub(super) fn with(text: &str, rules: &[Suggested]) -> String {
    let mut out = text.to_owned();
    if !out.is_empty() && !out.ends_with('\n') && !rules.is_empty() {
        out.push('\n');
    }
    for rule in rules {
        out.push('\n');
        out.push_str(&rule.cedar);
    }
    out
}

/// The difference between two texts of a file, as `git apply` and `patch` take it; empty where there is none.
pub fn unified(name: &str, then: &str, now: &str) -> String {
    if then == now {
        return String::new();
    }
    similar::TextDiff::from_lines(then, now)
        .unified_diff()
        .context_radius(CONTEXT_LINES)
        .header(&format!("a/{name}"), &format!("b/{name}"))
        .to_string()
}
