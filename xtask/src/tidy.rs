//! `cargo xtask tidy`: our own style test.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::arrows::{ARROWS, TESTS_ONLY};
use crate::process::{Done, output, top};

/// Longest source file, in lines; files of tests and lists of alike things are exempt by name.
const FILE_LINES_MAX: usize = 500;

/// Words that say a thing is unfinished. Written apart, so that this file passes its own test.
const LEFTOVERS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("todo", "!(")];

/// What opens unsafe code. Written apart, for the same reason.
const UNSAFE: &[&str] =
    &[concat!("unsafe", " {"), concat!("unsafe", " fn"), concat!("unsafe", " impl")];

/// Runs all checks and reports all findings.
pub(crate) fn run() -> Done {
    let mut findings = arrows()?;
    let sources = sources()?;
    for file in &sources {
        let text = std::fs::read_to_string(top().join(file))
            .map_err(|error| format!("cannot read `{}`: {error}", file.display()))?;
        findings.extend(size(file, &text));
        findings.extend(leftovers(file, &text));
        findings.extend(first_sentence(file, &text));
        findings.extend(unsafe_place(file, &text));
    }
    findings.extend(orphans(&sources));
    if findings.is_empty() {
        return Ok(());
    }
    for finding in &findings {
        println!("tidy: {finding}");
    }
    Err(format!("{} findings", findings.len()))
}

/// Crate arrows, from what cargo says the workspace is.
fn arrows() -> Result<Vec<String>, String> {
    let text = output("cargo", &["metadata", "--format-version", "1", "--no-deps", "--locked"])?;
    let metadata: Value =
        serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))?;
    let empty = Vec::new();
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let packages = metadata.get("packages").and_then(Value::as_array).unwrap_or(&empty);
    let text_of = |value: &Value, key: &str| {
        value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let mut findings = Vec::new();
    for package in packages {
        let name = text_of(package, "name");
        let Some((_, allowed)) = ARROWS.iter().find(|(known, _)| *known == name) else {
            findings.push(format!("crate `{name}` is not in xtask/src/arrows.rs"));
            continue;
        };
        for dependency in package.get("dependencies").map(list).unwrap_or_default() {
            let to = text_of(&dependency, "name");
            let ours = ARROWS.iter().any(|(known, _)| *known == to);
            let for_tests = text_of(&dependency, "kind") == "dev";
            let fits = allowed.contains(&to.as_str())
                || (for_tests && (TESTS_ONLY.contains(&to.as_str()) || to == name));
            if ours && !fits {
                findings.push(format!("`{name}` must not use `{to}`; an arrow needs an ADR"));
            }
        }
    }
    Ok(findings)
}

fn sources() -> Result<Vec<PathBuf>, String> {
    let listed =
        output("git", &["ls-files", "--cached", "--others", "--exclude-standard", "*.rs"])?;
    Ok(listed.lines().map(PathBuf::from).filter(|file| top().join(file).is_file()).collect())
}

fn is_test(file: &Path) -> bool {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name == "tests.rs"
        || name.ends_with("_tests.rs")
        || file.components().any(|part| {
            part.as_os_str() == "tests"
                || part.as_os_str() == "fuzz"
                || part.as_os_str() == "examples"
        })
}

fn size(file: &Path, text: &str) -> Option<String> {
    let lines = text.lines().count();
    (lines > FILE_LINES_MAX && !is_test(file))
        .then(|| format!("{} has {lines} lines, more than {FILE_LINES_MAX}", file.display()))
}

fn leftovers(file: &Path, text: &str) -> Vec<String> {
    let hit = |line: &str| LEFTOVERS.iter().find(|word| line.contains(**word)).copied();
    text.lines()
        .enumerate()
        .filter_map(|(at, line)| hit(line).map(|word| (at, word)))
        .map(|(at, word)| format!("{}:{}: leftover `{word}`", file.display(), at + 1))
        .collect()
}

/// Each module says first what it is.
fn first_sentence(file: &Path, text: &str) -> Option<String> {
    let first = text.lines().next().unwrap_or_default();
    (!first.starts_with("//!") && !is_test(file))
        .then(|| format!("{} does not say first what it is (`//! ...`)", file.display()))
}

/// Where `unsafe` may stand: the kernel's interface, and the library that is loaded into programs.
const ISLANDS: [&str; 2] = ["crates/ringfence-sandbox/src/sys", "crates/ringfence-preload/src"];

/// `unsafe` lives on two islands.
fn unsafe_place(file: &Path, text: &str) -> Option<String> {
    let island = ISLANDS.iter().any(|island| file.starts_with(island));
    let opens = text.lines().any(|line| {
        let code = line.split("//").next().unwrap_or_default();
        UNSAFE.iter().any(|opening| code.contains(opening))
    });
    (opens && !island && !is_test(file))
        .then(|| format!("{} holds `unsafe` outside {}", file.display(), ISLANDS.join(" and ")))
}

/// Files that no `mod` line, `#[path]` or `include!` names.
fn orphans(sources: &[PathBuf]) -> Vec<String> {
    let mut named = BTreeSet::new();
    for file in sources {
        let Ok(text) = std::fs::read_to_string(top().join(file)) else { continue };
        for line in text.lines() {
            let line = line.trim();
            let path =
                line.strip_prefix("#[path = \"").and_then(|rest| rest.strip_suffix(".rs\"]"));
            if let Some(path) = path {
                named.insert(path.rsplit('/').next().unwrap_or(path).to_owned());
            }
            let stripped = line.trim_start_matches("pub(crate) ").trim_start_matches("pub ");
            if let Some(rest) = stripped.strip_prefix("mod ") {
                named.insert(rest.trim_end_matches([';', '{', ' ']).to_owned());
            }
        }
    }
    sources
        .iter()
        .filter(|file| {
            let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            let dir = file.parent().and_then(Path::file_name).and_then(|dir| dir.to_str());
            let module = if stem == "mod" { dir.unwrap_or_default() } else { stem };
            let root = ["lib", "main", "build"].contains(&stem)
                || matches!(dir, Some("examples" | "bin" | "benches" | "fuzz_targets"));
            !root && !named.contains(module)
        })
        .map(|file| format!("{} is included by nothing", file.display()))
        .collect()
}
