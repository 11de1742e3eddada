//! Logins at servers behind addresses, with a server and an issuer of our own, written from the RFCs: what a token is
//! had for, who has it, and what becomes of answers that are somebody else's.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::attacks::targets::wait_until;
use crate::person::{Person, Who, text};
use crate::run::Terminal;
use crate::started::Started;
use crate::talk::Talk;

const POLICY: &str = r#"
permit (principal == Agent::"mcp-client", action in Action::"tool.call", resource);
"#;

/// A server of tools and an issuer of tokens for it, each at a port of its own. What `how` says, they do wrong.
const WEB: &str = r##"
import base64, hashlib, http.server, json, os, secrets, sys, threading, urllib.parse
here = os.path.dirname(os.path.abspath(__file__))
codes, tokens, refreshes, used, asked = {}, {}, {}, set(), []
scopes, registered, clients, shows, SECRET = [], [], [], [], "s:e/c %r+t"

def how():
    try:
        return open(here + "/how").read().split()
    except FileNotFoundError:
        return []

lock = threading.Lock()
def note():
  with lock:
    json.dump({"tokens": list(tokens) + list(refreshes), "asked": asked, "scopes": scopes, "registered": registered, "clients": clients, "shows": shows, "reused": sorted(used & REUSED)}, open(here + "/seen.new", "w"))
    os.replace(here + "/seen.new", here + "/seen")
REUSED = set()

class Base(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def log_message(self, *a):
        pass
    def say(self, status, body=b"", kind="application/json", **headers):
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        note()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)
    def body(self):
        return self.rfile.read(int(self.headers.get("content-length", 0)))

    def base(self):
        return "http://127.0.0.1:%d" % self.server.server_address[1]

class Issuer(Base):
    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        asked.append("GET " + url.path)
        if url.path == "/.well-known/oauth-authorization-server" and "no-metadata" not in how():
            own = self.base()
            document = {
                "issuer": own, "authorization_endpoint": own + "/authorize", "token_endpoint": own + "/token",
                "registration_endpoint": own + "/register", "response_types_supported": ["code"],
                "code_challenge_methods_supported": ["S256"], "authorization_response_iss_parameter_supported": True,
            }
            if "no-pkce" in how():
                document["code_challenge_methods_supported"] = ["plain"]
            if "issuer" in how():
                document["issuer"] = "http://127.0.0.1:1"
            if "issuer-below" in how():
                document["issuer"] = own + "/oauth"
            if "inward" in how():
                document["token_endpoint"] = "http://169.254.169.254/token"
            if "unknown" in how():
                del document["registration_endpoint"]
            if "documents" in how():
                document["client_id_metadata_document_supported"] = True
            if "mixed" in how():
                # Its own tokens, and the page of another party.
                document["authorization_endpoint"] = "http://127.0.0.1:%d/authorize" % PORTS[2]
                del document["authorization_response_iss_parameter_supported"]
            if "mixed-within" in how():
                # The same behind a redirect of its own.
                document["authorization_endpoint"] = own + "/onward"
                del document["authorization_response_iss_parameter_supported"]
            methods = [it.removeprefix("by-") for it in how() if it.startswith("by-")]
            if methods:
                document["token_endpoint_auth_methods_supported"] = methods
            return self.say(200, document)
        if url.path == "/onward":
            return self.say(302, location="http://127.0.0.1:%d/authorize?%s" % (PORTS[2], url.query))
        if url.path == "/authorize":
            given = dict(urllib.parse.parse_qsl(url.query))
            assert given["code_challenge_method"] == "S256" and given["resource"] == RESOURCE, given
            code = secrets.token_urlsafe(16)
            codes[code] = given
            scopes.append(given.get("scope"))
            clients.append(given["client_id"])
            back = {"code": code, "state": given["state"], "iss": "http://evil.example" if "iss" in how() else self.named()}
            if "denied" in how():
                back = {"error": "access_denied", "state": given["state"], "iss": ISSUER}
            if "forged-page" in how():
                back = {"error": "denied\nok: logged in", "error_description": "x\r\nok: logged in at `web`\u001b[2J\u2028", "state": given["state"], "iss": ISSUER}
            return self.back(given, back)
        self.say(404)
    def named(self):
        return self.base() + ("/oauth" if "issuer-below" in how() else "")
    def back(self, given, back):
        self.say(302, location=given["redirect_uri"] + "?" + urllib.parse.urlencode(back))
    def do_POST(self):
        body = self.body()
        asked.append("POST " + self.path)
        if self.path == "/register":
            said = json.loads(body)
            registered.append(said)
            method = said["token_endpoint_auth_method"]
            client = {"client_id": "client-" + secrets.token_hex(4), "token_endpoint_auth_method": method}
            if method != "none":
                client["client_secret"] = SECRET
            return self.say(201, client)
        given = dict(urllib.parse.parse_qsl(body.decode()))
        methods = [it.removeprefix("by-") for it in how() if it.startswith("by-")]
        shown = "client_secret_post" if "client_secret" in given else "none"
        login = self.headers.get("authorization")
        if login:
            given["client_id"], given["client_secret"] = map(urllib.parse.unquote, base64.b64decode(login.removeprefix("Basic ")).decode().split(":"))
            shown = "client_secret_basic"
        shows.append(shown)
        if methods and (shown != methods[0] or methods[0] != "none" and given.get("client_secret") != SECRET):
            note()
            return self.say(401, {"error": "invalid_client"})
        if "forged" in how():
            return self.say(400, {"error": "bad\nok: logged in\u001b[2J", "error_description": "\u202ex\u0085ok: logged in\n" + "long" * 1000})
        if given["grant_type"] == "authorization_code":
            code = codes.pop(given["code"], None)
            if code is None or "used" in how():
                # Somebody came before: what they have is taken from them, RFC 6749 section 4.1.2.
                tokens.clear()
                return self.say(400, {"error": "invalid_grant", "error_description": "the code was used"})
            digest = base64.urlsafe_b64encode(hashlib.sha256(given["code_verifier"].encode()).digest()).rstrip(b"=").decode()
            same = all(given[name] == code[name] for name in ["client_id", "redirect_uri", "resource"])
            if not same or digest != code["code_challenge"]:
                return self.say(400, {"error": "invalid_grant"})
            scope = code.get("scope", "")
        else:
            if given["refresh_token"] in used:
                REUSED.add(given["refresh_token"])
            scope = refreshes.pop(given["refresh_token"], None)
            if scope is None:
                note()
                return self.say(400, {"error": "invalid_grant"})
            used.add(given["refresh_token"])
            tokens.clear()
        token, refresh = "at-" + secrets.token_urlsafe(24), "rt-" + secrets.token_urlsafe(24)
        tokens[token] = {"resource": "http://other.example" if "audience" in how() else given["resource"], "scope": scope}
        refreshes[refresh] = scope
        note()
        self.say(200, {"access_token": token, "token_type": "Bearer", "expires_in": 60, "refresh_token": refresh, "scope": scope})

class Tools(Issuer):
    def do_GET(self):
        if "legacy" in how() and self.path.split("?")[0] != "/mcp":
            return Issuer.do_GET(self)
        asked.append("GET " + self.path)
        if "redirect" in how():
            return self.say(302, location="http://10.0.0.1/")
        if self.path.startswith("/.well-known/oauth-protected-resource"):
            of = "http://127.0.0.1:1/other" if "resource" in how() else RESOURCE
            return self.say(200, {"resource": of, "authorization_servers": [ISSUER], "scopes_supported": ["read"]})
        self.say(405)
    def do_DELETE(self):
        self.say(200)
    def do_POST(self):
        if "legacy" in how() and self.path != "/mcp":
            return Issuer.do_POST(self)
        message = json.loads(self.body())
        if "forged-server" in how():
            return self.say(500, b"x\nok: pinned\r\nok: logged in\x1b[2J", "text/plain")
        if "forged-answer" in how() and "id" in message:
            error = {"code": -32603, "message": "x\nok: pinned\u001b[2J\u2028ok: logged in"}
            return self.say(200, {"jsonrpc": "2.0", "id": message["id"], "error": error})
        given = self.headers.get("authorization", "")
        token = tokens.get(given.removeprefix("Bearer "))
        lazy = "lazy" in how() and (message["method"] == "initialize" or "id" not in message)
        if not lazy and (token is None or token["resource"] != RESOURCE):
            place = "http://127.0.0.1:%d/.well-known/oauth-protected-resource/mcp" % PORTS[0]
            error = 'error="invalid_token", ' if given else ""
            if "legacy" in how():
                return self.say(401, {"error": "login"}, www_authenticate="Bearer")
            return self.say(401, {"error": "login"}, www_authenticate='Bearer %sresource_metadata="%s", scope="read"' % (error, place))
        method = message["method"]
        if method == "tools/list" and "steps" in how() and "list" not in token["scope"].split():
            return self.say(403, {"error": "scope"}, www_authenticate='Bearer error="insufficient_scope", scope="read list"')
        if method == "tools/list" and "never" in how():
            return self.say(403, {"error": "scope"}, www_authenticate='Bearer error="insufficient_scope", scope="more%d"' % len(scopes))
        if "id" not in message:
            return self.say(202)
        answer = {"jsonrpc": "2.0", "id": message["id"]}
        if method == "initialize":
            answer["result"] = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "web", "version": "1"}}
        elif method == "tools/list":
            answer["result"] = {"tools": [{"name": name, "inputSchema": {"type": "object"}} for name in ["read_headers", "admin"]]}
        elif method == "tools/call" and message["params"]["name"] == "admin" and "admin" not in token["scope"]:
            return self.say(403, {"error": "scope"}, www_authenticate='Bearer error="insufficient_scope", scope="read admin"')
        elif method == "tools/call":
            answer["result"] = {"content": [{"type": "text", "text": "you sent " + given}]}
        else:
            answer["error"] = {"code": -32601, "message": "no " + method}
        self.say(200, answer)

class Control(Base):
    # Another party, at which the person is known, and which says nowhere that it is the one who answers.
    def do_GET(self):
        asked.append("elsewhere")
        url = urllib.parse.urlsplit(self.path)
        given = dict(urllib.parse.parse_qsl(url.query))
        if "registered" in how() and urllib.parse.urlsplit(given["redirect_uri"]).path != "/callback":
            return self.say(400)
        code = secrets.token_urlsafe(16)
        codes[code] = given
        Issuer.back(self, given, {"code": code, "state": given["state"]})
    def do_POST(self):
        self.body()
        tokens.clear()
        if self.path == "/all":
            refreshes.clear()
        self.say(200)

servers = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind) for kind in [Tools, Issuer, Control]]
PORTS = [server.server_address[1] for server in servers]
RESOURCE, ISSUER = "http://127.0.0.1:%d/mcp" % PORTS[0], "http://127.0.0.1:%d" % PORTS[1]
for server in servers:
    threading.Thread(target=server.serve_forever, daemon=True).start()
print(json.dumps(PORTS), flush=True)
sys.stdin.read()
"##;

/// What the issuer gives a client, and takes of one.
const SECRET: &str = "s:e/c %r+t";

/// Opens pages as a browser does; led astray by what `astray` says. What it was answered is kept.
const BROWSER: &str = r##"#!/usr/bin/python3
import os, sys, urllib.error, urllib.parse, urllib.request
here = os.path.dirname(os.path.abspath(__file__))
astray = open(here + "/astray").read() if os.path.exists(here + "/astray") else ""
said = []
def visit(address, **headers):
    try:
        said.append(urllib.request.urlopen(urllib.request.Request(address, headers=headers)).status)
    except urllib.error.HTTPError as error:
        said.append(error.code)
    except OSError:
        said.append(0)
given = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(sys.argv[1]).query))
if astray == "state":
    for wrong in ["code=stolen&state=x", "code=stolen", "code=stolen&state=" + "A" * len(given["state"])]:
        visit(given["redirect_uri"] + "?" + wrong)
    visit(given["redirect_uri"] + "?code=stolen&state=" + given["state"], Host="evil.example")
if astray == "flood":
    import socket
    at = urllib.parse.urlsplit(given["redirect_uri"])
    idle = [socket.create_connection((at.hostname, at.port)) for _ in range(30)]
    for number in range(200):
        visit(given["redirect_uri"] + ("?code=stolen&state=x" if number % 2 else "/other"))
visit(sys.argv[1])
if astray == "twice":
    visit(given["redirect_uri"] + "?code=again&state=" + given["state"])
open(here + "/visited", "w").write(repr(said))
"##;

struct Setup {
    person: Person,
    _web: Started,
    ports: Vec<u16>,
    dir: PathBuf,
}

impl Setup {
    fn new(who: Who) -> Setup {
        let mut person = Person::new(who);
        let dir = person.ringfence_program().with_file_name("web");
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("web.py"), WEB).unwrap();
        fs::write(dir.join("xdg-open"), BROWSER).unwrap();
        fs::set_permissions(dir.join("xdg-open"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).unwrap();
        person.prepend_path(&dir);
        let own = person.home().join(".config/ringfence");
        fs::create_dir_all(&own).unwrap();
        fs::write(own.join("policy.cedar"), POLICY).unwrap();
        person.give(&person.home());
        let mut web = Command::new("/usr/bin/python3");
        web.arg(dir.join("web.py")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut web = Started::new(web);
        let ports = serde_json::from_str(&web.first_line()).unwrap();
        Setup { person, _web: web, ports, dir }
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/mcp", self.ports[0])
    }

    /// What the server and the issuer do wrong from now on.
    fn how(&self, how: &str) {
        fs::write(self.dir.join("how"), how).unwrap();
    }

    fn run(&self, words: &[&str]) -> (String, Option<i32>) {
        let output = self.person.ringfence(words).output().unwrap();
        (text(&output), output.status.code())
    }

    fn add(&self) -> (String, Option<i32>) {
        self.run(&["mcp", "add", "web", &self.url(), "--yes"])
    }

    fn seen(&self) -> Value {
        serde_json::from_str(&fs::read_to_string(self.dir.join("seen")).unwrap_or_default())
            .unwrap_or_default()
    }

    fn talk(&self) -> Talk {
        Talk::with(self.person.ringfence(&["mcp", "run"]))
    }

    /// The server takes no token any more that was given out; with `all`, neither does the issuer.
    fn end_tokens(&self, path: &str) {
        let url = format!("http://127.0.0.1:{}/{path}", self.ports[2]);
        let script = "import sys, urllib.request; urllib.request.urlopen(sys.argv[1], b'')";
        let done = Command::new("/usr/bin/python3").args(["-c", script, &url]).status().unwrap();
        assert!(done.success());
    }

    /// Whether one of the tokens that were given out stands in a file of this person's, or in a text.
    fn leaks(&self, said: &str) -> bool {
        let all = self.seen()["tokens"].as_array().cloned().unwrap_or_default();
        let in_file = |token: &str| {
            let mut grep = Command::new("grep");
            grep.args(["-rqsF", "--", token]).arg(self.person.home());
            grep.status().unwrap().success()
        };
        all.iter().map(|it| it.as_str().unwrap()).any(|it| said.contains(it) || in_file(it))
    }
}

#[test]
fn a_login_is_had_by_the_browser_and_no_agent_sees_its_token() {
    for who in Who::all() {
        let setup = Setup::new(who);
        let (said, code) = setup.add();
        assert_eq!(code, Some(0), "{who:?}: {said}");
        for part in ["has its logins at `http://127.0.0.1:", "read_headers", "@id(\"web-secret\")"]
        {
            assert!(said.contains(part), "{who:?}: {part}: {said}");
        }
        let pinned = fs::read_to_string(setup.person.home().join(".config/ringfence/mcp/web.json"));
        assert!(pinned.unwrap().contains("Bearer ${secret:web-login}"));
        assert!(setup.seen()["tokens"][0].is_string() && !setup.leaks(&said), "{who:?}");
        let mut talk = setup.talk();
        // The server has the token, and says it: what comes back has a stand-in in its place.
        let (answer, failed) = talk.call("read_headers", json!({}));
        assert!(
            !failed && answer.contains("you sent Bearer ") && !setup.leaks(&answer),
            "{answer}"
        );
        // A token that has ended is renewed, and what it was had for counts once.
        for _ in 0..2 {
            setup.end_tokens("some");
            std::thread::sleep(std::time::Duration::from_millis(5_100));
            let (answer, failed) = talk.call("read_headers", json!({}));
            assert!(!failed && !setup.leaks(&answer), "{who:?}: {answer}");
        }
        assert_eq!(setup.seen()["reused"], json!([]));
        talk.end();
        let (said, code) = setup.run(&["mcp", "logout", "web"]);
        assert_eq!(code, Some(0), "{who:?}: {said}");
        assert_eq!(setup.run(&["mcp", "logout", "web"]).1, Some(1));
        assert!(!setup.run(&["secret", "list"]).0.contains("web-login"));
    }
}

#[test]
fn a_login_that_is_over_or_for_too_little_is_told_with_what_a_person_can_do() {
    let setup = Setup::new(Who::Caller);
    assert_eq!(setup.add().1, Some(0));
    let mut talk = setup.talk();
    let asked = json!({"name": "admin", "arguments": {}});
    let answer = talk.ask("tools/call", &asked).to_string();
    assert!(answer.contains("ringfence mcp login web --scope 'read admin'"), "{answer}");
    let (said, code) = setup.run(&["mcp", "login", "web", "--yes", "--scope", "read admin"]);
    assert_eq!(code, Some(0), "{said}");
    // The session that runs has the new token as well.
    let (answer, failed) = talk.call("admin", json!({}));
    assert!(!failed && answer.contains("you sent"), "{answer}");
    setup.end_tokens("all");
    std::thread::sleep(std::time::Duration::from_millis(5_100));
    let answer = talk.ask("tools/call", &asked).to_string();
    assert!(answer.contains("has ended") && answer.contains("ringfence mcp login web"), "{answer}");
    talk.end();
}

#[test]
fn answers_that_are_somebody_elses_bring_no_token() {
    let setup = Setup::new(Who::Caller);
    for (how, why) in [
        ("resource", "is another server"),
        ("redirect", "redirects are not followed"),
        ("no-pkce", "PKCE"),
        ("issuer", "says that it is"),
        ("inward", "is no address with https"),
        ("iss", "answered in place of"),
        ("denied", "access_denied"),
        ("unknown", "--client-id"),
        ("used", "invalid_grant"),
        ("audience", "401"),
    ] {
        setup.how(how);
        let (said, code) = setup.add();
        assert!(matches!(code, Some(1 | 2)), "{how}: {said}");
        assert!(said.contains(why), "{how}: {said}");
        assert!(!setup.person.home().join(".config/ringfence/mcp/web.json").exists(), "{how}");
        assert!(!setup.run(&["secret", "list"]).0.contains("web-login"), "{how}: {said}");
    }
    // Only the last of these came as far as a token.
    let tokens = setup.seen()["tokens"].as_array().cloned().unwrap_or_default();
    assert_eq!(tokens.len(), 2, "{tokens:?}");
    setup.how("unknown");
    let words = ["mcp", "add", "web", &setup.url(), "--yes", "--client-id"];
    let (said, code) = setup.run(&[&words[..], &["https://client.example/us.json"]].concat());
    assert!(code == Some(2) && said.contains("does not take an address"), "{said}");
    assert_eq!(setup.run(&[&words[..], &["us"]].concat()).1, Some(0));
}

#[test]
fn a_page_of_another_party_is_named_and_asked_about_whatever_was_agreed_to() {
    for (answer, code) in [("", 2), ("n", 1), ("y", 0)] {
        let setup = Setup::new(Who::Caller);
        setup.how("mixed");
        let (said, ended) = match answer {
            "" => setup.add(),
            typed => {
                let words = ["mcp", "add", "web", &setup.url(), "--yes"];
                let mut terminal = Terminal::owned_by(None, &setup.person.ringfence(&words));
                terminal.shows("[y/N] ");
                terminal.types(&format!("{typed}\r"));
                let ended = terminal.ends().code();
                (terminal.seen.clone(), ended)
            }
        };
        assert_eq!(ended, Some(code), "{answer}: {said}");
        for port in &setup.ports[1..] {
            assert!(said.contains(&format!("127.0.0.1:{port}")), "{answer}: {said}");
        }
        // It is the other party's code that the token is had for, where a person says that the two are one.
        let seen = setup.seen().to_string();
        assert_eq!(seen.contains("elsewhere"), code == 0, "{answer}: {seen}");
        assert_eq!(seen.contains("at-"), code == 0, "{answer}: {seen}");
    }
}

#[test]
fn a_page_behind_a_redirect_brings_nothing_that_was_made_known_to_another_party() {
    for (how, code) in [("mixed-within registered", 2), ("mixed-within", 0)] {
        let setup = Setup::new(Who::Caller);
        setup.how(how);
        let mut command = setup.person.ringfence(&["mcp", "add", "web", &setup.url(), "--yes"]);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        if code != 0 {
            // Nobody comes back from there: it is waited for, and ended here.
            wait_until("the browser is done", || setup.dir.join("visited").exists());
            assert_eq!(fs::read_to_string(setup.dir.join("visited")).unwrap(), "[400]");
            let pid = rustix::process::Pid::from_child(&child);
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        }
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.success(), code == 0, "{how}: {}", text(&output));
        assert_eq!(setup.seen().to_string().contains("at-"), code == 0, "{how}");
    }
}

#[test]
fn whatever_a_server_wants_a_login_for_when_it_is_looked_at_begins_one() {
    for (how, scopes) in [("lazy", json!(["read"])), ("lazy steps", json!(["read", "read list"]))] {
        let setup = Setup::new(Who::Caller);
        setup.how(how);
        let (said, code) = setup.add();
        assert_eq!(code, Some(0), "{how}: {said}");
        assert_eq!(setup.seen()["scopes"], scopes, "{how}: {said}");
        let mut talk = setup.talk();
        assert!(!talk.call("read_headers", json!({})).1, "{how}");
        talk.end();
        // Nobody is asked off a terminal: it is said what a person can do.
        setup.end_tokens("all");
        for words in [&["mcp", "test", "web"][..], &["mcp", "inspect", "web", "--diff"]] {
            let (said, code) = setup.run(words);
            assert_eq!(code, Some(2), "{how}: {said}");
            assert!(said.contains("`ringfence mcp login web`"), "{how}: {said}");
        }
        // At one they log in, and it goes on.
        let words = ["mcp", "test", "web"];
        let mut terminal = Terminal::owned_by(None, &setup.person.ringfence(&words));
        terminal.shows("log in there? [y/N] ");
        terminal.types("y\r");
        if how.contains("steps") {
            terminal.forget();
            terminal.shows("log in there? [y/N] ");
            terminal.types("y\r");
        }
        assert_eq!(terminal.ends().code(), Some(0), "{how}: {}", terminal.seen);
        assert!(terminal.seen.contains("as it was pinned"), "{how}: {}", terminal.seen);
    }
}

#[test]
fn a_server_that_wants_ever_more_is_logged_in_at_twice_and_not_again() {
    let setup = Setup::new(Who::Caller);
    setup.how("lazy never");
    let (said, code) = setup.add();
    assert_eq!(code, Some(2), "{said}");
    assert_eq!(setup.seen()["scopes"], json!(["read", "read more1"]), "{said}");
    assert!(said.contains("forgotten again"), "{said}");
    assert!(!setup.run(&["secret", "list"]).0.contains("web-login"), "{said}");
    // What a person said that it is for is not made more.
    setup.how("");
    assert_eq!(setup.add().1, Some(0));
    setup.how("lazy steps");
    let (said, code) = setup.run(&["mcp", "login", "web", "--yes", "--scope", "read"]);
    assert_eq!(code, Some(1), "{said}");
    assert_eq!(setup.seen()["scopes"].as_array().unwrap().len(), 4, "{said}");
}

#[test]
fn a_secret_that_an_issuer_gives_when_we_make_ourselves_known_is_shown_as_it_says() {
    for method in ["client_secret_basic", "client_secret_post", "none"] {
        let setup = Setup::new(Who::Caller);
        setup.how(&format!("by-{method}"));
        let (said, code) = setup.add();
        assert_eq!(code, Some(0), "{method}: {said}");
        assert_eq!(setup.seen()["shows"], json!([method]), "{said}");
        assert!(!said.contains(SECRET), "{method}: {said}");
    }
    let setup = Setup::new(Who::Caller);
    setup.how("by-private_key_jwt");
    let (said, code) = setup.add();
    assert!(code == Some(2) && said.contains("private_key_jwt"), "{said}");
}

#[test]
fn a_document_about_a_client_is_its_name_where_the_issuer_takes_that() {
    let setup = Setup::new(Who::Caller);
    setup.how("unknown documents");
    let id = "https://client.example/us.json";
    let (said, code) = setup.run(&["mcp", "add", "web", &setup.url(), "--yes", "--client-id", id]);
    assert_eq!(code, Some(0), "{said}");
    let seen = setup.seen();
    assert_eq!((&seen["registered"], &seen["clients"]), (&json!([]), &json!([id])), "{said}");
    let mut talk = setup.talk();
    assert!(!talk.call("read_headers", json!({})).1);
    talk.end();
}

#[test]
fn a_server_that_names_no_issuer_is_its_own_and_no_other_is_taken_for_it() {
    for (how, why) in [("legacy issuer", "says that it is"), ("legacy no-pkce", "PKCE")] {
        let setup = Setup::new(Who::Caller);
        setup.how(how);
        let (said, code) = setup.add();
        assert!(code == Some(2) && said.contains(why), "{how}: {said}");
        assert_eq!(setup.seen()["clients"], json!([]), "{how}: {said}");
    }
    for how in ["legacy issuer-below", "legacy no-metadata"] {
        let setup = Setup::new(Who::Caller);
        setup.how(how);
        let (said, code) = setup.add();
        assert_eq!(code, Some(0), "{how}: {said}");
        let mut talk = setup.talk();
        assert!(!talk.call("read_headers", json!({})).1, "{how}");
        talk.end();
    }
}

#[test]
fn what_servers_and_issuers_say_is_no_line_of_ours() {
    let setup = Setup::new(Who::Caller);
    for how in ["forged", "forged-page", "forged-server", "forged-answer"] {
        setup.how(how);
        let (said, code) = setup.add();
        assert_eq!(code, Some(2), "{how}: {said}");
        assert!(said.contains("ok: "), "{how}: {said}");
        assert!(said.lines().all(|line| !line.trim_start().starts_with("ok: ")), "{how}: {said}");
        for odd in ['\u{1b}', '\u{202e}', '\u{85}', '\u{2028}'] {
            assert!(!said.contains(odd), "{how}: {said}");
        }
        assert!(said.len() < 4_000, "{how}: {}", said.len());
    }
}

#[test]
fn a_browser_that_is_led_astray_brings_nothing_and_disturbs_nothing() {
    let flood = format!("[{}200]", "400, ".repeat(200));
    for (astray, visited) in
        [("state", "[400, 400, 400, 400, 200]"), ("twice", "[200, 0]"), ("flood", flood.as_str())]
    {
        let setup = Setup::new(Who::Caller);
        fs::write(setup.dir.join("astray"), astray).unwrap();
        let (said, code) = setup.add();
        assert_eq!(code, Some(0), "{astray}: {said}");
        wait_until("the browser is done", || setup.dir.join("visited").exists());
        assert_eq!(fs::read_to_string(setup.dir.join("visited")).unwrap(), visited, "{said}");
    }
}

#[test]
fn a_secret_of_the_persons_own_that_is_called_like_a_login_stays_theirs() {
    for name in ["web-login", "web-login-next"] {
        let setup = Setup::new(Who::Caller);
        let words = ["secret", "add", name, "--for", "mine.example", "--header", "x-key"];
        let all = [&words[..], &["--env", "MINE_TOKEN", "--from", "env:MINE"]].concat();
        let mut command = setup.person.ringfence(&all);
        let output = command.env("MINE", "a-value-of-mine").output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        let (said, code) = setup.add();
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains(&format!("`{name}` is a secret of your own")), "{said}");
        assert_eq!(setup.run(&["mcp", "logout", "web"]).1, Some(1));
        let (listed, _) = setup.run(&["secret", "list"]);
        assert!(listed.contains("mine.example"), "{listed}");
        assert!(!setup.seen().to_string().contains("authorize"), "{said}");
    }
}

#[test]
fn what_a_login_needs_is_decided_before_it_is_asked() {
    let setup = Setup::new(Who::Caller);
    let (said, code) = setup.run(&["mcp", "add", "web", &setup.url()]);
    assert!(code == Some(2) && said.contains("--yes"), "{said}");
    assert_eq!(setup.seen(), Value::Null, "{said}");
    // The issuer is a place of its own, which the policy has to permit as well.
    let own = setup.person.home().join(".config/ringfence/policy.cedar");
    let place = |port: u16| format!("resource == Endpoint::\"127.0.0.1:{port}\"");
    let connect = "(principal, action == Action::\"net.connect\", ";
    let permit = format!("permit {connect}{});\n", place(setup.ports[0]));
    let forbid = format!("forbid {connect}{});\n", place(setup.ports[1]));
    fs::write(&own, format!("{POLICY}{permit}{forbid}")).unwrap();
    let (said, code) = setup.add();
    assert!(code == Some(2) && said.contains("may not connect to"), "{said}");
    assert!(!setup.seen().to_string().contains("authorize"), "{said}");
}
