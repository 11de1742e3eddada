//! Every mistake in a policy is refused at its place, with a hint.

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use miette::{GraphicalReportHandler, GraphicalTheme};
use ringfence_core::SetName;
use ringfence_policy::{
    NESTING_MAX, OPERATORS_MAX, Policy, RULE_BYTES_MAX, SCHEMA, SOURCE_BYTES_MAX,
};

use crate::support::{options, source};

fn check(text: &str, expected: &Expect) {
    let errors = Policy::load(vec![source(SetName::User, text)], &options()).unwrap_err();
    let mut found = String::new();
    for problem in errors.summaries() {
        let hint = problem.hint.unwrap_or_default();
        writeln!(found, "{}:{} {}\n  hint: {hint}", problem.line, problem.column, problem.message)
            .unwrap();
    }
    expected.assert_eq(&found);
}

#[test]
fn a_misspelt_action_is_shown_with_a_caret_and_a_hint() {
    let text = "permit(\n  principal,\n  action == Action::\"fs.wirte\",\n  resource\n);\n";
    let errors = Policy::load(vec![source(SetName::User, text)], &options()).unwrap_err();
    // The first line has no indent, so that the snapshot keeps that of the others.
    let mut shown = "shown:\n".to_owned();
    GraphicalReportHandler::new_themed(GraphicalTheme::none())
        .render_report(&mut shown, &errors.problems()[0])
        .unwrap();
    expect![[r#"
        shown:
          x unknown action `fs.wirte` --> test.cedar:3:13
           ,-[test.cedar:3:13]
         2 |   principal,
         3 |   action == Action::"fs.wirte",
           :             ^^^^^^^^^^^^^^^^^^
         4 |   resource
           `----
          help: did you mean `fs.write`?
    "#]]
    .assert_eq(&shown);
}

#[test]
fn unknown_words_are_refused_with_what_was_probably_meant() {
    check(
        r#"@resaon("x") permit(principal, action == Action::"exce", resource);
permit(principal, action == Action::"fs.read", resource) when { resource.pth == "/" };
permit(principal, action == Action::"fs.read", resource in Dri::"/srv");
permit(principal, action == Action::"exec", resource) when { context.agrv == "x" };
@colour("red") permit(principal, action in Action::"fs", resource);"#,
        &expect![[r#"
            1:1 unknown annotation `@resaon`
              hint: did you mean `reason`?
            1:42 unknown action `exce`
              hint: did you mean `exec`?
            2:65 unknown attribute `pth` on entity type `Path`
              hint: did you mean `path`? there are `path`, `name`
            3:60 unknown entity type `Dri`
              hint: did you mean `Dir`?
            4:62 unknown attribute `agrv` in context for Action::"exec"
              hint: did you mean `argv`? there are `argv`, `subcommand`, `flags`, `cwd`, `opaque`, `clock`, `approvals`, `approver_count`, `session`
            5:1 unknown annotation `@colour`
              hint: known are `id`, `reason`, `source`, `redact`, `block`, `record`, `inject`, `severity`
        "#]],
    );
}

#[test]
fn an_unknown_attribute_is_refused_with_those_that_there_are() {
    check(
        r#"permit(principal, action == Action::"net.request", resource) when { context has package && context.package.age > 48 };
permit(principal, action == Action::"exec", resource) when { context.clock.day == 1 };
permit(principal, action == Action::"secret.use", resource) when { resource.name == "x" };
permit(principal, action == Action::"fs.read", resource) when { resource.size == 1 };"#,
        &expect![[r#"
            1:92 unknown attribute `package.age` in context for Action::"net.request"
              hint: did you mean `age_hours`? there are `ecosystem`, `name`, `version`, `age_hours`
            2:62 unknown attribute `clock.day` in context for Action::"exec"
              hint: did you mean `weekday`? there are `weekday`, `hour`, `minute`, `date`, `zone`
            3:68 unknown attribute `name` on entity type `Secret`
              hint: it has no attributes
            4:65 unknown attribute `size` on entity type `Path`
              hint: there are `path`, `name`
        "#]],
    );
}

#[test]
fn a_text_that_does_not_parse_is_refused() {
    check(
        "permit(principal, action, resource)",
        &expect![[r#"
        1:36 unexpected end of input
          hint: expected `;` or identifier
    "#]],
    );
    check(
        "permit(principal action, resource);",
        &expect![[r#"
        1:18 unexpected token `action`
          hint: expected `!=`, `)`, `,`, `:`, `<`, `<=`, `==`, `>`, `>=`, `in`, or `is`
    "#]],
    );
    check(
        "allow(principal, action, resource);",
        &expect![[r#"
        1:1 invalid policy effect: allow
          hint: effect must be either `permit` or `forbid`
    "#]],
    );
    check(
        "# what a shell calls a comment\npermit(principal, action, resource);",
        &expect![[r#"
        1:1 invalid token
          hint: a comment begins with `//`
    "#]],
    );
    check(
        "permit(principal, action, resource == ?resource);",
        &expect![[r#"
            1:1 the rule has a slot, and nothing fills it
              hint: name the agent or the resource in place of `?principal` or `?resource`
        "#]],
    );
    check(
        "permit(principal, action, resource) when { context.argv = \"x\" };",
        &expect![[r#"
        1:44 '=' is not a valid operator in Cedar
          hint: try using '==' instead
    "#]],
    );
}

#[test]
fn types_that_do_not_fit_are_refused() {
    check(
        r#"permit(principal, action == Action::"exec", resource) when { context.argv == 1 };
permit(principal, action == Action::"exec", resource) when { context.subcommand == "push" };
permit(principal, action, resource) when { context.opaque };"#,
        &expect![[r#"
            1:62 the types Long and String are not compatible
              hint: both operands to a `==` expression must have compatible types. Types must be exactly equal to be compatible
            2:62 unable to guarantee safety of access to optional attribute `subcommand` in context for Action::"exec"
              hint: try testing for the attribute's presence with `context has subcommand && ..`
            3:44 not every act of this rule has the attribute `opaque`
              hint: name the action or type that has it, in the rule's head or with `is`
            3:44 this rule makes 1 file grant dynamic
              hint: a rule on files may ask for approvals; limit one that looks at anything else to `exec` and `net.connect`, or set `[fs] dynamic = true` in settings.toml and lose these grants
        "#]],
    );
}

#[test]
fn rules_that_make_file_grants_dynamic_are_refused() {
    check(
        r#"permit(principal, action in Action::"fs", resource in Dir::"/srv/a");
permit(principal, action == Action::"fs.read", resource in Dir::"/srv/b");
permit(principal, action == Action::"fs.read", resource in Dir::"/etc");
forbid(principal, action in Action::"fs", resource in Dir::"/srv")
  when { context.clock.hour > 20 };
permit(principal, action == Action::"fs.write", resource)
  when { context.approvals.contains("owner") };"#,
        &expect![[r#"
            5:10 this rule makes 3 file grants dynamic
              hint: a rule on files may ask for approvals; limit one that looks at anything else to `exec` and `net.connect`, or set `[fs] dynamic = true` in settings.toml and lose these grants
        "#]],
    );
}

#[test]
fn rules_that_approvals_could_turn_against_the_act_are_refused() {
    let head = "(principal, action == Action::\"exec\", resource)";
    for wrong in [
        "permit HEAD unless { context.approvals.contains(\"dev\") };",
        "permit HEAD when { !context.approvals.contains(\"dev\") };",
        "permit HEAD when { context.approvals.isEmpty() };",
        "permit HEAD when { context.approvals == [\"dev\"] };",
        "permit HEAD when { context.approver_count == 2 };",
        "permit HEAD when { context.approver_count < 2 };",
        "permit HEAD when { context.approver_count + 1 > 2 };",
        "permit HEAD when { [\"dev\"].containsAll(context.approvals) };",
        "permit HEAD when { if context.approvals.contains(\"dev\") then true else false };",
        "permit HEAD when { [context.approvals].contains([\"dev\"]) };",
        "permit HEAD when { {a: context}.a.approver_count < 1 };",
        "forbid HEAD when { context.approvals.contains(\"dev\") };",
        "forbid HEAD when { context.approver_count >= 1 };",
        "forbid HEAD unless { context.approvals.isEmpty() };",
    ] {
        let text = wrong.replace("HEAD", head);
        let errors = Policy::load(vec![source(SetName::User, &text)], &options());
        let messages = errors.map_err(|errors| errors.summaries()[0].message.clone());
        let expected = "more approvals could turn this rule against the act";
        assert_eq!(messages.err().as_deref(), Some(expected), "{text}");
    }
    for right in [
        "forbid HEAD when { !context.approvals.contains(\"dev\") };",
        "forbid HEAD unless { context.approver_count >= 2 && context.opaque };",
        "permit HEAD when { 1 < context.approver_count };",
        "permit HEAD when { context has approvals && context.approvals.containsAny([\"dev\"]) };",
    ] {
        let text = right.replace("HEAD", head);
        assert!(Policy::load(vec![source(SetName::User, &text)], &options()).is_ok(), "{text}");
    }
}

#[test]
fn names_that_could_never_match_are_refused() {
    check(
        r#"forbid(principal, action in Action::"fs", resource in Dir::"/srv/app/");
forbid(principal, action in Action::"fs", resource == Path::"~/.ssh");
forbid(principal, action in Action::"fs", resource in Dir::"/srv/../etc");
permit(principal, action in Action::"net", resource in Domain::"*.Example.com");
permit(principal, action in Action::"net", resource in Domain::"10.0.0.1");
permit(principal, action in Action::"net", resource == Endpoint::"example.com");
forbid(principal, action == Action::"fs", resource);"#,
        &expect![[r#"
            1:61 `Dir::"/srv/app/"` can never match: it is not in canonical form
              hint: write `Dir::"/srv/app"`
            2:62 path `~/.ssh` is not absolute
              hint: write the whole path, from `/`
            3:61 `Dir::"/srv/../etc"` can never match: it is not in canonical form
              hint: write `Dir::"/etc"`
            4:65 `Domain::"*.Example.com"` can never match: it is not in canonical form
              hint: write `Domain::"example.com"`
            5:65 `10.0.0.1` is an address, not a domain
              hint: name the address with its port: `Endpoint::"ADDRESS:PORT"`
            6:67 `example.com` is not HOST:PORT
              hint: write `Endpoint::"example.com:443"`
            7:29 no act has this action: a group is matched with `in`
              hint: write `action in Action::"fs"` or name one action
        "#]],
    );
}

#[test]
fn an_id_is_unique_within_its_set() {
    let text = "@id(\"a\") permit(principal, action in Action::\"net\", resource);";
    check(
        &format!("{text}\n{text}"),
        &expect![[r#"
        2:1 the id `a` is that of the rule at test.cedar:1:1 as well
          hint: give each rule an id of its own
    "#]],
    );
    let text_of = "permit(principal, action in Action::\"net\", resource);";
    check(
        &format!("{text_of} {text_of}"),
        &expect![[r#"
        1:55 this rule has no `@id` and is called `test:1` by its line, as the one at test.cedar:1:1 is
          hint: write `@id("NAME")` before one of them, or put each on a line of its own
    "#]],
    );
    // What is written as an `@id` may be what another is named by its place.
    check(
        &format!("{text_of}\n@id(\"test:1\") {text_of}"),
        &expect![[r#"
        2:1 the id `test:1` is that of the rule at test.cedar:1:1 as well
          hint: give each rule an id of its own
    "#]],
    );
    let sets = [SetName::User, SetName::Project, SetName::System];
    let sources = sets.map(|set| source(set, text)).to_vec();
    assert!(Policy::load(sources, &options()).is_ok());
}

#[test]
fn problems_of_all_files_are_reported_together() {
    let wrong = [source(SetName::User, "permit"), source(SetName::Grants, "forbid(")];
    let errors = Policy::load(wrong.to_vec(), &options()).unwrap_err();
    assert_eq!(errors.problems().len(), 2);
}

#[test]
fn what_is_too_large_or_too_deep_is_refused_and_nothing_overflows() {
    let long = format!(
        "permit(principal, action == Action::\"exec\", resource) when {{ context.argv == \"{}\" }};",
        "x".repeat(RULE_BYTES_MAX)
    );
    let deep = format!(
        "permit(principal, action, resource) when {{ {}true{} }};",
        "(".repeat(50_000),
        ")".repeat(50_000)
    );
    let chain = |part: &str| {
        let parts = vec![part; 5_000].join("");
        format!("permit(principal, action, resource) when {{ context{parts} }};")
    };
    let ifs = "if true then true else ".repeat(5_000);
    let ifs = format!("permit(principal, action, resource) when {{ {ifs} true }};");
    let large = " ".repeat(SOURCE_BYTES_MAX + 1);
    for text in [long, deep, large, ifs, chain(".a"), chain(" && true"), chain(" + -1")] {
        assert!(Policy::load(vec![source(SetName::User, &text)], &options()).is_err());
    }
}

#[test]
fn what_is_just_not_too_deep_is_read_without_overflow() {
    let head = "permit(principal, action == Action::\"exec\", resource) when";
    let depth = NESTING_MAX - 1;
    let brackets = format!("{head} {{ {}true{} }};", "(".repeat(depth), ")".repeat(depth));
    let ifs = format!("{head} {{ {} true }};", "if true then true else ".repeat(depth));
    let long = vec!["context.opaque"; OPERATORS_MAX / 2].join(" && ");
    let long = format!("{head} {{ {long} }};");
    // A text or a comment may hold anything.
    let text =
        format!("{head} {{ context.argv == \"{}\\\"(\" }}; // {}", "(".repeat(99), "{".repeat(99));
    for text in [brackets, ifs, long, text] {
        let loaded = Policy::load(vec![source(SetName::User, &text)], &options());
        assert!(loaded.is_ok(), "{:#?}", loaded.err().map(|errors| errors.summaries()));
    }
}

#[test]
fn the_schema_holds_the_whole_vocabulary() {
    for word in ["\"exec\"", "\"fs.read\"", "\"fs.write\"", "\"fs.delete\"", "\"net.connect\""] {
        assert!(SCHEMA.contains(word), "{word}");
    }
}
