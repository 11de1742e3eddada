use std::collections::BTreeSet;
use std::process::Command;

use super::*;

fn setting(section: &str, subsection: Option<&str>, key: &str, value: &str) -> Setting {
    Setting {
        section: section.to_owned(),
        subsection: subsection.map(str::to_owned),
        key: key.to_owned(),
        value: Some(value.to_owned()),
    }
}

#[test]
fn a_file_is_read_as_git_reads_it() {
    let text = "; c\n[Core]\n\tbare\n fileMode = true # x\n[remote \"o\\\"r\"] url = \"a # b\"  c \\\n d\n[a.B]\nk=\n";
    assert_eq!(
        parse(text).unwrap(),
        [
            Setting { value: None, ..setting("core", None, "bare", "") },
            setting("core", None, "filemode", "true"),
            setting("remote", Some("o\"r"), "url", "a # b  c  d"),
            setting("a", Some("b"), "k", ""),
        ]
    );
}

#[test]
fn what_is_written_git_reads_back_alike() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("config");
    let odd = ["plain", " lead", "tail ", "a\"b", "a\\b", "a#b", "a;b", "two\nlines", "\t", ""];
    let settings: Vec<Setting> = odd
        .iter()
        .enumerate()
        .map(|(n, value)| setting("branch", Some(&format!("x\"{n}\\")), "description", value))
        .collect();
    let text = render(&settings);
    assert_eq!(parse(&text).unwrap(), settings);
    std::fs::write(&path, &text).unwrap();
    let listed = Command::new("git")
        .args(["config", "--null", "--list", "--file"])
        .arg(&path)
        .output()
        .unwrap();
    let mut expected = String::new();
    for it in &settings {
        let (name, value) = (it.subsection.as_deref().unwrap(), it.value.as_deref().unwrap());
        let _ = write!(expected, "branch.{name}.description\n{value}\0");
    }
    assert_eq!(String::from_utf8(listed.stdout).unwrap(), expected);
}

#[test]
fn nonsense_is_refused_with_its_line() {
    for (text, line) in [
        ("key = value\n", 1),
        ("[core\nx = 1\n", 2),
        ("[core]\n= 1\n", 2),
        ("[core]\nx = \"open\n", 3),
        ("[core]\nx = a\\qb\n", 2),
        ("[a \"b\nc\"]\n", 2),
        ("[core]\n1x = 2\n", 2),
    ] {
        assert_eq!(parse(text).unwrap_err().line, line, "{text}");
    }
}

#[test]
fn an_agent_sees_identity_and_taste_but_nothing_that_runs_or_signs() {
    let included = "[user]\n name = Ann\n[core]\n pager = evil\n";
    let text = "[include]\n path = ~/more\n[includeIf \"gitdir:/\"]\n path = ~/x\n\
        [user]\n email = ann@example.com\n signingkey = K\n\
        [core]\n editor = vim\n sshCommand = evil\n fsmonitor = evil\n hooksPath = /e\n autocrlf = input\n\
        [credential]\n helper = store\n[credential \"https://x\"]\n helper = !evil\n\
        [alias]\n st = status\n x = !evil\n[merge \"d\"]\n driver = evil\n[merge]\n conflictstyle = zdiff3\n\
        [filter \"lfs\"]\n clean = evil\n[http]\n extraHeader = \"Authorization: x\"\n[gpg]\n program = evil\n\
        [url \"https://token@host/\"]\n insteadOf = x\n[init]\n templateDir = /evil\n defaultBranch = main\n\
        [commit]\n gpgSign = true\n[sendemail]\n smtppass = s\n";
    let read = |path: &str| (path == "~/more").then(|| included.to_owned());
    let shown = render(&for_agent(text, &read, Signers::default()));
    assert_eq!(
        shown,
        "[user]\n\tname = Ann\n\temail = ann@example.com\n[core]\n\tautocrlf = input\n[alias]\n\tst = status\n\
         [merge]\n\tconflictstyle = zdiff3\n[init]\n\tdefaultbranch = main\n[safe]\n\tdirectory = *\n"
    );
}

#[test]
fn what_signs_is_shown_where_a_world_may_sign_with_that_key() {
    let whole = "4FC3A6C8E7CD03004A036A44035AA66E0C6DF9ED".to_owned();
    let keys = BTreeSet::from([whole.clone()]);
    let shown = |format: &str, key: &str| {
        let text = format!(
            "[gpg]\n{format}program = evil\n[user]\nsigningkey = old\nsigningkey = {key}\n\
             [commit]\ngpgsign = true\n[tag]\ngpgsign = true\n[push]\ngpgsign = true\n"
        );
        let names = |keys| {
            let all = for_agent(&text, &|_| None, Signers { gpg: keys, ssh: None });
            all.iter().map(Setting::short_name).collect::<Vec<_>>()
        };
        assert_eq!(names(None), ["safe.directory"]);
        names(Some(&keys))
    };
    let all = ["user.signingkey", "user.signingkey", "commit.gpgsign", "tag.gpgsign"];
    for key in [whole.as_str(), "0x035aa66e0c6df9ed", "035AA66E0C6DF9ED!"] {
        assert_eq!(shown("", key)[..4], all, "{key}");
        assert_eq!(shown("format = openpgp\n", key)[..4], all, "{key}");
        assert_eq!(shown("format = ssh\n", key), ["safe.directory"], "{key}");
    }
    for key in ["", "ED", "0C6DF9ED", "a@b", "0x035aa66e0c6df9ee", "~/.ssh/id.pub"] {
        assert_eq!(shown("", key), ["safe.directory"], "{key}");
    }
}

/// A public key of ssh's and its fingerprint, by ssh-keygen.
const SSH_KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOCT2ntZ7h8FTp6pB5w0HkZOpbm0QcsE2Q8JXfOGZcwK";
const SSH_FINGERPRINT: &str = "SHA256:9LpwTsWcG7UgwmrQaiDKH+OYY4c3Scj1c6Ja0x0ruxg";

#[test]
fn a_named_key_of_ssh_is_told_to_git_by_itself_whatever_names_it() {
    let keys = BTreeSet::from([SSH_FINGERPRINT.to_owned()]);
    let file = format!("{SSH_KEY} me@here\nmore\n");
    let read = |path: &str| {
        let known = ["~/.ssh/id.pub", "/keys/id.pub", "~/named"];
        known.contains(&path).then(|| file.clone())
    };
    let shown = |key: &str, keys: Option<&BTreeSet<String>>| {
        let text = format!(
            "[user]\nsigningkey = \"{key}\"\n[commit]\ngpgsign = true\n[tag]\ngpgsign = true\n\
             [gpg]\nformat = openpgp\nformat = ssh\nprogram = evil\n\
             [gpg \"ssh\"]\nprogram = evil\ndefaultKeyCommand = evil\nformat = x509\n"
        );
        render(&for_agent(&text, &read, Signers { gpg: None, ssh: keys }))
    };
    let safe = "[safe]\n\tdirectory = *\n";
    let signs = format!(
        "[commit]\n\tgpgsign = true\n[tag]\n\tgpgsign = true\n\
         [gpg]\n\tformat = ssh\n[user]\n\tsigningkey = key::{SSH_KEY}\n{safe}"
    );
    let literal = [format!("key::{SSH_KEY}"), format!("{SSH_KEY} me@here")];
    let paths = ["~/.ssh/id.pub", "~/.ssh/id", "/keys/id.pub", "/keys/id", "~/named"];
    for key in literal.iter().map(String::as_str).chain(paths) {
        assert_eq!(shown(key, Some(&keys)), signs, "{key}");
        assert_eq!(shown(key, Some(&BTreeSet::new())), safe, "{key}");
        assert_eq!(shown(key, None), safe, "{key}");
    }
    for key in ["", "id.pub", "~/.ssh/other.pub", "key::ssh-ed25519", "ssh-ed25519 ?", "key::x y"] {
        assert_eq!(shown(key, Some(&keys)), safe, "{key}");
    }
}

#[test]
fn an_include_of_itself_ends() {
    let read = |_: &str| Some("[include]\npath = x\n[user]\nname = A\n".to_owned());
    let shown = for_agent("[include]\npath = x\n", &read, Signers::default());
    assert_eq!(shown.iter().filter(|setting| setting.section == "user").count(), 4);
}

const HOST: &str = "[core]\n\tbare = false\n[remote \"origin\"]\n\turl = https://example.com/a\n";

#[test]
fn branches_and_remotes_come_back() {
    let copy = format!(
        "{HOST}[branch \"x\"]\n\tremote = origin\n\tmerge = refs/heads/x\n[remote \"up\"]\n\turl = git@example.com:a/b\n\tfetch = +refs/heads/*:refs/remotes/up/*\n"
    );
    let merged = merge_back(HOST, &copy, HOST).unwrap();
    assert_eq!(parse(&merged.text.unwrap()).unwrap(), parse(&copy).unwrap());
    assert!(merged.refused.is_empty());
    let taken = ["branch.x.merge", "branch.x.remote", "remote.up.fetch", "remote.up.url"];
    assert_eq!(merged.taken, taken);
}

#[test]
fn remotes_that_lead_to_a_server_come_back() {
    for url in [
        "https://example.com/a",
        "https://ann:t0k_en%40x@example.com:8443/a.git",
        "ssh://git@example.com:22/a%20b",
        "ssh://example.com/~ann/a",
        "git://example.com/a",
        "git@example.com:a/b.git",
        "git@ssh.example.com:v3/My%20Project/b",
    ] {
        let copy = format!("{HOST}[remote \"up\"]\n\turl = {url}\n");
        let merged = merge_back(HOST, &copy, HOST).unwrap();
        assert_eq!(merged.taken, ["remote.up.url"], "{url}");
    }
}

#[test]
fn a_removed_remote_comes_back_and_a_changed_url_does_not() {
    let merged = merge_back(HOST, "[core]\n\tbare = false\n", HOST).unwrap();
    assert_eq!(merged.text.as_deref(), Some("[core]\n\tbare = false\n"));
    assert_eq!(merged.taken, ["remote.origin.url"]);
    for copy in [HOST.replace("/a", "/b"), format!("{HOST}\tpushurl = https://evil.example/a\n")] {
        let merged = merge_back(HOST, &copy, HOST).unwrap();
        assert_eq!(merged.text, None, "{copy}");
        assert_eq!(merged.refused.len(), 1, "{:?}", merged.refused);
    }
}

#[test]
fn a_branch_follows_a_remote_that_has_a_name_and_no_path() {
    for path in ["./node_modules/ev", "../ev", "/tmp/ev", "ev", "https://evil.example/a"] {
        for key in ["remote", "pushRemote"] {
            let copy = format!("{HOST}[branch \"main\"]\n\t{key} = {path}\n");
            let merged = merge_back(HOST, &copy, HOST).unwrap();
            assert_eq!(merged.text, None, "{copy}");
            assert_eq!(merged.refused.len(), 1, "{copy}");
            assert_eq!(runs_code(&copy).len(), 1, "{copy}");
        }
    }
    let copy = format!("{HOST}[branch \"main\"]\n\tremote = .\n\tpushRemote = origin\n");
    assert!(merge_back(HOST, &copy, HOST).unwrap().text.is_some());
}

#[test]
fn what_the_person_changed_meanwhile_stays() {
    let host = format!("{HOST}[remote \"mine\"]\n\turl = https://example.com/m\n");
    let copy = format!("{HOST}[branch \"x\"]\n\tremote = origin\n");
    let merged = merge_back(HOST, &copy, &host).unwrap().text.unwrap();
    assert_eq!(merged, format!("{host}[branch \"x\"]\n\tremote = origin\n"));
    assert_eq!(merge_back(HOST, HOST, &host).unwrap().text, None);
}

#[test]
fn nothing_that_runs_code_comes_back() {
    for evil in [
        "[core]\n\tfsmonitor = /tmp/x\n",
        "[core]\n\thooksPath = .hooks\n",
        "[core]\n\tsshCommand = x\n",
        "[include]\n\tpath = ../evil\n",
        "[includeIf \"gitdir:/\"]\n\tpath = evil\n",
        "[alias]\n\tstatus = !x\n",
        "[filter \"a\"]\n\tclean = x\n",
        "[diff \"a\"]\n\ttextconv = x\n",
        "[credential]\n\thelper = !x\n",
        "[remote \"origin\"]\n\tuploadpack = x\n",
        "[remote \"origin\"]\n\tvcs = x\n",
        "[remote \"origin\"]\n\turl = ext::sh -c x\n",
        "[remote \"origin\"]\n\turl = --upload-pack=x\n",
        "[remote \"origin\"]\n\tpushurl = fd::3\n",
        "[remote \"o\"]\n\turl = /host/path\n",
        "[remote \"o\"]\n\turl = -oProxyCommand=x\n",
        "[remote \"o\"]\n\turl = ssh://-oProxyCommand=x/\n",
        "[remote \"o\"]\n\turl = ssh://%2doProxyCommand=x/\n",
        "[remote \"o\"]\n\turl = ssh://[-oProxyCommand=x]/\n",
        "[remote \"o\"]\n\turl = ssh://-l@host/\n",
        "[remote \"o\"]\n\turl = ssh://git@-oProxyCommand/\n",
        "[remote \"o\"]\n\turl = ssh://host:-1/\n",
        "[remote \"o\"]\n\tpushurl = ssh://-oProxyCommand=x/\n",
        "[remote \"o\"]\n\turl = git@-oProxyCommand:x\n",
        "[remote \"o\"]\n\turl = -oProxyCommand@host:x\n",
        "[remote \"o\"]\n\turl = git@host:-x\n",
        "[remote \"o\"]\n\turl = git://-x/y\n",
        "[remote]\n\turl = https://x\n",
        "[branch \"a\"]\n\tremote = -x\n",
        "[branch \"a\"]\n\tmerge = \"a\\nb\"\n",
        "[url \"ext::x\"]\n\tinsteadOf = https://\n",
        "[gpg]\n\tprogram = x\n",
        "[extensions]\n\tworktreeConfig = true\n",
    ] {
        let merged = merge_back(HOST, &format!("{HOST}{evil}"), HOST).unwrap();
        assert_eq!(merged.text, None, "{evil}");
        assert_eq!(merged.refused.len(), 1, "{evil}");
    }
    assert!(merge_back(HOST, "[core\n", HOST).is_err());
}

#[test]
fn a_repository_born_in_a_world_is_harmless_only_with_plain_keys() {
    assert!(runs_code(HOST).is_empty());
    assert_eq!(runs_code("[core]\nfsmonitor = x\n[core]\nbare = false\n"), ["core.fsmonitor"]);
    assert_eq!(runs_code("[filter \"x\"]\nclean = x\n"), ["filter.clean"]);
    assert_eq!(runs_code("[remote \"x\"]\nurl = ext::x\n"), ["remote.url"]);
    for url in ["ssh://-oProxyCommand=x/", "a@-oProxyCommand:x", "-ox", "x:y", "file://-x"] {
        assert_eq!(runs_code(&format!("[remote \"x\"]\nurl = {url}\n")), ["remote.url"], "{url}");
    }
    for url in ["../up", "/srv/up.git", "file:///srv/up", "up/x:y"] {
        assert!(runs_code(&format!("[remote \"x\"]\nurl = {url}\n")).is_empty(), "{url}");
    }
    assert_eq!(runs_code("[core"), ["(not understood)"]);
}
