use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use ringfence_core::{
    AbsolutePath, Act, Agent, ClockFact, CommandLine, Decide as _, Endpoint, Exec, Facts,
    FileIdentity, Request, Verdict,
};
use ringfence_policy::{Options, Policy};

use super::*;
use crate::assemble::{Inputs, assemble};

struct Setup {
    _root: tempfile::TempDir,
    home: PathBuf,
    project: PathBuf,
    dirs: StateDirs,
    environment: Environment,
}

/// A home with some tools in it, and a project.
fn setup(files: &[&str]) -> Setup {
    let root = tempfile::tempdir().unwrap();
    let home = fs::canonicalize(root.path()).unwrap();
    for file in files.iter().chain(&["bin/git", "bin/npm", "bin/gh"]) {
        let file = home.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, "").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let project = home.join("project \"x\"");
    fs::create_dir_all(&project).unwrap();
    let environment: Environment =
        [("HOME", home.clone().into_os_string()), ("PATH", home.join("bin").into_os_string())]
            .into_iter()
            .collect();
    let dirs = StateDirs::locate(&environment).unwrap().with_system_dir(home.join("etc"));
    dirs.create().unwrap();
    Setup { _root: root, home, project, dirs, environment }
}

impl Setup {
    fn init(&self, profile: ProfileName, existing: Existing<'_>) -> Result<Written, InitError> {
        let request = InitRequest {
            dir: &self.project,
            profile: Some(profile),
            environment: &self.environment,
            existing,
            now_ms: 1,
        };
        init(&request, &self.dirs)
    }

    fn policy(&self) -> std::sync::Arc<Policy> {
        let session = "saaaaaaaa".parse().unwrap();
        let inputs = Inputs {
            dirs: &self.dirs,
            cwd: &self.project,
            session: &session,
            overrides: &[],
            now_ms: 5,
        };
        assemble(inputs).unwrap().policy
    }

    fn verdict(&self, act: Act) -> Verdict {
        self.verdict_of("a", act)
    }

    fn verdict_of(&self, agent: &str, act: Act) -> Verdict {
        let facts = Facts {
            session: "saaaaaaaa".parse().unwrap(),
            clock: ClockFact { weekday: 1, hour: 0, minute: 0, date: 1, zone: "UTC".into() },
            approvals: BTreeSet::new(),
            approver_count: 0,
        };
        let request = Request { agent: Agent(agent.to_owned()), act, process: None };
        self.policy().decide(&request, &facts).verdict
    }

    fn path(&self, name: &str) -> AbsolutePath {
        AbsolutePath::parse(self.home.join(name).to_str().unwrap()).unwrap()
    }

    fn in_project(&self, name: &str) -> AbsolutePath {
        AbsolutePath::parse(self.project.join(name).to_str().unwrap()).unwrap()
    }

    fn exec(&self, line: &str) -> Act {
        let words: Vec<Vec<u8>> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        let name = line.split(' ').next().unwrap();
        Act::Exec(Exec {
            program: self.path(&format!("bin/{name}")),
            identity: FileIdentity { device: 1, inode: 1 },
            command_line: CommandLine::new(name, &words),
            cwd: self.in_project("."),
        })
    }
}

fn connect(host: &str) -> Act {
    Act::Connect(Endpoint::new(host, 443).unwrap())
}

#[test]
fn what_is_written_is_a_policy_without_remarks_for_every_agent() {
    for profile in ProfileName::ALL {
        let setup = setup(&[".cargo/registry/x", ".rustup/x", "project \"x\"/Cargo.toml"]);
        let written = setup.init(profile, Existing::Keep).unwrap();
        let text = fs::read_to_string(&written.files[0]).unwrap();
        let lints = setup.policy().lints();
        assert!(lints.is_empty(), "{profile}: {lints:?}\n{text}");
        let rules =
            text.lines().filter(|line| line.starts_with("permit") || line.starts_with("forbid"));
        let ids = text.lines().filter(|line| line.starts_with("@id("));
        let reasons = text.lines().filter(|line| line.starts_with("@reason("));
        let (rules, ids, reasons) = (rules.count(), ids.count(), reasons.count());
        assert!(rules > 3);
        assert_eq!((ids, reasons), (rules, rules));
        assert!(Policy::load(vec![], &Options::default()).is_ok());
        assert_eq!(written.languages, [Language::Rust]);
    }
}

#[test]
fn the_walls_are_files_and_the_network() {
    let setup = setup(&[".cargo/registry/x", ".ssh/id", "project \"x\"/Cargo.toml", "other/x"]);
    setup.init(ProfileName::ClaudeCode, Existing::Keep).unwrap();
    for denied in [
        Act::Read(setup.path(".ssh/id")),
        Act::Read(setup.path("other/x")),
        Act::Write(setup.path(".cargo/registry/x")),
        Act::Write(setup.path(".bashrc")),
        Act::Delete(setup.path("other/x")),
        Act::Write(setup.in_project(".ringfence/policy.cedar")),
        Act::Write(setup.in_project(".envrc")),
        Act::Write(setup.path(".claude/settings.json")),
        Act::Write(setup.path(".claude/hooks/x")),
        Act::Write(setup.path(".claude/plugins/x/y")),
        Act::Read(setup.path(".local/state/ringfence/host/key")),
        connect("example.com"),
        connect("api.anthropic.com.example.com"),
        Act::Connect(Endpoint::new("api.anthropic.com", 80).unwrap()),
        Act::Connect(Endpoint::new("127.0.0.1", 443).unwrap()),
    ] {
        assert_eq!(setup.verdict(denied.clone()), Verdict::Deny, "{denied:?}");
    }
    for permitted in [
        Act::Read(setup.in_project("src/main.rs")),
        Act::Write(setup.in_project("src/main.rs")),
        Act::Delete(setup.in_project("src/main.rs")),
        Act::Read(setup.path(".cargo/registry/x")),
        Act::Write(setup.path(".claude/projects/x.jsonl")),
        Act::Read(setup.path(".claude/settings.json")),
        connect("api.anthropic.com"),
        setup.exec("git status"),
        setup.exec("npm run build"),
    ] {
        assert_eq!(setup.verdict(permitted.clone()), Verdict::Permit, "{permitted:?}");
    }
}

#[test]
fn servers_of_tools_have_nothing_of_what_only_the_agent_needs() {
    let setup = setup(&[".cargo/registry/x", "project \"x\"/Cargo.toml"]);
    setup.init(ProfileName::ClaudeCode, Existing::Keep).unwrap();
    fs::create_dir_all(setup.home.join(".config/ringfence/mcp")).unwrap();
    let server = r#"{"version": 1, "command": ["true"], "tools": {}}"#;
    fs::write(setup.home.join(".config/ringfence/mcp/files.json"), server).unwrap();
    for denied in [
        Act::Read(setup.path(".claude/projects/x.jsonl")),
        Act::Read(setup.in_project("src/main.rs")),
        Act::Write(setup.in_project("src/main.rs")),
        connect("api.anthropic.com"),
    ] {
        assert_eq!(setup.verdict_of("files", denied.clone()), Verdict::Deny, "{denied:?}");
        // Whatever the agent's program is called, it is its own.
        for agent in ["claude", "node", "mcp-client"] {
            assert_eq!(setup.verdict_of(agent, denied.clone()), Verdict::Permit, "{denied:?}");
        }
    }
    // What programs of every kind are made of.
    for permitted in [Act::Read(setup.path(".cargo/registry/x")), setup.exec("npm run build")] {
        assert_eq!(setup.verdict_of("files", permitted.clone()), Verdict::Permit, "{permitted:?}");
    }
}

#[test]
fn what_leaves_the_machine_asks() {
    let setup = setup(&[]);
    setup.init(ProfileName::Generic, Existing::Keep).unwrap();
    for line in [
        "git push",
        "git -c a=b push origin main",
        "npm publish",
        "npm dist-tag add x",
        "gh pr list",
    ] {
        let verdict = setup.verdict(setup.exec(line));
        assert!(matches!(verdict, Verdict::Ask(_)), "{line}: {verdict:?}");
    }
    assert_eq!(setup.verdict(connect("api.openai.com")), Verdict::Deny);
}

#[test]
fn what_leaves_the_machine_asks_wherever_the_program_lies() {
    let setup = setup(&["bin/cargo"]);
    // What is found is a link, as npm's own is.
    fs::rename(setup.home.join("bin/npm"), setup.home.join("bin/other.js")).unwrap();
    symlink("other.js", setup.home.join("bin/npm")).unwrap();
    setup.init(ProfileName::Generic, Existing::Keep).unwrap();
    let verdict = |file: &str, words: &[&str]| {
        let program = AbsolutePath::parse(file).unwrap();
        let argv: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        setup.verdict(Act::Exec(Exec {
            command_line: CommandLine::new(program.file_name(), &argv),
            program,
            identity: FileIdentity { device: 1, inode: 1 },
            cwd: setup.in_project("."),
        }))
    };
    let other = setup.path("bin/other.js");
    for (file, words) in [
        ("/usr/local/libexec/git-core/git", ["git", "push"]),
        ("/usr/bin/git", ["git", "push"]),
        ("/usr/local/libexec/git-core/git-push", ["git-push", "origin"]),
        ("/opt/cargo", ["cargo", "publish"]),
        ("/usr/bin/npm", ["npm", "publish"]),
        ("/usr/lib/node_modules/npm/bin/npm-cli.js", ["npm", "publish"]),
        (other.as_str(), ["npm", "publish"]),
        ("/opt/gh", ["gh", "status"]),
    ] {
        let verdict = verdict(file, &words);
        assert!(matches!(verdict, Verdict::Ask(_)), "{file} {words:?}: {verdict:?}");
    }
    for (file, words) in [
        ("/usr/local/libexec/git-core/git", ["git", "status"]),
        ("/usr/bin/pusher", ["pusher", "push"]),
        (other.as_str(), ["npm", "ls"]),
    ] {
        assert_eq!(verdict(file, &words), Verdict::Permit, "{file} {words:?}");
    }
}

#[test]
fn registries_come_from_the_persons_own_files_and_not_from_the_project() {
    let setup = setup(&[]);
    fs::create_dir_all(setup.home.join(".cargo")).unwrap();
    fs::write(
        setup.home.join(".cargo/config.toml"),
        "[source.x]\nreplace-with = \"y\"\n[registries.y]\nindex = \"sparse+https://user:pw@crates.corp.example:8443/index/\"\n",
    )
    .unwrap();
    fs::write(setup.home.join(".npmrc"), "# registry=https://no.example\n@corp:registry=https://npm.corp.example/\n//x/:_authToken=s\n").unwrap();
    fs::write(setup.project.join(".npmrc"), "registry=https://evil.example/\n").unwrap();
    setup.init(ProfileName::Codex, Existing::Keep).unwrap();
    assert_eq!(setup.verdict(connect("evil.example")), Verdict::Deny);
    assert_eq!(setup.verdict(connect("no.example")), Verdict::Deny);
    assert_eq!(setup.verdict(connect("crates.corp.example")), Verdict::Deny);
    assert_eq!(setup.verdict(connect("npm.corp.example")), Verdict::Permit);
    let other = Act::Connect(Endpoint::new("crates.corp.example", 8443).unwrap());
    assert_eq!(setup.verdict(other), Verdict::Permit);
    let text = fs::read_to_string(setup.project.join(".ringfence/policy.cedar")).unwrap();
    assert!(!text.contains("pw@"), "{text}");
}

#[test]
fn nothing_is_overwritten_unasked() {
    let setup = setup(&[]);
    setup.init(ProfileName::Generic, Existing::Keep).unwrap();
    let policy = setup.project.join(".ringfence/policy.cedar");
    fs::write(&policy, "// mine\n").unwrap();
    for existing in [Existing::Keep, Existing::Ask(&|_| Answer::Keep)] {
        let error = setup.init(ProfileName::Generic, existing).unwrap_err();
        assert!(matches!(error, InitError::Exists(_)), "{error}");
        assert_eq!(fs::read_to_string(&policy).unwrap(), "// mine\n");
    }
    setup.init(ProfileName::Generic, Existing::Replace).unwrap();
    assert_ne!(fs::read_to_string(&policy).unwrap(), "// mine\n");
}

#[test]
fn the_home_directory_and_a_linked_directory_of_ours_are_refused() {
    let setup = setup(&[]);
    let request = InitRequest {
        dir: &setup.home,
        profile: None,
        environment: &setup.environment,
        existing: Existing::Replace,
        now_ms: 1,
    };
    assert!(matches!(init(&request, &setup.dirs), Err(InitError::TooHigh(_))));
    symlink(&setup.home, setup.project.join(".ringfence")).unwrap();
    let error = setup.init(ProfileName::Generic, Existing::Replace).unwrap_err();
    assert!(matches!(error, InitError::Trust(_)), "{error}");
}

#[test]
fn urls_become_endpoints_or_nothing() {
    let check = |url: &str, expected: Option<&str>| {
        assert_eq!(registries::endpoint(url).as_deref(), expected, "{url}");
    };
    check("https://a.example/x", Some("a.example:443"));
    check("\"sparse+http://A.example:8080/\"", Some("a.example:8080"));
    check("http://127.0.0.1:8899", Some("host.ringfence.internal:8899"));
    check("https://u:p@b.example/", Some("b.example:443"));
    for nothing in [
        "",
        "direct",
        "file:///x",
        "ssh://git@x/y",
        "https://",
        "https://a b/",
        "https://x:0/",
        "https://x:99999/",
    ] {
        check(nothing, None);
    }
}
