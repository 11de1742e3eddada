use ringfence_core::{AbsolutePath, Access, PathRule, RuleRef, SetName};

use super::*;
use crate::compose::Use;

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn repository(at: &Path, config: &str) {
    fs::create_dir_all(at.join("objects")).unwrap();
    fs::create_dir_all(at.join("refs")).unwrap();
    write(&at.join("HEAD"), "ref: refs/heads/main\n");
    write(&at.join("config"), config);
}

fn after(root: &Path) -> After {
    After::new(&"saaaaaaaa".parse().unwrap(), &[root.to_owned()], &mut Surveys::default())
}

const PLAIN: &str = "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n";

#[test]
fn files_that_the_host_would_run_are_moved_aside_and_the_way_back_works() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let after = after(root);
    write(&root.join("sub dir/.envrc"), "evil");
    write(&root.join("a/.vscode/tasks.json"), "{}");
    repository(&root.join("born/.git"), PLAIN);
    write(&root.join("born/.git/hooks/post-checkout"), "#!/bin/sh\n");
    write(&root.join("born/.git/hooks/post-checkout.sample"), "#!/bin/sh\n");
    repository(&root.join("evil/.git"), "[core]\n\tfsmonitor = /tmp/x\n");
    write(&root.join("package.json"), "{}");

    let finished = after.finish();
    let names: Vec<String> = finished
        .quarantined
        .iter()
        .map(|it| it.path.strip_prefix(root).unwrap().display().to_string())
        .collect();
    assert_eq!(
        names,
        [
            "a/.vscode/tasks.json",
            "born/.git/hooks/post-checkout",
            "evil/.git/config",
            "sub dir/.envrc"
        ]
    );
    for it in &finished.quarantined {
        assert!(!it.path.exists(), "{}", it.path.display());
    }
    let accepted = &finished.quarantined[3];
    let done = std::process::Command::new("sh").arg("-c").arg(accepted.accept().unwrap()).status();
    assert!(done.unwrap().success());
    assert_eq!(fs::read_to_string(&accepted.path).unwrap(), "evil");
}

#[test]
fn what_was_there_before_is_left_alone_and_what_was_changed_is_named() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    write(&root.join("a/.envrc"), "mine");
    write(&root.join("b/.envrc"), "mine");
    repository(&root.join(".git"), "[core]\n\tfsmonitor = true\n");
    let after = after(root);
    write(&root.join("b/.envrc"), "changed");
    let finished = after.finish();
    assert_eq!(finished.quarantined.len(), 1);
    assert_eq!(finished.quarantined[0].path, root.join("b/.envrc"));
    assert_eq!(finished.quarantined[0].kept_as, None);
    assert!(root.join("b/.envrc").exists());
}

fn hook(at: &Path) {
    write(at, "#!/bin/sh\n");
    fs::set_permissions(at, fs::Permissions::from_mode(0o755)).unwrap();
}

fn held_back(after: After, root: &Path) -> Vec<String> {
    let below = |it: &Quarantined| it.path.strip_prefix(root).unwrap().display().to_string();
    after.finish().quarantined.iter().map(below).collect()
}

#[test]
fn what_git_init_would_make_a_repository_of_is_looked_at_like_one() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let after = after(root);
    hook(&root.join("nested/.git/hooks/pre-commit"));
    write(&root.join("nested/.git/hooks/not-a-hook"), "");
    write(&root.join("plain/.git/hooks/post-merge"), "");
    write(&root.join("config-only/.git/config"), "[core]\n\tfsmonitor = /tmp/x\n");
    write(&root.join("elsewhere/.git/commondir"), "../../x\n");
    hook(&root.join("bare/hooks/update"));
    write(&root.join("bare/config"), "[core]\n\tbare = true\n");
    hook(&root.join("headed/hooks/update"));
    write(&root.join("headed/HEAD"), "ref: refs/heads/main\n");
    // The configuration goes first, and the hook is one nevertheless.
    hook(&root.join("both/hooks/update"));
    write(&root.join("both/config"), "[core]\n\tfsmonitor = /tmp/x\n");
    hook(&root.join("store/hooks/pre-commit"));
    fs::create_dir(root.join("linked")).unwrap();
    std::os::unix::fs::symlink("../store", root.join("linked/.git")).unwrap();
    // Neither is one of git's.
    write(&root.join("src/hooks/useUpdate.js"), "");
    write(&root.join("src/hooks/update"), "");
    write(&root.join("src/config"), "");
    assert_eq!(
        held_back(after, root),
        [
            "bare/hooks/update",
            "both/config",
            "both/hooks/update",
            "config-only/.git/config",
            "elsewhere/.git/commondir",
            "headed/hooks/update",
            "linked/.git",
            "nested/.git/hooks/pre-commit",
            "plain/.git/hooks/post-merge",
        ]
    );
}

#[test]
fn a_repository_in_what_is_not_walked_is_found_where_a_dot_git_leads_to_it() {
    let root = tempfile::tempdir().unwrap();
    let root = &fs::canonicalize(root.path()).unwrap();
    let after = after(root);
    for (name, store) in [("linked", "target/a"), ("filed", "target/b")] {
        repository(&root.join(store), PLAIN);
        hook(&root.join(store).join("hooks/pre-commit"));
        fs::create_dir(root.join(name)).unwrap();
    }
    std::os::unix::fs::symlink("../target/a", root.join("linked/.git")).unwrap();
    write(&root.join("filed/.git"), "gitdir: ../target/b\n");
    assert_eq!(
        held_back(after, root),
        ["filed/.git", "linked/.git", "target/a/hooks/pre-commit", "target/b/hooks/pre-commit"]
    );
}

/// A plan in which a built-in rule keeps the agent from some files of a writable tree.
fn plan(root: &Path, held: &[&str]) -> FilePlan {
    let rule = |path: PathBuf, access, because| PathRule {
        path: AbsolutePath::parse(path.to_str().unwrap()).unwrap(),
        access,
        because,
    };
    let built_in = || RuleRef {
        set: SetName::BuiltIn,
        file: "built-in".to_owned(),
        line: 1,
        id: "x".to_owned(),
        reason: None,
    };
    let held = held.iter().map(|name| rule(root.join(name), Access::Read, Some(built_in())));
    let mut rules: Vec<PathRule> = held.collect();
    rules.push(rule(root.to_owned(), Access::Write, None));
    rules.sort_by(|a, b| a.path.cmp(&b.path));
    FilePlan { rules, ..FilePlan::default() }
}

/// A world that may write `root`, but what is in `.vscode` and `.husky`, `.envrc` and `.mcp.json`.
fn held(root: &Path) -> After {
    for (file, text) in [(".vscode/settings.json", "{}"), (".mcp.json", "{}"), (".husky/x", "")] {
        write(&root.join(file), text);
    }
    let mut after = after(root);
    let covers = [".vscode", ".husky", ".mcp.json"].map(|name| root.join(name));
    let places = covers.iter().map(|cover| (cover.as_path(), Use::Read));
    let files = [".envrc", ".mcp.json"];
    let held = Held::of(places.chain([(root, Use::Write)]));
    after.hold(held, &plan(root, &files), files.map(|name| root.join(name)).to_vec());
    after
}

#[test]
fn what_the_world_could_not_change_is_not_held_back() {
    let root = tempfile::tempdir().unwrap();
    let root = &fs::canonicalize(root.path()).unwrap();
    let after = held(root);
    write(&root.join(".vscode/settings.json"), "{ }");
    write(&root.join(".vscode/tasks.json"), "{}");
    write(&root.join(".envrc"), "mine");
    whole_file::replace(&root.join(".mcp.json"), b"{ }", 0o600).unwrap();
    write(&root.join("sub/.envrc"), "evil");
    let finished = after.finish();
    let names: Vec<&Path> = finished.quarantined.iter().map(|it| it.path.as_path()).collect();
    assert_eq!(names, [root.join("sub/.envrc")]);
    assert_eq!(fs::read_to_string(root.join(".envrc")).unwrap(), "mine");
    let said = &finished.notices[0].text;
    assert!(said.ends_with(&format!("`{0}/.envrc`, `{0}/.mcp.json`", root.display())), "{said}");
    assert_eq!(finished.notices.len(), 1);
}

#[test]
fn what_the_world_may_have_changed_is_held_back() {
    let root = tempfile::tempdir().unwrap();
    let root = &fs::canonicalize(root.path()).unwrap();
    let check = |meanwhile: &dyn Fn(&After), file: &str| {
        for entry in fs::read_dir(root).unwrap() {
            let path = entry.unwrap().path();
            fs::remove_dir_all(&path).or_else(|_| fs::remove_file(&path)).unwrap();
        }
        let after = held(root);
        meanwhile(&after);
        if !root.join(file).exists() {
            write(&root.join(file), "evil");
        }
        assert_eq!(held_back(after, root), [file], "{file}");
    };
    // The cover goes with the directory it lies on, whatever comes in its place.
    let again = |_: &After| {
        fs::remove_dir_all(root.join(".vscode")).unwrap();
        fs::create_dir(root.join(".vscode")).unwrap();
    };
    check(&again, ".vscode/tasks.json");
    check(&|after| after.opened().uncover(&root.join(".vscode")), ".vscode/tasks.json");
    check(&|after| after.opened().note(&root.join(".vscode")), ".vscode/tasks.json");
    check(&|after| after.opened().follow(&plan(root, &[])), ".envrc");
    // By another name it can be written.
    let linked = |_: &After| {
        write(&root.join("other"), "evil");
        fs::hard_link(root.join("other"), root.join(".vscode/tasks.json")).unwrap();
    };
    check(&linked, ".vscode/tasks.json");
}

#[test]
fn a_cover_at_a_link_holds_nothing_behind_it() {
    let root = tempfile::tempdir().unwrap();
    let root = &fs::canonicalize(root.path()).unwrap();
    repository(&root.join(".git"), PLAIN);
    fs::create_dir(root.join("tools")).unwrap();
    let hooks = root.join(".git/hooks");
    std::os::unix::fs::symlink("../tools", &hooks).unwrap();
    let mut after = after(root);
    let places = [(root.as_path(), Use::Write), (hooks.as_path(), Use::Read)];
    after.hold(Held::of(places.into_iter()), &plan(root, &[]), Vec::new());
    hook(&root.join("tools/pre-push"));
    assert_eq!(held_back(after, root), [".git/hooks/pre-push"]);
}

#[test]
fn a_quarantined_file_does_not_replace_one_that_is_there() {
    // The session knows what it is called, and so where a file of its own would be moved to.
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let after = after(root);
    write(&root.join(".envrc"), "evil");
    write(&root.join(".envrc.quarantined-saaaaaaaa"), "precious");
    let finished = after.finish();
    let kept = finished.quarantined[0].kept_as.as_ref().unwrap();
    assert_eq!(fs::read_to_string(kept).unwrap(), "evil");
    assert!(!root.join(".envrc").exists());
    let kept = fs::read_to_string(root.join(".envrc.quarantined-saaaaaaaa")).unwrap();
    assert_eq!(kept, "precious");
}

#[test]
fn a_name_without_room_for_more_is_held_back() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    let after = after(root);
    let file = root.join(".idea/runConfigurations").join(format!("{}.xml", "x".repeat(251)));
    write(&file, "evil");
    let finished = after.finish();
    assert!(finished.quarantined[0].kept_as.is_some());
    assert!(!file.exists());
}

#[test]
fn a_link_in_place_of_a_copy_is_not_followed() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    repository(&root.join(".git"), PLAIN);
    let host = root.join(".git/config");
    let copy = root.join("copy/config");
    write(&root.join("secret"), &format!("{PLAIN}[remote \"x\"]\n\turl = https://x/secret\n"));
    fs::create_dir(root.join("copy")).unwrap();
    std::os::unix::fs::symlink(root.join("secret"), &copy).unwrap();
    let mut after = after(root);
    after.take_back_git(GitCopy { host: host.clone(), copy, base: PLAIN.to_owned() });
    let finished = after.finish();
    assert_eq!(fs::read_to_string(&host).unwrap(), PLAIN);
    assert_eq!(finished.notices.len(), 1);
}

#[test]
fn a_remote_that_the_agent_added_is_taken_back_and_a_pager_is_not() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path();
    repository(&root.join(".git"), PLAIN);
    let (host, copy) = (root.join(".git/config"), root.join("copy/config"));
    let remote = "[remote \"x\"]\n\turl = https://example.com/x\n";
    write(&copy, &format!("{PLAIN}\tpager = evil\n{remote}"));
    let mut after = after(root);
    after.take_back_git(GitCopy { host: host.clone(), copy, base: PLAIN.to_owned() });
    let finished = after.finish();
    assert_eq!(fs::read_to_string(&host).unwrap(), format!("{PLAIN}{remote}"));
    let host = host.display();
    let said: Vec<_> = finished.notices.iter().map(|it| it.text.clone()).collect();
    assert_eq!(
        said,
        [
            format!("taken over into `{host}`: remote.x.url"),
            format!("left in the world's copy of `{host}`, not in yours: core.pager"),
        ]
    );
}

#[test]
fn an_agents_state_comes_back_without_what_runs_code() {
    let base = r#"{"theme":"dark","projects":{"/p":{"lastCost":1}},"old":1}"#;
    let copy = r#"{"theme":"light","mcpServers":{"x":{"command":"evil"}},"hooks":{"a":1},
        "projects":{"/p":{"lastCost":2,"hasTrustDialogAccepted":true,"allowedTools":["Bash"],
        "mcpServers":{"y":{"command":"evil"}}}},"new":{"deep":{"command":"evil"}},"list":[{"command":"x"}]}"#;
    let host = r#"{"theme":"dark","projects":{"/p":{"lastCost":1},"/q":{"lastCost":9}},"old":1}"#;
    let merged = merge_claude(base, copy, host).unwrap();
    let value: serde_json::Value = serde_json::from_str(&merged).unwrap();
    assert_eq!(value["theme"], "light");
    assert_eq!(value["projects"]["/p"], serde_json::json!({"lastCost": 2}));
    assert_eq!(value["projects"]["/q"]["lastCost"], 9);
    for evil in ["mcpServers", "hooks", "list", "old"] {
        assert_eq!(value.get(evil), None, "{evil}");
    }
    assert!(!merged.contains("evil"), "{merged}");
    assert_eq!(merge_claude(base, base, host), None);
    assert_eq!(merge_claude(base, "not json", host), None);
}
