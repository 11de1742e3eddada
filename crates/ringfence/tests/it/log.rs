//! `log`, `show`, `sessions`, `explain`: what happened, and whether the record was changed.

use expect_test::expect;

use crate::home::{Home, SESSION};
use crate::policy::POLICY;
use crate::run::{Ended, Person, each};

#[test]
fn without_sessions_there_is_nothing_to_show() {
    let home = Home::new();
    expect![[r#"
        $ ringfence sessions
        ! no session of this user has left a log
        ! hint: to start one, run `ringfence run -- CMD`
        [0]
        $ ringfence show
        ! error: no session of this user has left a log
        ! hint: to start one, run `ringfence run -- CMD`
        [2]
        $ ringfence log verify
        ! there is nothing to verify: no session of this user has left a log
        [0]
        $ ringfence log show sabcdefgh
        ! error: there is no session `sabcdefgh`
        ! hint: to see the sessions there are, run `ringfence sessions`
        [2]
        $ ringfence log verify sabcdefgh
        ! error: there is no session `sabcdefgh`
        ! hint: to see the sessions there are, run `ringfence sessions`
        [2]
        $ ringfence explain 1
        ! error: no session of this user has left a log
        ! hint: to start one, run `ringfence run -- CMD`
        [2]
        $ ringfence explain x/1
        ! error: invalid value 'x/1' for '<[SESSION/]INDEX>': `x` does not name a session or an entry
        ! 
        ! For more information, try '--help'.
        ! hint: to see what the sessions are called, run `ringfence sessions`
        [2]
        $ ringfence explain sabcdefgh
        ! error: invalid value 'sabcdefgh' for '<[SESSION/]INDEX>': `sabcdefgh` does not name a session or an entry
        ! 
        ! For more information, try '--help'.
        ! hint: that is a session, of which an entry is `sabcdefgh/INDEX`: to see them, run `ringfence log show sabcdefgh`
        [2]
        $ ringfence show sabcdefgh/3
        ! error: invalid value 'sabcdefgh/3' for '[SESSION]': `sabcdefgh/3` does not name a session or an entry
        ! 
        ! For more information, try '--help'.
        ! hint: that is an entry: to see why it was decided so, run `ringfence explain sabcdefgh/3`
        [2]
    "#]].assert_eq(&home.session(&[
        &["sessions"],
        &["show"],
        &["log", "verify"],
        &["log", "show", "sabcdefgh"],
        &["log", "verify", "sabcdefgh"],
        &["explain", "1"],
        &["explain", "x/1"],
        &["explain", "sabcdefgh"],
        &["show", "sabcdefgh/3"],
    ]));
}

#[test]
fn a_session_is_shown_as_a_tree() {
    let home = Home::new();
    home.record_session();
    expect![[r#"
        $ ringfence sessions
        session    started                  state   denied  agent    command
        sabcdefgh  2026-11-21 13:03:55 UTC  exit 0  1       builder  sh build.sh
        ! hint: to see what happened in one, run `ringfence show SESSION`
        [0]
        $ ringfence show
        session sabcdefgh  agent `builder`  exit 0 after 11.0s
          sh build.sh
          in HOME/project, 2026-11-21 13:03:55 UTC

           exit   time    cpu memory  process
              0   9.0s    4ms  12.0M  sh build.sh
             22   6.0s ~120ms ~12.0M  └─ curl x
        ~ sampled while it ran, the last moments may be missing; - not known

        1 file changed  + created  ~ modified  - deleted
          +  out\u{1b}[31m.txt  curl

        1 connection
          api.example.com:443  sent 812B  received 1.1M      curl

        1 act denied
              8  connect to api.stripe.com:443
                 no permit matches

        4 permitted, 1 denied, 0 asked, 1 file changed
        reads are bounded by the plan and make no entry; a path that may not be read
        does not exist in the world
        ! hint: to see the whole reasoning, run `ringfence explain sabcdefgh/8`
        [0]
    "#]]
    .assert_eq(&home.session(&[&["sessions"], &["show"]]));
}

#[test]
fn the_log_is_shown_and_verified() {
    let home = Home::new();
    home.record_session();
    expect![[r#"
        $ ringfence log show
             0  2026-11-21 13:03:55 UTC  opened     sabcdefgh: agent `builder` runs `sh build.sh` in HOME/project; no world
             1  2026-11-21 13:03:56 UTC  permitted  run /usr/bin/sh `build.sh`
             2  2026-11-21 13:03:57 UTC  finished   1: done
             3  2026-11-21 13:03:58 UTC  permitted  run /usr/bin/curl `x`
             4  2026-11-21 13:03:59 UTC  finished   3: done
             5  2026-11-21 13:04:00 UTC  permitted  connect to api.example.com:443
             6  2026-11-21 13:04:01 UTC  permitted  write HOME/project/out\u{1b}[31m.txt (new)
             7  2026-11-21 13:04:02 UTC  finished   5: api.example.com:443 sent 812B, received 1.1M
             8  2026-11-21 13:04:03 UTC  denied     connect to api.stripe.com:443; no permit matches
             9  2026-11-21 13:04:04 UTC  exited     process 12: exit 22, 120ms of processor time (sampled)
            10  2026-11-21 13:04:05 UTC  exited     process 11: exit 0, 4ms of processor time
            11  2026-11-21 13:04:06 UTC  closed     exit 0; 4 permitted, 1 denied, 0 asked, 1 file changed
        [0]
        $ ringfence log verify
        host       verified  2 entries
        sabcdefgh  verified  12 entries, closed
        [0]
    "#]].assert_eq(&home.session(&[&["log", "show"], &["log", "verify"]]));
}

#[test]
fn a_changed_log_is_found_at_its_first_bad_entry() {
    let home = Home::new();
    home.record_session();
    let segment = home.segment();
    let bytes = std::fs::read(&segment).unwrap();
    let place = bytes.windows(14).position(|window| window == b"api.stripe.com").unwrap();
    let mut changed = bytes.clone();
    changed[place] = b'b';
    std::fs::write(&segment, changed).unwrap();
    expect![[r#"
        $ ringfence log verify sabcdefgh
        sabcdefgh  CHANGED  entry 8 does not verify: its checksum is wrong
        ! error: 1 log was changed after being signed
        [1]
        $ ringfence log verify
        host       verified  2 entries
        sabcdefgh  CHANGED   entry 8 does not verify: its checksum is wrong
        ! error: 1 log was changed after being signed
        [1]
    "#]]
    .assert_eq(&home.session(&[&["log", "verify", SESSION], &["log", "verify"]]));
}

#[test]
fn a_log_that_is_cut_is_found() {
    let home = Home::new();
    home.record_session();
    let segment = home.segment();
    let bytes = std::fs::read(&segment).unwrap();
    std::fs::write(&segment, &bytes[..bytes.len() - 10]).unwrap();
    let text = home.run(&["log", "verify", SESSION, "--json"]);
    assert!(text.contains("\"verified\":false") && text.contains("\"index\":11"), "{text}");
    assert!(text.ends_with("[1]\n"), "{text}");
}

#[test]
fn a_session_that_was_removed_is_missed() {
    let home = Home::new();
    home.record_session();
    std::fs::remove_dir_all(home.state().join("sessions").join(SESSION)).unwrap();
    let text = home.run(&["log", "verify"]);
    assert!(text.contains("it is missing") && text.ends_with("[1]\n"), "{text}");
}

#[test]
fn a_denial_is_explained_with_the_smallest_grant() {
    let home = Home::with_policy(POLICY);
    home.record_session();
    expect![[r#"
        $ ringfence explain 8
        denied: agent `builder` may not connect to api.stripe.com:443
          entry    sabcdefgh/8, 2026-11-21 13:04:03 UTC
          rule     no permit matches
          clock    Saturday 13:04 UTC
          approved none

        the policy in force now is not the one that decided; it would answer:
          answer   denied
          rule     no permit matches; nearest: .ringfence/policy.cedar:3 `api` (host differs: it permits `api.example.com:443`)

        policy (yours, the project's, grants) does not allow it

        what would have to change
          the smallest grant is net:api.stripe.com:443
        ! hint: to allow it in this project from now on, run `ringfence grant net:api.stripe.com:443 --always`
        [0]
        $ ringfence explain 0
        opened: sabcdefgh: agent `builder` runs `sh build.sh` in HOME/project; no world
          entry    sabcdefgh/0, 2026-11-21 13:03:55 UTC
          kind     a record of what happened; nothing was decided by it
        ! hint: to see what is around it, run `ringfence log show sabcdefgh`
        [0]
        $ ringfence explain 99
        ! error: session `sabcdefgh` has no entry 99
        ! hint: to see its entries, run `ringfence log show sabcdefgh`
        [2]
    "#]].assert_eq(&home.session(&[
        &["explain", "8"],
        &["explain", "0"],
        &["explain", "99"],
    ]));
}

#[test]
fn every_entry_is_one_line_of_json() {
    let home = Home::new();
    home.record_session();
    let text = home.run(&["log", "show", "--json"]);
    let lines: Vec<serde_json::Value> = text
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 12);
    for (index, line) in lines.iter().enumerate() {
        assert_eq!((&line["schema"], &line["index"]), (&1.into(), &index.into()));
        assert!(line["entry"]["event"].is_string());
    }
}

#[test]
fn colour_is_only_where_it_was_asked_for() {
    let home = Home::new();
    home.record_session();
    assert!(!home.run(&["show"]).contains('\u{1b}'));
    assert!(home.run(&["show", "--color", "always"]).contains("\u{1b}[1m"));
}

#[test]
fn a_denial_is_explained_from_anywhere_by_the_policy_of_its_session() {
    let home = Home::with_policy(POLICY);
    home.record_session();
    std::fs::create_dir(home.path("elsewhere")).unwrap();
    let here = home.run(&["explain", "8"]);
    let there = home.run_in("elsewhere", &["explain", "8"]);
    let hint =
        |text: &str| text.lines().find(|line| line.starts_with("! hint")).unwrap().to_owned();
    assert_eq!(there.replace(&hint(&there), &hint(&here)), here);
    assert_eq!(
        hint(&there),
        "! hint: to allow it in HOME/project from now on, run `ringfence grant net:api.stripe.com:443 --always` there"
    );
    std::fs::remove_dir_all(home.path("project")).unwrap();
    let gone = home.run_in("elsewhere", &["explain", "8"]);
    assert!(gone.contains("\n! warning: only the record is shown"), "{gone}");
}

/// Runs a session and cuts its last entry off before it is sealed; `None` when the sealer was first.
fn cut_before_the_sealing(person: &Person) -> Option<Ended> {
    let (child, session) = person.start("sleep 0.2");
    let log = person.home.state().join("sessions").join(session.as_str()).join("log");
    // Free when the broker has ended; the sealer waits for it as well.
    let lock = std::fs::File::open(&log).unwrap();
    lock.lock().unwrap();
    let checkpoint = std::fs::read_to_string(log.join("checkpoint")).unwrap();
    if checkpoint.contains("\nclosed\n") {
        return None;
    }
    let segment = log.join("segments/00000000000000000000.log");
    let bytes = std::fs::read(&segment).unwrap();
    let (mut last, mut next) = (0, 0);
    while next < bytes.len() {
        last = next;
        let payload = u32::from_le_bytes(bytes[next..next + 4].try_into().unwrap());
        next += 48 + payload as usize;
    }
    std::fs::write(&segment, &bytes[..last]).unwrap();
    drop(lock);
    assert!(child.wait_with_output().unwrap().status.success());
    Some(person.ringfence(&["log", "verify", session.as_str()]))
}

#[test]
fn an_entry_cut_off_between_the_end_of_a_session_and_its_sealing_is_missed() {
    each(crate::run::POLICY, |person| {
        let verified = (0..50).find_map(|_| cut_before_the_sealing(person)).unwrap();
        assert_eq!(verified.code, 1, "{verified}");
        assert!(verified.out.contains("CHANGED"), "{verified}");
        assert!(verified.out.contains("it is missing"), "{verified}");
    });
}
