//! Laws that hold for every policy: index against full scan, plan against decision.

use proptest::prelude::*;
use ringfence_core::{Access, Act, Agent, Decide, Role, SetName, Verdict};
use ringfence_policy::{FsDynamic, Options, Policy};

use crate::support::{connect, exec, facts, options, path, request, send, source};

/// Few names, so that rules and requests meet often.
fn file() -> impl Strategy<Value = String> {
    proptest::collection::vec(prop_oneof!["a", "b", "ab"], 0..4)
        .prop_map(|parts| format!("/{}", parts.join("/")))
}

fn host() -> impl Strategy<Value = String> {
    proptest::collection::vec(prop_oneof!["a", "b", "com"], 1..4).prop_map(|parts| parts.join("."))
}

fn action() -> impl Strategy<Value = (&'static str, &'static str)> {
    prop_oneof![
        Just(("action == Action::\"exec\"", "Program")),
        Just(("action == Action::\"fs.read\"", "Path")),
        Just(("action == Action::\"fs.write\"", "Path")),
        Just(("action in [Action::\"fs.write\", Action::\"fs.delete\"]", "Path")),
        Just(("action in Action::\"fs\"", "Path")),
        Just(("action in Action::\"net\"", "Endpoint")),
        Just(("action == Action::\"net.request\"", "Endpoint")),
        Just(("action in Action::\"tool.call\"", "Tool")),
        Just(("action == Action::\"files/read\"", "Tool")),
        Just(("action in [Action::\"files/write\", Action::\"shop/pay\"]", "Tool")),
        Just(("action in [Action::\"files/read\", Action::\"exec\"]", "")),
        Just(("action", "")),
    ]
}

fn tool() -> impl Strategy<Value = String> {
    prop_oneof!["files/read", "files/write", "files/other", "shop/pay", "shop/read"]
}

fn resource(ty: &'static str) -> BoxedStrategy<String> {
    let any = Just("resource".to_owned());
    match ty {
        "" => any.boxed(),
        "Tool" => prop_oneof![
            2 => any,
            1 => prop_oneof!["files", "shop"].prop_map(|it| format!("resource in Server::\"{it}\"")),
            1 => tool().prop_map(|tool| format!("resource == Tool::\"{tool}\"")),
        ]
        .boxed(),
        "Endpoint" => prop_oneof![
            1 => any,
            3 => host().prop_map(|host| format!("resource in Domain::\"{host}\"")),
            2 => host().prop_map(|host| format!("resource == Endpoint::\"{host}:443\"")),
        ]
        .boxed(),
        _ => prop_oneof![
            1 => any,
            3 => file().prop_map(|dir| format!("resource in Dir::\"{dir}\"")),
            2 => file().prop_map(move |file| format!("resource == {ty}::\"{file}\"")),
            1 => file().prop_map(move |dir| format!("resource is {ty} in Dir::\"{dir}\"")),
        ]
        .boxed(),
    }
}

fn condition(ty: &'static str) -> BoxedStrategy<String> {
    let none = Just(String::new());
    match ty {
        "" => prop_oneof![
            3 => none,
            1 => Just("when { principal == Agent::\"claude\" }".to_owned()),
            1 => Just("unless { action in Action::\"fs\" }".to_owned()),
        ]
        .boxed(),
        "Tool" => prop_oneof![
            3 => none,
            1 => Just("when { resource.server == \"files\" }".to_owned()),
            1 => Just("unless { action == Action::\"files/read\" }".to_owned()),
            1 => Just("when { context.clock.hour * 4 > 9 }".to_owned()),
        ]
        .boxed(),
        "Endpoint" => prop_oneof![
            3 => none,
            1 => Just("when { context.clock.hour > 9 }".to_owned()),
            1 => Just("when { resource is Endpoint && resource.port * 4 > 9 }".to_owned()),
        ]
        .boxed(),
        _ => prop_oneof![
            4 => none,
            1 => Just("when { resource.name == \"a\" }".to_owned()),
            1 => Just("unless { resource.path like \"*b*\" }".to_owned()),
            1 => file().prop_map(|dir| format!("when {{ !(resource in Dir::\"{dir}\") }}")),
            1 => file().prop_map(|file| format!("unless {{ resource.path == \"{file}\" }}")),
            1 => file().prop_map(|dir| {
                let dir = dir.trim_end_matches('/').to_owned();
                format!("when {{ resource.path like \"{dir}/*\" }}")
            }),
            1 => (file(), file()).prop_map(|(one, two)| {
                format!("when {{ resource in [Dir::\"{one}\", Dir::\"{two}\"] }}")
            }),
            1 => (file(), file()).prop_map(|(one, two)| {
                format!(
                    "when {{ if resource.name == \"b\" then resource in Dir::\"{one}\" else \
                     resource in Dir::\"{two}\" }}"
                )
            }),
            1 => Just("when { resource.name == \"b\" && 9223372036854775807 + 1 > 0 }".to_owned()),
            1 => Just("when { context.session == \"saaaaaaaa\" }".to_owned()),
        ]
        .boxed(),
    }
}

fn rule() -> impl Strategy<Value = String> {
    action().prop_flat_map(|(action, ty)| {
        let effect = prop_oneof![3 => Just("permit"), 1 => Just("forbid")];
        let agent = prop_oneof![
            6 => Just("principal"),
            1 => Just("principal == Agent::\"claude\""),
            1 => Just("principal == Agent::\"codex\""),
            1 => Just("principal is Agent"),
            1 => Just("principal in AgentKind::\"tool-server\""),
        ];
        (effect, agent, resource(ty), condition(ty)).prop_map(
            move |(effect, agent, resource, condition)| {
                format!("{effect}({agent}, {action}, {resource}) {condition};\n")
            },
        )
    })
}

fn rules(most: usize) -> impl Strategy<Value = String> {
    proptest::collection::vec(rule(), 0..most).prop_map(|rules| rules.concat())
}

/// Conditions on all that an exec's context holds, and on time.
fn exec_condition() -> impl Strategy<Value = (&'static str, &'static str)> {
    let effect = prop_oneof![3 => Just("permit"), 1 => Just("forbid")];
    let condition = prop_oneof![
        2 => Just(""),
        1 => Just("when { context has subcommand && context.subcommand == \"push\" }"),
        1 => Just("when { context has subcommand }"),
        1 => Just("when { context.flags.contains(\"-f\") }"),
        1 => Just("when { context.argv like \"*a push*\" }"),
        1 => Just("when { context.cwd == \"/srv/app\" }"),
        1 => Just("unless { context.opaque }"),
        1 => Just("when { context.clock.hour > 9 }"),
        1 => Just("when { resource.name == \"a\" || context.cwd like \"/tmp*\" }"),
        1 => Just("when { principal == Agent::\"claude\" && !context.flags.contains(\"-f\") }"),
    ];
    (effect, condition)
}

/// Few programs with few arguments, so that the same comes again.
fn exec_act() -> impl Strategy<Value = Act> {
    let program = prop_oneof!["/a", "/b"];
    let words = proptest::collection::vec(prop_oneof!["push", "pull", "-f", "-c"], 0..3);
    let cwd = prop_oneof!["/srv/app", "/tmp"];
    (program, words, cwd).prop_map(|(program, words, cwd)| {
        let argv: Vec<&str> =
            std::iter::once(program.as_str()).chain(words.iter().map(String::as_str)).collect();
        let mut act = exec(&argv);
        if let Act::Exec(exec) = &mut act {
            exec.cwd = path(&cwd);
        }
        act
    })
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        file().prop_map(|file| exec(&[&file, "push"])),
        file().prop_map(|file| Act::Read(path(&file))),
        file().prop_map(|file| Act::Write(path(&file))),
        file().prop_map(|file| Act::Delete(path(&file))),
        host().prop_map(|host| connect(&format!("{host}:443"))),
        host().prop_map(|host| send(&format!("{host}:443"))),
        tool().prop_map(|tool| crate::tools::call(&tool, &serde_json::json!({}))),
    ]
}

fn dynamic() -> Options {
    let tools = crate::tools::tools();
    // Whoever asks is one, so that rules on these have a say.
    let servers = ["claude".parse().unwrap()].into();
    Options { fs_dynamic: FsDynamic::Allowed, tools, servers, ..options() }
}

fn both(user: &str, system: Option<&str>) -> Policy {
    let mut sources = vec![source(SetName::User, user)];
    sources.extend(system.map(|text| source(SetName::System, text)));
    Policy::load(sources, &dynamic()).unwrap_or_else(|errors| panic!("{:#?}", errors.summaries()))
}

#[test]
fn a_connection_that_depends_on_the_hour_is_decided_each_time() {
    let rule = |host: &str, condition: &str| {
        format!(
            "permit(principal, action == Action::\"net.connect\", \
             resource == Endpoint::\"{host}:443\") {condition};\n"
        )
    };
    let late = rule("late.example", "when { context.clock.hour > 9 }");
    let policy = both(&(late + &rule("always.example", "")), None);
    for (host, hour, permitted) in [
        ("late.example", 10, true),
        ("late.example", 9, false),
        ("late.example", 11, true),
        ("always.example", 10, true),
        ("always.example", 9, true),
        ("other.example", 10, false),
    ] {
        let mut facts = facts();
        facts.clock.hour = hour;
        for _ in 0..2 {
            let request = request(connect(&format!("{host}:443")));
            let verdict = policy.decide(&request, &facts).verdict;
            assert_eq!(verdict == Verdict::Permit, permitted, "{host} at {hour}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_index_finds_what_a_full_scan_finds(
        user in rules(14),
        system in proptest::option::of(rules(8)),
        acts in proptest::collection::vec(act(), 12),
    ) {
        let policy = both(&user, system.as_deref());
        // Twice: the second time, what was remembered answers.
        for act in acts.iter().chain(&acts) {
            let request = request(act.clone());
            let indexed = policy.decide(&request, &facts()).verdict;
            prop_assert_eq!(indexed, policy.decide_by_full_scan(&request, &facts()), "{:?}", request);
        }
    }

    #[test]
    fn what_is_remembered_never_changes_an_answer(
        conditions in proptest::collection::vec(exec_condition(), 1..5),
        system in proptest::option::of(exec_condition()),
        acts in proptest::collection::vec((exec_act(), 8_u8..12), 40),
    ) {
        let rules: Vec<String> = conditions
            .iter()
            .map(|(effect, condition)| {
                format!("{effect}(principal, action == Action::\"exec\", resource) {condition};\n")
            })
            .collect();
        let text = rules.concat();
        let system = system.map(|(_, condition)| {
            format!("permit(principal, action == Action::\"exec\", resource) {condition};\n")
        });
        let policy = both(&text, system.as_deref());
        for (act, hour) in acts {
            let request = request(act);
            let mut facts = facts();
            facts.clock.hour = hour;
            let remembering = policy.decide(&request, &facts).verdict;
            let scanned = policy.decide_by_full_scan(&request, &facts);
            prop_assert_eq!(remembering, scanned, "{:?} {} {}", request, hour, text);
        }
    }

    #[test]
    fn a_plan_never_allows_more_than_its_policy(
        user in rules(14),
        system in proptest::option::of(rules(8)),
        files in proptest::collection::vec(file(), 20),
    ) {
        let policy = both(&user, system.as_deref());
        let plan = policy.file_plan(&Agent("claude".to_owned()));
        let permits = |act: Act| policy.decide(&request(act), &facts()).verdict == Verdict::Permit;
        for file in files.into_iter().flat_map(|file| [format!("{file}/c"), file]) {
            let file = path(&file);
            let (access, _) = plan.access(&file);
            if access >= Access::Read {
                prop_assert!(permits(Act::Read(file.clone())), "read {file} {plan:#?}\n{user}");
            }
            if access == Access::Write {
                prop_assert!(permits(Act::Write(file.clone())), "write {file} {plan:#?}\n{user}");
                prop_assert!(permits(Act::Delete(file.clone())), "delete {file} {plan:#?}\n{user}");
            }
        }
        prop_assert!(plan.rules.is_sorted_by(|one, two| one.path < two.path));
    }

    #[test]
    fn more_approvals_never_turn_a_permit_into_a_denial(
        unless in prop_oneof![
            Just("context.approvals.contains(\"dev\")"),
            Just("context.approvals.containsAny([\"dev\", \"owner\"])"),
            Just("context.approver_count >= 2 || context.approvals.contains(\"oncall\")"),
            Just("2 <= context.approver_count && !(context.opaque)"),
        ],
        first in 0_usize..8, second in 0_usize..8, people in 0_u32..3,
    ) {
        let text = format!(
            "permit(principal, action == Action::\"exec\", resource);
             forbid(principal, action == Action::\"exec\", resource) unless {{ {unless} }};"
        );
        let policy = both(&text, None);
        let names = ["dev", "oncall", "owner"];
        let with = |bits: usize, people: u32| {
            let mut facts = facts();
            let held = names.iter().enumerate().filter(|(bit, _)| bits & (1 << bit) != 0);
            facts.approvals = held.map(|(_, name)| Role((*name).to_owned())).collect();
            facts.approver_count = people;
            policy.decide(&request(exec(&["/bin/ls"])), &facts).verdict
        };
        if with(first, people) == Verdict::Permit {
            prop_assert_eq!(with(first | second, people + 1), Verdict::Permit);
        }
    }

    #[test]
    fn no_text_makes_the_loader_panic(text in "[ -~\n]{0,200}") {
        let _ = Policy::load(vec![source(SetName::User, &text)], &options());
    }

    #[test]
    fn no_mutilated_policy_makes_the_loader_panic(text in rules(4), at in 0_usize..400, with in "[\"(){};&!é]") {
        let mut text = text;
        if text.is_char_boundary(at.min(text.len())) {
            text.insert_str(at.min(text.len()), &with);
        }
        let _ = Policy::load(vec![source(SetName::User, &text)], &options());
    }
}
