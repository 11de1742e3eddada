//! Writes the reference: man pages, completions, command line, vocabulary and schemas.
//!
//! `cargo xtask gen` runs it; the same sources give the same bytes.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use clap::{Arg, Command, CommandFactory as _};
use clap_complete::Shell;
use ringfence::cli::Cli;
use ringfence_policy::SCHEMA;

/// Said on top of every Markdown file.
const GENERATED: &str =
    "<!-- Written by `cargo xtask gen`; change its sources, not this file. -->\n\n";

/// Exit codes of every command but `run` and the ones below.
const CODES: &[(&str, &str)] = &[
    ("0", "yes, or done"),
    ("1", "the answer is no: denied, does not verify, a case failed"),
    ("2", "could not answer: usage, configuration, input or output"),
    ("3", "a person must approve"),
];

/// Commands whose exit codes say more.
const CODES_OF: &[(&str, &[(&str, &str)])] = &[
    (
        "ringfence run",
        &[
            ("N", "the command's own exit code"),
            ("128+N", "signal N ended the command"),
            ("125", "a failure of Ringfence; the command was not started, or is dead"),
            ("126", "the command cannot be run, or the policy denies it"),
            ("127", "the command does not exist in the world"),
        ],
    ),
    (
        "ringfence decide",
        &[
            ("0", "permit"),
            ("1", "deny"),
            ("2", "the request or the policy could not be read"),
            ("3", "ask"),
        ],
    ),
    (
        "ringfence policy check",
        &[("0", "the policy is right"), ("1", "it is not"), ("2", "a file cannot be read")],
    ),
    (
        "ringfence policy test",
        &[
            ("0", "every case passed; each `@id` that no case hits is named"),
            ("1", "the policy or a case is wrong"),
            ("2", "a file cannot be read"),
        ],
    ),
    (
        "ringfence log verify",
        &[
            ("0", "nothing was changed; unclosed logs and torn tails are said"),
            ("1", "something was changed; the first bad entry is named"),
            ("2", "a log cannot be read"),
        ],
    ),
];

/// Schemas of what is printed with `--json`, each held to by a test: file name, text.
const SCHEMAS: &[(&str, &str)] = &[
    ("approve.schema.json", include_str!("../schemas/approve.schema.json")),
    ("common.schema.json", include_str!("../schemas/common.schema.json")),
    ("decide.schema.json", include_str!("../schemas/decide.schema.json")),
    ("denial.schema.json", include_str!("../schemas/denial.schema.json")),
    ("doctor.schema.json", include_str!("../schemas/doctor.schema.json")),
    ("explain.schema.json", include_str!("../schemas/explain.schema.json")),
    ("export-har.schema.json", include_str!("../schemas/export-har.schema.json")),
    ("export-otlp.schema.json", include_str!("../schemas/export-otlp.schema.json")),
    ("grant.schema.json", include_str!("../schemas/grant.schema.json")),
    ("grants-list.schema.json", include_str!("../schemas/grants-list.schema.json")),
    ("grants-revoke.schema.json", include_str!("../schemas/grants-revoke.schema.json")),
    ("log-show.schema.json", include_str!("../schemas/log-show.schema.json")),
    ("log-verify.schema.json", include_str!("../schemas/log-verify.schema.json")),
    ("net-test.schema.json", include_str!("../schemas/net-test.schema.json")),
    ("policy-check.schema.json", include_str!("../schemas/policy-check.schema.json")),
    ("policy-plan.schema.json", include_str!("../schemas/policy-plan.schema.json")),
    ("policy-show.schema.json", include_str!("../schemas/policy-show.schema.json")),
    ("policy-test.schema.json", include_str!("../schemas/policy-test.schema.json")),
    ("review-checkpoints.schema.json", include_str!("../schemas/review-checkpoints.schema.json")),
    ("review-list.schema.json", include_str!("../schemas/review-list.schema.json")),
    ("review-show.schema.json", include_str!("../schemas/review-show.schema.json")),
    ("run-summary.schema.json", include_str!("../schemas/run-summary.schema.json")),
    ("sandbox-logs.schema.json", include_str!("../schemas/sandbox-logs.schema.json")),
    ("sandbox-status.schema.json", include_str!("../schemas/sandbox-status.schema.json")),
    ("secret-change.schema.json", include_str!("../schemas/secret-change.schema.json")),
    ("mcp-import.schema.json", include_str!("../schemas/mcp-import.schema.json")),
    ("mcp-server.schema.json", include_str!("../schemas/mcp-server.schema.json")),
    ("mcp-test.schema.json", include_str!("../schemas/mcp-test.schema.json")),
    ("secret-list.schema.json", include_str!("../schemas/secret-list.schema.json")),
    ("secret-test.schema.json", include_str!("../schemas/secret-test.schema.json")),
    ("sessions.schema.json", include_str!("../schemas/sessions.schema.json")),
    ("show.schema.json", include_str!("../schemas/show.schema.json")),
    ("suggest.schema.json", include_str!("../schemas/suggest.schema.json")),
    ("trust.schema.json", include_str!("../schemas/trust.schema.json")),
    ("warm-status.schema.json", include_str!("../schemas/warm-status.schema.json")),
    ("warm-stop.schema.json", include_str!("../schemas/warm-stop.schema.json")),
    ("world-verify.schema.json", include_str!("../schemas/world-verify.schema.json")),
];

/// Commands that print JSON in a form that is not called as they are, or that always do.
const SCHEMAS_OF: &[(&str, &str)] = &[
    ("ringfence run", "run-summary"),
    ("ringfence decide", "decide"),
    ("ringfence export har", "export-har"),
    ("ringfence export otlp", "export-otlp"),
    ("ringfence untrust", "trust"),
    ("ringfence mcp add", "mcp-server"),
    ("ringfence mcp list", "mcp-server"),
    ("ringfence mcp inspect", "mcp-server"),
    ("ringfence secret add", "secret-change"),
    ("ringfence secret rotate", "secret-change"),
    ("ringfence secret remove", "secret-change"),
];

fn main() -> io::Result<()> {
    let Some(dir) = std::env::args_os().nth(1) else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "usage: gen DIR"));
    };
    let dir = Path::new(&dir);
    for part in ["man", "completions", "schemas"] {
        fresh(&dir.join(part))?;
    }
    let command = Cli::command();
    clap_mangen::generate_to(command.clone(), dir.join("man"))?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(
            shell,
            &mut command.clone(),
            "ringfence",
            dir.join("completions"),
        )?;
    }
    fs::write(dir.join("cli.md"), command_line(command))?;
    fs::write(dir.join("ringfence.cedarschema"), SCHEMA)?;
    fs::write(dir.join("vocabulary.md"), vocabulary())?;
    for (name, text) in SCHEMAS {
        fs::write(dir.join("schemas").join(name), text)?;
    }
    fs::write(dir.join("README.md"), contents())
}

/// An empty directory, so that what is no longer generated goes away.
fn fresh(dir: &Path) -> io::Result<()> {
    match fs::remove_dir_all(dir) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    fs::create_dir_all(dir)
}

/// Every command with its arguments, flags and exit codes.
fn command_line(mut command: Command) -> String {
    command.build();
    let mut text = format!("{GENERATED}# The command line\n");
    let everywhere = codes(CODES);
    let _ =
        write!(text, "\n## Exit codes\n\nOf every command that lists no others:\n\n{everywhere}");
    text.push_str("\n## Options of every command\n\n");
    for argument in command.get_arguments().filter(|argument| argument.is_global_set()) {
        text.push_str(&line(argument));
    }
    text.push_str("- `-h`, `--help`: print help\n- `-V`, `--version`: print the version\n");
    for sub in visible(&command) {
        describe(&mut text, sub, "ringfence");
    }
    text
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
}

fn describe(text: &mut String, command: &Command, above: &str) {
    let name = format!("{above} {}", command.get_name());
    if command.has_subcommands() && !command.is_args_conflicts_with_subcommands_set() {
        visible(command).for_each(|sub| describe(text, sub, &name));
        return;
    }
    let about = command.get_about().map(ToString::to_string).unwrap_or_default();
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    let _ = write!(text, "\n## `{name}`\n\n{about}.\n\n    {usage}\n");
    let arguments: Vec<&Arg> = command
        .get_arguments()
        .filter(|argument| !argument.is_hide_set() && !argument.is_global_set())
        .filter(|argument| !matches!(argument.get_id().as_str(), "help" | "version"))
        .collect();
    if !arguments.is_empty() {
        text.push('\n');
        for argument in arguments {
            text.push_str(&line(argument));
        }
    }
    if let Some(schema) = schema_of(&name, command) {
        let _ = write!(text, "\nThe form of its JSON: [{schema}](schemas/{schema}).\n");
    }
    if let Some((_, list)) = CODES_OF.iter().find(|(of, _)| *of == name) {
        let _ = write!(text, "\nExit codes:\n\n{}", codes(list));
    }
    // Of one that does something without them too.
    visible(command).for_each(|sub| describe(text, sub, &name));
}

/// The schema of what a command prints for programs; there is one for each that does.
fn schema_of(name: &str, command: &Command) -> Option<String> {
    let own = SCHEMAS_OF.iter().find(|(of, _)| *of == name).map(|(_, schema)| (*schema).to_owned());
    let flag = command.get_arguments().any(|argument| argument.get_long() == Some("json"));
    let called = flag.then(|| name.trim_start_matches("ringfence ").replace(' ', "-"));
    let file = format!("{}.schema.json", own.or(called)?);
    assert!(SCHEMAS.iter().any(|(known, _)| *known == file), "`{name}` needs {file}");
    Some(file)
}

/// One argument as a list item.
fn line(argument: &Arg) -> String {
    let value = argument
        .get_value_names()
        .filter(|_| argument.get_action().takes_values())
        .and_then(|names| names.first())
        .map(ToString::to_string);
    let name = match (argument.get_long(), value) {
        (Some(long), Some(value)) => format!("--{long} {value}"),
        (Some(long), None) => format!("--{long}"),
        (None, Some(value)) => value,
        (None, None) => argument.get_id().to_string(),
    };
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let mut text = format!("- `{name}`: {help}");
    let values: Vec<String> = argument
        .get_possible_values()
        .iter()
        .filter(|_| argument.get_action().takes_values())
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    if !values.is_empty() {
        let _ = write!(text, " ({})", values.join(", "));
    }
    if let Some(default) = argument.get_default_values().first()
        && argument.get_action().takes_values()
    {
        let _ = write!(text, "; default `{}`", default.to_string_lossy());
    }
    text.push('\n');
    text
}

fn codes(list: &[(&str, &str)]) -> String {
    let rows = list.iter().map(|(code, meaning)| format!("| {code} | {meaning} |\n"));
    format!("| code | meaning |\n| --- | --- |\n{}", rows.collect::<String>())
}

/// The words of a policy, with the schema they are checked against.
fn vocabulary() -> String {
    let words = include_str!("gen/vocabulary.md");
    format!("{GENERATED}{words}\n```cedarschema\n{}\n```\n", SCHEMA.trim_end())
}

fn contents() -> String {
    let mut text = format!("{GENERATED}{}", include_str!("gen/README.md"));
    for (name, _) in SCHEMAS {
        let _ = writeln!(text, "- [{name}](schemas/{name})");
    }
    text
}
