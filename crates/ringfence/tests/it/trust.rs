//! `trust` and `untrust`: a project's policy counts only as it was read by a person.

use expect_test::expect;

use crate::home::Home;
use crate::person::{Person, Who, text};

const PERMIT: &str =
    "permit (principal, action == Action::\"fs.read\", resource in Dir::\"/srv\");\n";

#[test]
fn in_a_home_nobody_is_sent_to_init_there() {
    let home = Home::new();
    for command in ["run -- true", "trust", "doctor"] {
        let words: Vec<&str> = command.split(' ').collect();
        let output = home.command(&words).current_dir(home.path("")).output().unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        let sent = ["change to a project and run", "cd PROJECT && ringfence init"];
        assert!(sent.iter().any(|sent| text.contains(sent)), "{command}: {text}");
    }
}

#[test]
fn a_project_is_shown_before_it_is_trusted() {
    let home = Home::new();
    home.write("project/.ringfence/policy.cedar", PERMIT);
    expect![[r#"
        $ ringfence policy check
        ! hint: to check the project's policy as it is now, run `ringfence policy check .ringfence/policy.cedar`
        ! error: `HOME/project` has a policy, but you have not trusted it
        ! hint: to look at it and trust it as it is now, run `ringfence trust`
        [2]
        $ ringfence trust
        ! not trusted so far: HOME/project
        ! --- trusted .ringfence/policy.cedar
        ! +++ now .ringfence/policy.cedar
        ! @@ -0,0 +1 @@
        ! +permit (principal, action == Action::"fs.read", resource in Dir::"/srv");
        ! error: this needs an answer, and there is no terminal to ask on
        !   the question: trust this policy as it is now? [y/N]
        ! hint: to trust what is shown above, run `ringfence trust --yes`
        [2]
        $ ringfence trust --yes
        ! not trusted so far: HOME/project
        ! --- trusted .ringfence/policy.cedar
        ! +++ now .ringfence/policy.cedar
        ! @@ -0,0 +1 @@
        ! +permit (principal, action == Action::"fs.read", resource in Dir::"/srv");
        ! trusted: HOME/project
        ! hint: to start an agent under it, run `ringfence run -- CMD`
        [0]
        $ ringfence trust
        ! already trusted: HOME/project
        [0]
        $ ringfence policy check
        ok  project  .ringfence/policy.cedar  sha256 DIGEST
        ok  built in  sha256 DIGEST
        [0]
    "#]]
    .assert_eq(&home.session(&[
        &["policy", "check"],
        &["trust"],
        &["trust", "--yes"],
        &["trust"],
        &["policy", "check"],
    ]));
}

#[test]
fn a_change_after_trust_takes_the_permits_away() {
    let home = Home::with_policy(PERMIT);
    home.write(
        "project/.ringfence/policy.cedar",
        &format!("{PERMIT}permit (principal, action, resource);\n"),
    );
    let request = r#"{"agent":"b","action":"fs.read","resource":"/etc/passwd"}"#;
    let text = home.run_with(&["decide"], request);
    assert!(text.ends_with("[2]\n") && !text.contains("\"permit\""), "{text}");
    expect![[r#"
        $ ringfence policy check
        ! hint: to check the project's policy as it is now, run `ringfence policy check .ringfence/policy.cedar`
        ! error: the policy of `HOME/project` changed since you trusted it
        ! hint: to look at it and trust it as it is now, run `ringfence trust`
        [2]
        $ ringfence trust
        ! changed since it was trusted: HOME/project
        ! --- trusted .ringfence/policy.cedar
        ! +++ now .ringfence/policy.cedar
        ! @@ -1 +1,2 @@
        !  permit (principal, action == Action::"fs.read", resource in Dir::"/srv");
        ! +permit (principal, action, resource);
        ! error: this needs an answer, and there is no terminal to ask on
        !   the question: trust this policy as it is now? [y/N]
        ! hint: to trust what is shown above, run `ringfence trust --yes`
        [2]
    "#]]
    .assert_eq(&home.session(&[&["policy", "check"], &["trust"]]));
}

#[test]
fn a_project_can_be_forgotten() {
    let home = Home::with_policy(PERMIT);
    expect![[r#"
        $ ringfence untrust
        ! no longer trusted: HOME/project
        ! its permits count for nothing in sessions that start from now on, its forbids still hold
        [0]
        $ ringfence untrust
        ! was not trusted: HOME/project
        [0]
    "#]]
    .assert_eq(&home.session(&[&["untrust"], &["untrust"]]));
    assert!(home.run(&["policy", "check"]).ends_with("[2]\n"));
}

#[test]
fn a_policy_that_does_not_load_is_not_trusted() {
    let home = Home::new();
    home.write("project/.ringfence/policy.cedar", "permit (principal, action, nothing);\n");
    let text = home.run(&["trust", "--yes"]);
    assert!(text.ends_with("[1]\n"), "{text}");
}

#[test]
fn hidden_text_is_shown_before_it_is_trusted() {
    let home = Home::new();
    home.write("project/.ringfence/policy.cedar", &format!("// \u{202e}harmless\n{PERMIT}"));
    let text = home.run(&["trust"]);
    assert!(text.contains("\\u{202e}harmless"), "{text}");
}

#[test]
fn nothing_is_trusted_or_granted_from_inside_a_world() {
    let home = Home::with_policy(PERMIT);
    for words in [
        &["trust", "--yes"][..],
        &["untrust"],
        &["grant", "net:a.example:443", "--always", "--yes"],
        &["grants", "revoke", "g-1"],
        &["policy", "edit"],
        &["policy", "reload"],
        &["init", "--force"],
    ] {
        let output = home.command(words).env("RINGFENCE_DENIALS", "/x").output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{words:?}");
    }
}

/// A project with a clone in it that brings a policy of its own; both are trusted.
fn with_a_clone(who: Who, outer: &str) -> Person {
    let person = Person::new(who);
    let project = person.project().display().to_string();
    let all = "permit (principal, action in Action::\"fs\", resource in Dir::\"PROJECT/clone\");\n";
    let inner = format!("permit (principal, action == Action::\"exec\", resource);\n{all}");
    person.write(".ringfence/policy.cedar", &outer.replace("PROJECT", &project));
    person.write("clone/.ringfence/policy.cedar", &inner.replace("PROJECT", &project));
    for dir in [".", "clone"] {
        person.succeed(&["trust", "--yes", dir]);
    }
    person
}

#[test]
fn what_a_project_forbids_holds_in_a_clone_with_a_policy_of_its_own() {
    let keys = "@id(\"keys\") forbid (principal, action in Action::\"fs\", resource == Path::\"PROJECT/clone/keys\");\n";
    let script = "cd clone && echo a > plain && echo b > keys";
    for who in Who::all() {
        let within = |person: &Person, words: &[&str]| {
            person.ringfence(words).current_dir(person.project().join("clone")).output().unwrap()
        };
        // Without that rule it works.
        let free = with_a_clone(who, "");
        let run = ["run", "--", "sh", "-ec", &script.replace("cd clone && ", "")];
        let output = within(&free, &run);
        assert!(output.status.success(), "{}", text(&output));

        let held = with_a_clone(who, keys);
        let output = within(&held, &run);
        assert!(!output.status.success(), "{}", text(&output));
        assert!(held.project().join("clone/plain").exists());
        assert!(!held.project().join("clone/keys").exists());
        let why = held.succeed(&["log", "show", "--json"]);
        let rule = r#""set":"outer-project","file":"~/project/.ringfence/policy.cedar","line":1,"id":"keys""#;
        assert!(why.contains(rule), "{why}");

        // What it forbade when it was trusted cannot have gone away unseen.
        held.write(".ringfence/policy.cedar", "");
        let output = within(&held, &run);
        assert_eq!(output.status.code(), Some(125), "{}", text(&output));
        let hint = format!("run `ringfence trust {}`", held.project().display());
        assert!(text(&output).contains(&hint), "{}", text(&output));
    }
}
