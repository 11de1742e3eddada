use std::fs;
use std::os::unix::net::UnixListener;

use ringfence_core::{
    AbsolutePath, ClockFact, CommandLine, Exec, FileIdentity, HttpRequest, SecretUse, SessionId,
    UrlPath,
};

use super::*;
use crate::assemble::{Inputs, assemble};
use crate::trust::Project;

const POLICY: &str = r#"
@id("programs")
permit (principal, action == Action::"exec", resource in Dir::"/usr/bin");
@id("no-evil") @reason("never")
forbid (principal, action == Action::"net.connect", resource == Endpoint::"evil.example:443");
@id("push")
forbid (principal, action == Action::"exec", resource)
when { context has subcommand && context.subcommand == "push" }
unless { context.approvals.contains("owner") };
"#;

struct Host {
    _root: tempfile::TempDir,
    home: PathBuf,
    dirs: StateDirs,
    environment: Environment,
}

impl Host {
    fn new() -> Host {
        let root = tempfile::tempdir_in("/var/tmp").unwrap();
        let home = fs::canonicalize(root.path()).unwrap().join("home");
        let own = home.join("project/.ringfence");
        fs::create_dir_all(&own).unwrap();
        let project = format!(
            "permit (principal, action in Action::\"fs\", resource in Dir::\"{}\");",
            home.join("project").display()
        );
        fs::write(own.join("policy.cedar"), format!("{POLICY}{project}\n")).unwrap();
        let home_text = home.to_str().unwrap();
        let environment: Environment = [("HOME", home_text), ("PATH", "/usr/bin")]
            .map(|(k, v)| (std::ffi::OsString::from(k), std::ffi::OsString::from(v)))
            .into_iter()
            .collect();
        let dirs = StateDirs::locate(&environment).unwrap().with_system_dir(home.join("none"));
        Project::read(&home.join("project")).unwrap().give_trust(&dirs, 1).unwrap();
        Host { _root: root, home, dirs, environment }
    }

    fn file(&self, name: &str, text: &str) -> AbsolutePath {
        let path = self.home.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        AbsolutePath::parse(path.to_str().unwrap()).unwrap()
    }

    fn suggest(&self, acts: &[Act]) -> Suggestion {
        let session: SessionId = "sabcdefgh".parse().unwrap();
        let cwd = self.home.join("project");
        let inputs =
            Inputs { dirs: &self.dirs, cwd: &cwd, session: &session, overrides: &[], now_ms: 1 };
        let assembled = assemble(inputs).unwrap();
        let clock =
            ClockFact { weekday: 1, hour: 1, minute: 1, date: 20_260_101, zone: "UTC".to_owned() };
        let facts = Facts {
            session: session.clone(),
            clock,
            approvals: BTreeSet::new(),
            approver_count: 0,
        };
        let agent = Agent("a".to_owned());
        let denied = |act: &Act| Denied {
            request: Request { agent: agent.clone(), act: act.clone(), process: None },
            facts: facts.clone(),
            entry: "sabcdefgh/1".parse().unwrap(),
            times: 2,
            covered: false,
            refused: None,
            before_rules: None,
        };
        let denied: Vec<Denied> = acts.iter().map(denied).collect();
        let around = Around {
            assembled: &assembled,
            dirs: &self.dirs,
            environment: &self.environment,
            cwd: &cwd,
            agent: &agent,
            facts: &facts,
            world: World::Own,
        };
        let made = suggest(&denied, &around, "sabcdefgh").unwrap().unwrap();
        assert_eq!(made.checked.wanted, made.checked.permitted);
        assert_eq!(made.checked.canaries, made.checked.denied);
        assert!(made.checked.canaries > 60, "{:?}", made.checked);
        made
    }

    /// That each act is left out, of which kind, and why.
    #[track_caller]
    fn left(&self, acts: &[(Act, &str, &str)]) {
        let all: Vec<Act> = acts.iter().map(|(act, _, _)| act.clone()).collect();
        let made = self.suggest(&all);
        assert!(made.rules.is_empty(), "{:?}", made.rules);
        assert_eq!(made.changed, made.target.text);
        assert_eq!(made.left.len(), acts.len());
        for (left, (act, kind, why)) in made.left.iter().zip(acts) {
            assert_eq!(left.why.kind(), *kind, "{act:?}: {left:?}");
            assert!(left.why.text().contains(why), "{act:?}: {}", left.why.text());
        }
    }

    #[track_caller]
    fn grants(&self, acts: &[Act], expected: &[&str]) -> Suggestion {
        let made = self.suggest(acts);
        let grants: Vec<String> = made.rules.iter().map(|rule| rule.grant.to_string()).collect();
        let expected: Vec<String> =
            expected.iter().map(|it| it.replace("HOME", self.home.to_str().unwrap())).collect();
        assert_eq!(grants, expected, "{:?}", made.left);
        made
    }
}

fn connect(to: &str) -> Act {
    Act::Connect(to.parse().unwrap())
}

fn unix(path: &str) -> Act {
    Act::ConnectUnix(AbsolutePath::parse(path).unwrap())
}

fn exec(program: &str, words: &[&str]) -> Act {
    let argv: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
    let program = AbsolutePath::parse(program).unwrap();
    Act::Exec(Exec {
        identity: FileIdentity { device: 1, inode: 1 },
        command_line: CommandLine::new(program.file_name(), &argv),
        cwd: AbsolutePath::root(),
        program,
    })
}

#[test]
fn each_denial_has_the_smallest_rule_and_files_of_one_directory_share_theirs() {
    let host = Host::new();
    let [one, two, three] =
        ["a", "b", "sub/c"].map(|name| Act::Read(host.file(&format!("data/{name}"), "x")));
    host.grants(&[one.clone(), two.clone()], &["fs.read:HOME/data/a", "fs.read:HOME/data/b"]);
    let made = host.grants(&[one, two, three], &["fs.read:HOME/data"]);
    assert_eq!(made.rules[0].denials, 6);
    assert_eq!(made.rules[0].covers, [0, 1, 2]);
    host.grants(
        &[connect("api.example:443"), exec("/opt/x/tool", &["tool", "run"])],
        &["net:api.example:443", "exec:/opt/x/tool run"],
    );
    let new = AbsolutePath::parse(&format!("{}/out/new", host.home.display())).unwrap();
    host.file("out/old", "x");
    host.grants(&[Act::Write(new)], &["fs.write:HOME/out"]);
}

#[test]
fn requests_of_one_directory_share_their_rule_and_never_a_whole_host() {
    let host = Host::new();
    let policy = host.home.join("project/.ringfence/policy.cedar");
    let text = fs::read_to_string(&policy).unwrap()
        + "permit (principal, action == Action::\"net.request\", resource == Endpoint::\"h.example:443\")\nwhen { context.path == \"/ok\" };\n";
    fs::write(&policy, text).unwrap();
    Project::read(&host.home.join("project")).unwrap().give_trust(&host.dirs, 2).unwrap();
    let get = |path: &str| {
        let (to, path) = ("h.example:443".parse().unwrap(), UrlPath::parse(path).unwrap());
        Act::Request(HttpRequest::at(to, "GET".to_owned(), path))
    };
    host.grants(
        &[get("/v1/a"), get("/v1/b"), get("/v1/c/d")],
        &["net.request:GET h.example:443/v1/*"],
    );
    host.grants(
        &[get("/a"), get("/b"), get("/c")],
        &[
            "net.request:GET h.example:443/a",
            "net.request:GET h.example:443/b",
            "net.request:GET h.example:443/c",
        ],
    );
}

#[test]
fn a_directory_that_is_large_or_holds_what_is_kept_is_not_opened_as_a_whole() {
    let host = Host::new();
    let files =
        |dir: &str| ["a", "b", "c"].map(|name| Act::Read(host.file(&format!("{dir}/{name}"), "x")));
    let many = files("many");
    (0..300).for_each(|it| drop(host.file(&format!("many/more/{it}"), "x")));
    assert_eq!(host.suggest(&many).rules.len(), 3);
    let kept = files("kept");
    host.file("kept/server.key", "x");
    assert_eq!(host.suggest(&kept).rules.len(), 3);
    let token = files("token");
    host.file("token/notes", "-----BEGIN OPENSSH PRIVATE KEY-----");
    assert_eq!(host.suggest(&token).rules.len(), 3);
    // The home itself, small as it is here.
    let home = ["a", "b", "c"].map(|name| Act::Read(host.file(name, "x")));
    assert_eq!(host.suggest(&home).rules.len(), 3);
}

#[test]
fn what_is_forbidden_or_asked_about_is_left_to_whoever_wrote_the_rule() {
    let host = Host::new();
    let own = host.dirs.state().join("key");
    let own = AbsolutePath::parse(own.to_str().unwrap()).unwrap();
    let tasks = host.file("project/.vscode/tasks.json", "{}");
    host.left(&[
        (connect("evil.example:443"), "forbidden", "`no-evil`: never"),
        (exec("/usr/bin/git", &["git", "push"]), "asks", "owner"),
        (Act::Read(own), "forbidden", "built in"),
        (Act::Write(tasks), "forbidden", "built in"),
    ]);
}

#[test]
fn secrets_sockets_and_what_the_host_runs_are_never_suggested() {
    let host = Host::new();
    let home = host.home.display();
    let read = |path: &str| Act::Read(AbsolutePath::parse(path).unwrap());
    let mut acts = vec![
        (Act::Read(host.file("x/notes", "a = ghp_0123456789abcdefghij")), "never", "like a key"),
        (read(&format!("{home}/.aws/none")), "never", "secret"),
        (read("/proc/1/environ"), "never", "kernel"),
        (read("/etc/shadow"), "no-rule", "runtime base"),
    ];
    for name in [
        ".ssh/id_ed25519",
        ".aws/credentials",
        ".cargo/credentials.toml",
        ".docker/config.json",
        ".m2/settings.xml",
        ".npmrc",
        "x/.env",
        "x/server.pem",
    ] {
        acts.push((Act::Read(host.file(name, "x")), "never", "secret"));
    }
    for (name, why) in [
        (".bashrc", "hidden places"),
        (".config/x/y", "hidden places"),
        (".cargo/registry/src/x", "hidden places"),
        ("other/.git/hooks/pre-push", "git runs"),
        ("other/.vscode/tasks.json", "the editor runs"),
    ] {
        acts.push((Act::Write(host.file(name, "x")), "never", why));
    }
    let socket = format!("{home}/socket");
    let _listener = UnixListener::bind(&socket).unwrap();
    for socket in ["/run/docker.sock", "/run/user/1000/bus", &socket] {
        acts.push((unix(socket), "never", "socket of the host"));
    }
    acts.push((read(&socket), "never", "socket of the host"));
    for to in [
        "169.254.169.254:80",
        "169.254.7.7:80",
        "[fd00:ec2::254]:80",
        "metadata.google.internal:80",
    ] {
        acts.push((connect(to), "never", "credentials of the machine"));
    }
    let used = SecretUse {
        secret: "github".parse().unwrap(),
        endpoint: None,
        method: "GET".to_owned(),
        path: "/".to_owned(),
    };
    acts.push((Act::UseSecret(used), "never", "by hand"));
    host.left(&acts);
}

#[test]
fn what_a_link_leads_to_is_not_opened_by_the_links_name() {
    let host = Host::new();
    let secret = host.file("private/notes", "x");
    let link = host.home.join("project/link");
    std::os::unix::fs::symlink(secret.as_path(), &link).unwrap();
    let link = AbsolutePath::parse(link.to_str().unwrap()).unwrap();
    host.left(&[(Act::Read(link), "no-rule", "is a link")]);
}

#[test]
fn a_name_cannot_write_policy() {
    let host = Host::new();
    let names = [
        "a\"); permit(principal, action, resource);",
        "b\npermit(principal, action, resource);\n",
        "c\\\"); permit(principal, action, resource);",
        "d*?\u{1b}[31m\u{202e}e\u{200b}",
        "e\r\npermit(principal, action, resource);",
        "f\\u{22}); permit(principal, action, resource);",
    ];
    // Each in a directory of its own: those of one would share a rule.
    let acts = (1..).zip(names).map(|(number, name)| {
        host.file(&format!("odd{number}/more/x"), "x");
        Act::Read(host.file(&format!("odd{number}/{name}"), "x"))
    });
    let acts: Vec<Act> = acts.collect();
    (0..300).for_each(|number| drop(host.file(&format!("odd1/more/{number}"), "x")));
    let made = host.suggest(&acts);
    assert_eq!(made.rules.len(), names.len(), "{:?}", made.left);
    for rule in &made.rules {
        let cedar = &rule.cedar;
        // A comment, the annotations, the rule: nothing that begins a line of its own.
        assert_eq!(cedar.lines().count(), 3, "{cedar}");
        assert!(cedar.chars().all(|it| it == '\n' || !it.is_control()), "{cedar:?}");
        assert!(!cedar.contains(['\u{202e}', '\u{200b}']), "{cedar:?}");
        let source = Source {
            set: SetName::User,
            file: "x".to_owned(),
            text: cedar.clone(),
            approves: Vec::new(),
        };
        let alone = Policy::load(vec![source], &ringfence_policy::Options::default()).unwrap();
        let files = format!("{:?}", alone.file_plan(&Agent("a".to_owned())));
        assert_eq!(files.matches("PathRule").count(), 1, "{files}");
    }
    let diff = unified("p", &made.target.text, &made.changed);
    let added = diff.lines().filter(|line| line.starts_with('+')).count();
    assert_eq!(added, 1 + 4 * names.len(), "{diff}");
    // A star in a path of a request is a star.
    let grant = GrantText::Request {
        method: "GET".to_owned(),
        to: "h.example:443".parse().unwrap(),
        path: ringfence_policy::grant::Paths::Beneath(UrlPath::parse("/a*/").unwrap()),
    };
    assert!(grant.to_cedar("x").contains(r#"like "/a\*/*""#), "{}", grant.to_cedar("x"));
}

#[test]
fn rules_get_names_that_are_free() {
    let host = Host::new();
    let made = host.suggest(&[connect("a.example:443"), connect("b.example:443")]);
    let policy = host.home.join("project/.ringfence/policy.cedar");
    fs::write(&policy, &made.changed).unwrap();
    Project::read(&host.home.join("project")).unwrap().give_trust(&host.dirs, 2).unwrap();
    let again = host.suggest(&[connect("a.example:443"), connect("c.example:443")]);
    assert_eq!(again.left[0].why, Why::Permitted);
    assert_eq!(again.rules[0].id, "suggested-3");
}
