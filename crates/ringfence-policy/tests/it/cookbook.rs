//! The recipes of docs/cookbook.md: each passes its cases, and the page shows exactly what passed.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use ringfence_core::SetName;
use ringfence_policy::{Policy, cases};

use crate::support::{load, source};

const PAGE: &str = include_str!("../../../../docs/cookbook.md");

fn dir() -> PathBuf {
    PathBuf::from("examples/cookbook")
}

/// The recipes' names and texts.
fn recipes() -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = fs::read_dir(dir())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "cedar"))
        .map(|path| {
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            (name, fs::read_to_string(&path).unwrap())
        })
        .collect();
    found.sort();
    found
}

/// A ceiling is tested beneath a user who permits everything; anything else stands alone.
fn policy(name: &str, text: &str) -> Policy {
    if name.starts_with("system-") {
        let everything = source(SetName::User, "permit(principal, action, resource);");
        return load(vec![everything, source(SetName::System, text)]);
    }
    load(vec![source(SetName::Project, text)])
}

#[test]
fn every_recipe_passes_its_cases_and_hits_every_rule() {
    assert!(recipes().len() >= 11);
    for (name, text) in recipes() {
        let table = fs::read_to_string(dir().join(format!("{name}.toml"))).unwrap();
        let report = cases::run(&policy(&name, &text), &table).unwrap();
        let wrong: Vec<_> = report.results.iter().filter(|result| result.wrong.is_some()).collect();
        assert!(report.is_complete(), "{name}: {wrong:#?} {:#?}", report.unhit);
        let answers: BTreeSet<&str> =
            table.lines().filter_map(|line| line.strip_prefix("expect = ")).collect();
        assert!(answers.len() > 1, "{name} must also show what is refused");
    }
}

#[test]
fn no_recipe_loses_a_file_permit_that_it_shows() {
    for (name, text) in recipes() {
        let left_out =
            policy(&name, &text).file_plan(&ringfence_core::Agent("agent".to_owned())).left_out;
        // A ceiling permits everything, which is no tree that could be mounted.
        assert!(left_out.is_empty() || name.starts_with("system-"), "{name}: {left_out:#?}");
    }
}

#[test]
fn the_page_shows_each_recipe_as_it_was_tested_and_no_other() {
    for (name, text) in recipes() {
        let block = format!("```cedar\n{text}```\n");
        assert!(PAGE.contains(&block), "docs/cookbook.md does not show {name}.cedar as it is");
        assert!(PAGE.contains(&format!("cookbook/{name}.toml")), "{name}.toml is not linked");
    }
    assert_eq!(PAGE.matches("```cedar\n").count(), recipes().len());
    // What it shows of cases is one that is tested.
    let tables: Vec<String> = recipes()
        .iter()
        .map(|(name, _)| fs::read_to_string(dir().join(format!("{name}.toml"))).unwrap())
        .collect();
    let shown: Vec<&str> = PAGE.split("```toml\n[[case]]\n").skip(1).collect();
    assert!(!shown.is_empty());
    for case in shown {
        let case = case.split("```").next().unwrap();
        assert!(
            tables.iter().any(|table| table.contains(case)),
            "no case is tested that is {case}"
        );
    }
}
