use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use ringfence_core::{
    AbsolutePath, Act, Agent, ClockFact, Decide as _, Endpoint, Facts, Request, Verdict,
};

use super::*;
use crate::environment::Environment;
use crate::grants::{NewGrant, Scope};

struct Setup {
    _root: tempfile::TempDir,
    dirs: StateDirs,
    project: PathBuf,
    session: SessionId,
}

const OPEN: &str = "@id(\"open\") permit (principal, action, resource);\n";

fn setup() -> Setup {
    let root = tempfile::tempdir().unwrap();
    let home = fs::canonicalize(root.path()).unwrap();
    let environment: Environment = [("HOME", &home)].into_iter().collect();
    let dirs = StateDirs::locate(&environment).unwrap().with_system_dir(home.join("etc"));
    dirs.create().unwrap();
    for dir in [dirs.config(), dirs.system()] {
        fs::create_dir_all(dir).unwrap();
    }
    let project = home.join("project");
    fs::create_dir_all(project.join(".ringfence")).unwrap();
    Setup { _root: root, dirs, project, session: "saaaaaaaa".parse().unwrap() }
}

impl Setup {
    fn project_file(&self, name: &str, text: &str) {
        fs::write(self.project.join(".ringfence").join(name), text).unwrap();
    }

    fn trust(&self) {
        Project::read(&self.project).unwrap().give_trust(&self.dirs, 0).unwrap();
    }

    fn assemble(&self, overrides: &[PathBuf]) -> Result<Assembled, AssembleError> {
        assemble(Inputs {
            dirs: &self.dirs,
            cwd: &self.project,
            session: &self.session,
            overrides,
            now_ms: 1000,
        })
    }

    fn permits(&self, act: Act) -> bool {
        permits(&self.assemble(&[]).unwrap(), act)
    }

    fn path(&self, name: &str) -> AbsolutePath {
        AbsolutePath::parse(self.project.join(name).to_str().unwrap()).unwrap()
    }
}

fn permits(assembled: &Assembled, act: Act) -> bool {
    verdict(assembled, act) == Verdict::Permit
}

fn verdict(assembled: &Assembled, act: Act) -> Verdict {
    let facts = Facts {
        session: "saaaaaaaa".parse().unwrap(),
        clock: ClockFact { weekday: 1, hour: 0, minute: 0, date: 20_260_101, zone: "UTC".into() },
        approvals: std::collections::BTreeSet::new(),
        approver_count: 0,
    };
    let request = Request { agent: Agent("a".to_owned()), act, process: None };
    assembled.policy.decide(&request, &facts).verdict
}

fn host() -> Act {
    Act::Connect(Endpoint::new("example.com", 443).unwrap())
}

#[test]
fn without_a_policy_nothing_starts_and_the_way_out_is_named() {
    let setup = setup();
    let error = setup.assemble(&[]).unwrap_err();
    assert!(error.hint().unwrap().contains("ringfence init"));
}

#[test]
fn in_a_home_directory_nobody_is_sent_to_init_there() {
    let setup = setup();
    let inputs = Inputs {
        dirs: &setup.dirs,
        cwd: setup.dirs.home(),
        session: &setup.session,
        overrides: &[],
        now_ms: 0,
    };
    let hint = assemble(inputs).unwrap_err().hint().unwrap();
    assert!(hint.contains("change to a project") && hint.contains("--policy"), "{hint}");
}

#[test]
fn a_clone_that_permits_everything_permits_nothing() {
    let setup = setup();
    setup.project_file("policy.cedar", OPEN);
    let error = setup.assemble(&[]).unwrap_err();
    assert!(error.hint().unwrap().contains("ringfence trust"), "{error}");

    // Also beside a user's policy: its permits count for nothing, and a notice says so.
    fs::write(
        setup.dirs.user_policy(),
        "@id(\"r\") permit (principal, action == Action::\"fs.read\", resource);",
    )
    .unwrap();
    assert!(!setup.permits(host()));
    assert!(setup.permits(Act::Read(setup.path("x"))));
    assert!(setup.assemble(&[]).unwrap().notices[0].text.contains("not trusted"));
}

#[test]
fn a_clone_that_forbids_is_heard() {
    let setup = setup();
    fs::write(setup.dirs.user_policy(), OPEN).unwrap();
    assert!(setup.permits(host()));
    setup.project_file(
        "policy.cedar",
        "@id(\"no-net\") forbid (principal, action == Action::\"net.connect\", resource);",
    );
    assert!(!setup.permits(host()));
}

#[test]
fn a_clone_whose_settings_loosen_is_ignored_and_once_trusted_is_refused() {
    let setup = setup();
    fs::write(setup.dirs.user_policy(), OPEN).unwrap();
    setup.project_file("policy.cedar", OPEN);
    setup.project_file("settings.toml", "[dangerous]\naccept_missing = [\"landlock\"]\n");
    let assembled = setup.assemble(&[]).unwrap();
    assert!(assembled.settings.accepted_gaps.is_empty());
    setup.trust();
    assert!(matches!(setup.assemble(&[]), Err(AssembleError::Settings(_))));
}

#[test]
fn a_trusted_project_that_changes_is_no_longer_heard() {
    let setup = setup();
    setup.project_file("policy.cedar", OPEN);
    setup.trust();
    assert!(setup.permits(host()));
    setup.project_file("policy.cedar", &format!("{OPEN}// a\n"));
    let error = setup.assemble(&[]).unwrap_err();
    assert!(error.to_string().contains("changed since you trusted it"), "{error}");
}

#[test]
fn our_own_files_are_out_of_reach_whatever_a_policy_says() {
    let setup = setup();
    fs::write(setup.dirs.user_policy(), OPEN).unwrap();
    for dir in [setup.dirs.state(), setup.dirs.config(), setup.dirs.runtime(), setup.dirs.system()]
    {
        let path = AbsolutePath::parse(dir.join("x/y").to_str().unwrap()).unwrap();
        for act in [
            Act::Read(path.clone()),
            Act::Write(path.clone()),
            Act::Delete(path.clone()),
            Act::ConnectUnix(path.clone()),
        ] {
            assert!(!setup.permits(act), "{path}");
        }
    }
}

#[test]
fn what_the_host_runs_by_itself_can_be_read_but_not_written() {
    let setup = setup();
    fs::write(setup.dirs.user_policy(), OPEN).unwrap();
    fs::create_dir(setup.project.join(".git")).unwrap();
    for name in [
        ".git/hooks/pre-commit",
        ".git/config",
        ".claude/settings.json",
        ".envrc",
        ".ringfence/policy.cedar",
    ] {
        assert!(setup.permits(Act::Read(setup.path(name))), "{name}");
        assert!(!setup.permits(Act::Write(setup.path(name))), "{name}");
        assert!(!setup.permits(Act::Delete(setup.path(name))), "{name}");
    }
    assert!(setup.permits(Act::Write(setup.path(".git/index"))));
    assert!(setup.permits(Act::Write(setup.path("src/main.rs"))));
}

#[test]
fn the_ceiling_holds_over_everything() {
    let setup = setup();
    setup.project_file("policy.cedar", OPEN);
    setup.trust();
    fs::write(
        setup.dirs.system_policy(),
        "@id(\"files\") permit (principal, action in Action::\"fs\", resource);",
    )
    .unwrap();
    assert!(!setup.permits(host()));
    assert!(setup.permits(Act::Read(setup.path("x"))));
    let own = setup.project.join("mine.cedar");
    fs::write(&own, OPEN).unwrap();
    assert!(!permits(&setup.assemble(&[own]).unwrap(), host()));
}

#[test]
fn a_named_policy_stands_in_for_user_and_project() {
    let setup = setup();
    fs::write(setup.dirs.user_policy(), OPEN).unwrap();
    let file = PathBuf::from("only.cedar");
    assert!(matches!(
        setup.assemble(std::slice::from_ref(&file)),
        Err(AssembleError::NoOverride(_))
    ));
    fs::write(
        setup.project.join(&file),
        "@id(\"r\") permit (principal, action == Action::\"fs.read\", resource);",
    )
    .unwrap();
    let assembled = setup.assemble(&[file]).unwrap();
    assert!(!permits(&assembled, host()));
    assert_eq!(assembled.digests[0].set, SetName::Override);
}

#[test]
fn a_grant_holds_until_it_ends_and_not_over_the_ceiling() {
    let setup = setup();
    setup.project_file(
        "policy.cedar",
        "@id(\"r\") permit (principal, action == Action::\"fs.read\", resource);",
    );
    setup.trust();
    let grant = |expires| {
        let new = NewGrant {
            text: "net:example.com:443".to_owned(),
            scope: Scope::Project(setup.project.clone()),
            author: "ann".to_owned(),
            expires,
        };
        crate::grants::add(&setup.dirs, new, 10, |id| {
            format!("@id(\"{id}\") permit (principal, action == Action::\"net.connect\", resource == Endpoint::\"example.com:443\");")
        })
        .unwrap()
    };
    grant(Some(999));
    assert!(!setup.permits(host()));
    grant(Some(1001));
    assert!(setup.permits(host()));
    fs::write(
        setup.dirs.system_policy(),
        "@id(\"all\") permit (principal, action, resource);\n@id(\"no\") forbid (principal, action == Action::\"net.connect\", resource);",
    )
    .unwrap();
    assert!(!setup.permits(host()));
}

#[test]
fn a_policy_that_does_not_parse_is_refused_with_its_file() {
    let setup = setup();
    fs::write(
        setup.dirs.user_policy(),
        "permit (principal, action == Action::\"fs.wirte\", resource);",
    )
    .unwrap();
    let error = setup.assemble(&[]).unwrap_err();
    assert!(matches!(error, AssembleError::Policy(_)), "{error}");
}

#[test]
fn a_text_is_held_against_the_schema_once_and_again_when_it_changes() {
    let setup = setup();
    setup.project_file("policy.cedar", "permit (principal, action == Action::\"exec\", resource);");
    setup.trust();
    setup.assemble(&[]).unwrap();
    let list = setup.dirs.state().join("validated");
    let first = fs::read_to_string(&list).unwrap();
    assert!(first.lines().count() >= 2, "the project's and the built-in rules: {first}");
    setup.assemble(&[]).unwrap();
    assert_eq!(fs::read_to_string(&list).unwrap(), first);
    setup.project_file("policy.cedar", "permit (principal, action == Action::\"exce\", resource);");
    setup.trust();
    assert!(setup.assemble(&[]).is_err());
    assert_eq!(fs::read_to_string(&list).unwrap(), first);
}

#[test]
fn a_grant_brings_no_text_of_a_policy_into_force_that_nobody_has_looked_at() {
    let setup = setup();
    let narrow = "@id(\"r\") permit (principal, action == Action::\"fs.read\", resource);";
    let own = setup.project.join("own.cedar");
    fs::write(&own, narrow).unwrap();
    let overrides = [own.clone()];
    let running = setup.assemble(&overrides).unwrap();
    fs::write(&own, OPEN).unwrap();
    setup.project_file("policy.cedar", OPEN);
    let inputs = Inputs {
        dirs: &setup.dirs,
        cwd: &setup.project,
        session: &setup.session,
        overrides: &overrides,
        now_ms: 1000,
    };
    let granted = with_grants(inputs, &running).unwrap();
    assert!(!permits(&granted, host()) && granted.digests == running.digests);
    // Somebody says `policy reload`.
    assert!(permits(&assemble_again(inputs, &running).unwrap(), host()));
}

#[test]
fn what_is_loaded_anew_belongs_to_the_project_that_the_session_began_in() {
    let setup = setup();
    setup.project_file("policy.cedar", OPEN);
    setup.trust();
    let below = setup.project.join("below");
    fs::create_dir_all(&below).unwrap();
    let inputs = Inputs {
        dirs: &setup.dirs,
        cwd: &below,
        session: &setup.session,
        overrides: &[],
        now_ms: 1000,
    };
    let running = assemble(inputs).unwrap();
    fs::create_dir_all(below.join(".ringfence")).unwrap();
    fs::write(below.join(".ringfence/policy.cedar"), "").unwrap();
    let again = assemble_again(inputs, &running).unwrap();
    assert_eq!(again.project.dir, running.project.dir);
    assert!(permits(&again, host()));
    assert_ne!(assemble(inputs).map(|it| it.project.dir).ok(), Some(running.project.dir));
}

const NO_HOST: &str = "@id(\"no-host\") forbid (principal, action in Action::\"net\", resource);\n";

/// A project with a policy of its own in the one around it, which says `outer` and is trusted.
fn nested(outer: &str) -> Setup {
    let mut setup = setup();
    setup.project_file("policy.cedar", outer);
    setup.trust();
    setup.project = setup.project.join("vendor/clone");
    fs::create_dir_all(setup.project.join(".ringfence")).unwrap();
    setup.project_file("policy.cedar", OPEN);
    setup.trust();
    setup
}

fn outer_file(setup: &Setup, name: &str, text: &str) {
    fs::write(setup.dirs.home().join("project/.ringfence").join(name), text).unwrap();
}

#[test]
fn a_clone_with_a_policy_of_its_own_takes_no_forbid_of_the_project_around_it_out_of_force() {
    let setup = nested(NO_HOST);
    assert!(!setup.permits(host()));
    assert!(setup.permits(Act::Write(setup.path("x"))));
    let outer = setup.assemble(&[]).unwrap().digests[1].clone();
    let expected = (SetName::OuterProject, "~/project/.ringfence/policy.cedar");
    assert_eq!((outer.set, outer.file.as_str()), expected);

    // Nor where the clone is not trusted, and the person's own policy permits.
    fs::write(setup.dirs.user_policy(), OPEN).unwrap();
    crate::trust::untrust(&setup.dirs, &setup.project).unwrap();
    assert!(!setup.permits(host()));
    assert!(setup.permits(Act::Write(setup.path("x"))));
}

#[test]
fn a_project_around_permits_nothing_and_its_questions_are_asked() {
    let setup = nested(OPEN);
    setup.project_file("policy.cedar", NO_HOST.replace("net", "fs").as_str());
    setup.trust();
    assert!(!setup.permits(host()));
    assert!(!setup.permits(Act::Write(setup.path("x"))));

    let asks = "@id(\"a\") forbid (principal, action in Action::\"net\", resource) \
        unless { context.approvals.contains(\"owner\") };";
    let setup = nested(asks);
    assert!(!setup.permits(host()));
    assert!(matches!(verdict(&setup.assemble(&[]).unwrap(), host()), Verdict::Ask(_)));
}

#[test]
fn a_project_around_that_nobody_trusted_forbids_and_says_so() {
    let setup = nested(NO_HOST);
    let outer = setup.dirs.home().join("project");
    crate::trust::untrust(&setup.dirs, &outer).unwrap();
    assert!(!setup.permits(host()));
    let notices = setup.assemble(&[]).unwrap().notices;
    assert!(notices[0].text.contains("not trusted"), "{notices:?}");
    let hint = notices[0].hint.clone().unwrap();
    assert!(hint.contains(&format!("`ringfence trust {}`", outer.display())), "{hint}");
}

#[test]
fn a_project_around_that_changed_since_it_was_trusted_ends_the_start() {
    let setup = nested(NO_HOST);
    outer_file(&setup, "policy.cedar", OPEN);
    let error = setup.assemble(&[]).unwrap_err();
    assert!(matches!(error, AssembleError::OuterChanged(_)), "{error}");
    let outer = setup.dirs.home().join("project");
    let says = format!("`ringfence trust {}`", outer.display());
    assert!(error.hint().unwrap().contains(&says), "{:?}", error.hint());
    // With `--policy` neither project has a say.
    let file = setup.project.join("mine.cedar");
    fs::write(&file, OPEN).unwrap();
    assert!(permits(&setup.assemble(&[file]).unwrap(), host()));

    // Its settings are part of what was trusted; without a policy there is nothing to trust.
    outer_file(&setup, "policy.cedar", NO_HOST);
    assert!(setup.assemble(&[]).is_ok());
    outer_file(&setup, "settings.toml", "[limits]\nsteps_max = 9\n");
    assert!(setup.assemble(&[]).is_err());
    fs::remove_file(outer.join(".ringfence/policy.cedar")).unwrap();
    let hint = setup.assemble(&[]).unwrap_err().hint().unwrap();
    assert!(hint.contains("ringfence untrust"), "{hint}");
    crate::trust::untrust(&setup.dirs, &outer).unwrap();
    assert!(setup.permits(host()));
}

#[test]
fn the_settings_of_a_project_around_restrict_too_if_it_is_trusted() {
    let setup = nested(NO_HOST);
    setup.project_file("settings.toml", "[limits]\nsteps_max = 500\n");
    setup.trust();
    let outer = setup.dirs.home().join("project");
    outer_file(&setup, "settings.toml", "[limits]\nsteps_max = 9\n[net]\nproxy_port = 4000\n");
    Project::read(&outer).unwrap().give_trust(&setup.dirs, 0).unwrap();
    let settings = setup.assemble(&[]).unwrap().settings;
    assert_eq!((settings.limits.steps_max, settings.proxy_port), (Some(9), 3128));
    crate::trust::untrust(&setup.dirs, &outer).unwrap();
    assert_eq!(setup.assemble(&[]).unwrap().settings.limits.steps_max, Some(500));
}

#[test]
fn what_a_project_around_says_is_not_the_agents_to_write() {
    let setup = nested("");
    let policy = setup.dirs.home().join("project/.ringfence/policy.cedar");
    let beside = setup.dirs.home().join("project/file");
    let path = |path: &Path| AbsolutePath::parse(path.to_str().unwrap()).unwrap();
    assert!(setup.permits(Act::Write(path(&beside))));
    assert!(!setup.permits(Act::Write(path(&policy))));
    assert!(!setup.permits(Act::Delete(path(&policy))));
}

#[test]
fn neither_the_home_nor_what_is_above_it_is_a_project_around() {
    let setup = nested("");
    for dir in [setup.dirs.home().to_owned(), setup.dirs.home().join("everybody")] {
        fs::create_dir_all(dir.join(".ringfence")).unwrap();
        fs::write(dir.join(".ringfence/policy.cedar"), NO_HOST).unwrap();
    }
    assert!(setup.permits(host()));
    // One's own directory stays a project around when its mode is changed.
    let setup = nested(NO_HOST);
    let around = setup.dirs.home().join("project");
    fs::set_permissions(&around, fs::Permissions::from_mode(0o1777)).unwrap();
    assert!(!setup.permits(host()));
}

#[test]
fn a_session_keeps_the_projects_around_it_that_it_began_in() {
    let setup = nested(NO_HOST);
    let inputs = Inputs {
        dirs: &setup.dirs,
        cwd: &setup.project,
        session: &setup.session,
        overrides: &[],
        now_ms: 1000,
    };
    let running = assemble(inputs).unwrap();
    let between = setup.dirs.home().join("project/vendor/.ringfence");
    fs::create_dir_all(&between).unwrap();
    fs::write(between.join("policy.cedar"), "not a policy").unwrap();
    assert!(!permits(&assemble_again(inputs, &running).unwrap(), host()));
    outer_file(&setup, "policy.cedar", "");
    assert!(assemble_again(inputs, &running).is_err());
}
