use std::collections::BTreeSet;

use ringfence_core::{
    Act, Agent, Carried, CommandLine, Endpoint, Event, Exec, Exit, FileChange, FileIdentity,
    NetUsage, Outcome, Process, Request, Role, Usage, Verdict,
};

use super::*;

/// A log under construction: every line is one entry, one second after the one before.
#[derive(Default)]
struct Script {
    entries: Vec<(u64, Entry)>,
}

impl Script {
    fn event(&mut self, event: Event) -> u64 {
        let index = u64::try_from(self.entries.len()).unwrap();
        self.entries.push((index, Entry { at_ms: index * 1000, event }));
        index
    }

    fn decided(&mut self, pid: (i32, i32), act: Act, verdict: Verdict) -> u64 {
        let change = match (&act, &verdict) {
            (Act::Write(_), Verdict::Permit) => Some(FileChange::Created),
            (Act::Delete(_), Verdict::Permit) => Some(FileChange::Deleted),
            _ => None,
        };
        let process = Some(Process { pid: pid.0, parent: Some(pid.1) });
        self.event(Event::Decided {
            request: Request { agent: Agent("builder".to_owned()), act, process },
            verdict,
            grounds: Grounds::default(),
            digest: String::new(),
            approvals: Vec::new(),
            unobserved: change.is_some(),
            change,
        })
    }

    fn exec(&mut self, pid: (i32, i32), command: &str) -> u64 {
        let index = self.decided(pid, exec(command), Verdict::Permit);
        self.event(Event::Finished { of: index, outcome: Outcome::Done });
        index
    }

    fn exit(&mut self, pid: i32, code: i32) {
        let usage = Usage { cpu_time_ms: Some(7), ..Usage::default() };
        self.event(Event::ProcessExited { pid, exit: Exit::Code(code), usage, limit: None });
    }

    fn view(self) -> SessionView {
        view(self.entries)
    }
}

fn exec(command: &str) -> Act {
    let argv: Vec<Vec<u8>> = command.split(' ').map(|word| word.as_bytes().to_vec()).collect();
    let name = command.split(' ').next().unwrap();
    Act::Exec(Exec {
        program: path(&format!("/usr/bin/{name}")),
        identity: FileIdentity { device: 1, inode: 1 },
        command_line: CommandLine::new(name, &argv),
        cwd: path("/work"),
    })
}

fn path(text: &str) -> AbsolutePath {
    AbsolutePath::parse(text).unwrap()
}

fn connect(host: &str) -> Act {
    Act::Connect(Endpoint::new(host, 443).unwrap())
}

/// `ID PARENT COMMAND` of every span.
fn shape(view: &SessionView) -> Vec<String> {
    view.spans
        .iter()
        .map(|span| {
            let parent = span.parent_span.as_deref().unwrap_or("-");
            format!("{} {parent} {}", span.span_id, span.command)
        })
        .collect()
}

#[test]
fn a_permitted_change_that_failed_is_none() {
    let mut script = Script::default();
    script.exec((10, 1), "sh");
    let kept = script.decided((10, 1), Act::Write(path("/srv/kept")), Verdict::Permit);
    let first = script.decided((10, 1), Act::Write(path("/srv/x")), Verdict::Permit);
    let twice = script.decided((10, 1), Act::Write(path("/srv/kept")), Verdict::Permit);
    let gone = script.decided((10, 1), Act::Delete(path("/srv/y")), Verdict::Permit);
    for (of, error) in [(first, "no room"), (twice, "no room"), (gone, "busy")] {
        let outcome = Outcome::Failed { error: error.to_owned() };
        script.event(Event::Finished { of, outcome });
    }
    let view = script.view();
    let changes = &view.spans[0].fs_changes;
    assert_eq!(changes.created, [path("/srv/kept")], "entry {kept}");
    assert!(changes.modified.is_empty() && changes.deleted.is_empty(), "{changes:?}");
    let failed: Vec<_> =
        view.failed.iter().map(|it| (it.entry, it.act.as_str(), it.error.as_str())).collect();
    assert_eq!(
        failed,
        [
            (first, "write /srv/x", "no room"),
            (twice, "write /srv/kept", "no room"),
            (gone, "delete /srv/y", "busy"),
        ]
    );
    assert_eq!(view.failed[0].span.as_deref(), Some("p1"));
}

#[test]
fn a_child_hangs_under_the_process_that_started_it() {
    let mut script = Script::default();
    script.exec((10, 1), "sh build");
    script.exec((11, 10), "make");
    script.exec((12, 11), "cc a.c");
    script.exec((13, 10), "ls");
    assert_eq!(shape(&script.view()), ["p1 - sh build", "p2 p1 make", "p3 p2 cc a.c", "p4 p1 ls"]);
}

#[test]
fn a_second_exec_in_a_process_is_a_span_that_replaces_the_first() {
    let mut script = Script::default();
    script.exec((10, 1), "sh");
    script.exec((11, 10), "env X=1 make");
    script.exec((11, 10), "make");
    script.exit(11, 2);
    let view = script.view();
    assert_eq!(shape(&view), ["p1 - sh", "p2 p1 env X=1 make", "p3 p1 make"]);
    assert_eq!(view.spans[2].replaces.as_deref(), Some("p2"));
    assert_eq!(view.spans[1].exit, None);
    assert!(view.spans[1].ended_ms.is_some());
    assert_eq!(view.spans[2].exit, Some(Exit::Code(2)));
    assert_eq!(view.spans[1].resource_usage.cpu_time_ms, None, "the usage is the last image's");
}

#[test]
fn a_process_id_that_is_used_again_is_another_process() {
    let mut script = Script::default();
    script.exec((10, 1), "sh");
    script.exec((11, 10), "ls");
    script.exit(11, 0);
    script.exec((11, 10), "cat");
    let view = script.view();
    assert_eq!(view.spans[2].replaces, None);
    assert_eq!(view.spans[1].exit, Some(Exit::Code(0)));
    assert_eq!(view.spans[2].exit, None);
}

#[test]
fn an_exec_that_failed_leaves_the_process_as_it_was() {
    let mut script = Script::default();
    script.exec((10, 1), "sh");
    let of = script.decided((10, 1), exec("broken"), Verdict::Permit);
    let outcome = Outcome::Failed { error: "exec format error".to_owned() };
    script.event(Event::Finished { of, outcome });
    script.decided((10, 1), Act::Write(path("/proj/a")), Verdict::Permit);
    script.exit(10, 0);
    let view = script.view();
    assert_eq!(view.spans[0].fs_changes.created, [path("/proj/a")]);
    assert_eq!(view.spans[0].exit, Some(Exit::Code(0)));
    assert_eq!(view.spans[1].error.as_deref(), Some("exec format error"));
}

#[test]
fn a_program_that_was_not_the_decided_one_is_marked() {
    let mut script = Script::default();
    let of = script.decided((10, 1), exec("git status"), Verdict::Permit);
    script
        .event(Event::Finished { of, outcome: Outcome::Mismatch { found: "git push".to_owned() } });
    let view = script.view();
    assert_eq!(view.spans[0].error.as_deref(), Some("stopped: what ran was git push"));
}

#[test]
fn a_denied_exec_is_no_span() {
    let mut script = Script::default();
    script.exec((10, 1), "sh");
    script.decided((10, 1), exec("curl"), Verdict::Deny);
    let view = script.view();
    assert_eq!(view.spans.len(), 1);
    assert_eq!(view.denials[0].span.as_deref(), Some("p1"));
    assert_eq!(view.denials[0].act, "run /usr/bin/curl");
}

#[test]
fn a_child_that_opens_its_output_and_execs_is_one_span() {
    let mut script = Script::default();
    script.exec((10, 1), "sh");
    script.decided((11, 10), Act::Write(path("/proj/out")), Verdict::Permit);
    script.exec((11, 10), "ls");
    let view = script.view();
    assert_eq!(shape(&view), ["p1 - sh", "p2 p1 ls"]);
    assert_eq!(view.spans[1].fs_changes.created, [path("/proj/out")]);
    assert!(!view.spans[1].forked);
}

#[test]
fn a_process_that_acts_without_exec_is_a_fork_of_its_parent() {
    let mut script = Script::default();
    script.exec((10, 1), "python3 pool.py");
    script.decided((11, 10), Act::Write(path("/proj/part")), Verdict::Permit);
    script.exit(11, 0);
    let view = script.view();
    assert_eq!(shape(&view), ["p1 - python3 pool.py", "p2 p1 python3 pool.py"]);
    assert!(view.spans[1].forked);
}

#[test]
fn a_denied_write_changes_no_file() {
    let mut script = Script::default();
    script.exec((10, 1), "sh");
    script.decided((10, 1), Act::Write(path("/etc/passwd")), Verdict::Deny);
    script.decided((10, 1), Act::Delete(path("/etc/passwd")), Verdict::Deny);
    let view = script.view();
    assert!(view.spans[0].fs_changes.is_empty());
    assert_eq!(view.denials.len(), 2);
}

#[test]
fn a_connection_has_bytes_only_once_it_ended() {
    let mut script = Script::default();
    script.exec((10, 1), "curl");
    let open = script.decided((10, 1), connect("a.example"), Verdict::Permit);
    script.decided((10, 1), connect("b.example"), Verdict::Permit);
    let usage = NetUsage {
        endpoint: Endpoint::new("a.example", 443).unwrap(),
        address: Some("192.0.2.1:443".to_owned()),
        bytes_sent: 10,
        bytes_received: 20,
        duration_ms: 5,
        carried: Some(Carried::Tls),
        error: None,
    };
    script.event(Event::Finished { of: open, outcome: Outcome::Connection(usage) });
    let view = script.view();
    let connections = &view.spans[0].network_activity.connections;
    assert_eq!((connections[0].bytes_sent, connections[0].bytes_received), (Some(10), Some(20)));
    assert_eq!((connections[1].bytes_sent, connections[1].bytes_received), (None, None));
}

#[test]
fn an_act_of_an_unknown_process_is_not_attributed_to_another() {
    let mut script = Script::default();
    script.exec((10, 1), "sh");
    let mut act = script.entries[0].1.clone();
    if let Event::Decided { request, .. } = &mut act.event {
        request.process = None;
        request.act = connect("a.example");
    }
    script.event(act.event);
    let view = script.view();
    assert!(view.spans[0].network_activity.connections.is_empty());
    assert_eq!(view.unattributed.network_activity.connections.len(), 1);
}

#[test]
fn a_question_keeps_its_answer() {
    let mut script = Script::default();
    script.exec((10, 1), "sh");
    let needs = AskFor { roles: BTreeSet::from([Role("owner".to_owned())]), people: 1 };
    let of = script.decided((10, 1), exec("git push"), Verdict::Ask(needs.clone()));
    script.event(Event::Asked { of, needs, channel: Channel::Terminal });
    script.event(Event::Answered { of, answer: Answer::Refused, by: "ann".to_owned() });
    let view = script.view();
    assert_eq!(view.spans.len(), 1, "an act that was refused started nothing");
    assert_eq!(view.questions[0].answer, Some(Answer::Refused));
    assert_eq!(view.questions[0].by.as_deref(), Some("ann"));
}

#[test]
fn what_is_not_known_is_null_and_not_zero() {
    let mut script = Script::default();
    script.exec((10, 1), "sh");
    let usage = Usage { cpu_time_ms: Some(3), sampled: true, ..Usage::default() };
    script.event(Event::ProcessExited { pid: 10, exit: Exit::Unknown, usage, limit: None });
    let json = serde_json::to_value(script.view()).unwrap();
    let usage = &json["spans"][0]["resource_usage"];
    assert_eq!(usage["cpu_time_ms"], 3);
    assert_eq!(usage["sampled"], true);
    for unknown in ["peak_memory_mb", "disk_read_bytes", "disk_write_bytes"] {
        assert!(usage.as_object().unwrap().contains_key(unknown) && usage[unknown].is_null());
    }
}

#[test]
fn the_json_has_the_fields_that_are_promised() {
    let mut script = Script::default();
    script.exec((10, 1), "sh");
    script.decided((10, 1), connect("a.example"), Verdict::Permit);
    let json = serde_json::to_value(script.view()).unwrap();
    let span = &json["spans"][0];
    for field in ["span_id", "parent_span", "command", "resource_usage"] {
        assert!(span.as_object().unwrap().contains_key(field), "no `{field}`");
    }
    let connection = span["network_activity"]["connections"][0].as_object().unwrap();
    for field in ["endpoint", "bytes_sent", "bytes_received"] {
        assert!(connection.contains_key(field), "no `{field}`");
    }
    for list in ["created", "modified", "deleted"] {
        assert!(span["fs_changes"][list].is_array(), "no `{list}`");
    }
}
