//! `grant` and `grants`: what a person allowed.

use expect_test::expect;
use ringfence_core::AbsolutePath;
use ringfence_runtime::registration::{Description, register};
use ringfence_runtime::state::StateDirs;
use ringfence_runtime::{control, environment::Environment};

use crate::home::Home;
use crate::person::{Person, Who, text};
use crate::policy::POLICY;
use crate::run::each;

#[test]
fn a_grant_holds_until_it_is_revoked() {
    let home = Home::with_policy(POLICY);
    let request = r#"{"agent":"b","action":"net.connect","resource":"api.stripe.com:443"}"#;
    assert!(home.run_with(&["decide"], request).ends_with("[1]\n"));
    let granted = home.run(&["grant", "net:api.stripe.com:443", "--always", "--yes"]);
    assert!(granted.ends_with("[0]\n"), "{granted}");
    assert!(home.run_with(&["decide"], request).ends_with("[0]\n"));

    let list = home.json_lines(&["grants", "list", "--json"]);
    let grant = &list[0];
    for field in ["id", "text", "scope", "author", "created", "expires"] {
        assert!(grant.as_object().unwrap().contains_key(field), "no `{field}`");
    }
    assert_eq!(grant["text"], "net:api.stripe.com:443");
    let id = grant["id"].as_str().unwrap();
    assert!(granted.contains(&format!("ringfence grants revoke {id}")), "{granted}");

    assert!(home.run(&["grants", "revoke", id]).ends_with("[0]\n"));
    assert!(home.run_with(&["decide"], request).ends_with("[1]\n"));
    assert_eq!(home.json_lines(&["grants", "list", "--json"]), serde_json::json!([]));
}

#[test]
fn a_grant_of_a_program_is_for_the_file_it_is_now() {
    let home = Home::with_policy(POLICY);
    let link = home.path("tool");
    std::os::unix::fs::symlink("/usr/bin/env", &link).unwrap();
    let text = format!("exec:{} push", link.display());
    home.run(&["grant", &text, "--always", "--yes"]);
    let list = home.json_lines(&["grants", "list", "--json"]);
    assert_eq!(list[0]["text"], "exec:/usr/bin/env push");
}

#[test]
fn what_is_listed_through_a_pipe_is_whole() {
    let home = Home::with_policy(POLICY);
    let place = home.path(&"long".repeat(30));
    std::fs::create_dir(&place).unwrap();
    let text = format!("fs.read:{}", place.display());
    home.run(&["grant", &text, "--always", "--yes"]);
    let list = home.run(&["grants", "list"]);
    let name = "long".repeat(30);
    assert!(list.contains(&name) && list.contains("HOME/project") && !list.contains('…'), "{list}");
}

#[test]
fn the_same_grant_is_made_once() {
    let home = Home::with_policy(POLICY);
    let first = home.run(&["grant", "net:a.example:443", "--for", "2h", "--yes"]);
    let shorter = home.run(&["grant", "net:a.example:443", "--for", "1h", "--yes"]);
    assert!(shorter.contains("granted already") && shorter.ends_with("[0]\n"), "{shorter}");
    assert!(shorter.contains(&id_of(&first.replace("! ", ""))), "{first}{shorter}");
    let longer = home.run(&["grant", "net:a.example:443", "--always", "--yes"]);
    assert!(!longer.contains("granted already"), "{longer}");
    let again = home.run(&["grant", "net:a.example:443", "--always", "--yes"]);
    assert!(again.contains("granted already"), "{again}");
    let elsewhere = home.run(&["grant", "net:a.example:443", "--always", "--everywhere", "--yes"]);
    assert!(!elsewhere.contains("granted already"), "{elsewhere}");
    assert_eq!(home.json_lines(&["grants", "list", "--json"]).as_array().unwrap().len(), 3);
}

#[test]
fn what_does_not_exist_is_said_to_and_a_tilde_is_the_home() {
    let home = Home::with_policy(POLICY);
    let program = home.run(&["grant", "exec:/no/such", "--always", "--yes"]);
    assert!(program.contains("error: `/no/such` does not exist"), "{program}");
    assert!(program.ends_with("[2]\n"), "{program}");
    home.write("there/x", "");
    let there = home.run(&["grant", "fs.read:~/there", "--always", "--yes"]);
    assert!(there.contains("grant fs.read:HOME/there, ") && !there.contains("exist"), "{there}");
    let missing = home.run(&["grant", "fs.write:~/missing", "--always", "--yes"]);
    assert!(missing.contains("warning: `HOME/missing` does not exist"), "{missing}");
    assert!(missing.ends_with("[0]\n"), "{missing}");
}

#[test]
fn off_a_terminal_nothing_is_granted_without_a_flag() {
    let home = Home::with_policy(POLICY);
    expect![[r#"
        $ ringfence grant net:api.stripe.com:443
        ! error: this needs an answer, and there is no terminal to ask on
        !   the question: where shall it hold?
        !       1  for the running session
        !       2  always, in this project
        !       3  always, everywhere
        !     number, or nothing to stop:
        ! hint: to say where it holds, add `--session`, `--for 2h`, `--always` or `--always --everywhere`
        [2]
        $ ringfence grant net:api.stripe.com:443 --always
        ! grant net:api.stripe.com:443, always in HOME/project
        ! error: this needs an answer, and there is no terminal to ask on
        !   the question: grant this? [y/N]
        ! hint: to grant it without being asked, add `--yes`
        [2]
        $ ringfence grant net:api.stripe.com:443 --session --yes
        ! error: no session is running
        ! hint: to grant it for this project, add `--always` or `--for 2h`
        [2]
        $ ringfence grant net:api.stripe.com:443 --session sabcdefgh --yes
        ! error: there is no session `sabcdefgh`
        ! hint: to see which sessions run, run `ringfence sessions`
        [2]
        $ ringfence grant api.stripe.com --always --yes
        ! error: `api.stripe.com` is not a grant: expected `fs.read:PATH`, `fs.write:PATH`, `net:HOST:PORT`, `net.request:METHOD HOST:PORT/PATH`, `secret:NAME`, `tool:SERVER/TOOL` or `exec:PROGRAM[ SUBCOMMAND]`
        ! hint: a grant looks like `ringfence grant net:api.example.com:443 --session`
        [2]
        $ ringfence grant exec:no-such-program --always --yes
        ! error: no program `no-such-program` was found
        ! hint: a grant looks like `ringfence grant net:api.example.com:443 --session`
        [2]
        $ ringfence grants list
        ! nothing is granted
        [0]
        $ ringfence grants revoke g-none
        ! error: no grant `g-none`
        ! hint: to see all grants, run `ringfence grants list`
        [2]
    "#]].assert_eq(&home.session(&[
        &["grant", "net:api.stripe.com:443"],
        &["grant", "net:api.stripe.com:443", "--always"],
        &["grant", "net:api.stripe.com:443", "--session", "--yes"],
        &["grant", "net:api.stripe.com:443", "--session", "sabcdefgh", "--yes"],
        &["grant", "api.stripe.com", "--always", "--yes"],
        &["grant", "exec:no-such-program", "--always", "--yes"],
        &["grants", "list"],
        &["grants", "revoke", "g-none"],
    ]));
}

#[test]
fn a_grant_for_a_time_says_when_it_ends() {
    let home = Home::with_policy(POLICY);
    let text = home.run(&["grant", "fs.read:/srv", "--for", "2h", "--yes"]);
    assert!(text.contains("for 2h00m, in HOME/project"), "{text}");
    let list = home.json_lines(&["grants", "list", "--json"]);
    let expires = list[0]["expires"].as_str().unwrap();
    // The table has no milliseconds.
    let until = expires.replace('T', " ");
    let until = until.split_once('.').map_or(until.trim_end_matches('Z'), |(until, _)| until);
    let said = home.run(&["grants", "list"]);
    assert!(said.contains(&format!("{until} UTC, in 1h59m")), "{until}: {said}");
    assert!(!said.contains("always"), "{said}");
}

#[test]
fn what_a_running_session_cannot_be_given_is_not_said_to_be_in_force_nor_to_have_been_there() {
    each(crate::run::POLICY, |person| {
        person.home.write("shared/x", "");
        person.own();
        let (mut child, session) = person.start("sleep 1000");
        let project = person.home.path("project");
        let hooks = project.join(".vscode");
        let shared = person.home.path("shared");
        for (grant, said) in [
            ("fs.read:/etc/shadow".to_owned(), "/etc/shadow` lies outside"),
            (format!("fs.write:{}", hooks.display()), "by the rule built in"),
            (format!("fs.read:{}/missing", shared.display()), "No such file"),
        ] {
            let words = ["grant", &grant, "--session", session.as_str(), "--yes"];
            let granted = person.ringfence(&words);
            let not = format!("not in force in this session: {grant}");
            assert!(granted.err.contains(&not) && granted.err.contains(said), "{granted}");
            let revoked = person.ringfence(&["grants", "revoke", &id_of(&granted.err)]);
            assert!(revoked.err.contains(&format!("revoked: {grant}")), "{revoked}");
            assert!(!revoked.err.contains("was there from the start"), "{revoked}");
        }
        let grant = format!("fs.read:{}", shared.display());
        let granted = person.ringfence(&["grant", &grant, "--session", "--yes"]);
        assert!(granted.err.contains(&format!("\n  in force: {grant}")), "{granted}");
        control::ask(&person.runtime(), &session, &control::Command::Kill).unwrap();
        child.wait().unwrap();
    });
}

#[test]
fn grants_that_overlap_leave_nothing_when_all_are_revoked() {
    each(crate::run::POLICY, |person| {
        for dir in ["one", "two", "three"] {
            person.home.write(&format!("shared/{dir}/sub/f"), "text");
        }
        person.own();
        let shared = person.home.path("shared");
        let log = person.home.path("project/seen");
        let script = format!(
            "while sleep 0.05; do for d in one two three; do cat {0}/$d/sub/f >/dev/null 2>&1 && \
             echo $d >> {1}.now; chmod 600 {0}/$d/sub/f 2>/dev/null && echo $d! >> {1}.now; done; \
             echo . >> {1}.now; mv {1}.now {1}; done",
            shared.display(),
            log.display()
        );
        let (mut child, session) = person.start(&script);
        let seen = |wanted: &str| {
            let mut last = String::new();
            for _ in 0..400 {
                last = std::fs::read_to_string(&log).unwrap_or_default();
                if last == wanted {
                    return;
                }
                std::thread::sleep(std::time::Duration::from_millis(25));
            }
            panic!("wanted `{wanted}`, saw `{last}`");
        };
        seen(".\n");
        let grant = |text: String| {
            let granted =
                person.ringfence(&["grant", &text, "--session", session.as_str(), "--yes"]);
            assert!(granted.err.contains("in force: "), "{granted}");
            id_of(&granted.err)
        };
        let shared = shared.display();
        let ids = [
            grant(format!("fs.read:{shared}/one")),
            grant(format!("fs.write:{shared}/one")),
            grant(format!("fs.read:{shared}/two/sub")),
            grant(format!("fs.read:{shared}/two")),
            grant(format!("fs.write:{shared}/three/sub")),
            grant(format!("fs.read:{shared}/three")),
        ];
        seen("one\none!\ntwo\nthree\nthree!\n.\n");
        // What only one of two allowed goes with it, also out of the newer mount.
        assert_eq!(person.ringfence(&["grants", "revoke", &ids[4]]).code, 0);
        seen("one\none!\ntwo\nthree\n.\n");
        for id in ids.iter().filter(|id| **id != ids[4]) {
            assert_eq!(person.ringfence(&["grants", "revoke", id]).code, 0);
        }
        seen(".\n");
        control::ask(&person.runtime(), &session, &control::Command::Kill).unwrap();
        child.wait().unwrap();
    });
}

/// The name of the grant that was just made.
fn id_of(said: &str) -> String {
    let line = said.lines().find_map(|line| line.strip_prefix("granted: ")).unwrap();
    line.to_owned()
}

#[test]
fn a_grant_that_a_forbid_overrules_is_refused_or_warned_of_with_the_rule() {
    let home = Home::with_policy(
        r#"@id("all") permit (principal, action == Action::"exec", resource);
@id("no-meta") @reason("no metadata") forbid (principal, action == Action::"net.connect", resource == Endpoint::"meta.example:80");
@id("asks") forbid (principal, action == Action::"exec", resource == Program::"/usr/bin/env");
@id("day") forbid (principal, action == Action::"net.connect", resource == Endpoint::"day.example:80")
when { context.clock.hour < 25 };
"#,
    );
    let state = home.state().join("x");
    let state = format!("fs.read:{}", state.display());
    let editor = format!("fs.write:{}", home.path("project/.vscode").display());
    let said = home.session(&[
        &["grant", "net:meta.example:80", "--always", "--yes"],
        &["grant", "exec:/usr/bin/env", "--for", "1h", "--yes"],
        &["grant", &state, "--always", "--everywhere", "--yes"],
        &["grant", &editor, "--always", "--yes"],
    ]);
    // How many built-in rules come before depends on the directories that there are.
    let said = (2..30).fold(said, |said, n| said.replace(&format!("-{n}`"), "-N`"));
    expect![[r#"
        $ ringfence grant net:meta.example:80 --always --yes
        ! grant net:meta.example:80, always in HOME/project
        ! error: nothing changed: granting net:meta.example:80 has no effect
        !   forbidden by .ringfence/policy.cedar:2 `no-meta`: no metadata
        !   a forbid is stronger than a grant
        ! hint: to change the rule, run `ringfence policy edit`
        [1]
        $ ringfence grant exec:/usr/bin/env --for 1h --yes
        ! grant exec:/usr/bin/env, for 1h00m, in HOME/project
        ! error: nothing changed: granting exec:/usr/bin/env has no effect
        !   forbidden by .ringfence/policy.cedar:3 `asks`
        !   a forbid is stronger than a grant
        ! hint: to change the rule, run `ringfence policy edit`
        [1]
        $ ringfence grant fs.read:HOME/.local/state/ringfence/x --always --everywhere --yes
        ! grant fs.read:HOME/.local/state/ringfence/x, always and everywhere
        ! error: nothing changed: granting fs.read:HOME/.local/state/ringfence/x has no effect
        !   forbidden by built in `ringfence-own-files-N`: Ringfence's own state, configuration and sockets are out of reach
        !   a forbid is stronger than a grant
        [1]
        $ ringfence grant fs.write:HOME/project/.vscode --always --yes
        ! grant fs.write:HOME/project/.vscode, always in HOME/project
        ! error: nothing changed: granting fs.write:HOME/project/.vscode has no effect
        !   forbidden by built in `protected-N`: the editor runs tasks from here on the host
        !   a forbid is stronger than a grant
        ! hint: `[dangerous] unprotect = [".vscode"]` in your settings lets agents write there; the editor runs tasks from here on the host
        [1]
    "#]].assert_eq(&said);
    assert_eq!(home.json_lines(&["grants", "list", "--json"]), serde_json::json!([]));
    let said = home.run(&["grant", "net:day.example:80", "--always", "--yes"]);
    assert!(said.contains("! warning: a forbid is stronger than a grant"), "{said}");
    assert!(said.contains("!   .ringfence/policy.cedar:4 `day`\n! granted: g-"), "{said}");
}

#[test]
fn what_no_world_could_be_given_is_not_granted() {
    let home = Home::with_policy(POLICY);
    let said = home.run(&["grant", "fs.write:/usr/bin/no-such-file", "--always", "--yes"]);
    assert!(said.contains("granting fs.write:/usr/bin/no-such-file has no effect"), "{said}");
    assert!(said.contains("`/usr` belongs to the runtime base: a world shows"), "{said}");
    assert_eq!(home.json_lines(&["grants", "list", "--json"]), serde_json::json!([]));
}

#[test]
fn a_worlds_own_localhost_is_told_from_this_hosts() {
    let home = Home::with_policy(POLICY);
    let own = "localhost in a world is the world's own; this host's port is \
               `host.ringfence.internal:8443`";
    for target in ["localhost:8443", "127.0.0.1:8443", "[::1]:8443", "api.localhost:8443"] {
        let said = home.run(&["net", "test", &format!("https://{target}/")]);
        assert!(said.contains(own) && !said.contains("ringfence grant"), "{said}");
        assert!(said.contains("nothing of this host is reached there from a world"), "{said}");
        let said = home.run(&["grant", &format!("net:{target}"), "--always", "--yes"]);
        assert!(said.contains(&format!("warning: {own}")), "{said}");
    }
    let said = home.run(&["net", "test", "127.0.0.1:8443"]);
    assert!(
        said.contains("would be permitted") && said.contains("  world    nothing of this host"),
        "{said}"
    );
    let said = home.run(&["net", "test", "https://192.0.2.1:8443/"]);
    assert!(!said.contains("nothing of this host"), "{said}");
    assert!(!said.contains(own) && said.contains("ringfence grant"), "{said}");
}

#[test]
fn a_grant_for_a_place_of_secrets_is_warned_of_and_any_other_is_not() {
    each(crate::run::POLICY, |person| {
        person.home.write(".ssh/id_ed25519", "key");
        person.home.write("shared/x", "");
        person.home.write("shared/id_rsa", "-----BEGIN OPENSSH PRIVATE KEY-----\n");
        person.own();
        let path = |name: &str| format!("fs.read:{}", person.home.path(name).display());
        for (grant, warned) in [
            (path(".ssh/id_ed25519"), true),
            (path(".ssh"), true),
            (path("shared/id_rsa"), true),
            ("net:169.254.169.254:80".to_owned(), true),
            (path("shared/x"), false),
            ("net:a.example:443".to_owned(), false),
        ] {
            let granted = person.ringfence(&["grant", &grant, "--always", "--yes"]);
            assert_eq!(granted.code, 0, "{granted}");
            assert_eq!(granted.err.contains("is more than any hint offers"), warned, "{granted}");
        }
    });
}

#[test]
fn files_are_not_granted_to_a_session_whose_tier_is_unknown() {
    let home = Home::with_policy(POLICY);
    let environment: Environment = [("HOME", home.path(""))].into_iter().collect();
    let dirs = StateDirs::locate(&environment).unwrap();
    dirs.create().unwrap();
    let described = |tier: &str| Description {
        session: "sabcdefgh".parse().unwrap(),
        agent: "builder".to_owned(),
        command: vec!["true".to_owned()],
        cwd: AbsolutePath::parse(home.path("project").to_str().unwrap()).unwrap(),
        broker_pid: std::process::id(),
        started_ms: 1,
        tier: tier.to_owned(),
        server: false,
    };
    for (tier, why) in [("microvm", "its tier is unknown here"), ("landlock", "`landlock`")] {
        let _running = register(dirs.runtime(), &described(tier)).unwrap();
        let said = home.run(&["grant", "fs.read:/srv", "--session", "sabcdefgh", "--yes"]);
        assert!(said.contains("nothing changed") && said.contains(why), "{tier}: {said}");
        assert!(said.contains("fs.read:/srv --always") && said.ends_with("[1]\n"), "{said}");
    }
    assert_eq!(home.json_lines(&["grants", "list", "--json"]), serde_json::json!([]));
}

#[test]
fn a_persons_own_grant_of_a_place_of_secrets_is_in_force_and_warned_of() {
    let person = Person::new(Who::all().pop().unwrap());
    person.outside("mkdir ~/.ssh; echo Host build > ~/.ssh/config; echo key > ~/.ssh/id_ed25519");
    let rules = format!(
        "permit (principal, action == Action::\"exec\", resource);\n\
         permit (principal, action == Action::\"fs.read\", resource in Dir::\"{}\");\n",
        person.project().display()
    );
    person.write(".ringfence/policy.cedar", &rules);
    person.succeed(&["trust", "--yes"]);
    let read = "cat ~/.ssh/config; cat ~/.ssh/id_ed25519 || :";
    let denied = person.inside(read);
    assert!(!denied.status.success() && !text(&denied).contains("Host build"), "{}", text(&denied));
    // Whoever was denied is not told to grant it; a person may.
    assert!(!text(&denied).contains("ringfence grant"), "{}", text(&denied));

    let config = format!("fs.read:{}/.ssh/config", person.home().display());
    let granted = person.ringfence(&["grant", &config, "--always", "--yes"]).output().unwrap();
    assert!(granted.status.success(), "{}", text(&granted));
    assert!(text(&granted).contains("secrets are kept there"), "{}", text(&granted));
    let shown = person.inside(read);
    assert!(shown.status.success() && text(&shown).contains("Host build"), "{}", text(&shown));
    // For that one file.
    assert!(!text(&shown).contains("key\n"), "{}", text(&shown));
}
