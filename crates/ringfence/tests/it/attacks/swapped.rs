//! Changes to files whose path is another by the time they are made, and links in place of
//! directories: a forbidden place that does not exist is no mount, so that only the gate holds it.

use std::fmt::Write as _;

use super::stage::{Side, Stage, everybody, is_long, text};

const POLICY: &str = r#"
@id("programs")
permit (principal, action == Action::"exec", resource);
@id("project")
permit (principal, action in Action::"fs", resource in Dir::"HOME/project");
@id("ours")
forbid (principal, action in [Action::"fs.write", Action::"fs.delete"],
        resource == Path::"HOME/project/data/ours");
@id("deploy")
forbid (principal, action in [Action::"fs.write", Action::"fs.delete"],
        resource in Dir::"HOME/project/ci/deploy");
"#;

const WORDS: &[&str] =
    &["swap-open", "swap-rename", "swap-link", "swap-symlink", "swap-mkdir", "swap-mknod"];

/// How often each is tried; outside the first try that wins is enough, and comes soon.
fn tries(side: Side) -> u32 {
    match side {
        Side::Outside => 5_000_000,
        Side::Inside if is_long() => 10_000,
        Side::Inside => 1_000,
    }
}

/// Makes all swaps towards this path; the codes they ended with.
fn swap(who: super::stage::Who, side: Side, path: &str) -> (Stage, Vec<i32>, String) {
    let stage = Stage::new(who, POLICY);
    stage.copy_attacks("project/attacks");
    stage.write("project/data/keep", "");
    let mut script = String::new();
    for word in WORDS {
        let swap = format!("./attacks {word} {path}={} >&2; echo \"= $?\"", tries(side));
        writeln!(script, "{swap}; rm -rf {path}").unwrap();
    }
    let said = text(&stage.script(side, &script));
    let codes = said.lines().filter_map(|line| line.strip_prefix("= ")?.parse().ok()).collect();
    (stage, codes, said)
}

#[test]
fn a_path_swapped_while_a_change_is_decided_makes_nothing_forbidden() {
    for who in everybody() {
        for path in [".envrc", "data/ours"] {
            let (_, outside, said) = swap(who, Side::Outside, path);
            assert_eq!(outside, [0; 6], "{who:?}: {path}: {said}");
            let (stage, inside, said) = swap(who, Side::Inside, path);
            assert_eq!(inside, [1; 6], "{who:?}: {path}: {said}");
            assert!(!stage.has(&format!("project/{path}")), "{who:?}: {path}");
        }
    }
}

/// A file next to the one that is asked about may be read, and nobody is there to be asked.
#[test]
fn a_path_swapped_while_a_read_is_looked_at_reads_nothing_that_is_asked_about() {
    let policy = format!(
        "{POLICY}
        @id(\"ask\") forbid (principal, action in Action::\"fs\",
            resource == Path::\"HOME/project/data/key\")
        unless {{ context.approvals.contains(\"owner\") }};"
    );
    for who in everybody() {
        let swap = |side| {
            let stage = Stage::new(who, &policy);
            stage.copy_attacks("project/attacks");
            stage.write("project/data/key", "secret");
            stage.write("project/data/ke~", "public");
            let script = format!("./attacks swap-read data/key={} >&2; echo \"= $?\"", tries(side));
            text(&stage.script(side, &script))
        };
        let outside = swap(Side::Outside);
        assert!(outside.contains("= 0"), "{who:?}: {outside}");
        let inside = swap(Side::Inside);
        assert!(inside.contains("= 1"), "{who:?}: {inside}");
        assert!(!inside.contains(" 0 asked"), "{who:?}: {inside}");
    }
}

/// What comes to be there later would lie at a path that no rule knows.
#[test]
fn a_directory_above_a_forbidden_place_is_not_moved_away() {
    for who in everybody() {
        let moved = |side| {
            let stage = Stage::new(who, POLICY);
            stage.write("project/data/keep", "");
            stage.write("project/other/keep", "");
            text(&stage.script(side, "mv data moved; mv other elsewhere; ls -d moved elsewhere"))
        };
        let outside = moved(Side::Outside);
        assert!(outside.contains("moved\n"), "{who:?}: the oracle: {outside}");
        let inside = moved(Side::Inside);
        assert!(!inside.contains("\nmoved\n"), "{who:?}: {inside}");
        assert!(inside.contains("elsewhere\n"), "{who:?}: {inside}");
    }
}

/// The path that is decided is one in another directory, and what lies behind it is the same.
#[test]
fn a_link_is_no_way_to_a_forbidden_place() {
    for who in everybody() {
        for (number, link) in [
            "ln -s t ci",
            "ln -s t l; mv -T l ci",
            "ln -s t l; ln -P l ci",
            "mkdir ci; ln -s t l; mv --exchange -T l ci || mv -T l ci",
        ]
        .iter()
        .enumerate()
        {
            let plant = format!("mkdir -p t/deploy; {link}; echo x > t/deploy/x; echo > tried");
            let outside = Stage::new(who, POLICY);
            let said = outside.script(Side::Outside, &plant);
            // Not every `mv` exchanges.
            let possible = outside.has("project/ci/deploy/x");
            assert!(possible || number == 3, "{who:?}: {}", text(&said));
            let stage = Stage::new(who, POLICY);
            let said = stage.script(Side::Inside, &plant);
            assert!(stage.has("project/tried"), "{who:?}: {link}: {}", text(&said));
            assert!(!stage.has("project/ci/deploy/x"), "{who:?}: {link}: {}", text(&said));
        }
    }
}
