//! Words in the description of a tool that are meant for a model and not for the person who looks at it.
//!
//! A finding, never a verdict: who hides something finds other words, and who warns of it uses these.

use aho_corasick::AhoCorasick;
use ringfence_core::{Certainty, Finding, FindingKind};
use std::sync::LazyLock;

/// What is looked for, in small letters and with one space between words, and what it is called.
const PHRASES: &[(&str, &str)] = &[
    ("do not tell the user", "hides-from-user"),
    ("don't tell the user", "hides-from-user"),
    ("do not mention", "hides-from-user"),
    ("don't mention", "hides-from-user"),
    ("without telling the user", "hides-from-user"),
    ("without informing the user", "hides-from-user"),
    ("do not inform the user", "hides-from-user"),
    ("do not show the user", "hides-from-user"),
    ("not necessary to tell", "hides-from-user"),
    ("the user does not need to know", "hides-from-user"),
    ("the user must not", "hides-from-user"),
    ("never reveal", "hides-from-user"),
    ("keep this secret", "hides-from-user"),
    ("<important>", "speaks-to-model"),
    ("<system>", "speaks-to-model"),
    ("</system>", "speaks-to-model"),
    ("<secret>", "speaks-to-model"),
    ("<instructions>", "speaks-to-model"),
    ("[system]", "speaks-to-model"),
    ("<|im_start|>", "speaks-to-model"),
    ("<<sys>>", "speaks-to-model"),
    ("system prompt", "speaks-to-model"),
    ("ignore previous", "overrides"),
    ("ignore all previous", "overrides"),
    ("ignore the previous", "overrides"),
    ("disregard previous", "overrides"),
    ("disregard all", "overrides"),
    ("forget your instructions", "overrides"),
    ("forget previous", "overrides"),
    ("override your", "overrides"),
    ("you must always", "overrides"),
    ("you must first", "overrides"),
    ("do not use any other tool", "overrides"),
    ("before using this tool", "asks-for-more"),
    ("before you use this tool", "asks-for-more"),
    ("before calling this tool", "asks-for-more"),
    ("before using any tool", "asks-for-more"),
    ("when calling any other tool", "asks-for-more"),
    ("this tool must be called before", "asks-for-more"),
    ("pass its content", "asks-for-more"),
    ("pass the content", "asks-for-more"),
    ("include the contents of", "asks-for-more"),
    ("otherwise the tool will not work", "asks-for-more"),
    (".ssh/", "names-secrets"),
    ("id_rsa", "names-secrets"),
    ("id_ed25519", "names-secrets"),
    (".aws/credentials", "names-secrets"),
    (".cursor/mcp.json", "names-secrets"),
    ("mcp.json", "names-secrets"),
    (".env file", "names-secrets"),
    ("/etc/passwd", "names-secrets"),
    (".netrc", "names-secrets"),
    ("conversation history", "names-secrets"),
    ("chat history", "names-secrets"),
    ("curl http", "sends-away"),
    ("base64 encode", "sends-away"),
    ("send it to", "sends-away"),
    ("webhook.site", "sends-away"),
];

/// What of a description is meant for a model, in the order in which it stands there.
pub fn instructions(text: &str) -> Vec<Finding> {
    static ALL: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
        let phrases = PHRASES.iter().map(|(phrase, _)| phrase);
        AhoCorasick::builder().ascii_case_insensitive(true).build(phrases).ok()
    });
    let Some(all) = ALL.as_ref() else { return Vec::new() };
    let (even, places) = even(text);
    let place = |at: usize| places.get(at).copied().unwrap_or(text.len());
    let finding = |found: aho_corasick::Match| {
        let (_, rule) = PHRASES.get(found.pattern().as_usize())?;
        let at = place(found.start())..place(found.end());
        Some(Finding { rule, kind: FindingKind::Instruction, certainty: Certainty::Noisy, at })
    };
    all.find_iter(&even).filter_map(finding).collect()
}

/// A text with one space wherever there are any, and where each of its bytes stood.
fn even(text: &str) -> (String, Vec<usize>) {
    let (mut even, mut places) =
        (String::with_capacity(text.len()), Vec::with_capacity(text.len()));
    for (at, letter) in text.char_indices() {
        let letter = if letter.is_whitespace() { ' ' } else { letter };
        if letter == ' ' && even.ends_with(' ') {
            continue;
        }
        even.push(letter);
        places.extend(std::iter::repeat_n(at, letter.len_utf8()));
    }
    (even, places)
}
