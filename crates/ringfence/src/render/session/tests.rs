use ringfence_core::{AbsolutePath, Exit};
use ringfence_runtime::view::{FsChanges, NetworkActivity, ResourceUsage};

use super::*;
use crate::render::tree;

fn span(id: &str, parent: Option<&str>, command: &str) -> Span {
    Span {
        span_id: id.to_owned(),
        otel_span_id: None,
        parent_span: parent.map(str::to_owned),
        replaces: None,
        pid: 1,
        program: None,
        command: command.to_owned(),
        cwd: None,
        forked: false,
        entry: None,
        started_ms: 0,
        ended_ms: None,
        duration_ms: None,
        exit: None,
        limit: None,
        error: None,
        resource_usage: ResourceUsage::default(),
        network_activity: NetworkActivity::default(),
        fs_changes: FsChanges::default(),
        file_reads: ringfence_runtime::view::FileReads::default(),
    }
}

fn tree_of(spans: Vec<Span>) -> Vec<String> {
    let view = SessionView { spans, ..SessionView::default() };
    tree::lines(&view).iter().map(|node| format!("{}{}", node.branch, node.span.command)).collect()
}

#[test]
fn children_stand_under_their_parent_in_order() {
    let lines = tree_of(vec![
        span("p1", None, "sh"),
        span("p2", Some("p1"), "make"),
        span("p3", Some("p2"), "cc a.c"),
        span("p4", Some("p2"), "cc b.c"),
        span("p5", Some("p1"), "ls"),
    ]);
    assert_eq!(lines, ["sh", "├─ make", "│  ├─ cc a.c", "│  └─ cc b.c", "└─ ls"]);
}

#[test]
fn a_program_that_only_started_another_has_no_line() {
    let mut made = span("p3", Some("p1"), "make");
    made.replaces = Some("p2".to_owned());
    let lines = tree_of(vec![span("p1", None, "sh"), span("p2", Some("p1"), "env make"), made]);
    assert_eq!(lines, ["sh", "└─ make"]);
}

#[test]
fn the_tree_says_what_a_process_ran_before_it_was_replaced_by_exec() {
    let (sh, mut env, mut make) = (
        span("p1", None, "sh -c 'exec env make'"),
        span("p2", None, "env make"),
        span("p3", None, "make"),
    );
    env.replaces = Some("p1".to_owned());
    make.replaces = Some("p2".to_owned());
    let view = SessionView { spans: vec![sh, env, make], ..SessionView::default() };
    let text = render_tree(&view, Style { columns: 80, paint: Paint::PLAIN });
    let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("no {what} in {text}"));
    assert!(at("  make") < at("in place of (exec)  sh -c 'exec env make'"), "{text}");
    assert!(at("sh -c 'exec env make'") < at("in place of (exec)  env make"), "{text}");
}

#[test]
fn the_tree_names_the_limit_that_ended_a_process() {
    let mut head = span("p1", None, "head -c 9000 /dev/zero");
    (head.exit, head.limit) = (Some(Exit::Signal(25)), Some("file_bytes_max".to_owned()));
    let view = SessionView { spans: vec![head], ..SessionView::default() };
    let text = render_tree(&view, Style { columns: 80, paint: Paint::PLAIN });
    assert!(text.contains("ended by `file_bytes_max`"), "{text}");
}

#[test]
fn a_program_that_did_something_before_it_was_replaced_keeps_its_line() {
    let mut before = span("p2", Some("p1"), "sh -c x");
    before.fs_changes.created.push(AbsolutePath::parse("/a").unwrap());
    let mut made = span("p3", Some("p1"), "make");
    made.replaces = Some("p2".to_owned());
    let lines = tree_of(vec![span("p1", None, "sh"), before, made]);
    assert_eq!(lines, ["sh", "├─ sh -c x", "└─ make"]);
}

#[test]
fn a_process_whose_parent_is_not_known_stands_at_the_top() {
    let lines = tree_of(vec![span("p1", None, "sh"), span("p2", Some("p9"), "daemon")]);
    assert_eq!(lines, ["sh", "daemon"]);
}

#[test]
fn a_deep_chain_neither_overflows_nor_leaves_the_screen() {
    let spans = (0..20_000).map(|depth: usize| {
        let parent = depth.checked_sub(1).map(|above| format!("p{above}"));
        span(&format!("p{depth}"), parent.as_deref(), "sh")
    });
    let view = SessionView { spans: spans.collect(), ..SessionView::default() };
    let text = render(&view, Style { columns: 80, paint: Paint::PLAIN });
    assert!(text.contains("and 19600 processes more"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80));
}

#[test]
fn what_others_wrote_stays_in_its_line_and_in_80_columns() {
    let mut evil = span("p1", None, "sh\n\u{1b}[2J\u{202e}gpj.exe ".repeat(20).as_str());
    evil.fs_changes.created.push(AbsolutePath::parse(&format!("/{}", "日".repeat(200))).unwrap());
    let view = SessionView { spans: vec![evil], ..SessionView::default() };
    let text = render(&view, Style { columns: 80, paint: Paint::PLAIN });
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text}");
    for line in text.lines() {
        assert!(unicode_width::UnicodeWidthStr::width(line) <= 80, "{line}");
    }
}

fn failing(error: &str) -> ringfence_runtime::view::RequestView {
    ringfence_runtime::view::RequestView {
        endpoint: "api.example.com:443".to_owned(),
        at_ms: 0,
        method: "GET".to_owned(),
        url: "https://api.example.com/".to_owned(),
        query_names: BTreeSet::new(),
        findings: BTreeSet::new(),
        status: None,
        refused: Some(502),
        bytes_sent: None,
        bytes_received: None,
        duration_ms: None,
        error: Some(error.to_owned()),
        package: None,
        kept_back: Vec::new(),
        found: Vec::new(),
        unlooked: None,
        entry: 3,
    }
}

#[test]
fn what_failed_for_several_reasons_says_each_of_them() {
    let mut one = span("p1", None, "curl");
    let mut endpoint =
        EndpointView { endpoint: "api.example.com:443".to_owned(), ..EndpointView::default() };
    for error in ["no way", "no name", "no way"] {
        one.network_activity.requests.push(failing(error));
        one.network_activity.connections.push(ConnectionView {
            endpoint: endpoint.endpoint.clone(),
            at_ms: 0,
            address: None,
            bytes_sent: None,
            bytes_received: None,
            duration_ms: None,
            carried: None,
            error: Some(error.to_owned()),
            entry: 2,
        });
        endpoint.connections += 1;
    }
    let view =
        SessionView { spans: vec![one], endpoints: vec![endpoint], ..SessionView::default() };
    let text = render(&view, Style { columns: usize::MAX, paint: Paint::PLAIN });
    assert!(text.contains("failed: no name; failed 2 times: no way"), "{text}");
    let requests = text.split_once("3 requests").unwrap().1;
    assert!(requests.contains("2 times") && requests.contains("no name"), "{text}");
    assert_eq!(requests.matches("no way").count(), 1, "{text}");
}

#[test]
fn questions_that_are_alike_are_one_with_their_number() {
    let asked = |entry, answer| ringfence_runtime::view::AskedAct {
        entry,
        at_ms: 0,
        span: None,
        action: ringfence_core::Action::Exec,
        resource: "/usr/bin/git".to_owned(),
        act: "run /usr/bin/git `push`".to_owned(),
        rule: "pushes are made by people".to_owned(),
        needs: ringfence_core::AskFor { roles: BTreeSet::new(), people: 1 },
        channel: Some(ringfence_core::Channel::Terminal),
        answer,
        by: None,
    };
    let refused = Some(ringfence_core::Answer::Refused);
    let questions = vec![asked(2, refused), asked(5, None), asked(7, refused)];
    let view = SessionView { questions, ..SessionView::default() };
    let text = render(&view, Style { columns: 80, paint: Paint::PLAIN });
    assert!(text.contains("3 acts asked about\n"), "{text}");
    assert!(text.contains("      2  run /usr/bin/git `push` (2 times)\n"), "{text}");
    assert!(text.contains("      5  run /usr/bin/git `push`\n"), "{text}");
}

#[test]
fn addresses_are_whole_where_a_program_reads_them() {
    let url = format!("https://api.example.com/{}", "a/long/way/".repeat(20));
    let mut one = span("p1", None, "curl");
    one.network_activity.requests.push(ringfence_runtime::view::RequestView {
        endpoint: "api.example.com:443".to_owned(),
        at_ms: 0,
        method: "GET".to_owned(),
        url: url.clone(),
        query_names: std::collections::BTreeSet::new(),
        findings: std::collections::BTreeSet::new(),
        status: Some(200),
        refused: None,
        bytes_sent: None,
        bytes_received: None,
        duration_ms: None,
        error: Some("a reason that is longer than what a narrow screen has room for".to_owned()),
        package: None,
        kept_back: Vec::new(),
        found: Vec::new(),
        unlooked: None,
        entry: 3,
    });
    let view = SessionView { spans: vec![one], ..SessionView::default() };
    let whole = render(&view, Style { columns: usize::MAX, paint: Paint::PLAIN });
    assert!(whole.contains(&url) && !whole.contains('…'), "{whole}");
    let narrow = render(&view, Style { columns: 100, paint: Paint::PLAIN });
    assert!(!narrow.contains(&url) && narrow.contains('…'), "{narrow}");
}
