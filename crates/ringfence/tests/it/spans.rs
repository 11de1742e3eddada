//! Spans: a session as tree, timeline and trace, while it runs and after it.

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::process::Stdio;
use std::time::Duration;

use expect_test::expect;
use serde_json::Value;

use crate::home::{Home, SESSION};
use crate::run::{Ended, POLICY, Person, Terminal, Who, each, wait_for};

#[test]
fn a_tree_has_what_each_process_used_changed_and_was_denied() {
    let home = Home::new();
    home.record_session();
    expect![[r#"
        $ ringfence show --tree
        session sabcdefgh  agent `builder`  exit 0 after 11.0s
          sh build.sh
          in HOME/project, 2026-11-21 13:03:55 UTC

           exit   time    cpu memory   sent  recvd  process
              0   9.0s    4ms  12.0M      -      -  sh build.sh
                                                    │  in /
             22   6.0s ~120ms ~12.0M   812B   1.1M  └─ curl x
                                                          in /
                                                          files: 1 created
                                                          8 denied  connect to api.stripe.com:443
        ~ sampled while it ran, the last moments may be missing; - not known
        ! hint: to see the whole reasoning, run `ringfence explain sabcdefgh/8`
        [0]
    "#]]
    .assert_eq(&home.session(&[&["show", "--tree"]]));
}

#[test]
fn a_timeline_has_a_bar_for_each_process_and_a_mark_for_each_denial() {
    let home = Home::new();
    home.record_session();
    expect![[r#"
        $ ringfence show --timeline
        session sabcdefgh  agent `builder`  exit 0 after 11.0s
          sh build.sh
          in HOME/project, 2026-11-21 13:03:55 UTC

           start    time  0 ─────────────────────────────── 11.0s   process
           +1.0s    9.0s     ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━     sh build.sh
           +3.0s    6.0s            ━━━━━━━━━━━━━━━━━━━━━━━         curl x
           +8.0s                                       ×            denied 8: connect to api.stripe.com:443
        ! hint: to see the whole reasoning, run `ringfence explain sabcdefgh/8`
        [0]
    "#]].assert_eq(&home.session(&[&["show", "--timeline"]]));
}

#[test]
fn one_form_is_shown_at_a_time() {
    let home = Home::new();
    home.record_session();
    for pair in [["--tree", "--json"], ["--timeline", "--tree"], ["--json", "--timeline"]] {
        let output = home.command(&["show", pair[0], pair[1]]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{pair:?}");
        assert!(output.stdout.is_empty(), "{pair:?}");
    }
}

#[test]
fn a_trace_names_each_span_once_and_every_parent_is_in_it() {
    let home = Home::new();
    home.record_session();
    let view = home.json(&["show", "--json"]).0;
    let (trace, status) = home.json(&["export", "otlp"]);
    assert_eq!(status, 0);
    let spans = trace["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().clone();
    // The session, two processes, one connection.
    assert_eq!(spans.len(), 4);
    let id = |span: &Value, name: &str| span[name].as_str().unwrap_or_default().to_owned();
    let ids: HashSet<String> = spans.iter().map(|span| id(span, "spanId")).collect();
    assert_eq!(ids.len(), spans.len(), "{trace:#}");
    for span in &spans {
        assert_eq!(span["traceId"], view["trace_id"]);
        let parent = id(span, "parentSpanId");
        let is_root = span["spanId"] == view["otel_span_id"];
        assert_eq!(is_root, parent.is_empty(), "{span:#}");
        assert!(is_root || ids.contains(&parent), "{span:#}");
        let time = |name: &str| span[name].as_str().unwrap().parse::<u64>().unwrap();
        assert!(time("startTimeUnixNano") <= time("endTimeUnixNano"), "{span:#}");
    }
    for span in view["spans"].as_array().unwrap() {
        assert!(ids.contains(span["otel_span_id"].as_str().unwrap()));
    }
    let curl = spans.iter().find(|span| span["name"] == "curl").unwrap();
    assert_eq!(curl["events"][0]["name"], "denied", "{curl:#}");
}

#[test]
fn programs_of_a_world_find_its_trace_in_their_environment() {
    each(POLICY, |person| {
        let ended = person.sh("echo $TRACEPARENT");
        let shown = person.ringfence(&["show", "--json"]);
        let view: Value = serde_json::from_str(&shown.out).unwrap();
        let id = |name: &str| view[name].as_str().unwrap().to_owned();
        let wanted = format!("00-{}-{}-01\n", id("trace_id"), id("otel_span_id"));
        assert_eq!(ended.out, wanted, "{ended}");
    });
}

#[test]
fn who_follows_an_ended_session_has_each_entry_once_and_comes_to_an_end() {
    let home = Home::new();
    home.record_session();
    let lines = |words: &[&str]| {
        let output = home.command(words).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{words:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(lines(&["show", SESSION, "--follow"]), lines(&["log", "show", SESSION]));
    let json = lines(&["log", "show", SESSION, "--json"]);
    assert_eq!(lines(&["show", SESSION, "--follow", "--json"]), json);
    assert_eq!(lines(&["log", "show", SESSION, "--follow", "--json"]), json);
}

#[test]
fn who_follows_a_running_session_misses_no_entry_and_has_none_twice() {
    each(POLICY, |person| {
        let script = "while [ ! -e go ]; do sleep 0.02; done; \
            for i in $(seq 60); do : > f$i; done; id 2>/dev/null; true";
        let (mut run, session) = person.start(script);
        let mut follow = person.command(&["show", session.as_str(), "--follow", "--json"]);
        let mut follow = follow.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines().map(Result::unwrap);
        // What was written before is there at once; the rest comes while it happens.
        let mut seen = vec![lines.next().unwrap()];
        std::fs::write(person.home.path("project/go"), "").unwrap();
        seen.extend(lines);
        assert!(follow.wait().unwrap().success());
        assert!(run.wait().unwrap().success());
        let whole = person.ringfence(&["log", "show", session.as_str(), "--json"]).out;
        let whole: Vec<&str> = whole.lines().collect();
        assert_eq!(seen, whole);
        assert!(whole.len() > 60 && whole.last().unwrap().contains("session-closed"));
    });
}

#[test]
fn who_follows_a_session_whose_broker_dies_is_told_and_waits_no_longer() {
    let person = Person::new(Who::Us, POLICY);
    let (mut run, session) = person.start("sleep 60");
    let follow = person.command(&["show", session.as_str(), "--follow"]);
    let follow = { follow }.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(100));
    run.kill().unwrap();
    run.wait().unwrap();
    let output = follow.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("no end was recorded"), "{said}");
}

#[test]
fn a_picture_is_drawn_anew_on_a_terminal_and_refused_elsewhere() {
    let person = Person::new(Who::Us, POLICY);
    let (mut run, session) = person.start("while [ ! -e go ]; do sleep 0.02; done; id; true");
    let words = ["show", session.as_str(), "--follow", "--tree"];
    let refused = person.ringfence(&words);
    assert_eq!((refused.code, refused.out.as_str()), (2, ""), "{refused}");
    let mut terminal = Terminal::owned_by(None, &person.command(&words));
    terminal.shows("it is running");
    assert!(!terminal.seen.contains("denied"), "{}", terminal.seen);
    std::fs::write(person.home.path("project/go"), "").unwrap();
    terminal.shows("denied");
    terminal.shows("exit 0 after");
    assert!(terminal.child.wait().unwrap().success());
    run.wait().unwrap();
}

/// The policy of these tests, and what runs under it, traced.
fn traced(person: &Person, flag: &str, script: &str) -> (Ended, Value) {
    let policy = person.home.path("policy.cedar");
    let policy = policy.to_str().unwrap();
    let words = ["run", flag, "--policy", policy, "--", "/bin/sh", "-c", script];
    let ended = person.ringfence(&words);
    let shown = person.ringfence(&["show", "--json"]);
    (ended, serde_json::from_str(&shown.out).unwrap())
}

/// What was opened to read: path, result, times.
fn reads(view: &Value) -> Vec<(String, String, u64)> {
    let spans = view["spans"].as_array().unwrap().iter();
    let files = spans.filter_map(|span| span["file_reads"]["files"].as_array()).flatten();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    files
        .map(|it| (text(&it["path"]), text(&it["result"]), it["times"].as_u64().unwrap()))
        .collect()
}

#[test]
fn traced_reads_tell_what_was_there_what_nobody_has_and_what_no_rule_grants() {
    each(POLICY, |person| {
        person.home.write("project/in", "x");
        person.home.write("outside/rc", "x");
        person.own();
        let outside = person.home.path("outside/rc").display().to_string();
        // It can be read outside: the world alone keeps it.
        assert!(std::fs::read(&outside).is_ok());
        let script = format!(
            "cat ./in sub/../in nowhere {outside}; \
             for i in 1 2 3 4 5; do read x < in; done; true"
        );
        let (ended, view) = traced(person, "--trace=files", &script);
        assert_eq!(ended.code, 0, "{ended}");
        crate::schemas::conforms(&view, "show.schema.json");
        let reads = reads(&view);
        let of = |path: &str| -> Vec<(&str, u64)> {
            let found = reads.iter().filter(|(it, ..)| it == path);
            found.map(|(_, result, times)| (result.as_str(), *times)).collect()
        };
        let project = person.home.path("project").display().to_string();
        assert_eq!(of(&outside), [("not-granted", 1)], "{reads:?}");
        assert_eq!(of(&format!("{project}/nowhere")), [("absent", 1)], "{reads:?}");
        // The shell opened it five times, `cat` twice by two names: each process has it once.
        let mut within = of(&format!("{project}/in"));
        within.sort_unstable();
        assert_eq!(within, [("found", 2), ("found", 5)], "{reads:?}");
        assert!(view["reads"].as_str().unwrap().contains("recorded"), "{view:#}");
    });
}

#[test]
fn without_a_trace_no_read_is_recorded() {
    let person = Person::new(Who::Us, POLICY);
    person.home.write("project/in", "x");
    person.sh("cat in");
    let log = person.ringfence(&["log", "show", "--json"]).out;
    assert!(!log.contains("files-read"), "{log}");
}

#[test]
fn a_trace_does_not_let_anything_be_read_or_written_that_is_not_otherwise() {
    each(POLICY, |person| {
        person.home.write("outside/rc", "x");
        person.own();
        let outside = person.home.path("outside").display().to_string();
        let script = format!(
            "cat {outside}/rc; ls {outside}; (: > {outside}/new); id; : > made; cat made; echo $?"
        );
        let plain = person.sh(&script);
        let (ended, _) = traced(person, "--trace=files", &script);
        assert_eq!((ended.code, &ended.out), (plain.code, &plain.out), "{plain}\n{ended}");
        assert_eq!(ended.out, "0\n");
    });
}

#[test]
fn why_names_what_could_not_be_read_and_the_grant_that_helps() {
    each(POLICY, |person| {
        person.home.write(".toolrc", "x");
        person.own();
        let toolrc = person.home.path(".toolrc").display().to_string();
        let (ended, _) = traced(person, "--why", &format!("cat {toolrc}; cat {toolrc}; true"));
        assert!(ended.err.contains(&format!("why: could not read {toolrc} (2 times)")), "{ended}");
        let grant = format!("ringfence grant fs.read:{toolrc} --always");
        assert!(ended.err.contains(&grant), "{ended}");
        let (ended, _) = traced(person, "--why", "(: > /usr/x) || (: > /usr/x) || true");
        assert!(ended.err.contains("why: could not write /usr/x (2 times): "), "{ended}");
        let (ended, _) = traced(person, "--why", "true");
        assert!(!ended.err.contains("could not write"), "{ended}");
        assert!(ended.err.contains("nothing that it opened to read was kept from it"), "{ended}");
    });
}

#[test]
fn where_the_whole_host_is_there_what_may_not_be_read_is_named_too() {
    each(POLICY, |person| {
        person.home.write(".toolrc", "x");
        person.home.write("project/in", "x");
        person.own();
        // In this tier files keep their owners, and what is root's is not its payload's.
        if std::fs::metadata(person.home.path("project")).unwrap().uid() == 0 {
            return;
        }
        let toolrc = person.home.path(".toolrc").display().to_string();
        let policy = person.home.path("policy.cedar");
        let script = format!("cat in {toolrc}; true");
        let words = ["run", "--tier", "landlock", "--trace=full", "--why", "--policy"];
        let command = [policy.to_str().unwrap(), "--", "/bin/sh", "-c", &script];
        let words: Vec<&str> = words.into_iter().chain(command).collect();
        let ended = person.ringfence(&words);
        assert_eq!((ended.code, ended.out.as_str()), (0, "x"), "{ended}");
        assert!(ended.err.contains(&format!("why: could not read {toolrc}")), "{ended}");
        assert!(!ended.err.contains("project/in"), "{ended}");
    });
}

#[test]
fn many_opens_of_one_file_are_a_few_entries() {
    let person = Person::new(Who::Us, POLICY);
    person.home.write("project/in", "x");
    let script = "i=0; while [ $i -lt 2000 ]; do read x < in; i=$((i+1)); done";
    let (ended, view) = traced(&person, "--trace=files", script);
    assert_eq!(ended.code, 0, "{ended}");
    let all = reads(&view);
    let path = person.home.path("project/in").display().to_string();
    assert!(all.contains(&(path, "found".to_owned(), 2000)), "{all:?}");
    let log = person.ringfence(&["log", "show", "--json"]).out;
    assert!(log.matches("files-read").count() < 10, "{log}");
}

/// A shell with children that live for a moment, one that runs on in the same process, one that is
/// stopped and continued, and signals that programs handle themselves.
const LIVES: &str = "for i in 1 2 3 4 5 6 7 8; do sh -c \"exit $i\"; done; \
    sh -c 'exec sh -c \"exec true\"'; \
    sh -c 'trap \"exit 9\" TERM; kill -TERM $$; sleep 5'; echo term $?; \
    sh -c 'kill -SEGV $$'; echo segv $?; \
    sh -c 'sleep 0.2; exit 3' & kill -STOP $!; kill -CONT $!; wait $!; echo cont $?; \
    python3 -c 'import threading; t = threading.Thread(target=len, args=[[]]); t.start(); t.join()' \
        2>/dev/null; id 2>/dev/null; echo id $?; ./no-such 2>/dev/null; echo none $?";

#[test]
fn a_full_trace_has_the_figures_of_the_shortest_lives_and_changes_no_answer() {
    each(POLICY, |person| {
        let plain = person.sh(LIVES);
        let (ended, view) = traced(person, "--trace=full", LIVES);
        assert_eq!((ended.code, &ended.out), (plain.code, &plain.out), "{plain}\n{ended}");
        crate::schemas::conforms(&view, "show.schema.json");
        let spans = view["spans"].as_array().unwrap();
        let mut seen = 0;
        for span in spans.iter().filter(|span| span["exit"]["code"].is_i64()) {
            if span["forked"] == true {
                continue;
            }
            let usage = &span["resource_usage"];
            assert_eq!(usage["sampled"], false, "{span:#}");
            assert!(usage["cpu_time_ms"].is_u64() && usage["peak_memory_mb"].is_u64(), "{span:#}");
            seen += 1;
        }
        assert!(seen >= 12, "{view:#}");
        let codes: HashSet<i64> =
            spans.iter().filter_map(|span| span["exit"]["code"].as_i64()).collect();
        assert!((1..=9).all(|code| codes.contains(&code)), "{codes:?}");
        assert!(spans.iter().any(|span| span["exit"]["signal"] == 11), "{view:#}");
    });
}

#[test]
fn a_session_that_is_fully_traced_ends_with_all_its_processes_when_it_is_killed() {
    let person = Person::new(Who::Us, POLICY);
    let policy = person.home.path("policy.cedar");
    let script = "(while :; do sh -c :; done) & sleep 60 & kill -STOP $!; \
        sleep 0.3; echo up; wait";
    let words =
        ["run", "--trace=full", "--policy", policy.to_str().unwrap(), "--", "sh", "-c", script];
    let mut run = person.command(&words).stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(run.stdout.take().unwrap()).lines();
    assert_eq!(out.next().unwrap().unwrap(), "up");
    rustix::process::kill_process(
        rustix::process::Pid::from_child(&run),
        rustix::process::Signal::TERM,
    )
    .unwrap();
    wait_for(|| run.try_wait().unwrap());
}

#[test]
fn a_process_has_its_directory_its_exit_and_its_own_changes() {
    each(POLICY, |person| {
        let ended = person.sh("mkdir d && cd d && sh -c ': > new; exit 7'; kill -9 $$");
        assert_eq!(ended.code, 137, "{ended}");
        let shown = wait_for(|| {
            let shown = person.ringfence(&["show", "--json"]);
            serde_json::from_str::<Value>(&shown.out).ok()
        });
        let spans = shown["spans"].as_array().unwrap();
        let inner = spans.iter().find(|span| span["exit"]["code"] == 7).unwrap();
        assert!(inner["cwd"].as_str().unwrap().ends_with("/project/d"), "{inner:#}");
        let created = inner["fs_changes"]["created"][0].as_str().unwrap();
        assert!(created.ends_with("/project/d/new"), "{inner:#}");
        let outer = spans.iter().find(|span| span["exit"]["signal"] == 9).unwrap();
        assert_eq!(inner["parent_span"], outer["span_id"]);
    });
}
