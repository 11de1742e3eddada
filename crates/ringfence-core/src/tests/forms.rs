use proptest::prelude::*;

use crate::*;

fn path(text: &str) -> AbsolutePath {
    AbsolutePath::parse(text).unwrap()
}

#[test]
fn a_path_is_normalised_lexically() {
    assert_eq!(path("/a//b/./c/../d/").as_str(), "/a/b/d");
    assert_eq!(path("/../..").as_str(), "/");
    for (text, plain) in [
        ("/", "/"),
        ("/a", "/a"),
        ("/a/b", "/a/b"),
        ("//a/b", "/a/b"),
        ("/a/b/", "/a/b"),
        ("/a/.", "/a"),
        ("/a/..", "/"),
        ("/.a/..b/...", "/.a/..b/..."),
    ] {
        assert_eq!(path(text).as_str(), plain);
    }
}

#[test]
fn relative_overlong_nul_and_non_utf8_paths_are_refused() {
    assert!(matches!(AbsolutePath::parse("a/b"), Err(PathError::NotAbsolute(_))));
    assert!(matches!(AbsolutePath::parse(""), Err(PathError::NotAbsolute(_))));
    let long = format!("/{}", "x".repeat(PATH_BYTES_MAX));
    assert!(matches!(AbsolutePath::parse(&long), Err(PathError::TooLong(_))));
    assert_eq!(AbsolutePath::parse("/a\0b"), Err(PathError::Nul));
    assert!(matches!(AbsolutePath::from_bytes(b"/\xff"), Err(PathError::NotUtf8(_))));
}

#[test]
fn a_name_that_begins_like_a_directory_is_not_within_it() {
    assert!(!path("/srv/app2").is_within(&path("/srv/app")));
    assert!(path("/srv/app/x").is_within(&path("/srv/app")));
    assert!(path("/srv/app").is_within(&path("/srv/app")));
    assert!(path("/x").is_within(&AbsolutePath::root()));
}

#[test]
fn ancestors_end_at_the_root() {
    let all: Vec<String> = path("/a/b/c").ancestors().map(String::from).collect();
    assert_eq!(all, ["/a/b", "/a", "/"]);
    assert_eq!(AbsolutePath::root().ancestors().count(), 0);
}

#[test]
fn odd_hosts_are_refused() {
    let refused = [
        "",
        ".",
        "a..b",
        "-a.com",
        "a-.com",
        "a b.com",
        "a.com\0.evil.com",
        "a.com\r\nx",
        "user@a.com",
        "a.com/x",
        "127.1",
        "0x7f.1",
        "0x7f000001",
        "2130706433",
        "0177.0.0.1",
        "1.2.3.4.5",
        "[::1",
        "[1.2.3.4]",
        // A soft hyphen and a joiner that nobody sees, an unassigned character, a mark without a letter.
        "a\u{200d}b.com",
        "\u{e000}.com",
        "\u{301}a.com",
        "b\u{fc}cher..com",
        "\u{ff11}\u{ff12}\u{ff17}.1",
        "\u{ff0e}com",
    ];
    for host in refused {
        assert!(Host::parse(host).is_err(), "{host:?} was taken");
    }
    assert!(Host::parse(&"a".repeat(64)).is_err());
    assert!(Host::parse(&"a.".repeat(128)).is_err());
}

#[test]
fn a_host_has_one_canonical_spelling() {
    let same = |text: &str| Host::parse(text).unwrap().to_string();
    assert_eq!(same("API.Example.COM."), "api.example.com");
    assert_eq!(same("[0:0::1]"), "[::1]");
    assert_eq!(same("::ffff:10.0.0.1"), "10.0.0.1");
    assert_eq!(same("1.2.3.4"), "1.2.3.4");
    assert_eq!(same("B\u{dc}CHER.example"), "xn--bcher-kva.example");
    assert_eq!(same("bu\u{308}cher.example"), "xn--bcher-kva.example");
    // Letters and dots that only look different; what looks the same is not.
    assert_eq!(same("\u{ff47}ood\u{3002}example"), "good.example");
    assert_eq!(same("g\u{43e}od.example"), "xn--god-sed.example");
    assert_eq!(same("\u{ff11}.2.3.4"), "1.2.3.4");
}

#[test]
fn an_endpoint_needs_a_plain_port() {
    for text in ["a.com", "a.com:", "a.com:0", "a.com:65536", "a.com:+80", "a.com: 80", "::1:80"] {
        assert!(text.parse::<Endpoint>().is_err(), "{text:?} was taken");
    }
    let endpoint: Endpoint = "[::1]:80".parse().unwrap();
    assert_eq!(endpoint.to_string(), "[::1]:80");
    assert_eq!("a.b.c:1".parse::<Endpoint>().unwrap().domains(), ["a.b.c", "b.c", "c"]);
    assert!(endpoint.domains().is_empty());
}

fn line(program: &str, argv: &[&str]) -> CommandLine {
    let argv: Vec<Vec<u8>> = argv.iter().map(|word| word.as_bytes().to_vec()).collect();
    CommandLine::new(program, &argv)
}

#[test]
fn another_name_of_a_tool_does_not_hide_its_subcommand() {
    let check = |program: &str, argv: &[&str], expected: &str| {
        assert_eq!(line(program, argv).subcommand.as_deref(), Some(expected), "{program} {argv:?}");
    };
    check("npm-cli.js", &["npm", "--prefix", "x", "publish"], "publish");
    check("npm-cli.js", &["/usr/bin/npm", "--otp", "1", "--tag", "next", "publish"], "publish");
    check("pnpm.cjs", &["pnpm", "-C", "x", "publish"], "publish");
    for word in ["publ", "publi", "pub", "pu"] {
        check("npm-cli.js", &["npm", word], "publish");
    }
    check("npm-cli.js", &["npm", "unp"], "unpublish");
    check("npm-cli.js", &["npm", "author"], "owner");
    check("npm-cli.js", &["npm", "distTag"], "dist-tag");
    check("npm-cli.js", &["npm", "--", "dep"], "deprecate");
    check("npm-cli.js", &["npm", "un"], "uninstall");
    check("npm-cli.js", &["npm", "de"], "de");
    check("npm-cli.js", &["npm", "no-such"], "no-such");
    check("git", &["git", "pu"], "pu");
    check("yarn.js", &["yarn", "--cwd", "x", "publish"], "publish");
    check("cargo", &["cargo", "+stable", "publish"], "publish");
    check("cargo", &["cargo", "+nightly", "--config", "x", "publish"], "publish");
    check("rustup", &["cargo", "+stable", "-Z", "x", "publish"], "publish");
    check("rustup", &["/home/a/.cargo/bin/cargo", "--config", "x", "publish"], "publish");
    check("rustup", &["rustup", "run", "stable", "cargo", "publish"], "run");
    check("git", &["git-push", "origin"], "push");
    check("git", &["/usr/lib/git-core/git-push", "--force"], "push");
    // Only git takes its subcommand from its name, and only a toolchain's word is passed over.
    check("git", &["xgit-status", "push"], "push");
    check("npm-cli.js", &["npm", "+x", "publish"], "+x");
}

#[test]
fn a_flag_before_the_subcommand_does_not_hide_it() {
    let sub = |argv: &[&str]| line("git", argv).subcommand;
    assert_eq!(sub(&["git", "push"]).as_deref(), Some("push"));
    assert_eq!(sub(&["git", "-c", "a=b", "-C", "/x", "push"]).as_deref(), Some("push"));
    assert_eq!(sub(&["git", "--git-dir=/x", "push"]).as_deref(), Some("push"));
    assert_eq!(sub(&["git", "--git-dir", "/x", "push"]).as_deref(), Some("push"));
    assert_eq!(sub(&["git"]), None);
    assert_eq!(sub(&["git", "--version"]), None);
}

#[test]
fn code_on_the_command_line_is_opaque() {
    assert!(line("sh", &["sh", "-c", "x"]).opaque);
    assert!(line("bash", &["bash", "-lc", "x"]).opaque);
    assert!(line("python3", &["python3", "-c", "x"]).opaque);
    assert!(line("node", &["node", "--eval", "x"]).opaque);
    assert!(!line("sh", &["sh", "script.sh"]).opaque);
    assert!(!line("git", &["git", "commit", "-c", "x"]).opaque);
}

#[test]
fn an_overlong_or_non_utf8_command_line_is_opaque() {
    let long = line("x", &["x", &"a".repeat(ARGV_TEXT_BYTES_MAX)]);
    assert!(long.opaque && long.text.len() <= ARGV_TEXT_BYTES_MAX);
    assert!(CommandLine::new("x", &[b"x".to_vec(), vec![0xff]]).opaque);
}

#[test]
fn every_part_of_an_act_changes_its_digest() {
    let exec = Exec {
        program: path("/usr/bin/git"),
        identity: FileIdentity { device: 1, inode: 2 },
        command_line: line("git", &["git", "push"]),
        cwd: path("/w"),
    };
    let base = Act::Exec(exec.clone()).digest("p");
    let mut others = vec![Act::Exec(exec.clone()).digest("q")];
    let mut change = |edit: &dyn Fn(&mut Exec)| {
        let mut other = exec.clone();
        edit(&mut other);
        others.push(Act::Exec(other).digest("p"));
    };
    change(&|exec| exec.identity.inode = 3);
    change(&|exec| exec.command_line = line("git", &["git", "push", "-f"]));
    change(&|exec| exec.command_line = line("git", &["git", "push "]));
    change(&|exec| exec.cwd = path("/v"));
    change(&|exec| exec.program = path("/bin/git"));
    for other in others {
        assert_ne!(base, other);
    }
}

#[test]
fn the_longest_path_of_a_plan_decides() {
    let rule = |text: &str, access| PathRule { path: path(text), access, because: None };
    let rules = vec![
        rule("/p", Access::Write),
        rule("/p/.git/hooks", Access::Read),
        rule("/p/secret", Access::Hidden),
    ];
    let plan = FilePlan { rules, ..FilePlan::default() };
    assert_eq!(plan.access(&path("/p/x")).0, Access::Write);
    assert_eq!(plan.access(&path("/p/.git/hooks/pre-commit")).0, Access::Read);
    assert_eq!(plan.access(&path("/p/secret/x")).0, Access::Hidden);
    assert_eq!(plan.access(&path("/px")).0, Access::Hidden);
    assert_eq!(plan.access(&AbsolutePath::root()).0, Access::Hidden);
}

#[test]
fn an_exact_rule_says_nothing_of_what_lies_beneath() {
    let rules = vec![PathRule { path: path("/p"), access: Access::Read, because: None }];
    let plan = FilePlan { rules, exact: vec![path("/p")], ..FilePlan::default() };
    assert_eq!(plan.access(&path("/p")).0, Access::Read);
    assert_eq!(plan.access(&path("/p/x")).0, Access::Hidden);
}

#[test]
fn session_and_entry_names_round_trip() {
    let id = SessionId::from_random([0, 31, 255, 7, 9, 100, 200, 3]);
    assert_eq!(id.as_str().parse::<SessionId>().unwrap(), id);
    let entry = EntryRef { session: id, index: 213 };
    assert_eq!(entry.to_string().parse::<EntryRef>().unwrap(), entry);
    for wrong in ["", "s", "sABCDEFGH", "x12345678", "s1234567/", "s12345678/x", "../../etc"] {
        assert!(wrong.parse::<EntryRef>().is_err(), "{wrong:?} was taken");
        assert!(wrong.parse::<SessionId>().is_err() || !wrong.contains('/'), "{wrong:?}");
    }
}

proptest! {
    #[test]
    fn parsing_a_path_twice_changes_nothing(text in "/[a-z./]{0,40}") {
        let once = AbsolutePath::parse(&text).unwrap();
        prop_assert_eq!(AbsolutePath::parse(once.as_str()).unwrap(), once.clone());
        let within = once.ancestors().all(|dir| once.is_within(&dir));
        prop_assert!(within);
    }

    #[test]
    fn a_host_that_parses_is_plain(text in "\\PC{0,40}") {
        if let Ok(Host::Name(name)) = Host::parse(&text) {
            let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b);
            prop_assert!(name.bytes().all(plain));
            prop_assert_eq!(Host::parse(&name).unwrap(), Host::Name(name.clone()));
        }
    }
}
