use ringfence_sandbox::world::{NotifyClasses, Switch};

use super::*;

fn file(text: &str) -> FileText {
    FileText::new("settings.toml".into(), text.to_owned())
}

fn parse(text: &str, origin: Origin) -> Result<SettingsFile, SettingsError> {
    SettingsFile::parse(&file(text), origin)
}

fn joined(system: &str, user: &str, project: &str) -> (Settings, Vec<Notice>) {
    let system = parse(system, Origin::System).unwrap();
    let user = parse(user, Origin::User).unwrap();
    let project = parse(project, Origin::Project).unwrap();
    join(Some(&system), Some(&user), Some(&project), &[])
}

#[test]
fn nothing_said_means_the_defaults() {
    let (settings, notices) = join(None, None, None, &[]);
    assert_eq!(settings, Settings::default());
    assert_eq!(notices, []);
}

#[test]
fn an_unknown_key_is_refused_with_its_place_and_the_nearest_known_one() {
    let error = parse("roles = [\"owner\"]\n[limits]\nsteps_mx = 3\n", Origin::User).unwrap_err();
    assert_eq!((error.line, error.column), (3, 1));
    assert!(error.message.contains("steps_mx"), "{}", error.message);
    assert_eq!(error.hint.as_deref(), Some("did you mean `steps_max`?"));
}

#[test]
fn a_file_that_is_not_toml_is_refused_with_its_place() {
    let error = parse("roles = [\n\n[fs\n", Origin::User).unwrap_err();
    assert!(error.line >= 2, "{error}");
}

#[test]
fn the_systems_tier_cannot_be_overruled_and_a_project_names_none() {
    use ringfence_sandbox::world::Tier::{Landlock, Namespaces};
    let tier = |system: &str, user: &str| joined(system, user, "").0.tier;
    let (landlock, namespaces) =
        ("[world]\ntier = \"landlock\"\n", "[world]\ntier = \"namespaces\"\n");
    assert_eq!(tier("", "").chosen(None), Ok(Namespaces));
    assert_eq!(tier("", "").chosen(Some(Landlock)), Ok(Landlock));
    assert_eq!(tier("", landlock).chosen(None), Ok(Landlock));
    assert_eq!(tier("", landlock).chosen(Some(Namespaces)), Ok(Namespaces));
    assert_eq!(tier(namespaces, landlock).chosen(None), Ok(Namespaces));
    assert_eq!(tier(namespaces, "").chosen(Some(Landlock)), Err(TierFixed(Namespaces)));
    let error = parse(landlock, Origin::Project).unwrap_err();
    assert!(error.message.contains("cannot set `tier`"), "{error}");
}

#[test]
fn a_project_tightens_the_profile_and_the_start_of_programs_and_loosens_neither() {
    use ringfence_sandbox::seccomp::Profile::{Build, Default, Strict};
    use ringfence_sandbox::world::Programs::{Anywhere, NotWhereWritten};
    let (strict, build) = ("[world]\nseccomp = \"strict\"\n", "[world]\nseccomp = \"build\"\n");
    let of = |system: &str, user: &str, project: &str| joined(system, user, project).0;
    let profile = |system, user, project| of(system, user, project).seccomp;
    assert_eq!(profile("", "", "").chosen(None), Ok(Default));
    assert_eq!(profile("", build, "").chosen(None), Ok(Build));
    assert_eq!(profile("", build, "").chosen(Some(Strict)), Ok(Strict));
    assert_eq!(profile(strict, build, "").chosen(None), Ok(Strict));
    assert_eq!(profile(strict, "", "").chosen(Some(Build)), Err(SeccompFixed(Strict)));
    assert_eq!(profile(build, "", strict).chosen(None), Ok(Strict));
    assert_eq!(profile("", build, strict).chosen(Some(Build)), Err(SeccompFixed(Strict)));
    for loose in [build, "[world]\nseccomp = \"browser\"\n", "[world]\nseccomp = \"default\"\n"] {
        let error = parse(loose, Origin::Project).unwrap_err();
        assert!(error.message.contains("cannot set `seccomp`"), "{error}");
    }
    let error = parse("[world]\nseccomp = \"none\"\n", Origin::User).unwrap_err();
    assert!(error.message.contains("no seccomp profile `none`"), "{error}");
    let (on, off) = ("[world]\nnoexec = true\n", "[world]\nnoexec = false\n");
    assert_eq!(of("", "", "").programs, Anywhere);
    for (system, user, project) in [(on, off, off), (off, on, off), (off, off, on)] {
        assert_eq!(of(system, user, project).programs, NotWhereWritten);
    }
}

#[test]
fn an_unknown_gap_or_profile_or_zone_or_role_is_refused() {
    for text in [
        "[dangerous]\naccept_missing = [\"seccomp\"]\n",
        "[dangerous]\noff = true\n",
        "[dangerous]\nunnotified = [\"read\"]\n",
        "[agent]\nprofile = \"clippy\"\n",
        "time_zone = \"Mars/Olympus\"\n",
        "roles = [\"On Call\"]\n",
        "roles = [\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\",\"i\"]\n",
        "[limits]\nlog_bytes_max = 10\n",
        "[limits]\nsteps_max = -1\n",
        "[net]\nproxy_port = 80\n",
        "[world]\ntier = \"chroot\"\n",
        "[world]\ntire = \"landlock\"\n",
        "[ssh]\nkeys = { work = \"SHA256:short\" }\n",
        "[ssh]\nkeys = { Work = \"SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU\" }\n",
        "[gpg]\nkeys = { commits = \"035AA66E0C6DF9ED\" }\n",
        "[gpg]\nkeys = { commits = \"4fc3a6c8e7cd03004a036a44035aa66e0c6df9ed\" }\n",
        "[gpg]\nkeys = { Commits = \"4FC3A6C8E7CD03004A036A44035AA66E0C6DF9ED\" }\n",
        "[gpg]\nkeys = { a = \"4FC3A6C8E7CD03004A036A44035AA66E0C6DF9ED\", \
         b = \"4FC3A6C8E7CD03004A036A44035AA66E0C6DF9ED\" }\n",
        "[ssh]\nkeys = { work = \"SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU\" }\n\
         [gpg]\nkeys = { work = \"4FC3A6C8E7CD03004A036A44035AA66E0C6DF9ED\" }\n",
        "[dangerous]\nunprotect = [\".ringfence\"]\n",
        "[limits]\nsteps_max = 0\n",
        "[limits]\nopen_files_max = 10\n",
        "[limits]\nprocesses_max = 0\n",
        "[limits]\ncpu_percent_max = 0\n",
        "[limits]\nwall_seconds_max = 0\n",
        "[dangerous]\nunprotect = [\"/etc\"]\n",
        "[net]\nproxy_port = 70000\n",
        "[[registry]]\necosystem = \"maven\"\nurl = \"https://a.test\"\n",
        "[[registry]]\necosystem = \"npm\"\nurl = \"a.test\"\n",
        "[[registry]]\necosystem = \"npm\"\nurl = \"https://a.test/x?y\"\n",
        "[[registry]]\necosystem = \"npm\"\nurl = \"https://a.test\"\nfiles = [\"ftp://b\"]\n",
    ] {
        assert!(parse(text, Origin::User).is_err(), "{text}");
    }
}

#[test]
fn a_project_may_not_loosen_anything() {
    for (text, line) in [
        ("[dangerous]\naccept_missing = [\"landlock\"]\n", 1),
        ("[limits]\nsteps_max = 1\n[dangerous]\n", 3),
        ("[dangerous]\nunnotified = [\"exec\"]\n", 1),
        ("[run]\nuser = \"root\"\n", 2),
        ("[run]\npass_env = [\"TOKEN\"]\n", 2),
        ("[dangerous]\nunprotect = [\".vscode\"]\n", 1),
        ("time_zone = \"UTC\"\n", 1),
        ("[world]\nimage = \"debian\"\n", 2),
        ("[world]\nengine = \"docker\"\n", 2),
        ("[fs]\ndynamic = true\n", 2),
        ("[gpg]\nkeys = { work = \"4FC3A6C8E7CD03004A036A44035AA66E0C6DF9ED\" }\n", 1),
    ] {
        let error = parse(text, Origin::Project).unwrap_err();
        assert_eq!(error.line, line, "{text}");
        assert!(error.hint.is_some());
        assert!(parse(text, Origin::User).is_ok(), "{text}");
    }
}

#[test]
fn a_project_cannot_add_a_role_only_leave_some_out() {
    let (settings, notices) =
        joined("", "roles = [\"owner\", \"oncall\"]", "roles = [\"oncall\", \"admin\"]");
    assert_eq!(settings.roles, [Role("oncall".to_owned())]);
    assert!(notices[0].text.contains("`admin`"), "{}", notices[0]);
}

#[test]
fn a_user_cannot_take_a_role_that_the_system_does_not_declare() {
    let (settings, notices) = joined("roles = [\"dev\"]", "roles = [\"dev\", \"security\"]", "");
    assert_eq!(settings.roles, [Role("dev".to_owned())]);
    assert_eq!(notices.len(), 1);
}

#[test]
fn the_lowest_limit_holds() {
    let (settings, _) = joined(
        "[limits]\nsteps_max = 50",
        "[limits]\nsteps_max = 900\nopen_files_max = 64",
        "[limits]\nsteps_max = 70\nopen_files_max = 32",
    );
    assert_eq!(settings.limits.steps_max, Some(50));
    assert_eq!(settings.limits.open_files_max, Some(32));
    assert_eq!(settings.limits.log_bytes_max, None);
}

#[test]
fn dynamic_file_rules_need_a_yes_and_no_no() {
    let dynamic = |system, user, project| joined(system, user, project).0.fs_dynamic;
    assert_eq!(dynamic("", "[fs]\ndynamic = true", ""), FsDynamicSetting::Allowed);
    assert_eq!(
        dynamic("", "[fs]\ndynamic = true", "[fs]\ndynamic = false"),
        FsDynamicSetting::Refused
    );
    assert_eq!(
        dynamic("[fs]\ndynamic = false", "[fs]\ndynamic = true", ""),
        FsDynamicSetting::Refused
    );
}

#[test]
fn the_systems_image_cannot_be_overruled() {
    let image = |system: &str, user: &str| joined(system, user, "").0.container;
    let (theirs, mine) = ("[world]\nimage = \"theirs\"\n", "[world]\nimage = \"mine\"\n");
    assert_eq!(image("", "").chosen(None), Ok(None));
    assert_eq!(image("", mine).chosen(None), Ok(Some("mine".to_owned())));
    assert_eq!(image("", mine).chosen(Some("named")), Ok(Some("named".to_owned())));
    assert_eq!(image(theirs, mine).chosen(None), Ok(Some("theirs".to_owned())));
    assert_eq!(image(theirs, "").chosen(Some("named")), Err(ImageFixed("theirs".to_owned())));
}

#[test]
fn a_gap_that_the_system_does_not_accept_is_not_accepted() {
    let user = "[dangerous]\naccept_missing = [\"landlock\"]";
    let (settings, _) = joined("", user, "");
    assert_eq!(settings.accepted_gaps, BTreeSet::from([Gap::Landlock]));
    let (settings, notices) = joined("[dangerous]\n", user, "");
    assert!(settings.accepted_gaps.is_empty());
    assert_eq!(notices.len(), 1);
}

#[test]
fn the_page_of_settings_lists_every_key_and_no_other() {
    let page = include_str!("../../../../docs/settings.md");
    let parse = |text: &str| SettingsFile::parse(&file(text), Origin::User);
    let mut keys = Vec::new();
    for table in [
        "",
        "fs.",
        "limits.",
        "run.",
        "world.",
        "net.",
        "agent.",
        "ssh.",
        "gpg.",
        "detect.",
        "tools.",
        "dangerous.",
    ] {
        let error = parse(&format!("{table}nosuch = 1")).unwrap_err().message;
        let (_, expected) = error.split_once("expected").unwrap();
        let known = expected.split('`').skip(1).step_by(2).map(|key| format!("{table}{key}"));
        keys.extend(known.filter(|key| {
            ![
                "fs",
                "limits",
                "run",
                "world",
                "net",
                "agent",
                "ssh",
                "gpg",
                "detect",
                "tools",
                "dangerous",
            ]
            .contains(&key.as_str())
        }));
    }
    let listed = page.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let listed: Vec<&str> = listed.filter(|key| !key.contains('/')).collect();
    assert_eq!(listed, keys);
    let example: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("    ")).collect();
    parse(&example.join("\n")).unwrap();
}

#[test]
fn acts_are_decided_unless_the_settings_give_them_up_and_each_start_says_so() {
    let (settings, notices) = joined("", "", "");
    assert!(settings.unnotified.is_empty() && notices.is_empty());
    assert_eq!(ActClass::notified(&settings.unnotified), NotifyClasses::ALL);
    let (settings, notices) = joined("", "[dangerous]\nunnotified = [\"exec\"]", "");
    let NotifyClasses { exec, write, connect, .. } = ActClass::notified(&settings.unnotified);
    assert_eq!([exec, write, connect], [Switch::Off, Switch::On, Switch::On]);
    assert!(notices[0].text.contains("`exec` undecided"), "{}", notices[0]);
}

#[test]
fn a_class_that_the_system_does_not_give_up_stays_decided() {
    let user = "[dangerous]\nunnotified = [\"exec\", \"write\"]";
    let (settings, notices) = joined("[dangerous]\nunnotified = [\"write\"]", user, "");
    assert_eq!(settings.unnotified, BTreeSet::from([ActClass::Write]));
    assert_eq!(notices.len(), 2, "{notices:?}");
    let (settings, notices) = joined("[dangerous]\n", user, "");
    assert!(settings.unnotified.is_empty());
    assert_eq!(notices.len(), 2, "{notices:?}");
}

#[test]
fn registries_of_the_system_come_first_and_a_project_names_none() {
    let one = |host: &str| format!("[[registry]]\necosystem = \"npm\"\nurl = \"https://{host}\"\n");
    let (settings, _) = joined(&one("system.test"), &one("user.test"), "");
    let urls: Vec<&str> = settings.registries.iter().map(|one| one.url.as_str()).collect();
    assert_eq!(urls, ["https://system.test", "https://user.test"]);
    let error = parse(&one("project.test"), Origin::Project).unwrap_err();
    assert!(error.message.contains("cannot set `registry`"), "{error}");
}

#[test]
fn what_is_taken_out_of_results_only_grows_and_limits_of_calls_only_shrink() {
    use ringfence_core::Detector;
    let results = |system, user, project| joined(system, user, project).0.results;
    assert_eq!(results("", "", "").redact, [Detector::Secrets].into());
    assert_eq!(results("", "[detect]\nredact = []", "").redact, [].into());
    assert_eq!(
        results("[detect]\nredact = [\"secrets\"]", "[detect]\nredact = []", "").redact,
        [Detector::Secrets].into()
    );
    assert_eq!(
        results("", "[detect]\nredact = [\"card\"]", "[detect]\nredact = [\"hidden-text\"]").redact,
        [Detector::Card, Detector::HiddenText].into()
    );
    let limits = results(
        "[tools]\nsame_call_max = 50",
        "[tools]\nsame_call_max = 90\nsame_answer_max = 40\nloop_seconds = 60",
        "[tools]\nsame_answer_max = 9\nloop_seconds = 10\nanswer_seconds = 9999",
    );
    assert_eq!((limits.other_call_same_answer_max, limits.answer_seconds), (240, 3_600));
    assert_eq!((limits.same_call_max, limits.same_answer_max), (50, 9));
    assert_eq!(limits.loop_seconds, 60, "a project cannot have calls forgotten sooner");
    for text in [
        "[detect]\nredact = [\"secret\"]",
        "[detect]\nredact = \"secrets\"",
        "[tools]\nsame_call_max = 1",
        "[tools]\nloop_seconds = 0",
        "[tools]\nanswer_seconds = 0",
        "[tools]\nother_call_same_answer_max = 1",
        "[tools]\nsame_calls = 3",
    ] {
        assert!(parse(text, Origin::User).is_err(), "{text}");
    }
}
