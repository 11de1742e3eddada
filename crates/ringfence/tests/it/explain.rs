//! `explain` of what is no decision of the policy's: each kind of entry, and what built-in rules deny.

use std::collections::BTreeSet;

use expect_test::expect;
use ringfence_core::{
    AbsolutePath, Act, Answer, AskFor, Channel, Detector, Endpoint, Event, FileRead, FilesRead,
    Handling, LeaseChange, LeaseStep, Misuse, Outcome, PolicyDigest, Process, ReadResult, SetName,
    TakenBack, Verdict,
};

use crate::home::{Home, SESSION};
use crate::person::{Person, Who, text};

/// One entry of each kind that the recorded session lacks: refusals, incidents and leases.
fn others() -> Vec<Event> {
    let process = Process { pid: 12, parent: Some(11) };
    let lease = |step| {
        let place = "vault-lease:database/creds/shop".to_owned();
        Event::Lease(LeaseChange { place, lease: "database/creds/shop/1".to_owned(), step })
    };
    let endpoint = Endpoint::new("api.example.com", 443).unwrap();
    let misused = |refused| {
        Event::SecretMisused(Misuse {
            process: Some(process),
            secret: "forge".parse().unwrap(),
            endpoint: endpoint.clone(),
            method: "POST".to_owned(),
            path: "/log".to_owned(),
            place: "the body".to_owned(),
            why: "no secret may stand there".to_owned(),
            refused,
        })
    };
    vec![
        Event::Refused {
            process,
            syscall: "openat2".to_owned(),
            why: "its path cannot be read".to_owned(),
        },
        misused(true),
        misused(false),
        lease(LeaseStep::Lent { seconds: Some(3600) }),
        lease(LeaseStep::NotRenewed { why: "it is sealed".to_owned() }),
        lease(LeaseStep::Returned),
        lease(LeaseStep::NotReturned { why: "it is down".to_owned() }),
    ]
}

/// Those of decisions, and of what is around them.
fn around() -> Vec<Event> {
    let digest = PolicyDigest {
        set: SetName::User,
        file: "policy.cedar".to_owned(),
        sha256: "0".repeat(64),
    };
    vec![
        Event::Arrived { port: 3000, peer: "127.0.0.1:40000".to_owned() },
        Event::Finished { of: 6, outcome: Outcome::Failed { error: "no room".to_owned() } },
        Event::Finished { of: 3, outcome: Outcome::Mismatch { found: "/tmp/x".to_owned() } },
        Event::Finished { of: 3, outcome: Outcome::Unknown },
        Event::Asked {
            of: 8,
            needs: AskFor { roles: BTreeSet::new(), people: 1 },
            channel: Channel::None,
        },
        Event::Answered { of: 8, answer: Answer::Refused, by: "ann".to_owned() },
        Event::Answered { of: 8, answer: Answer::Expired, by: String::new() },
        Event::Granted {
            id: "g1".to_owned(),
            text: "net:api.example.com:443".to_owned(),
            scope: "session".to_owned(),
            by: "ann".to_owned(),
        },
        Event::Revoked {
            id: "g1".to_owned(),
            by: "expired".to_owned(),
            survivors: vec!["a descriptor".to_owned()],
        },
        Event::PolicyReloaded { policy: vec![digest] },
        Event::Quarantined { files: vec![AbsolutePath::parse("/p/.envrc").unwrap()] },
        Event::Covered { path: AbsolutePath::parse("/p/.env").unwrap() },
        Event::FilesRead(FilesRead {
            process: Process { pid: 12, parent: Some(11) },
            files: vec![FileRead {
                path: AbsolutePath::parse("/home/u/.toolrc").unwrap(),
                result: ReadResult::NotGranted,
                times: 2,
            }],
            unlisted: 3,
        }),
        Event::TakenBack(TakenBack {
            file: "/p/.git/config".to_owned(),
            taken: vec!["branch.x.remote".to_owned()],
            left: vec!["core.pager".to_owned()],
            error: None,
        }),
        Event::TakenBack(TakenBack {
            file: "/q/.git/config".to_owned(),
            taken: Vec::new(),
            left: Vec::new(),
            error: Some("it is not understood".to_owned()),
        }),
    ]
}

#[test]
#[expect(clippy::too_many_lines, reason = "what is printed, to be read in one go")]
fn every_kind_of_entry_is_explained() {
    let home = Home::new();
    let mut events = home.events(&SESSION.parse().unwrap());
    let closed = events.pop().unwrap();
    events.extend(others().into_iter().chain(around()));
    events.push(closed);
    let last = events.len();
    home.record(events);
    let mut said = home.run(&["explain", "0"]);
    for index in [9].into_iter().chain(11..last) {
        said.push_str(&home.run(&["explain", &index.to_string()]));
        let (json, _) = home.json(&["explain", &index.to_string(), "--json"]);
        crate::schemas::conforms(&json, "explain.schema.json");
    }
    expect![[r#"
        $ ringfence explain 0
        opened: sabcdefgh: agent `builder` runs `sh build.sh` in HOME/project; no world
          entry    sabcdefgh/0, 2026-11-21 13:03:55 UTC
          kind     a record of what happened; nothing was decided by it
        ! hint: to see what is around it, run `ringfence log show sabcdefgh`
        [0]
        $ ringfence explain 9
        exited: process 12: exit 22, 120ms of processor time (sampled)
          entry    sabcdefgh/9, 2026-11-21 13:04:04 UTC
          kind     a record of what happened; nothing was decided by it
        ! hint: to see what is around it, run `ringfence log show sabcdefgh`
        [0]
        $ ringfence explain 11
        denied before any rule was asked: its path cannot be read
          entry    sabcdefgh/11, 2026-11-21 13:04:06 UTC
          process  12
          done     it was refused, and nothing of it went on
        ! hint: no rule and no grant could permit it, for none can name it: the program has to ask for it in another way
        [0]
        $ ringfence explain 12
        incident: what stands in for the secret `forge` was in the body
          entry    sabcdefgh/12, 2026-11-21 13:04:07 UTC
          request  POST api.example.com:443/log
          process  12
          wrong    no secret may stand there
          done     the request was refused; the value itself was not sent
          worth    a stand-in opens nothing by itself, and nothing once its session ends
        ! hint: to see where `forge` may stand and go, run `ringfence secret list`
        ! hint: if it belongs there, bind it so: `ringfence secret remove forge`, and `ringfence secret add forge` with `--for`, `--header`, `--query`, `--path` or `--methods`
        ! hint: if nobody meant it to be there, look at what the agent read and ran before: `ringfence show` has it
        [0]
        $ ringfence explain 13
        incident: what stands in for the secret `forge` was in the body
          entry    sabcdefgh/13, 2026-11-21 13:04:08 UTC
          request  POST api.example.com:443/log
          process  12
          wrong    no secret may stand there
          done     the request went on as it was: the value went to the same host in its own place
          worth    a stand-in opens nothing by itself, and nothing once its session ends
        ! hint: to see where `forge` may stand and go, run `ringfence secret list`
        [0]
        $ ringfence explain 14
        what a vault lent: vault-lease:database/creds/shop (database/creds/shop/1) lent for 3600 s
          entry    sabcdefgh/14, 2026-11-21 13:04:09 UTC
        ! hint: to see what became of it, run `ringfence show sabcdefgh`
        [0]
        $ ringfence explain 15
        what a vault lent: vault-lease:database/creds/shop (database/creds/shop/1) could not be renewed: it is sealed
          entry    sabcdefgh/15, 2026-11-21 13:04:10 UTC
        ! hint: to see what became of it, run `ringfence show sabcdefgh`
        [0]
        $ ringfence explain 16
        what a vault lent: vault-lease:database/creds/shop (database/creds/shop/1) given back
          entry    sabcdefgh/16, 2026-11-21 13:04:11 UTC
        ! hint: to see what became of it, run `ringfence show sabcdefgh`
        [0]
        $ ringfence explain 17
        what a vault lent: vault-lease:database/creds/shop (database/creds/shop/1) could not be given back: it is down
          entry    sabcdefgh/17, 2026-11-21 13:04:12 UTC
        ! hint: to see what became of it, run `ringfence show sabcdefgh`
        [0]
        $ ringfence explain 18
        arrived: 127.0.0.1:40000 connects to port 3000 of the world
          entry    sabcdefgh/18, 2026-11-21 13:04:13 UTC
          kind     a record of what happened; nothing was decided by it
        ! hint: to see what is around it, run `ringfence log show sabcdefgh`
        [0]
        $ ringfence explain 19
        finished: 6: failed: no room
          entry    sabcdefgh/19, 2026-11-21 13:04:14 UTC
          about    entry sabcdefgh/6: permitted: write HOME/project/out\u{1b}[31m.txt (new)
        ! hint: to see why that was decided, run `ringfence explain sabcdefgh/6`
        [0]
        $ ringfence explain 20
        finished: 3: stopped: what ran was /tmp/x
          entry    sabcdefgh/20, 2026-11-21 13:04:15 UTC
          about    entry sabcdefgh/3: permitted: run /usr/bin/curl `x`
        ! hint: to see why that was decided, run `ringfence explain sabcdefgh/3`
        [0]
        $ ringfence explain 21
        finished: 3: end not seen
          entry    sabcdefgh/21, 2026-11-21 13:04:16 UTC
          about    entry sabcdefgh/3: permitted: run /usr/bin/curl `x`
        ! hint: to see why that was decided, run `ringfence explain sabcdefgh/3`
        [0]
        $ ringfence explain 22
        asked: 8: needs approval by a person; nobody was asked: there is no terminal
          entry    sabcdefgh/22, 2026-11-21 13:04:17 UTC
          about    entry sabcdefgh/8: denied: connect to api.stripe.com:443; no permit matches
        ! hint: to see why that was decided, run `ringfence explain sabcdefgh/8`
        [0]
        $ ringfence explain 23
        answered: 8: refused by ann
          entry    sabcdefgh/23, 2026-11-21 13:04:18 UTC
          about    entry sabcdefgh/8: denied: connect to api.stripe.com:443; no permit matches
        ! hint: to see why that was decided, run `ringfence explain sabcdefgh/8`
        [0]
        $ ringfence explain 24
        answered: 8: nobody answered in time
          entry    sabcdefgh/24, 2026-11-21 13:04:19 UTC
          about    entry sabcdefgh/8: denied: connect to api.stripe.com:443; no permit matches
        ! hint: to see why that was decided, run `ringfence explain sabcdefgh/8`
        [0]
        $ ringfence explain 25
        granted: g1: net:api.example.com:443 (session) by ann
          entry    sabcdefgh/25, 2026-11-21 13:04:20 UTC
          kind     a record of what happened; nothing was decided by it
        ! hint: to see what is around it, run `ringfence log show sabcdefgh`
        [0]
        $ ringfence explain 26
        revoked: g1 expired; 1 open use survives it
          entry    sabcdefgh/26, 2026-11-21 13:04:21 UTC
          kind     a record of what happened; nothing was decided by it
        ! hint: to see what is around it, run `ringfence log show sabcdefgh`
        [0]
        $ ringfence explain 27
        reloaded: policy.cedar
          entry    sabcdefgh/27, 2026-11-21 13:04:22 UTC
          kind     a record of what happened; nothing was decided by it
        ! hint: to see what is around it, run `ringfence log show sabcdefgh`
        [0]
        $ ringfence explain 28
        held back: /p/.envrc
          entry    sabcdefgh/28, 2026-11-21 13:04:23 UTC
          kind     a record of what happened; nothing was decided by it
        ! hint: to accept a file that was moved aside, move it back from beside its place, where it ends in `.quarantined-sabcdefgh`
        [0]
        $ ringfence explain 29
        covered again: /p/.env
          entry    sabcdefgh/29, 2026-11-21 13:04:24 UTC
          kind     a record of what happened; nothing was decided by it
        ! hint: to see what is around it, run `ringfence log show sabcdefgh`
        [0]
        $ ringfence explain 30
        read: process 12 opened 1 file, and 3 opens that are not listed; denied: /home/u/.toolrc
          entry    sabcdefgh/30, 2026-11-21 13:04:25 UTC
          recorded because the session runs with `--trace=files`; reads are bounded by its mounts, and nobody was asked
        ! hint: to see them process by process, run `ringfence show sabcdefgh`
        [0]
        $ ringfence explain 31
        taken back: /p/.git/config; taken over: branch.x.remote; left in the world's copy: core.pager
          entry    sabcdefgh/31, 2026-11-21 13:04:26 UTC
          kind     a record of what happened; nothing was decided by it
        ! hint: what was left, set yourself with `git config` if it is right
        [0]
        $ ringfence explain 32
        taken back: /q/.git/config; nothing: it is not understood
          entry    sabcdefgh/32, 2026-11-21 13:04:27 UTC
          kind     a record of what happened; nothing was decided by it
        ! hint: to see what is around it, run `ringfence log show sabcdefgh`
        [0]
        $ ringfence explain 33
        closed: exit 0; 4 permitted, 1 denied, 0 asked, 1 file changed
          entry    sabcdefgh/33, 2026-11-21 13:04:28 UTC
          kind     a record of what happened; nothing was decided by it
        ! hint: to see what is around it, run `ringfence log show sabcdefgh`
        [0]
    "#]].assert_eq(&said);
}

/// The decision about a connection to this host.
fn decided(home: &Home, host: &str, verdict: Verdict) -> Event {
    let mut event = home.events(&SESSION.parse().unwrap()).swap_remove(8);
    if let Event::Decided { request, verdict: of, .. } = &mut event {
        request.act = Act::Connect(Endpoint::new(host, 443).unwrap());
        *of = verdict;
    }
    event
}

#[test]
fn what_came_of_a_question_stands_over_it() {
    let home = Home::new();
    let mut events = home.events(&SESSION.parse().unwrap());
    events.truncate(1);
    let (permit, deny) = (Some(Verdict::Permit), Some(Verdict::Deny));
    let ways = [
        ("approved", Some((Answer::Approved, "ann")), Channel::Terminal, permit.clone()),
        ("too-late", Some((Answer::Approved, "ann")), Channel::Elsewhere, deny),
        ("ended", Some((Answer::Approved, "ann")), Channel::Elsewhere, None),
        ("granted", Some((Answer::Granted, "ann")), Channel::Elsewhere, permit),
        ("refused", Some((Answer::Refused, "a`\u{1b}[1m")), Channel::Terminal, None),
        ("expired", Some((Answer::Expired, "")), Channel::Elsewhere, None),
        ("waiting", None, Channel::Elsewhere, None),
        ("nobody", None, Channel::None, None),
    ];
    let mut questions = Vec::new();
    for (name, answered, channel, then) in ways {
        let of = events.len() as u64;
        let (host, needs) =
            (format!("{name}.example"), AskFor { roles: BTreeSet::new(), people: 1 });
        questions.push(of);
        events.push(decided(&home, &host, Verdict::Ask(needs.clone())));
        events.push(Event::Asked { of, needs, channel });
        events.extend(answered.map(|(answer, by)| Event::Answered {
            of,
            answer,
            by: by.to_owned(),
        }));
        events.extend(then.map(|then| decided(&home, &host, then)));
    }
    let failed = Outcome::Failed { error: "no route".to_owned() };
    events.push(Event::Finished { of: questions[0] + 3, outcome: failed });
    home.record(events);
    let mut said = String::new();
    for of in questions {
        let text = home.run(&["explain", &of.to_string()]);
        let shown = ["asked", "  answer", "  then", "  outcome", "what would", "! hint: to allow"];
        let lines = text.lines().filter(|line| shown.iter().any(|it| line.starts_with(it)));
        lines.for_each(|line| said.push_str(&format!("{line}\n")));
        let (json, _) = home.json(&["explain", &of.to_string(), "--json"]);
        crate::schemas::conforms(&json, "explain.schema.json");
    }
    expect![[r#"
        asked, approved by `ann`, permitted: agent `builder` may connect to approved.example:443
          answer   approved by `ann`, 2026-11-21 13:03:58 UTC (entry sabcdefgh/3)
          then     permitted (entry sabcdefgh/4)
          outcome  failed: no route; the policy let it, the system did not (entry sabcdefgh/26)
        asked, approved by `ann`, not permitted all the same: agent `builder` may not connect to too-late.example:443
          answer   approved by `ann`, 2026-11-21 13:04:02 UTC (entry sabcdefgh/7)
          then     denied (entry sabcdefgh/8)
        asked, approved by `ann`, not carried on: agent `builder` may not connect to ended.example:443
          answer   approved by `ann`, 2026-11-21 13:04:06 UTC (entry sabcdefgh/11)
        asked, granted while it waited, permitted: agent `builder` may connect to granted.example:443
          answer   it was granted while the question waited, 2026-11-21 13:04:09 UTC (entry sabcdefgh/14)
          then     permitted (entry sabcdefgh/15)
        asked, refused by `a`\u{1b}[1m`: agent `builder` may not connect to refused.example:443
          answer   refused by `a`\u{1b}[1m`, 2026-11-21 13:04:13 UTC (entry sabcdefgh/18)
        asked, not answered in time: agent `builder` may not connect to expired.example:443
          answer   nobody answered in time, 2026-11-21 13:04:16 UTC (entry sabcdefgh/21)
        asked, not answered so far: agent `builder` may not connect to waiting.example:443
          answer   nobody so far
        asked, with no terminal to ask on: agent `builder` may not connect to nobody.example:443
          answer   nobody: there was no terminal to ask on
    "#]].assert_eq(&said);
}

#[test]
fn what_built_in_rules_deny_is_explained_with_what_lifts_it() {
    let person = Person::new(Who::Caller);
    let made = person.outside("git init -q . && mkdir -p .vscode");
    assert!(made.status.success(), "{}", text(&made));
    person.succeed(&["init", "--agent", "generic"]);
    let script =
        "for it in .git/hooks/new .envrc .vscode/tasks.json .ringfence/policy.cedar ../.bashrc \\
                  ../.ssh/authorized_keys /usr/local/bin/x /etc/hosts; do echo x > $it || true; done
                  cat /etc/shadow || true";
    let said = text(&person.inside(script));
    let mut out = String::new();
    for word in said.split('`').filter(|it| it.starts_with("ringfence explain ")) {
        let words: Vec<&str> = word.split(' ').skip(1).collect();
        let explained = person.stable(person.succeed(&words).as_bytes());
        let lines = explained
            .lines()
            .filter(|line| !line.starts_with("  clock") && !line.starts_with("  entry"));
        lines.for_each(|line| out.push_str(&(line.to_owned() + "\n")));
    }
    expect![[r#"
        denied: agent `sh` may not write DIR/home/project/.git/hooks/new
          rule     built in `protected-13`: git runs these hooks on the host
          approved none

        policy (yours, the project's, grants) does not allow it
          forbids  built in `protected-13`: git runs these hooks on the host
          permits  .ringfence/policy.cedar:14 `project`: the project

        what would have to change
          nothing lifts it: the rule is built in
        denied: agent `sh` may not write DIR/home/project/.envrc
          rule     built in `protected-12`: the shell runs this on the host
          approved none

        policy (yours, the project's, grants) does not allow it
          forbids  built in `protected-12`: the shell runs this on the host
          permits  .ringfence/policy.cedar:14 `project`: the project

        what would have to change
          `[dangerous] unprotect = [".envrc"]` in your settings lets agents write there; the shell runs this on the host
        denied: agent `sh` may not write DIR/home/project/.vscode/tasks.json
          rule     built in `protected-6`: the editor runs tasks from here on the host
          approved none

        policy (yours, the project's, grants) does not allow it
          forbids  built in `protected-6`: the editor runs tasks from here on the host
          permits  .ringfence/policy.cedar:14 `project`: the project

        what would have to change
          `[dangerous] unprotect = [".vscode"]` in your settings lets agents write there; the editor runs tasks from here on the host
        denied: agent `sh` may not write DIR/home/project/.ringfence/policy.cedar
          rule     built in `protected`: this is the policy itself
          approved none

        policy (yours, the project's, grants) does not allow it
          forbids  built in `protected`: this is the policy itself
          permits  .ringfence/policy.cedar:14 `project`: the project

        what would have to change
          nothing lifts it: the rule is built in
        denied: agent `sh` may not write /usr/local/bin/x
          rule     no permit matches; nearest: .ringfence/policy.cedar:14 `project` (path is not below `DIR/home/project`): the project
          approved none

        policy (yours, the project's, grants) does not allow it

        what would have to change
          the place: `/usr` belongs to the runtime base, not to the agent
        denied: agent `sh` may not write /etc/hosts
          rule     no permit matches; nearest: .ringfence/policy.cedar:14 `project` (path is not below `DIR/home/project`): the project
          approved none

        policy (yours, the project's, grants) does not allow it

        what would have to change
          the place: `/etc` belongs to the runtime base, not to the agent
    "#]].assert_eq(&out);
}

#[test]
fn what_rules_say_about_what_passes_is_shown() {
    let home = Home::with_policy(
        r#"
@id("named") @redact("secrets,pii")
permit (principal, action == Action::"net.connect", resource == Endpoint::"192.0.2.1:443");
@id("gets") @block("email")
permit (principal, action == Action::"net.request", resource == Endpoint::"192.0.2.1:443")
when { context.method == "GET" };
@id("plain")
permit (principal, action == Action::"net.connect", resource == Endpoint::"192.0.2.2:443");
"#,
    );
    let test = |target: &str| home.run(&["net", "test", target]);
    assert!(test("192.0.2.1:443").contains("\n  content  @redact secrets, pii\n"));
    let both = "\n  content  @redact secrets, pii; @block email\n";
    let said = test("https://192.0.2.1/x");
    assert!(said.contains(both), "of the request and of its connection: {said}");
    // Nothing passes of what is denied.
    for target in ["192.0.2.2:443", "https://192.0.2.2/x", "192.0.2.3:443"] {
        let said = test(target);
        assert!(!said.contains("content"), "{said}");
    }
    let (json, _) = home.json(&["net", "test", "https://192.0.2.1/x", "--json"]);
    crate::schemas::conforms(&json, "net-test.schema.json");
    assert_eq!(json["name"]["handling"]["redact"], serde_json::json!(["secrets", "pii"]));
    assert_eq!(json["request"]["handling"]["block"], serde_json::json!(["email"]));
    let (json, _) = home.json(&["net", "test", "https://192.0.2.2/x", "--json"]);
    assert!(json["name"].get("handling").is_none(), "{json}");
    // And of what was decided.
    let mut events = home.events(&SESSION.parse().unwrap());
    let Event::Decided { grounds, .. } = &mut events[5] else { panic!("{:?}", events[5]) };
    grounds.handling =
        Handling { redact: [Detector::Secrets].into(), block: [Detector::Email].into() };
    home.record(events);
    let said = home.run(&["explain", "5"]);
    assert!(said.contains("\n  content  @redact secrets; @block email\n"), "{said}");
    let (json, _) = home.json(&["explain", "5", "--json"]);
    crate::schemas::conforms(&json, "explain.schema.json");
    assert_eq!(json["grounds"]["handling"]["block"], serde_json::json!(["email"]));
    assert!(!home.run(&["explain", "3"]).contains("content"));
}
