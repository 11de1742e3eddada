//! Compiles the system-call profiles (`profiles/*.profile`) to tables of rules.
//!
//! The result names calls and values as libc does, so that the compiler refuses what does not exist.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Profiles that a world can have, the one that others are built on first.
const PROFILES: [&str; 4] = ["default", "strict", "build", "browser"];
/// What is around a profile where a world has no namespaces.
const AROUND: &str = "on-the-host";
/// Where the parts of another profile, or a whole profile, have their place.
const PLACES: [&str; 2] = ["own", "profile"];

/// One profile as it is written.
#[derive(Default)]
struct Written {
    parts: Vec<Part>,
    /// Parts of the default that are left out; `None` where it is not built on the default.
    without: Option<Vec<String>>,
}

struct Part {
    name: String,
    class: String,
    rules: Vec<String>,
}

/// Names that profiles give to values, and their definitions.
#[derive(Default)]
struct Names {
    known: BTreeSet<String>,
    code: String,
}

fn main() -> Result<(), String> {
    let dir = PathBuf::from(variable("CARGO_MANIFEST_DIR")?).join("profiles");
    tell(&format!("cargo::rerun-if-changed={}", dir.display()))?;
    let mut names = Names::default();
    let default = read(&dir, "default", &mut names)?;
    let mut code = String::new();
    for name in PROFILES {
        let written = read(&dir, name, &mut names)?;
        let parts = built_on(&default, &written, name)?;
        table(&mut code, &name.to_uppercase(), &parts);
    }
    let around = read(&dir, AROUND, &mut names)?;
    let place = around.parts.iter().position(|part| part.name == "profile");
    let (before, after) = around.parts.split_at(place.ok_or("on-the-host has no [profile]")?);
    table(&mut code, "ON_THE_HOST_BEFORE", &before.iter().collect::<Vec<_>>());
    table(&mut code, "ON_THE_HOST_AFTER", &after.iter().skip(1).collect::<Vec<_>>());
    let out = PathBuf::from(variable("OUT_DIR")?).join("profiles.rs");
    fs::write(&out, names.code + &code).map_err(|error| format!("{}: {error}", out.display()))
}

fn variable(name: &str) -> Result<String, String> {
    std::env::var(name).map_err(|error| format!("{name}: {error}"))
}

fn tell(line: &str) -> Result<(), String> {
    writeln!(std::io::stdout(), "{line}").map_err(|error| error.to_string())
}

fn read(dir: &Path, name: &str, names: &mut Names) -> Result<Written, String> {
    let path = dir.join(format!("{name}.profile"));
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let mut written = Written::default();
    for (at, line) in text.lines().enumerate() {
        let code = line.split('#').next().unwrap_or_default().trim();
        read_line(code, &mut written, names)
            .map_err(|why| format!("{}:{}: {why}", path.display(), at + 1))?;
    }
    Ok(written)
}

fn read_line(line: &str, written: &mut Written, names: &mut Names) -> Result<(), String> {
    if line.is_empty() {
        return Ok(());
    }
    if let Some(definition) = line.strip_prefix("let ") {
        return names.define(definition);
    }
    if let Some(base) = line.strip_prefix("base default") {
        let without = base.trim().strip_prefix("without").unwrap_or_default();
        written.without = Some(without.split_whitespace().map(str::to_owned).collect());
        return Ok(());
    }
    if let Some(header) = line.strip_prefix('[') {
        let (name, class) = header.split_once(']').ok_or("a part without a `]`")?;
        let class = match class.trim() {
            "" => "Always",
            "when write" => "Write",
            "when read" => "Read",
            "when connect" => "Connect",
            "when exec" => "Exec",
            "when ask" => "Ask",
            other => return Err(format!("`{other}` is no class of acts")),
        };
        let (name, class) = (name.to_owned(), class.to_owned());
        written.parts.push(Part { name, class, rules: Vec::new() });
        return Ok(());
    }
    let part = written.parts.last_mut().ok_or("a rule before the first part")?;
    part.rules.push(rule(line, names)?);
    Ok(())
}

/// The parts of a profile in their order.
fn built_on<'a>(
    default: &'a Written,
    written: &'a Written,
    name: &str,
) -> Result<Vec<&'a Part>, String> {
    let Some(without) = &written.without else {
        return Ok(default.parts.iter().filter(|part| !is_place(part)).collect());
    };
    if let Some(unknown) =
        without.iter().find(|out| default.parts.iter().all(|it| it.name != **out))
    {
        return Err(format!("{name}.profile: the default has no part `{unknown}`"));
    }
    let kept = default.parts.iter().filter(|part| !without.contains(&part.name));
    Ok(kept
        .flat_map(|part| match part.name.as_str() {
            "own" => written.parts.iter().collect(),
            _ => vec![part],
        })
        .collect())
}

fn is_place(part: &Part) -> bool {
    PLACES.contains(&part.name.as_str())
}

impl Names {
    fn define(&mut self, definition: &str) -> Result<(), String> {
        let (name, value) = definition.split_once('=').ok_or("a `let` without a `=`")?;
        let (name, value) = (name.trim(), self.value(value.trim())?);
        // The default is read twice: as itself and as what others are built on.
        if self.known.insert(name.to_owned()) {
            writeln!(self.code, "const {name}: u32 = {value};")
                .map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    /// An expression as code: what was not defined here is libc's.
    fn value(&self, text: &str) -> Result<String, String> {
        let mut code = String::new();
        let mut word = String::new();
        for char in text.chars().chain([' ']) {
            if char.is_ascii_alphanumeric() || char == '_' {
                word.push(char);
                continue;
            }
            if !word.is_empty() {
                code += &self.word(&std::mem::take(&mut word));
            }
            match char {
                ' ' | '(' | ')' | '|' | '&' | '!' => code.push(char),
                other => return Err(format!("`{other}` in `{text}`")),
            }
        }
        let code = code.trim();
        if code.is_empty() { Err("a value is missing".to_owned()) } else { Ok(code.to_owned()) }
    }

    fn word(&self, word: &str) -> String {
        let number = word.starts_with(|first: char| first.is_ascii_digit());
        if number || self.known.contains(word) {
            word.to_owned()
        } else {
            format!("(libc::{word} as u32)")
        }
    }
}

/// `ANSWER CALL [CONDITION, ...] [try ARGUMENT, ...]` as code.
fn rule(line: &str, names: &Names) -> Result<String, String> {
    let (line, tried) = line.split_once(" try ").unwrap_or((line, ""));
    let mut words = line.splitn(3, ' ');
    let (answer, call) = (words.next().unwrap_or_default(), words.next().ok_or("no call")?);
    let answer = match answer {
        "notify" => "Answer::Notify".to_owned(),
        errno if errno.starts_with('E') => format!("Answer::Errno(libc::{errno})"),
        other => return Err(format!("`{other}` is no answer")),
    };
    let conditions = words.next().unwrap_or_default().split(',').map(str::trim);
    let when = conditions
        .filter(|text| !text.is_empty())
        .map(|text| condition(text, names))
        .collect::<Result<Vec<_>, _>>()?
        .join(", ");
    let arguments = tried.split(',').map(str::trim).filter(|text| !text.is_empty());
    let tried = arguments
        .map(|text| match text {
            "-1" => Ok("u64::MAX".to_owned()),
            _ => Ok(format!("({}) as u64", names.value(text)?)),
        })
        .collect::<Result<Vec<_>, String>>()?
        .join(", ");
    let number = names.word(&format!("SYS_{call}"));
    Ok(format!(
        "Rule {{ call: \"{call}\", number: {number}, when: &[{when}], answer: {answer}, \
         tried: &[{tried}] }}"
    ))
}

/// `ARGUMENT[/MASK] is|not|any VALUE` as code.
fn condition(text: &str, names: &Names) -> Result<String, String> {
    let bad = || format!("`{text}` is no condition");
    let (argument, rest) = text.split_once(' ').ok_or_else(bad)?;
    let (comparison, value) = rest.split_once(' ').ok_or_else(bad)?;
    let (argument, mask) = argument.split_once('/').unwrap_or((argument, "0xffffffff"));
    let argument: u32 = argument.parse().ok().filter(|it| *it < 6).ok_or_else(bad)?;
    let comparison = match comparison {
        "is" => "Equal",
        "not" => "Not",
        "any" => "AnyBitOf",
        _ => return Err(bad()),
    };
    let (mask, value) = (names.value(mask)?, names.value(value)?);
    Ok(format!("Test {{ arg: {argument}, mask: {mask}, is: Is::{comparison}({value}) }}"))
}

fn table(code: &mut String, name: &str, parts: &[&Part]) {
    let part = |Part { name, class, rules }: &Part| {
        let rules = rules.join(",\n        ");
        format!(
            "Part {{ name: \"{name}\", class: Class::{class}, rules: &[\n        {rules}\n    ] }}"
        )
    };
    let parts: Vec<String> = parts.iter().map(|it| part(it)).collect();
    let parts = parts.join(",\n    ");
    code.push_str("pub(super) static ");
    code.push_str(name);
    code.push_str(": &[Part] = &[\n    ");
    code.push_str(&parts);
    code.push_str(",\n];\n");
}
