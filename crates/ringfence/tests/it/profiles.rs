//! Which system calls a session may make, and from where programs start, as settings and the command line
//! have it.

use std::process::Output;

use serde_json::Value;

use crate::person::{Person, Who};

const POLICY: &str = r#"
permit (principal, action == Action::"exec", resource);
permit (principal, action in Action::"fs", resource in Dir::"PROJECT");
"#;
/// The same, with a rule that looks at arguments.
const ARGUMENTS: &str = r#"
@id("no-push")
forbid (principal, action == Action::"exec", resource)
  when { context.argv like "*--push*" };
"#;

/// Asks to be traced by the parent, and starts a program.
const TRACED: &str = "import ctypes,os,sys\n\
    libc = ctypes.CDLL(None, use_errno=True)\n\
    if libc.ptrace(0, 0, None, None) < 0: sys.exit('no tracing: %d' % ctypes.get_errno())\n\
    try: os.execv('/bin/true', ['true'])\n\
    except OSError as error: sys.exit('no start: %s' % error.strerror)\n";

fn person(who: Who, more: &str, settings: &str) -> Person {
    let person = Person::new(who);
    let policy = POLICY.replace("PROJECT", person.project().to_str().unwrap()) + more;
    person.write(".ringfence/policy.cedar", &policy);
    if !settings.is_empty() {
        person.write(".ringfence/settings.toml", settings);
    }
    person.succeed(&["trust", "--yes"]);
    person
}

fn run(person: &Person, options: &[&str], script: &str) -> Output {
    let words: Vec<&str> =
        ["run"].iter().chain(options).chain(&["--", "/bin/sh", "-c", script]).copied().collect();
    person.ringfence(&words).output().unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// What the last session recorded of its filter.
fn recorded(person: &Person) -> String {
    let shown: Value = serde_json::from_str(&person.succeed(&["show", "--json"])).unwrap();
    shown.to_string()
}

#[test]
fn a_session_records_its_profile_and_a_project_can_only_ask_for_the_strict_one() {
    for who in Who::all() {
        let plain = person(who, "", "");
        for profile in ["strict", "build", "browser"] {
            let output = run(&plain, &["--seccomp", profile], "echo started");
            assert_eq!(out(&output), "started\n", "{profile}: {}", err(&output));
            let recorded = recorded(&plain);
            assert!(recorded.contains(&format!("profile `{profile}`")), "{recorded}");
        }
        assert_eq!(run(&plain, &["--seccomp", "none"], "true").status.code(), Some(125));
        let strict = person(who, "", "[world]\nseccomp = \"strict\"\n");
        assert!(run(&strict, &[], "true").status.success());
        assert!(recorded(&strict).contains("profile `strict`"));
        let output = run(&strict, &["--seccomp", "build"], "echo started");
        assert_eq!((output.status.code(), out(&output)), (Some(125), String::new()));
        assert!(err(&output).contains("leave `--seccomp` out"), "{}", err(&output));
        let loose = Person::new(who);
        loose.write(".ringfence/policy.cedar", POLICY);
        loose.write(".ringfence/settings.toml", "[world]\nseccomp = \"build\"\n");
        let output = loose.ringfence(&["trust", "--yes"]).output().unwrap();
        let output = if output.status.success() { run(&loose, &[], "true") } else { output };
        assert!(err(&output).contains("cannot set `seccomp`"), "{}", err(&output));
    }
}

#[test]
fn what_a_tracer_starts_is_denied_where_arguments_count() {
    for who in Who::all() {
        let script = format!("/usr/bin/python3 -c \"{TRACED}\" && echo ran");
        // Stopped by the trace at its start, it waits for a tracer that has none to give: its end
        // comes with the shell's.
        let refused = person(who, ARGUMENTS, "");
        let output = run(&refused, &["--seccomp", "build"], &script);
        assert!(err(&output).contains("no start: Permission denied"), "{}", err(&output));
        let output = run(&refused, &[], &script);
        assert!(err(&output).contains("no tracing: 1"), "{}", err(&output));
    }
}

#[test]
fn with_noexec_nothing_starts_that_a_world_has_written() {
    for who in Who::all() {
        let script = "cp /bin/true mine; chmod 755 mine; ./mine && echo ran; \
                      printf 'echo read\\n' > script; sh script";
        let with = run(&person(who, "", ""), &[], script);
        assert_eq!(out(&with), "ran\nread\n", "the oracle: {}", err(&with));
        let without = run(&person(who, "", "[world]\nnoexec = true\n"), &[], script);
        assert_eq!(out(&without), "read\n", "{}", err(&without));
        assert!(err(&without).contains("ermission denied"), "{}", err(&without));
        let person = person(who, "", "[world]\nnoexec = true\n");
        person.write("mine", "#!/bin/sh\n");
        assert!(person.outside("chmod 755 mine && ./mine").status.success(), "the oracle");
        let command = person.ringfence(&["run", "--", "./mine"]).output().unwrap();
        assert_eq!(command.status.code(), Some(126), "{}", err(&command));
        let said = err(&command);
        assert!(said.contains("nothing starts from where a world may write"), "{said}");
        assert!(said.contains("noexec = true"), "{said}");
    }
}

#[test]
fn a_browser_builds_its_sandbox_in_the_browser_profile_alone() {
    for who in Who::all() {
        let person = person(who, "", "");
        person.write("page.html", "<h1>a page</h1>");
        let page = person.project().join("page.html");
        let script = format!(
            "chromium --headless --disable-gpu --no-first-run --user-data-dir=/tmp/profile \
             --disable-background-networking --disable-component-update --disable-sync \
             --dump-dom file://{}",
            page.display()
        );
        let with = run(&person, &["--seccomp", "browser"], &script);
        assert!(out(&with).contains("<h1>a page</h1>"), "{}", err(&with));
        let without = run(&person, &[], &script);
        assert_eq!(out(&without), "", "{}", err(&without));
        assert!(err(&without).contains("No usable sandbox"), "{}", err(&without));
    }
}
