use std::os::unix::fs::symlink;

use ringfence_core::{AbsolutePath, Access as Allowed, PathRule, RuleRef, SetName};
use ringfence_sandbox::world::Access;

use super::*;

fn rule(path: &Path, access: Allowed) -> PathRule {
    PathRule { path: AbsolutePath::parse(path.to_str().unwrap()).unwrap(), access, because: None }
}

fn plan(mut rules: Vec<PathRule>) -> FilePlan {
    rules.sort_by(|a, b| a.path.cmp(&b.path));
    FilePlan { rules, ..FilePlan::default() }
}

fn permitted<'a>(plan: &'a FilePlan, by_name: &[&Path]) -> secrets::Permitted<'a> {
    let name = |path: &&Path| AbsolutePath::parse(path.to_str().unwrap()).unwrap();
    let reach = ringfence_policy::Reach::Beneath;
    let by_name = by_name.iter().map(|path| (name(path), reach)).collect();
    secrets::Permitted { plan, by_name }
}

fn tree(files: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let path = fs::canonicalize(root.path()).unwrap();
    for file in files {
        let file = path.join(file);
        if file.to_str().unwrap().ends_with('/') {
            fs::create_dir_all(file).unwrap();
        } else {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "x").unwrap();
        }
    }
    (root, path)
}

fn private(root: &Path) -> Private {
    let identity = ringfence_sandbox::world::Identity {
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
    };
    let idmap = ringfence_sandbox::world::IdMap::None;
    Private::create(
        &root.join("private"),
        root.join("cache"),
        &Payload { identity, idmap, name: "a".into() },
    )
    .unwrap()
}

fn binds(layout: &Layout, root: &Path) -> Vec<(String, Access)> {
    let all = layout.binds().into_iter();
    all.map(|bind| (bind.target.strip_prefix(root).unwrap().display().to_string(), bind.access))
        .collect()
}

#[test]
fn a_link_in_place_of_a_granted_path_is_not_followed() {
    let (_root, root) = tree(&["project/src/", "secret/key"]);
    symlink(root.join("secret"), root.join("project/cache")).unwrap();
    let layout = Layout::of_plan(
        &plan(vec![
            rule(&root.join("project/cache"), Allowed::Read),
            rule(&root.join("project/cache/key"), Allowed::Write),
        ]),
        Path::new("/p"),
    );
    assert_eq!(layout.binds(), []);
    assert_eq!(layout.notices.len(), 2);
}

#[test]
fn a_forbidden_name_that_is_a_link_is_said_where_what_it_leads_to_is_open() {
    let (_root, root) = tree(&["home/open/key", "home/closed/key"]);
    symlink("open", root.join("home/one")).unwrap();
    symlink("closed", root.join("home/two")).unwrap();
    let hide = |name: &str| rule(&root.join(name), Allowed::Hidden);
    let rules = vec![hide("home/one"), hide("home/two"), hide("home/closed")];
    let home = rule(&root.join("home"), Allowed::Read);
    let layout = Layout::of_plan(&plan([rules, vec![home]].concat()), Path::new("/p"));
    let texts: Vec<&str> = layout.notices.iter().map(|it| it.text.as_str()).collect();
    assert!(matches!(texts[..], [text] if text.contains("/home/open`, which")), "{texts:?}");
}

#[test]
fn what_does_not_exist_is_not_bound_and_a_write_to_it_is_reported() {
    let (_root, root) = tree(&["project/"]);
    let layout = Layout::of_plan(
        &plan(vec![
            rule(&root.join("absent-read"), Allowed::Read),
            rule(&root.join("absent-write"), Allowed::Write),
            rule(&root.join("project"), Allowed::Write),
        ]),
        Path::new("/p"),
    );
    assert_eq!(binds(&layout, &root), [("project".to_owned(), Access::Write)]);
    assert_eq!(layout.notices.len(), 1);
    assert!(layout.notices[0].text.contains("absent-write"));
}

#[test]
fn directories_above_a_restricted_place_cannot_be_renamed() {
    let (_root, root) = tree(&["p/a/b/read/x", "p/a/c/hidden/x", "p/other/"]);
    let layout = Layout::of_plan(
        &plan(vec![
            rule(&root.join("p"), Allowed::Write),
            rule(&root.join("p/a/b/read"), Allowed::Read),
            rule(&root.join("p/a/c/hidden"), Allowed::Hidden),
        ]),
        Path::new("/p"),
    );
    let expected = [
        ("p", Access::Write),
        ("p/a", Access::Write),
        ("p/a/b", Access::Write),
        ("p/a/b/read", Access::Read),
        ("p/a/c", Access::Write),
    ];
    assert_eq!(binds(&layout, &root), expected.map(|(at, access)| (at.to_owned(), access)));
    assert_eq!(layout.hidden(), [root.join("p/a/c/hidden")]);
    assert!(!layout.shows(&root.join("p/a/c/hidden/x")));
    assert!(layout.shows(&root.join("p/other")));
    assert_eq!(layout.writable_roots(), [root.join("p")]);
}

#[test]
fn a_rule_for_a_directory_alone_opens_nothing_in_it() {
    let (_root, root) = tree(&["d/file", "f"]);
    let mut plan =
        plan(vec![rule(&root.join("d"), Allowed::Read), rule(&root.join("f"), Allowed::Read)]);
    plan.exact = plan.rules.iter().map(|rule| rule.path.clone()).collect();
    assert_eq!(
        binds(&Layout::of_plan(&plan, Path::new("/p")), &root),
        [("f".to_owned(), Access::Read)]
    );
}

#[test]
fn repositories_anywhere_in_a_writable_tree_are_protected_and_absent_hooks_covered() {
    let git = ["HEAD", "objects/", "refs/", "config"];
    let files: Vec<String> =
        git.iter().flat_map(|it| [format!("p/.git/{it}"), format!("p/sub/r/.git/{it}")]).collect();
    let mut files: Vec<&str> = files.iter().map(String::as_str).collect();
    files.push("p/sub/r/.git/hooks/pre-commit");
    let (_root, root) = tree(&files);
    let private = private(&root);
    let mut built_in = rule(&root.join("p/.vscode"), Allowed::Read);
    built_in.because = Some(RuleRef {
        set: SetName::BuiltIn,
        file: String::new(),
        line: 1,
        id: "protected".into(),
        reason: None,
    });
    let plan = plan(vec![rule(&root.join("p"), Allowed::Write), built_in]);
    let mut layout = Layout::of_plan(&plan, Path::new("/p"));
    let (persons, mut surveys) = (PersonsFiles::of(&state(&root)), Surveys::default());
    places::protect(&mut layout, &plan, &private, (&persons, &mut surveys)).unwrap();
    let mut after = After::new(
        &"saaaaaaaa".parse().unwrap(),
        &layout.writable_roots(),
        &mut Surveys::default(),
    );
    places::copy_git_configs(&mut layout, &private, &mut after, &mut surveys).unwrap();
    let at = |name: &str| {
        let found = layout.binds().into_iter().find(|bind| bind.target == root.join(name));
        found.map(|bind| (bind.access, bind.source == bind.target))
    };
    assert_eq!(at("p/.git"), Some((Access::Write, true)));
    assert_eq!(at("p/.git/hooks"), Some((Access::Read, false)));
    assert_eq!(at("p/.git/config"), Some((Access::Read, false)));
    assert_eq!(at("p/sub"), Some((Access::Write, true)));
    assert_eq!(at("p/sub/r"), Some((Access::Write, true)));
    assert_eq!(at("p/sub/r/.git/hooks"), Some((Access::Read, true)));
    assert_eq!(at("p/sub/r/.git/config"), Some((Access::Read, false)));
    assert_eq!(at("p/.vscode"), Some((Access::Read, false)));
    // Nothing was made in the tree itself.
    assert!(!root.join("p/.vscode").exists());
    assert!(!root.join("p/.git/hooks").exists());
}

#[test]
fn secret_places_stay_covered_unless_the_policy_names_them() {
    let home = Path::new("/home/ann");
    let mut notices = Vec::new();
    let nothing: Environment = [("HOME", home)].into_iter().collect();
    let around = (home, home, &nothing);
    let masks = secrets::masks(around, &permitted(&plan(vec![]), &[]), &mut notices);
    assert_eq!(masks.len(), SECRET_PLACES.len());
    // A part of a place leaves the rest of it covered, and so does a rule that only restricts.
    let parts = [".ssh/known_hosts", ".kube", ".aws"].map(|it| rule(&home.join(it), Allowed::Read));
    let parts = plan(parts.to_vec());
    let named = permitted(&parts, &[&home.join(".ssh/known_hosts"), &home.join(".kube")]);
    let masks = secrets::masks(around, &named, &mut notices);
    let has = |masks: &[(PathBuf, Kind)], name: &str| {
        masks.iter().any(|(path, _)| *path == home.join(name))
    };
    assert!(has(&masks, ".ssh") && has(&masks, ".aws") && !has(&masks, ".kube"));
    let whole = plan(vec![rule(home, Allowed::Read)]);
    let whole = permitted(&whole, &[home]);
    assert!(has(&secrets::masks(around, &whole, &mut notices), ".ssh"));
}

#[test]
fn what_the_environment_names_as_credentials_is_covered_wherever_it_is() {
    let (_root, root) = tree(&["h/p/keys.json", "h/.npmrc", "h/.aws/config", "c/credentials.toml"]);
    fs::create_dir_all(root.join("az")).unwrap();
    for file in ["c/config.toml", "k1", "k2"] {
        fs::write(root.join(file), "").unwrap();
    }
    std::os::unix::fs::symlink(root.join("k2"), root.join("link")).unwrap();
    let (home, cwd) = (root.join("h"), root.join("h/p"));
    let at = |name: &str| root.join(name).into_os_string();
    let both = [at("k1"), at("link")].join(std::ffi::OsStr::new(":"));
    let environment: Environment = [
        ("GOOGLE_APPLICATION_CREDENTIALS", "keys.json".into()),
        ("KUBECONFIG", both),
        ("CARGO_HOME", at("c")),
        ("AZURE_CONFIG_DIR", at("az")),
        // Covered already, in its usual place, above where people work, no file, and absent.
        ("AWS_CONFIG_FILE", at("h/.aws/config")),
        ("NPM_CONFIG_USERCONFIG", at("h/.npmrc")),
        ("GNUPGHOME", at("h")),
        ("NETRC", "/dev/null".into()),
        ("PGPASSFILE", at("absent")),
    ]
    .into_iter()
    .collect();
    let mut notices = Vec::new();
    let covered = |plan: &FilePlan, notices: &mut Vec<_>| -> Vec<String> {
        let paths: Vec<&Path> = plan.rules.iter().map(|rule| rule.path.as_path()).collect();
        let permitted = permitted(plan, &paths);
        let masks = secrets::masks((&home, &cwd, &environment), &permitted, notices);
        let named = masks.into_iter().skip(SECRET_PLACES.len());
        named.map(|(path, _)| path.strip_prefix(&root).unwrap().display().to_string()).collect()
    };
    let all = ["k1", "k2", "h/p/keys.json", "az", "c/credentials.toml"];
    let mut found = covered(&plan(vec![]), &mut notices);
    found.sort();
    let mut expected = all.map(str::to_owned);
    expected.sort();
    assert_eq!(found, expected);
    let named =
        plan(vec![rule(&root.join("h/p"), Allowed::Read), rule(&root.join("k1"), Allowed::Read)]);
    let found = covered(&named, &mut notices);
    assert!(!found.contains(&"k1".to_owned()) && found.contains(&"h/p/keys.json".to_owned()));
    assert!(notices.iter().any(|it| it.text.contains("keys.json` stays covered")), "{notices:?}");
}

fn sessions() -> [SessionId; 2] {
    ["saaaaaaaa", "sbbbbbbbb"].map(|name| name.parse().unwrap())
}

fn state(root: &Path) -> StateDirs {
    let environment: Environment = [("HOME", root)].into_iter().collect();
    let dirs = StateDirs::locate(&environment).unwrap();
    dirs.create().unwrap();
    dirs
}

fn placeholder(path: &Path) -> placeholders::Placeholder {
    let kind = if path.extension().is_some() { Kind::File } else { Kind::Dir };
    placeholders::Placeholder { path: path.to_owned(), kind }
}

#[test]
fn a_placeholder_stays_while_another_session_is_mounted_on_it() {
    let (_root, root) = tree(&["p/hooks/", "p/settings.json"]);
    fs::write(root.join("p/settings.json"), "{}\n").unwrap();
    let dirs = state(&root);
    let [one, other] = sessions();
    let all = vec![placeholder(&root.join("p/hooks")), placeholder(&root.join("p/settings.json"))];
    let first = placeholders::turn(&dirs).unwrap().record(&one, all.clone()).unwrap();
    let turn = placeholders::turn(&dirs).unwrap();
    assert!(turn.known().contains(&root.join("p/hooks")));
    let second = turn.record(&other, all).unwrap();
    drop(turn);
    drop(first);
    assert!(root.join("p/hooks").exists());
    drop(second);
    assert!(!root.join("p/hooks").exists());
    assert!(!root.join("p/settings.json").exists());
}

#[test]
fn what_a_killed_session_left_is_cleaned_up_by_the_next_but_never_somebodys_content() {
    let (_root, root) = tree(&["p/hooks/", "p/.vscode/tasks.json", "p/settings.json"]);
    let dirs = state(&root);
    let [killed, next] = sessions();
    let left =
        ["p/hooks", "p/.vscode", "p/settings.json"].map(|name| placeholder(&root.join(name)));
    // A killed process leaves its list and no lock on it.
    let list = dirs.state().join("placeholders").join(format!("{killed}.json"));
    drop(placeholders::turn(&dirs).unwrap());
    fs::write(&list, serde_json::to_vec(&left).unwrap()).unwrap();
    let next = placeholders::turn(&dirs).unwrap().record(&next, Vec::new()).unwrap();
    drop(next);
    assert!(!list.exists());
    assert!(!root.join("p/hooks").exists());
    assert!(root.join("p/.vscode/tasks.json").exists());
    assert!(root.join("p/settings.json").exists());
}

#[test]
fn a_rule_for_the_root_shows_the_host_one_by_one_and_never_as_a_whole() {
    let home = tempfile::tempdir().unwrap();
    let project = home.path().canonicalize().unwrap();
    let layout = Layout::of_plan(&plan(vec![rule(Path::new("/"), Allowed::Write)]), &project);
    let binds = layout.binds();
    let of = |path: &str| binds.iter().find(|bind| bind.target == Path::new(path));
    for own in ["/", "/dev", "/proc", "/run", "/sys", "/tmp", "/etc", "/etc/passwd"] {
        assert!(of(own).is_none(), "{own}");
    }
    assert_eq!(of("/usr").unwrap().access, Access::Read);
    assert_eq!(of("/etc/ld.so.cache").unwrap().access, Access::Read);
    assert_eq!(of("/var").unwrap().access, Access::Write);
    assert_eq!(of(project.to_str().unwrap()).unwrap().access, Access::Write);
    assert_eq!(layout.notices.len(), 1);
}

#[test]
fn a_rule_for_the_root_alone_shows_nothing() {
    let mut plan = plan(vec![rule(Path::new("/"), Allowed::Read)]);
    plan.exact.push(AbsolutePath::root());
    assert!(Layout::of_plan(&plan, Path::new("/p")).binds().is_empty());
}

#[test]
fn a_link_that_an_earlier_session_left_where_we_mount_is_taken_away() {
    let (_root, root) = tree(&["outside/x", "store/y", "host-pip/z"]);
    symlink(root.join("outside"), root.join("store/pip")).unwrap();
    let mut layout = Layout::default();
    layout.bind_private(&root.join("home"), &root.join("store"), Use::Write);
    layout.bind_private(&root.join("home/pip"), &root.join("host-pip"), Use::Read);
    let identity = ringfence_sandbox::world::Identity {
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
    };
    let idmap = ringfence_sandbox::world::IdMap::None;
    let payload = Payload { identity, idmap, name: "a".into() };
    mountpoints::make(&layout, &[], &payload, mountpoints::Where::Everywhere);
    assert!(fs::symlink_metadata(root.join("store/pip")).unwrap().is_dir());
    assert_eq!(fs::read_dir(root.join("outside")).unwrap().count(), 1);
}
