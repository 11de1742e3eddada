use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use super::block::{holds, overtaken, with, without};
use super::shells::{Change, Refused, Shell, Wanted, aliases};
use super::{Owner, path_without, stand_in};
use crate::environment::Environment;

#[test]
fn what_is_put_in_is_taken_out_to_the_byte() {
    for file in ["", "\n", "a\n", "a", "a\n\n", "\u{feff}a\r\nb\r\n", "if x; then\n  y\nfi"] {
        let file = file.as_bytes();
        let once = with(Some(file), "export X\n").unwrap();
        assert!(holds(&once, "export X\n"), "{}", String::from_utf8_lossy(&once));
        assert_eq!(with(Some(&once), "export X\n").unwrap(), once, "once is enough");
        let other = with(Some(&once), "export Y\n").unwrap();
        assert!(holds(&other, "export Y\n") && !holds(&other, "export X\n"));
        for with_block in [once, other] {
            assert_eq!(without(&with_block).unwrap(), file);
        }
    }
    let raw = [0xff, 0xfe, b'\n', b'x'];
    assert_eq!(without(&with(Some(&raw), "l\n").unwrap()).unwrap(), raw);
}

#[test]
fn what_comes_behind_a_block_stays_and_the_block_where_it_is() {
    let mut file = with(Some(b"a"), "x\n").unwrap();
    file.extend_from_slice(b"b\n");
    assert_eq!(with(Some(&file), "x\n").unwrap(), file);
    assert_eq!(without(&file).unwrap(), b"a\nb\n".to_vec());
}

#[test]
fn a_block_that_something_behind_it_undoes_goes_to_the_end() {
    for line in [
        "export PATH=\"$HOME/bin:$PATH\"",
        "PATH+=:/x",
        "export \"PATH=/x:$PATH\"",
        "'export' 'PATH=/x'",
        "hash -p /x/claude claude",
        "[ -s \"$NVM_DIR/nvm.sh\" ] && \\. \"$NVM_DIR/nvm.sh\"",
        ". ~/.cargo/env",
        "if true; then source x; fi",
        "eval \"$(pyenv init -)\"",
        "fish_add_path /x",
        "set -gx PATH /x $PATH",
        "path=(/x $path)",
    ] {
        let mut file = with(Some(b"a\n"), "x\n").unwrap();
        file.extend_from_slice(format!("# PATH=\n{line}\n").as_bytes());
        assert_eq!(overtaken(&file), Some(6), "{line}");
        let moved = with(Some(&file), "x\n").unwrap();
        assert_eq!(overtaken(&moved), None, "{line}");
        assert_eq!(without(&moved).unwrap(), without(&file).unwrap(), "{line}");
        assert_eq!(with(Some(&moved), "x\n").unwrap(), moved, "{line}");
    }
    for line in ["alias ls='ls --color'", "GOPATH=/x", "echo no.", "set -o vi"] {
        let mut file = with(Some(b"a\n"), "x\n").unwrap();
        file.extend_from_slice(format!("{line}\n").as_bytes());
        assert_eq!(overtaken(&file), None, "{line}");
    }
}

#[test]
fn a_block_without_one_of_its_marks_is_left_alone() {
    let whole = with(Some(b"a\n"), "x\n").unwrap();
    let text = String::from_utf8(whole).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    for left_out in [1, 3] {
        let mut lines = lines.clone();
        lines.remove(left_out);
        let broken = lines.join("\n");
        assert!(with(Some(broken.as_bytes()), "x\n").is_err(), "{broken}");
        assert!(without(broken.as_bytes()).is_err(), "{broken}");
    }
}

#[test]
fn a_path_loses_the_stand_ins_and_nothing_else() {
    let own = Path::new("/h/agents");
    for (path, left) in [
        ("/h/agents:/bin", "/bin"),
        ("/bin:/h/agents/:/usr/bin:/h/agents", "/bin:/usr/bin"),
        ("/h/agents2:/bin", "/h/agents2:/bin"),
        (":/bin", ":/bin"),
        ("/h/agents", ""),
    ] {
        assert_eq!(path_without(path, own), left);
    }
}

#[test]
fn a_name_that_needs_quoting_is_quoted() {
    let environment: Environment =
        [("HOME", "/h me"), ("XDG_STATE_HOME", "not absolute")].into_iter().collect();
    let owner = Owner { ringfence: Path::new("/a b/it's"), environment: &environment };
    let text = stand_in(owner, "claude");
    assert!(text.contains("\nexport HOME='/h me'\nunset XDG_CONFIG_HOME\nunset XDG_STATE_HOME\n"));
    assert!(text.contains("ringfence='/a b/it'"), "{text}");
    for shell in Shell::ALL {
        assert!(!shell.lines(Path::new("/a b/it's")).contains("/it's/"));
    }
}

#[test]
fn a_file_that_leads_out_of_the_home_or_has_two_names_is_left_alone() {
    let all = tempfile::tempdir().unwrap();
    let home = all.path().join("home");
    fs::create_dir(&home).unwrap();
    fs::write(all.path().join("outside"), "a\n").unwrap();
    fs::write(home.join("dotfile"), "a\n").unwrap();
    fs::set_permissions(home.join("dotfile"), fs::Permissions::from_mode(0o600)).unwrap();
    let plan = |name: &str| Change::plan(&home.join(name), &home, Wanted::Lines("x\n"));
    symlink("../outside", home.join("out")).unwrap();
    symlink("nowhere", home.join("dangling")).unwrap();
    fs::create_dir(home.join("dir")).unwrap();
    for name in ["out", "dangling", "dir"] {
        assert!(plan(name).is_err(), "{name}");
    }
    // A link within the home is followed: the file it leads to is changed, and stays what it was.
    symlink("dotfile", home.join(".bashrc")).unwrap();
    plan(".bashrc").unwrap().carry_out().unwrap();
    assert!(fs::symlink_metadata(home.join(".bashrc")).unwrap().is_symlink());
    assert!(fs::read_to_string(home.join("dotfile")).unwrap().starts_with("a\n"));
    let mode = fs::metadata(home.join("dotfile")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    fs::hard_link(home.join("dotfile"), home.join("second")).unwrap();
    assert!(matches!(plan(".bashrc"), Err(Refused::NotOurs { .. })));
    assert_eq!(fs::read_to_string(all.path().join("outside")).unwrap(), "a\n");
}

#[test]
fn a_file_that_was_made_for_the_block_goes_with_it() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join(".config/fish/config.fish");
    let plan = |wanted| Change::plan(&file, home.path(), wanted).unwrap();
    assert!(!plan(Wanted::Nothing).is_needed());
    plan(Wanted::Lines("x\n")).carry_out().unwrap();
    assert!(!plan(Wanted::Lines("x\n")).is_needed());
    plan(Wanted::Nothing).carry_out().unwrap();
    assert!(!file.exists() && !home.path().join(".config/fish").exists());
    // An empty one that was there before stays.
    fs::create_dir(home.path().join(".config/fish")).unwrap();
    fs::write(&file, "").unwrap();
    plan(Wanted::Lines("x\n")).carry_out().unwrap();
    plan(Wanted::Nothing).carry_out().unwrap();
    assert_eq!(fs::read(&file).unwrap(), b"");
}

#[test]
fn a_login_bash_reads_one_of_three_files() {
    let home = tempfile::tempdir().unwrap();
    let environment = Environment::default();
    let files = || Shell::Bash.files(home.path(), &environment);
    assert!(files().ends_with(&[home.path().join(".profile")]));
    fs::write(home.path().join(".profile"), "").unwrap();
    fs::write(home.path().join(".bash_login"), "").unwrap();
    assert!(files().ends_with(&[home.path().join(".bash_login")]));
}

#[test]
fn aliases_of_agents_are_seen() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join(".bashrc");
    fs::write(&file, "  alias claude=\"/x\"\n#alias codex=y\nalias claudette=z\nalias goose 'g'\n")
        .unwrap();
    assert_eq!(aliases(&file, home.path(), &["claude", "codex", "goose"]), ["claude", "goose"]);
}
