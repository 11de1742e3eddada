//! What is traced is held as what is not: the same decisions, compared in the same way.

use super::POLICY;
use super::stage::{Side, Stage, everybody, text};

/// Each exec of the attack is one of a further process: enough to win many times without the comparison.
const TRIES: u32 = 300;

#[test]
fn arguments_swapped_while_a_traced_exec_is_decided_run_nothing_forbidden() {
    for who in everybody() {
        for trace in ["--trace=full", "--trace=files"] {
            let stage = Stage::new(who, POLICY);
            let attacks = stage.copy_attacks("project/attacks");
            let on = format!("{}={TRIES}", attacks.display());
            let outside = stage.command(&attacks, &["swap-argv", &on]).output().unwrap();
            assert!(outside.status.success(), "{who:?}: {}", text(&outside));
            assert!(stage.has("project/forbidden"), "{who:?}: {}", text(&outside));
            std::fs::remove_file(stage.project().join("forbidden")).unwrap();
            let words = ["run", trace, "--", "./attacks", "swap-argv", &on];
            let inside = stage.ringfence_command(&words).output().unwrap();
            assert_eq!(inside.status.code(), Some(1), "{who:?} {trace}: {}", text(&inside));
            assert!(!stage.has("project/forbidden"), "{who:?} {trace}: {}", text(&inside));
        }
    }
}

#[test]
fn a_world_that_is_fully_traced_cannot_trace_and_reads_no_more_than_another() {
    for who in everybody() {
        let stage = Stage::new(who, POLICY);
        stage.copy_attacks("project/attacks");
        stage.write("outside/canary", "untouched\n");
        let canary = stage.home().join("outside/canary");
        let script = format!(
            "./attacks ptrace-own '' >&2; echo \"= $?\"; cat {}; echo x > {}; echo ended",
            canary.display(),
            canary.display()
        );
        assert!(text(&stage.script(Side::Outside, &script)).contains("untouched"), "{who:?}");
        stage.write("outside/canary", "untouched\n");
        let words = ["run", "--trace=full", "--", "sh", "-c", &script];
        let inside = stage.ringfence_command(&words).output().unwrap();
        let said = String::from_utf8_lossy(&inside.stdout).into_owned();
        assert_eq!(said, "= 1\nended\n", "{who:?}: {}", text(&inside));
        assert_eq!(stage.read("outside/canary"), "untouched\n", "{who:?}");
    }
}
