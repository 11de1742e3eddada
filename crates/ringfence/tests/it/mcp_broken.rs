//! Peers over standard input and output that break off, die, flood, or send what is no message: a correct error, an
//! entry, and whoever else is there is answered meanwhile.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::attacks::targets::wait_until;
use crate::mcp_unanswered::{session, setup, talk};
use crate::person::{Person, json_lines};
use crate::served::Served;
use crate::talk::{Era, Talk};

/// A client in a world that sends very much, and reads what it is answered when all is sent: it ends when its last call
/// is answered.
const FLOODER: &str = r#"
import json, os, sys, time
def say(message):
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)
hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "flooder", "version": "1"}}
def answered(id):
    return '"id":%d' % id in open("answers").read().replace(" ", "")
say({"id": 1, "method": "initialize", "params": hello})
while not answered(1):
    time.sleep(0.01)
say({"method": "notifications/initialized"})
for number in range(2000):
    say({"id": "ping %d" % number, "method": "ping"})
sys.stdout.write('{"jsonrpc":"2.0","id":2,"method":"ping","params":{"x":"')
for number in range(100):
    sys.stdout.write("x" * 1000000)
    if number == 50:
        sys.stdout.flush()
        open("half", "w")
    while number == 50 and not os.path.exists("go"):
        time.sleep(0.01)
print('"}}', flush=True)
say({"id": 3, "method": "tools/call", "params": {"name": "box__say", "arguments": {"how": "well"}}})
while not answered(3):
    time.sleep(0.05)
"#;

/// What was odd of a client of a session, by kind.
pub(crate) fn odd_of_client(person: &Person, session: &str) -> Vec<String> {
    let log = json_lines(&person.succeed(&["log", "show", session, "--json"]));
    let entries = log.as_array().unwrap().iter().map(|line| &line["entry"]);
    let odd = entries.filter(|it| it["event"] == "odd-message" && it["server"].is_null());
    odd.map(|it| it["kind"].as_str().unwrap().to_owned()).collect()
}

/// Servers that run in the person's project.
fn servers(person: &Person) -> usize {
    let found = Command::new("pgrep").args(["-f", "^/usr/bin/python3 server.py"]).output().unwrap();
    let pids = String::from_utf8_lossy(&found.stdout).into_owned();
    let is_here = |pid: &&str| {
        fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|it| it == person.project())
    };
    pids.lines().filter(is_here).count()
}

/// What a call of a server's tool says, and whether it failed.
fn say(talk: &mut Talk, server: &str, how: &str) -> (String, bool) {
    talk.call(&format!("{server}__say"), json!({"how": how}))
}

#[test]
fn a_hundred_megabytes_of_a_client_are_an_error_and_hold_up_no_neighbour() {
    let person = setup();
    person.write("flooder.py", FLOODER);
    person.write("answers", "");
    // Both are in one world, and have one session's broker.
    let script =
        "/usr/bin/python3 flooder.py | ringfence mcp run > answers & ringfence mcp run; wait";
    let words = ["run", "--agent", "client", "--", "sh", "-c", script];
    let mut talk = Talk::with(person.ringfence(&words));
    let half = person.project().join("half");
    wait_until("half of it is sent", || half.exists());
    for number in 0..8 {
        // Each another one: the same again and again would be denied for that.
        assert_eq!(say(&mut talk, "other", &format!("like {number}")), ("said".to_owned(), false));
    }
    person.write("go", "");
    let answers = || fs::read_to_string(person.project().join("answers")).unwrap();
    wait_until("it is answered", || answers().contains("said"));
    talk.end();
    let answers = json_lines(&answers());
    let answers = answers.as_array().unwrap();
    let code = |it: &&Value| it["error"]["code"] == -32600;
    let refused: Vec<&Value> = answers.iter().filter(code).collect();
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused[0].to_string().contains("16777216 bytes"), "{refused:?}");
    let pings = answers.iter().filter(|it| it["id"].as_str().is_some_and(|it| it.starts_with('p')));
    assert_eq!(pings.count(), 2_000);
    assert_eq!(odd_of_client(&person, &session(&person, "client")), ["too-long"]);
}

#[test]
fn a_client_that_goes_while_it_is_served_leaves_an_entry_and_no_server() {
    let person = setup();
    for era in [Era::Old, Era::New] {
        let mut talk = talk(&person, era);
        let asked = person.project().join("asked");
        let _ = fs::remove_file(&asked);
        talk.request("tools/call", json!({"name": "box__say", "arguments": {"how": "mute"}}));
        wait_until("its server has the call", || asked.exists());
        assert_eq!(servers(&person), 2, "{era:?}");
        talk.leave();
        wait_until("no server is left", || servers(&person) == 0);
        let session = session(&person, "client");
        let log = json_lines(&person.succeed(&["log", "show", &session, "--json"]));
        let of = |event: &str| {
            let all = log.as_array().unwrap().iter().map(|line| line["entry"].clone());
            all.filter(|it| it["event"] == event).collect::<Vec<_>>()
        };
        let decided: Vec<Value> =
            of("decided").into_iter().filter(|it| it.to_string().contains("mute")).collect();
        assert_eq!(decided.len(), 1, "{era:?}: {log}");
        let unseen = of("finished").into_iter().filter(|it| it.to_string().contains("unknown"));
        assert_eq!(unseen.count(), 1, "{era:?}: the end of the call: {log}");
        person.succeed(&["log", "verify", &session]);
    }
}

#[test]
fn a_server_that_dies_while_it_is_called_fails_that_call_and_no_other() {
    let person = setup();
    for era in [Era::Old, Era::New] {
        let mut talk = talk(&person, era);
        let waits =
            talk.request("tools/call", json!({"name": "other__say", "arguments": {"how": "mute"}}));
        let answer = talk.answer("box__say", json!({"how": "die"}));
        let said = answer.to_string();
        let failed = answer["error"]["code"].is_number() || answer["result"]["isError"] == true;
        assert!(failed && said.contains("ended"), "{era:?}: {said}");
        assert_eq!(say(&mut talk, "other", "well"), ("said".to_owned(), false), "{era:?}");
        assert!(!talk.told.iter().any(|it| it["id"] == waits), "{era:?}: {:?}", talk.told);
        talk.close();
        let log = person.succeed(&["log", "show", &session(&person, "client")]);
        assert!(log.contains("box: it has ended without an answer to a request"), "{era:?}: {log}");
    }
    // Of those that one gate serves, each client has servers of its own.
    let served = Served::start(&person, &["--agent", "client"]);
    let mut all = [Era::Old, Era::New].map(|era| Talk::over_http(served.port, &served.token, era));
    let mut second = Talk::over_http(served.port, &served.token, Era::Old);
    assert_eq!(say(&mut second, "box", "well"), ("said".to_owned(), false));
    for talk in &mut all {
        let answer = talk.answer("box__say", json!({"how": "die"})).to_string();
        assert!(answer.contains("ended"), "{answer}");
        assert!(!say(&mut second, "box", "count").1);
    }
    served.end();
}

#[test]
fn a_server_that_floods_over_pipes_holds_up_no_other_session_and_no_other_server() {
    let person = setup();
    let served = Served::start(&person, &["--agent", "client"]);
    let mut first = Talk::over_http(served.port, &served.token, Era::Old);
    let mut second = Talk::over_http(served.port, &served.token, Era::Old);
    let (flooding, flooded) = (person.project().join("flooding"), person.project().join("flooded"));
    std::thread::scope(|scope| {
        let call = scope.spawn(|| say(&mut first, "box", "flood"));
        wait_until("it floods", || flooding.exists());
        for number in 0..8 {
            for server in ["box", "other"] {
                let said = say(&mut second, server, &format!("like {number}"));
                assert_eq!(said, ("said".to_owned(), false));
            }
        }
        assert!(!flooded.exists(), "all of the flood came before the others were answered");
        person.write("stop", "");
        assert_eq!(call.join().unwrap(), ("said".to_owned(), false), "and its client is answered");
    });
    let said = served.end();
    assert!(!said.contains("panicked"), "{said}");
    // So it is for a client that has both servers by pipes.
    fs::remove_file(person.project().join("stop")).unwrap();
    fs::remove_file(&flooding).unwrap();
    let mut talk = talk(&person, Era::Old);
    let flood = json!({"name": "box__say", "arguments": {"how": "flood"}});
    let number = talk.request("tools/call", flood);
    wait_until("it floods", || flooding.exists());
    assert_eq!(say(&mut talk, "other", "well"), ("said".to_owned(), false));
    assert!(!flooded.exists(), "all of the flood came before the other was answered");
    person.write("stop", "");
    let answered = |it: &Value| it["id"] == number;
    if !talk.told.iter().any(answered) {
        assert_eq!(talk.next(number)["result"]["content"][0]["text"], "said");
    }
    talk.end();
    let log = person.succeed(&["log", "show", &session(&person, "client")]);
    assert!(log.contains("no more is told of it"), "{log}");
}

#[test]
fn an_agent_that_calls_the_same_or_hears_the_same_is_warned_and_then_denied() {
    let person = setup();
    let settings = person.home().join(".config/ringfence/settings.toml");
    let limits = "same_call_max = 6\nother_call_same_answer_max = 6\nloop_seconds = 600";
    fs::write(&settings, format!("[tools]\n{limits}\n")).unwrap();
    let circles = |mut talk: Talk| {
        let mut ask = |server: &str, how: &str| {
            let answer = talk.answer(&format!("{server}__say"), json!({"how": how}));
            let content = answer["result"]["content"].as_array().unwrap();
            content.iter().map(|it| it["text"].as_str().unwrap()).collect::<Vec<_>>().join("\n")
        };
        // One call again and again, with another answer each time; and other calls with one answer.
        for (server, why) in [
            ("box", "this call was made 6 times in 600 seconds"),
            ("other", "6 different calls of this tool in a row had the same result"),
        ] {
            let how = |number: u32| match server {
                "box" => "count".to_owned(),
                _ => format!("like {number}"),
            };
            let all: Vec<String> = (0..6).map(|number| ask(server, &how(number))).collect();
            assert!(all.iter().all(|it| it.starts_with("said")), "{server}: {all:?}");
            let warned = all.iter().filter(|it| it.contains("warning from ringfence"));
            assert!(warned.count() >= 1, "{server}: {all:?}");
            assert!(!all[0].contains("warning"), "{server}: {all:?}");
            let denied = ask(server, &how(6));
            assert!(denied.contains("denied: ") && denied.contains(why), "{server}: {denied}");
        }
        talk.end();
        let asked = fs::read_to_string(person.project().join("asked")).unwrap();
        assert_eq!(asked.matches("count").count(), 6, "what is denied is not done: {asked}");
        assert!(!asked.contains("like 6"), "what is denied is not done: {asked}");
        fs::remove_file(person.project().join("asked")).unwrap();
    };
    for era in [Era::Old, Era::New] {
        circles(talk(&person, era));
        let served = Served::start(&person, &["--agent", "client"]);
        circles(Talk::over_http(served.port, &served.token, era));
        served.end();
    }
    let log = person.succeed(&["log", "show", &session(&person, "client")]);
    assert!(log.contains("6 times in 600 seconds"), "{log}");
}
