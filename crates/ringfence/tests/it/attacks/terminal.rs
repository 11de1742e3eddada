//! Attacks by way of the terminal: typing into it, and asking it to type an answer.

use std::path::Path;

use super::stage::{Stage, everybody, text};

const POLICY: &str = r#"
@id("programs")
permit (principal, action == Action::"exec", resource);
@id("project")
permit (principal, action in Action::"fs", resource in Dir::"HOME/project");
"#;

/// What a terminal answers by typing: its attributes, the cursor's place, its title, its colours,
/// a setting, what was answered to ENQ, a capability, the clipboard, a checksum.
const REPORTS: &[(&str, &str)] = &[
    ("attributes", "\\033[c"),
    ("secondary attributes", "\\033[>c"),
    ("cursor", "\\033[6n"),
    ("status", "\\033[5n"),
    ("title", "\\033[21t"),
    ("size", "\\033[18t"),
    ("colour", "\\033]10;?\\007"),
    ("palette", "\\033]4;1;?\\033\\\\"),
    ("setting", "\\033P$qm\\033\\\\"),
    ("capability", "\\033P+q544e\\033\\\\"),
    ("clipboard", "\\033]52;c;?\\007"),
    ("enquiry", "\\005"),
    ("mode", "\\033[?25$p"),
    ("identify", "\\033Z"),
    ("eight-bit cursor", "\\302\\2336n"),
];

/// What reaches the terminal when `words` run on one: script(1) is the terminal.
fn on_terminal(stage: &Stage, line: &str) -> Vec<u8> {
    let words = ["-qec", line, "/dev/null"];
    let output = stage.command(Path::new("/usr/bin/script"), &words).output().unwrap();
    assert!(output.status.code().is_some(), "{}", text(&output));
    output.stdout
}

fn bytes(escaped: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = escaped.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        match (first, tail) {
            (b'\\', [b'\\', after @ ..]) => {
                bytes.push(b'\\');
                rest = after;
            }
            (b'\\', [a, b, c, after @ ..]) => {
                bytes.push((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'));
                rest = after;
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    bytes
}

#[test]
fn nothing_an_agent_prints_makes_the_terminal_type_an_answer() {
    for who in everybody() {
        let stage = Stage::new(who, POLICY);
        let mut script = String::new();
        for (name, report) in REPORTS {
            script.push_str(&format!("printf '<{name}:{report}>'\n"));
        }
        // In two pieces, so that no single write holds the whole of it.
        script.push_str("printf '<split:\\033['; sleep 0.1; printf '6n>'\n");
        stage.write("project/reports.sh", &script);
        let ringfence = stage.ringfence();
        let outside = on_terminal(&stage, "sh ./reports.sh");
        let inside =
            on_terminal(&stage, &format!("{} run -- sh ./reports.sh", ringfence.display()));
        let contains = |all: &[u8], part: &[u8]| all.windows(part.len()).any(|it| it == part);
        for (name, report) in REPORTS.iter().chain(&[("split", "\\033[6n")]) {
            let report = bytes(report);
            assert!(contains(&outside, &report), "{who:?}: outside, `{name}` arrives");
            assert!(!contains(&inside, &report), "{who:?}: inside, `{name}` arrives");
            let label = format!("<{name}:");
            assert!(contains(&inside, label.as_bytes()), "{who:?}: `{name}` was printed");
        }
    }
}

#[test]
fn an_agent_cannot_type_into_the_terminal() {
    for who in everybody() {
        let stage = Stage::new(who, POLICY);
        stage.copy_attacks("project/attacks");
        let ringfence = stage.ringfence();
        let outside = on_terminal(&stage, "./attacks tiocsti; echo \"= $?\"");
        let inside = on_terminal(
            &stage,
            &format!("{} run -- ./attacks tiocsti; echo \"= $?\"", ringfence.display()),
        );
        let (outside, inside) =
            (String::from_utf8_lossy(&outside), String::from_utf8_lossy(&inside));
        // Since Linux 6.2 the machine may refuse it to everybody but root.
        if outside.contains("= 1") {
            println!("{who:?}: not possible outside either");
            assert_ne!(who, super::Who::Root, "{outside}");
        } else {
            assert!(outside.contains("= 0"), "{who:?}: {outside}");
        }
        assert!(inside.contains("= 1"), "{who:?}: {inside}");
    }
}
