//! What a person takes back while an agent does as much as it can: from then on nothing of it is permitted, and the
//! person does not wait until the agent has had enough.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::{Value, json};

use crate::attacks::targets::wait_until;
use crate::mcp_http::{Setup, Web, json_answer, plain};
use crate::run::{Lines, Person, each};
use crate::served::Served;

/// Clients that call tools as fast as they are answered.
const CLIENTS: usize = 12;

/// Calls that are permitted before something is taken back, and calls of each client that come after.
const BEFORE: usize = 2 * CLIENTS;
const AFTER: usize = 2;

/// What is told of how long somebody waited; no test depends on it.
fn waited(what: &str, began: Instant) {
    let _ = writeln!(std::io::stderr(), "{what}: {} ms", began.elapsed().as_millis());
}

fn wait_for(what: &str, count: &AtomicUsize, more: usize) {
    let least = count.load(Ordering::SeqCst) + more;
    wait_until(what, || count.load(Ordering::SeqCst) >= least);
}

/// What all clients of a gate were answered.
#[derive(Default)]
struct Calls {
    /// Set once a person has taken back what permitted them.
    is_taken: AtomicBool,
    ends: AtomicBool,
    permitted: AtomicUsize,
    /// Those among them that were sent after it was taken back.
    wrongly: AtomicUsize,
    denied: AtomicUsize,
}

impl Calls {
    /// Calls until all ends; each call is another, so that nobody goes in circles.
    fn make(&self, served: &Served, session: &str, client: usize) {
        for number in 0.. {
            if self.ends.load(Ordering::SeqCst) {
                return;
            }
            let is_taken = self.is_taken.load(Ordering::SeqCst);
            let params =
                json!({"name": "say", "arguments": {"text": format!("{client} {number}")}});
            let call =
                json!({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params});
            let got = served.post(session, &call);
            if got.body.contains("\"said\"") {
                self.permitted.fetch_add(1, Ordering::SeqCst);
                self.wrongly.fetch_add(usize::from(is_taken), Ordering::SeqCst);
            } else {
                assert!(got.body.contains("may not call"), "{} {}", got.head, got.body);
                self.denied.fetch_add(usize::from(is_taken), Ordering::SeqCst);
            }
        }
    }

    /// What permits them is taken back, after many of them and before as many more.
    fn take_back(&self, what: &str, take: impl FnOnce()) {
        self.is_taken.store(false, Ordering::SeqCst);
        wait_for("calls are permitted", &self.permitted, BEFORE);
        let began = Instant::now();
        take();
        waited(what, began);
        self.is_taken.store(true, Ordering::SeqCst);
        wait_for("calls are denied", &self.denied, AFTER * CLIENTS);
        assert_eq!(self.wrongly.load(Ordering::SeqCst), 0, "permitted after: {what}");
    }
}

#[test]
fn what_is_taken_back_while_many_clients_call_is_called_no_more() {
    let schema = json!({"type": "object", "properties": {"text": {"type": "string"}}});
    let tool = json!({"name": "say", "inputSchema": schema});
    let said = tool.clone();
    let web = Web::serve(move |asked, to| {
        if asked.body["method"] == "tools/list" {
            let result = json!({"tools": [said]});
            return json_answer(
                to,
                &json!({"jsonrpc": "2.0", "id": asked.body["id"], "result": result}),
            );
        }
        plain(asked, to);
    });
    let setup = Setup::new(&[("web", &web.url())]);
    setup.pinned("web", &web.url(), &tool);
    let person = &setup.person;
    let policy = person.home().join(".config/ringfence/policy.cedar");
    let whole = fs::read_to_string(&policy).unwrap();
    let bare: String = whole.lines().filter(|line| !line.contains("tool.call")).collect();
    fs::write(&policy, &bare).unwrap();
    let served = Served::start(person, &[]);
    let session = served.session();
    let grant = || {
        person.succeed(&["grant", "tool:web/say", "--session", &session, "--yes"]);
        let list = person.succeed(&["grants", "list", "--json"]);
        let grant: Value = serde_json::from_str(list.lines().next().unwrap()).unwrap();
        grant["id"].as_str().unwrap().to_owned()
    };
    let id = grant();
    let sessions: Vec<String> = (0..CLIENTS).map(|_| served.begin("2025-06-18")).collect();
    let calls = Calls::default();
    std::thread::scope(|scope| {
        let (calls, served) = (&calls, &served);
        let _ends = Ends(&calls.ends);
        for (client, session) in sessions.iter().enumerate() {
            scope.spawn(move || calls.make(served, session, client));
        }
        calls.take_back("grants revoke", || drop(person.succeed(&["grants", "revoke", &id])));
        calls.is_taken.store(false, Ordering::SeqCst);
        fs::write(&policy, &whole).unwrap();
        person.succeed(&["policy", "reload"]);
        calls.take_back("policy reload", || {
            let forbid = "forbid (principal, action in Action::\"tool.call\", resource);";
            fs::write(&policy, whole.clone() + forbid).unwrap();
            person.succeed(&["policy", "reload"]);
        });
    });
    let said = served.end();
    assert!(!said.contains("panicked"), "{said}");
    person.succeed(&["log", "verify"]);
}

/// Ends what a test has begun, also where it fails.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

const POLICY: &str = r#"
permit (principal, action == Action::"exec", resource);
permit (principal, action in Action::"fs", resource in Dir::"PROJECT");
permit (principal, action == Action::"net.connect", resource == Endpoint::"127.0.0.1:PORT");
"#;

/// An agent that starts programs, changes files and connects as fast as it can, and uses what it was granted meanwhile:
/// it says what it could do after that was taken back.
const AGENT: &str = r#"
import os, socket, subprocess, sys, threading, time
shared, port = sys.argv[1], int(sys.argv[2])
def is_there(name):
    return os.path.exists(name)
def files(number):
    name = f"flood-{number}"
    with open(name, "w") as file:
        file.write("x")
    os.rename(name, name + "-moved")
    os.unlink(name + "-moved")
def programs(number):
    subprocess.run(["/bin/true"])
def connections(number):
    try:
        socket.create_connection(("127.0.0.1", 9), 5).close()
    except OSError:
        pass
def flood(act, number):
    while not is_there("ended"):
        act(number)
def read():
    with open(shared + "/file") as file:
        return file.read() != ""
def write():
    with open(shared + "/written", "w") as file:
        file.write("x")
    return True
def connect():
    with socket.create_connection(("host.ringfence.internal", port), 5) as to:
        return to.recv(1) != b""
before = {}
after = {}
def use(name, act):
    before[name] = after[name] = 0
    while not is_there("ended"):
        is_taken = is_there("taken")
        try:
            could = act()
        except OSError:
            could = False
        if could and is_taken:
            print("could", name, flush=True)
        before[name] += could
        after[name] += is_taken
acts = [files] * 2 + [programs] + [connections]
all = [threading.Thread(target=flood, args=(act, number)) for number, act in enumerate(acts)]
all += [threading.Thread(target=use, args=(act.__name__, act)) for act in (read, write, connect)]
for one in all:
    one.start()
def wait(counts):
    while len(counts) < 3 or min(counts.values()) < 3:
        time.sleep(0.01)
wait(before)
print("used", flush=True)
wait(after)
print("tried", flush=True)
for one in all:
    one.join()
print("over", flush=True)
"#;

#[test]
fn what_is_taken_back_while_an_agent_floods_its_gate_is_used_no_more() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.and_then(|mut it| it.write_all(b"x"));
        }
    });
    each(&POLICY.replace("PORT", &port.to_string()), |person| {
        person.home.write("shared/file", "shared\n");
        person.home.write("project/agent.py", AGENT);
        person.own();
        let shared = person.home.path("shared").display().to_string();
        let script = format!("exec python3 agent.py {shared} {port}");
        let (mut child, session) = person.start(&script);
        let out = Lines::of(&mut child);
        for grant in [
            format!("fs.read:{shared}"),
            format!("fs.write:{shared}"),
            format!("net:host.ringfence.internal:{port}"),
        ] {
            let began = Instant::now();
            let granted =
                person.ringfence(&["grant", &grant, "--session", session.as_str(), "--yes"]);
            assert_eq!(granted.code, 0, "{granted}");
            waited("grant", began);
        }
        assert_eq!(out.next(), "used");
        for id in granted(person) {
            let began = Instant::now();
            let revoked = person.ringfence(&["grants", "revoke", &id]);
            assert_eq!(revoked.code, 0, "{revoked}");
            waited("grants revoke", began);
        }
        person.home.write("project/taken", "");
        assert_eq!(out.next(), "tried", "nothing of it could be used");
        person.home.write("project/ended", "");
        assert_eq!(out.next(), "over");
        assert_eq!(child.wait().unwrap().code(), Some(0));
    });
}

fn granted(person: &Person) -> Vec<String> {
    let list = person.ringfence(&["grants", "list", "--json"]);
    let id = |line: &str| {
        let grant: Value = serde_json::from_str(line).unwrap();
        grant["id"].as_str().unwrap().to_owned()
    };
    list.out.lines().map(id).collect()
}
