//! What is kept back, or pointed at, though a command leads to it by another way than its name.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use super::{READS, SERVER, Setup, in_dir};
use crate::person::Who;

impl Setup {
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.person.home().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn rules_of(&self, server: &str) -> Vec<String> {
        let own = format!("Agent::\"{server}\"");
        let is_own = |it: &&str| it.contains(&own) && !it.contains(super::RUNS);
        self.rules().lines().filter(is_own).map(str::to_owned).collect()
    }
}

const KEY: &str =
    "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA\n-----END PRIVATE KEY-----\n";

#[test]
fn a_directory_to_whose_files_a_place_of_logins_links_is_kept_back() {
    let setup = Setup::new(Who::Caller);
    let home = setup.person.home();
    let login = setup.write("dots/c/.credentials.json", "of somebody\n");
    let plain = setup.write("dots/d/notes.txt", "of nobody\n");
    let script = setup.write("server/server.py", SERVER).display().to_string();
    fs::create_dir_all(home.join(".claude")).unwrap();
    symlink(&login, home.join(".claude/.credentials.json")).unwrap();
    setup.person.give(&home);
    let dirs = ["dots", "dots/c", "dots/d"].map(|name| home.join(name).display().to_string());
    let login_name = login.display().to_string();
    let mut command = vec!["/usr/bin/python3", script.as_str(), login_name.as_str()];
    command.extend(dirs.iter().map(String::as_str));
    let (said, code) = setup.add("c", &command);
    assert_eq!(code, Some(0), "{said}");
    for kept in [&login_name, &dirs[0], &dirs[1]] {
        assert!(said.contains(&format!("`{kept}` is kept back, no rule")), "{kept}: {said}");
    }
    let rules = setup.rules_of("c");
    assert_eq!(rules.len(), 2, "{rules:?}");
    assert!(rules[1].ends_with(&in_dir("in Action::\"fs\"", &home.join("dots/d"))), "{rules:?}");
    assert!(setup.reads("c", &plain) && !setup.reads("c", &login));
}

#[test]
fn a_credential_is_kept_back_where_a_script_would_stand() {
    let setup = Setup::new(Who::Caller);
    let home = setup.person.home();
    let key = setup.write("work/notes.txt", KEY);
    let plain = setup.write("work/plain.txt", "of nobody\n");
    symlink(&key, home.join("work/link")).unwrap();
    setup.person.give(&home);
    let (named, link) = (key.display().to_string(), home.join("work/link").display().to_string());
    let glued = format!("-Bc{SERVER}");
    for (name, command) in [
        ("glued", &["/usr/bin/python3", &glued, &named][..]),
        ("apart", &["/usr/bin/python3", "-c", SERVER, &named]),
        ("linked", &["/usr/bin/python3", "-c", SERVER, &link]),
        ("script", &["/usr/bin/python3", &named]),
        ("script-linked", &["/usr/bin/python3", &link]),
    ] {
        let (said, _) = setup.add(name, command);
        assert!(said.contains(&format!("`{named}` is kept back, no rule")), "{name}: {said}");
        assert_eq!(setup.rules_of(name), Vec::<String>::new(), "{name}: {said}");
        assert!(!setup.reads(name, &key), "{name}");
    }
    // A file beside it, that has no credential in it, is given as what it is: no program.
    let (said, code) =
        setup.add("plain", &["/usr/bin/python3", &glued, &plain.display().to_string()]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("plain-reads-given") && !said.contains("plain-program"), "{said}");
    assert!(setup.reads("plain", &plain) && !setup.reads("plain", &key));
}

#[test]
fn what_is_called_like_a_secret_beside_a_script_is_said() {
    let setup = Setup::new(Who::Caller);
    let home = setup.person.home();
    let script = setup.write("scripts/tool.py", SERVER);
    setup.write("here/tool.py", SERVER);
    setup.write("clean/tool.py", SERVER);
    setup.person.give(&home);
    let is_said = |said: &str, name: &str| {
        said.matches(&format!("`{}` is called like a secret", home.join(name).display())).count()
    };
    for (number, name) in ["scripts/.env", "scripts/deep/server.key"].iter().enumerate() {
        let secret = setup.write(name, "A=1\n");
        let server = format!("c{number}");
        let (said, code) = setup.add(&server, &["/usr/bin/python3", &script.display().to_string()]);
        assert_eq!((code, is_said(&said, name)), (Some(0), 1), "{said}");
        let rules = setup.rules_of(&server);
        assert!(
            rules.len() == 1 && rules[0].ends_with(&in_dir(READS, &home.join("scripts"))),
            "{rules:?}"
        );
        fs::remove_file(secret).unwrap();
    }
    let clean = home.join("clean/tool.py").display().to_string();
    let (said, code) = setup.add("clean", &["/usr/bin/python3", &clean]);
    assert!(code == Some(0) && !said.contains("called like a secret"), "{said}");
    // Named by where it lies from here, and so is what it is started in. That no rule lets it run there is another matter.
    setup.write("here/.env", "A=1\n");
    setup.person.give(&home);
    let words = ["mcp", "add", "here", "--yes", "--", "/usr/bin/python3", "./tool.py"];
    let mut add = setup.person.ringfence(&words);
    let output = add.current_dir(home.join("here")).output().unwrap();
    let said = crate::person::text(&output);
    assert_eq!(is_said(&said, "here/.env"), 1, "{said}");
}

#[test]
fn what_runs_by_itself_is_proposed_to_be_read_alone_and_that_is_said() {
    let setup = Setup::new(Who::Caller);
    let home = setup.person.home();
    let unit = setup.write(".config/systemd/user/a.service", "[Unit]\n");
    setup.write("bin/tool", "#!/bin/sh\n");
    setup.write("plain/a.txt", "of nobody\n");
    let script = setup.write("server/server.py", SERVER).display().to_string();
    setup.person.give(&home);
    let dirs =
        [".config/systemd", "bin", "plain"].map(|name| home.join(name).display().to_string());
    let mut command = vec!["/usr/bin/python3", script.as_str()];
    command.extend(dirs.iter().map(String::as_str));
    let (said, code) = setup.add("it", &command);
    assert_eq!(code, Some(0), "{said}");
    for dir in &dirs[..2] {
        let kept =
            format!("`{dir}` is kept back from being changed, and proposed to be read alone: ");
        assert!(said.contains(&kept), "{dir}: {said}");
    }
    let rules = setup.rules_of("it");
    let changes: Vec<&String> =
        rules.iter().filter(|it| it.contains("in Action::\"fs\"")).collect();
    assert!(changes.len() == 1 && changes[0].contains(&dirs[2]), "{rules:?}");
    // What the rules come to: it reads what is there, and cannot add to it.
    assert!(setup.reads("it", &unit));
    let write = format!("echo x > '{}/b.service'", unit.parent().unwrap().display());
    let mut run = setup.person.ringfence(&["run", "--agent", "it", "--", "/bin/sh", "-c", &write]);
    assert!(!run.output().unwrap().status.success());
    assert!(!unit.with_file_name("b.service").exists());
}
