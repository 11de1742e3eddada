//! `policy check|test|plan|show`.

use expect_test::expect;

use crate::home::Home;
use crate::person::{Person, Who, text};

/// A small policy with a permit, a forbid that asks, and a wall.
pub(crate) const POLICY: &str = r#"@id("project")
permit (principal, action == Action::"fs.read", resource in Dir::"/srv/app");
@id("api")
permit (principal, action == Action::"net.connect", resource == Endpoint::"api.example.com:443");
@id("programs")
permit (principal, action == Action::"exec", resource);
@id("no-push") @reason("pushes are made by people")
forbid (principal, action == Action::"exec", resource == Program::"/usr/bin/git")
when { context has subcommand && context.subcommand == "push" }
unless { context.approvals.contains("owner") };
"#;

#[test]
fn a_policy_that_is_wrong_is_refused_with_place_and_hint() {
    let home = Home::new();
    home.write(
        "project/bad.cedar",
        "@id(\"x\")\npermit (principal, action == Action::\"fs.wirte\", resource);\n\
         \tpermit (principal, action == Action::\"exec\", resource) when { context.argvv == \"\" };\n",
    );
    expect![[r#"
        $ ringfence policy check bad.cedar
        ! error: unknown action `fs.wirte`
        !   --> bad.cedar:2:30
        !   |
        ! 2 | permit (principal, action == Action::"fs.wirte", resource);
        !   |                              ^^^^^^^^^^^^^^^^^^
        ! hint: did you mean `fs.write`?
        ! error: unknown attribute `argvv` in context for Action::"exec"
        !   --> bad.cedar:3:64
        !   |
        ! 3 |     permit (principal, action == Action::"exec", resource) when { context.argvv == "" };
        !   |                                                                   ^^^^^^^^^^^^^
        ! hint: did you mean `argv`? there are `argv`, `subcommand`, `flags`, `cwd`, `opaque`, `clock`, `approvals`, `approver_count`, `session`
        [1]
    "#]].assert_eq(&home.run(&["policy", "check", "bad.cedar"]));
}

#[test]
fn a_long_line_is_quoted_around_what_is_meant() {
    let home = Home::new();
    let long = "context.argv == \"x\" || ".repeat(12);
    let rule = "permit (principal, action == Action::\"exec\", resource) when { ";
    home.write(
        "project/bad.cedar",
        &format!("{rule}{long}context.argvv == \"\" || {long}true }};\n"),
    );
    let text = home.run(&["policy", "check", "bad.cedar"]);
    let lines: Vec<&str> = text.lines().collect();
    let at = lines.iter().position(|line| line.contains('^')).unwrap();
    let (quoted, carets) = (lines[at - 1], lines[at]);
    let meant: String = quoted
        .chars()
        .zip(carets.chars())
        .filter_map(|(letter, mark)| (mark == '^').then_some(letter))
        .collect();
    assert_eq!(meant, "context.argvv", "{text}");
    assert!(quoted.contains("| ...") && quoted.ends_with("..."), "{text}");
    assert!(quoted.chars().count() < 120, "{text}");
}

#[test]
fn a_rule_that_can_never_match_is_warned_of() {
    let home = Home::new();
    home.write(
        "project/vain.cedar",
        "@id(\"api\")\npermit (principal, action == Action::\"net.request\", resource in Domain::\"a.example\")\n\
         when { context.method == \"get\" };\n\
         @id(\"dir\")\npermit (principal, action == Action::\"fs.write\", resource == Dir::\"/srv\");\n",
    );
    let text = home.run(&["policy", "check", "vain.cedar"]);
    let api = "vain.cedar:1 `api`: `context.method` is never `\"get\"`: methods are in capital \
               letters; write `\"GET\"`\n";
    assert!(text.contains(api), "{text}");
    assert!(
        text.contains("write `resource in Dir::\"/srv\"`\n") && text.contains("ok  "),
        "{text}"
    );
    let (checked, _) = home.json(&["policy", "check", "vain.cedar", "--json"]);
    assert_eq!(checked["warnings"].as_array().unwrap().len(), 2, "{checked}");
    crate::schemas::conforms(&checked, "policy-check.schema.json");
}

#[test]
fn the_text_of_a_policy_cannot_drive_the_terminal() {
    let home = Home::new();
    home.write("project/bad.cedar", "permit (principal, action, resource \u{1b}[2J\u{202e});\n");
    let text = home.run(&["policy", "check", "bad.cedar"]);
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text}");
    assert!(text.ends_with("[1]\n"), "{text}");
}

#[test]
fn a_policy_that_cannot_be_read_is_no_answer() {
    let home = Home::new();
    expect![[r#"
        $ ringfence policy check missing.cedar
        ! error: no policy file `missing.cedar`
        [2]
    "#]]
    .assert_eq(&home.run(&["policy", "check", "missing.cedar"]));
}

#[test]
fn without_a_policy_init_is_named() {
    let home = Home::new();
    expect![[r#"
        $ ringfence policy check
        ! error: no policy: neither you nor `HOME/project` has one, so nothing is allowed
        ! hint: to write one for this project, run `ringfence init`
        [2]
        $ ringfence policy plan
        ! error: no policy: neither you nor `HOME/project` has one, so nothing is allowed
        ! hint: to write one for this project, run `ringfence init`
        [2]
        $ ringfence policy edit
        ! error: `HOME/project` has no .ringfence/policy.cedar
        ! hint: to write one, run `ringfence init` in HOME/project
        [2]
    "#]]
    .assert_eq(&home.session(&[&["policy", "check"], &["policy", "plan"], &["policy", "edit"]]));
}

#[test]
fn a_table_of_cases_is_compared_case_by_case() {
    let home = Home::with_policy(POLICY);
    home.write(
        "project/cases.toml",
        r#"[[case]]
name = "a push asks"
action = "exec"
resource = "/usr/bin/git"
argv = ["git", "push"]
expect = "ask"
because = "no-push"

[[case]]
name = "strangers are reached"
action = "net.connect"
resource = "api.stripe.com:443"
expect = "permit"
"#,
    );
    expect![[r#"
        $ ringfence policy test cases.toml
        ok      a push asks
        FAILED  strangers are reached
                expected permit, got deny because no permit matches
                got deny: no permit matches; nearest: .ringfence/policy.cedar:3 `api` (host differs: it permits `api.example.com:443`)
        1 passed, 1 failed
        ! warning: no case hits .ringfence/policy.cedar:1 `project`
        ! warning: no case hits .ringfence/policy.cedar:3 `api`
        ! warning: no case hits .ringfence/policy.cedar:5 `programs`
        [1]
    "#]].assert_eq(&home.run(&["policy", "test", "cases.toml"]));
}

#[test]
fn a_table_that_is_wrong_is_refused() {
    let home = Home::with_policy(POLICY);
    home.write("project/cases.toml", "[[case]]\nname = \"x\"\nexpected = \"permit\"\n");
    let text = home.run(&["policy", "test", "cases.toml"]);
    assert!(text.contains("unknown field `expected`") && text.ends_with("[1]\n"), "{text}");
}

#[test]
fn the_plan_says_what_exists_and_what_is_decided() {
    let home = Home::with_policy(POLICY);
    let text = home.run(&["policy", "plan"]);
    let (plan, _) = text.split_once("runtime base").unwrap();
    expect![[r#"
        $ ringfence policy plan
        files: mounts, without cost while the agent runs
          read  /srv/app  .ringfence/policy.cedar:1 `project`
          every other path does not exist for the agent

        exec: decided act by act and verified at the start, some microseconds each
          forbid  Program::"/usr/bin/git"  (.ringfence/policy.cedar:7 `no-push`, asks)
                  when { (context has subcommand) && (context.subcommand == "push") }
                  unless { context.approvals.contains("owner") }
          permit  anything  (.ringfence/policy.cedar:5 `programs`)
          forbid  5 built-in rules that nothing lifts: `--json` names them

        fs.read: held by the kernel, costs nothing
          permit  Dir::"/srv/app"  (.ringfence/policy.cedar:1 `project`)
          forbid  5 built-in rules that nothing lifts: `--json` names them

        fs.write: decided act by act, some microseconds each
          no permit: always denied
          forbid  21 built-in rules that nothing lifts: `--json` names them

        fs.delete: decided act by act, some microseconds each
          no permit: always denied
          forbid  21 built-in rules that nothing lifts: `--json` names them

        net.connect: decided act by act, some microseconds each
          permit  Endpoint::"api.example.com:443"  (.ringfence/policy.cedar:3 `api`)
          forbid  5 built-in rules that nothing lifts: `--json` names them

        net.request: decided act by act, some microseconds each
          no permit: always denied
          forbid  5 built-in rules that nothing lifts: `--json` names them

        secret.use: decided act by act, some microseconds each
          no permit: always denied
          forbid  5 built-in rules that nothing lifts: `--json` names them

        tool.call: decided act by act, some microseconds each
          no permit: always denied
          forbid  5 built-in rules that nothing lifts: `--json` names them

    "#]]
    .assert_eq(plan);
}

#[test]
fn json_has_a_schema_version() {
    let home = Home::with_policy(POLICY);
    home.record_session();
    for words in [
        &["policy", "check", "--json"][..],
        &["policy", "plan", "--json"],
        &["policy", "show", "--json"],
        &["show", "--json"],
        &["sessions", "--json"],
        &["explain", "8", "--json"],
        &["log", "verify", "sabcdefgh", "--json"],
        &["doctor", "--json"],
    ] {
        let (json, _) = home.json(words);
        assert_eq!(json["schema"], 1, "{words:?}: {json}");
    }
}

#[test]
fn an_edit_that_is_wrong_leaves_the_policy_in_force() {
    let home = Home::with_policy(POLICY);
    home.write("editor", "#!/bin/sh\necho 'permit (principal, action, nothing);' > \"$1\"\n");
    let editor = format!("/bin/sh {}", home.path("editor").display());
    let status = home.command(&["policy", "edit"]).env("EDITOR", editor).output().unwrap();
    assert_eq!(status.status.code(), Some(2));
    let kept = std::fs::read_to_string(home.path("project/.ringfence/policy.cedar")).unwrap();
    assert_eq!(kept, POLICY);
    assert!(home.run(&["policy", "check"]).ends_with("[0]\n"));
}

#[test]
fn what_a_person_saved_is_trusted_again() {
    let home = Home::with_policy(POLICY);
    home.write("editor", "#!/bin/sh\necho '// by hand' >> \"$1\"\n");
    let editor = format!("/bin/sh {}", home.path("editor").display());
    let status = home.command(&["policy", "edit"]).env("EDITOR", editor).output().unwrap();
    assert_eq!(status.status.code(), Some(0));
    let text = home.run(&["trust"]);
    assert!(text.contains("already trusted") && text.ends_with("[0]\n"), "{text}");
}

#[test]
fn a_role_that_no_settings_declare_is_warned_of() {
    let home = Home::with_policy(
        r#"@id("two") forbid (principal, action == Action::"exec", resource == Program::"/usr/bin/git")
unless { context.approvals.containsAll(["owner", "oncal"]) };
"#,
    );
    home.write("project/.ringfence/settings.toml", "roles = [\"owner\", \"oncall\"]\n");
    home.write("cases.toml", "");
    home.run(&["trust", "--yes"]);
    let cases = home.path("cases.toml");
    for command in [["policy", "check"].as_slice(), &["policy", "test", cases.to_str().unwrap()]] {
        let said = home.run(command);
        let warned =
            "! warning: .ringfence/policy.cedar:1 `two`: no settings declare the role `oncal`";
        assert!(said.contains(warned), "{said}");
        assert!(!said.contains("`owner`"), "{said}");
    }
}

#[test]
fn the_plan_says_which_forbidden_places_no_mount_holds() {
    let home = Home::new();
    let project = home.path("project").display().to_string();
    let policy = format!(
        r#"@id("p") permit (principal, action in Action::"fs", resource in Dir::"{project}");
@id("there") forbid (principal, action == Action::"fs.write", resource in Dir::"{project}/there");
@id("gone") forbid (principal, action == Action::"fs.write", resource in Dir::"{project}/gone");
"#
    );
    home.write("project/.ringfence/policy.cedar", &policy);
    home.write("project/there/x", "");
    home.run(&["trust", "--yes"]);
    let said = home.run(&["policy", "plan"]);
    let line = "make it, and it is a wall\n    HOME/project/gone\n\n";
    assert!(said.contains(line), "{said}");
    assert_eq!(said.matches("held by the gate only").count(), 1, "{said}");
}

#[test]
fn off_a_terminal_no_editor_is_left_waiting() {
    let home = Home::with_policy(POLICY);
    let said = home.run(&["policy", "edit"]);
    assert!(said.contains("! error: there is no terminal to edit on\n"), "{said}");
    assert!(said.ends_with("[2]\n"), "{said}");
}

#[test]
fn a_rule_on_what_each_world_has_of_its_own_is_warned_of() {
    let person = Person::new(Who::Caller);
    for (place, is_named) in [
        ("/proc", true),
        ("/sys/kernel", true),
        ("/dev/null", true),
        ("/dev/shm", false),
        ("/process", false),
    ] {
        let rule = format!(
            "permit (principal, action == Action::\"fs.read\", resource in Dir::\"{place}\");\n"
        );
        person.write("own.cedar", &rule);
        let checked = person.ringfence(&["policy", "check", "own.cedar"]).output().unwrap();
        let said = text(&checked);
        assert_eq!(said.contains("is each world's own"), is_named, "{place}: {said}");
        assert_eq!(checked.status.code(), Some(0), "{said}");
    }
}

#[test]
fn a_session_starts_without_what_each_world_has_of_its_own_and_says_so_once() {
    let person = Person::new(Who::Caller);
    person.succeed(&["init", "--agent", "generic"]);
    let policy = person.project().join(".ringfence/policy.cedar");
    let mut rules = std::fs::read_to_string(&policy).unwrap();
    for place in ["/proc", "/proc/version", "/sys/kernel", "/dev/pts", "/dev/full"] {
        rules.push_str(&format!(
            "permit (principal, action in [Action::\"fs.read\", Action::\"fs.write\"], \
             resource in Dir::\"{place}\");\n"
        ));
    }
    std::fs::write(&policy, rules).unwrap();
    person.succeed(&["trust", "--yes"]);
    // The host's first process is whatever it is; the world's is ours, and few are around it.
    let look = "ls -d /proc/[0-9]* | wc -l; ls /sys | wc -l; ls /dev | wc -l; cat /proc/kcore";
    let ran = person.inside(&format!("{look} || echo refused"));
    let said = text(&ran);
    assert_eq!(ran.status.code(), Some(0), "{said}");
    let told = String::from_utf8_lossy(&ran.stdout);
    let counts: Vec<&str> = told.lines().collect();
    assert!(counts.len() == 4 && counts[3] == "refused", "{said}");
    assert!(counts[0].trim().parse::<u32>().unwrap() < 10, "{said}");
    assert_eq!(counts[1].trim(), "0", "{said}");
    assert!(counts[2].trim().parse::<u32>().unwrap() < 20, "{said}");
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(said.matches("no rule on files shows the host's").count(), 1, "{said}");
    assert!(
        said.contains("`/dev/full`, `/dev/pts`, `/proc`, `/sys/kernel`: each world has its own"),
        "{said}"
    );
}

#[test]
fn on_eighty_columns_no_line_is_wider_than_its_longest_word() {
    let person = Person::new(Who::Caller);
    person.succeed(&["init", "--agent", "generic"]);
    person.inside("echo a rather long command line that has many words in it and does not fit");
    let place = person.project().display().to_string();
    person.succeed(&["grant", &format!("fs.read:{place}"), "--for", "2h", "--yes"]);
    for words in
        [&["policy", "plan"][..], &["sessions"], &["grants", "list"], &["sandbox", "status"]]
    {
        let shown = person.ringfence(words).env("COLUMNS", "80").output().unwrap();
        let shown = String::from_utf8(shown.stdout).unwrap();
        assert!(shown.lines().count() > 2, "{words:?}: {shown}");
        for line in shown.lines().filter(|line| line.chars().count() > 80) {
            assert_eq!(line.split_whitespace().count(), 1, "{words:?}: {line}");
        }
    }
}
