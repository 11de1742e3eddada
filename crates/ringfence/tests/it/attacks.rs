//! Attacks on a world by what runs in it, each with an oracle: the same attack is first made
//! outside and must succeed there, so that "stopped" is never empty.

mod covered;
mod killed;
mod limits;
mod making;
mod named;
mod planted;
mod replaced;
mod session;
pub(crate) mod stage;
mod streams;
mod swapped;
pub(crate) mod targets;
mod terminal;
mod traced;
mod trust;
mod verify;

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use stage::{Side, Stage, Who, everybody, is_long, is_root, text};
use targets::{Listeners, Victim, wait_until};

/// Everything runs but one program and one argument; the project is writable, one directory
/// readable.
const POLICY: &str = r#"
@id("programs")
permit (principal, action == Action::"exec", resource);
@id("not-this-program")
forbid (principal, action == Action::"exec", resource == Program::"HOME/project/banned");
@id("not-this-argument")
forbid (principal, action == Action::"exec", resource)
when { context.argv like "*forbidden*" };
@id("project")
permit (principal, action in Action::"fs", resource in Dir::"HOME/project");
@id("readonly")
permit (principal, action == Action::"fs.read", resource in Dir::"HOME/readonly");
"#;

/// Who can do it outside, so that being stopped inside means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outside {
    /// Everybody.
    Everybody,
    /// Root, on any machine.
    Root,
    /// Whoever the machine lets: kernels are built and set up differently. Inside it is stopped
    /// in any case.
    Perhaps,
}

/// How the attack ends inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inside {
    /// It notices that it is stopped.
    Stopped,
    /// It cannot tell; only the effect can.
    Unaware,
}

/// One attack: a word of `attacks.c` and its argument.
struct Attack {
    word: &'static str,
    on: fn(&Scene) -> String,
    outside: Outside,
    inside: Inside,
}

const fn attack(word: &'static str, on: fn(&Scene) -> String, outside: Outside) -> Attack {
    Attack { word, on, outside, inside: Inside::Stopped }
}

fn nothing(_: &Scene) -> String {
    String::new()
}

fn canary(scene: &Scene) -> String {
    scene.at("outside/canary")
}

fn victim(scene: &Scene) -> String {
    scene.victim.pid().to_string()
}

const ATTACKS: &[Attack] = &[
    // Processes outside. First, while few numbers are taken inside.
    attack("kill", victim, Outside::Everybody),
    attack("ptrace", victim, Outside::Perhaps),
    attack("memory", victim, Outside::Perhaps),
    attack("root-of", victim, Outside::Perhaps),
    attack("memory", |_| "self".to_owned(), Outside::Everybody),
    attack("memory", |_| "1".to_owned(), Outside::Perhaps),
    attack("root-of", |_| "1".to_owned(), Outside::Perhaps),
    attack("ptrace-own", nothing, Outside::Perhaps),
    // Files.
    attack("exchange", |it| it.at("project/.git/hooks"), Outside::Everybody),
    attack("write", canary, Outside::Everybody),
    attack("write", |it| it.at("readonly/file"), Outside::Everybody),
    attack("write", |it| it.at("project/.git/hooks/pre-commit"), Outside::Everybody),
    attack("write", |it| it.at("project/.mcp.json"), Outside::Everybody),
    attack("write", |it| it.at("project/.vscode/tasks.json"), Outside::Everybody),
    attack("write", |it| it.at("project/.ringfence/policy.cedar"), Outside::Everybody),
    attack("write", |_| "../outside/canary".to_owned(), Outside::Everybody),
    attack("write", |_| "/proc/self/cwd/../outside/canary".to_owned(), Outside::Everybody),
    attack("write", |it| format!("/proc/self/root{}", it.at("outside/canary")), Outside::Everybody),
    attack("read", |it| it.at("outside/canary"), Outside::Everybody),
    attack("read", |it| it.at(".ssh/id_ed25519"), Outside::Everybody),
    attack("read", |it| it.at(".local/state/ringfence/host/key"), Outside::Everybody),
    attack("read", |_| "/etc/shadow".to_owned(), Outside::Root),
    attack("openat2", canary, Outside::Everybody),
    attack("openat2", |it| it.at("project/.git/hooks/pre-push"), Outside::Everybody),
    attack("symlink", canary, Outside::Everybody),
    attack("symlink", |it| it.at("readonly/file"), Outside::Everybody),
    attack("hard-link", |it| it.at("readonly/file"), Outside::Everybody),
    attack("inherited", |_| "canary".to_owned(), Outside::Everybody),
    attack("tmpfile", |it| it.at("readonly"), Outside::Everybody),
    attack("truncate", |it| it.at("readonly/file"), Outside::Everybody),
    attack("chmod", |it| it.at("readonly/file"), Outside::Everybody),
    attack("reopen", |it| it.at("readonly/file"), Outside::Everybody),
    attack("set-id", |_| "made-set-id".to_owned(), Outside::Everybody),
    attack("device-node", nothing, Outside::Root),
    attack("handle", nothing, Outside::Root),
    // Programs.
    attack("exec", |it| it.at("project/banned"), Outside::Everybody),
    attack("exec", |it| it.at("project/link-to-banned"), Outside::Everybody),
    attack("exec", |it| it.at("project/script-of-banned"), Outside::Everybody),
    attack("execveat", |it| it.at("project/banned"), Outside::Everybody),
    attack("exec", |it| it.at("outside/hidden"), Outside::Everybody),
    attack("ld.so", |it| it.at("outside/hidden"), Outside::Everybody),
    attack("memfd", |it| it.at("project/attacks"), Outside::Everybody),
    attack("setuid", |it| it.at("project/set-uid"), Outside::Root),
    // The kernel.
    attack("mount", nothing, Outside::Perhaps),
    attack("user-namespace", nothing, Outside::Perhaps),
    attack("clone-namespace", nothing, Outside::Perhaps),
    attack("clone3-namespace", nothing, Outside::Perhaps),
    attack("setns", nothing, Outside::Perhaps),
    attack("io_uring", nothing, Outside::Perhaps),
    attack("int80", nothing, Outside::Perhaps),
    attack("add_key", nothing, Outside::Perhaps),
    attack("keyctl", nothing, Outside::Perhaps),
    attack("bpf", nothing, Outside::Perhaps),
    attack("perf", nothing, Outside::Perhaps),
    attack("userfaultfd", nothing, Outside::Perhaps),
    attack("core_pattern", nothing, Outside::Root),
    attack("sysrq", nothing, Outside::Perhaps),
    attack("tiocsetd", nothing, Outside::Perhaps),
    attack("second-listener", nothing, Outside::Perhaps),
    // Connections.
    attack("tcp4", |it| port(it.listeners.tcp4.local_addr()), Outside::Everybody),
    attack("tcp6", Scene::tcp6_port, Outside::Perhaps),
    attack("fast-open", |it| port(it.listeners.tcp4.local_addr()), Outside::Perhaps),
    Attack {
        word: "udp4",
        on: |it| port(it.listeners.udp.local_addr()),
        outside: Outside::Everybody,
        inside: Inside::Unaware,
    },
    attack("unix", |it| it.at("readonly/stream.sock"), Outside::Everybody),
    attack("unix-datagram", |it| it.at("readonly/datagram.sock"), Outside::Everybody),
    attack("swap-socket", |it| it.at("readonly/stream.sock"), Outside::Everybody),
    attack("abstract", |it| it.listeners.abstract_name.clone(), Outside::Everybody),
    attack("vsock", nothing, Outside::Perhaps),
    attack("packet", nothing, Outside::Root),
    attack("netlink-audit", nothing, Outside::Perhaps),
    attack("socketpair-family", nothing, Outside::Perhaps),
    // The arguments change while they are being decided: the file `forbidden` is the effect.
    attack(
        "swap-argv",
        |it| format!("{}={}", it.at("project/attacks"), tries()),
        Outside::Everybody,
    ),
    // It is still there when everything else has ended.
    Attack {
        word: "daemon",
        on: |_| "outlived".to_owned(),
        outside: Outside::Everybody,
        inside: Inside::Unaware,
    },
];

fn tries() -> u32 {
    if is_long() { 100_000 } else { 1_000 }
}

fn port(address: std::io::Result<std::net::SocketAddr>) -> String {
    address.unwrap().port().to_string()
}

/// The stage with everything that is attacked.
struct Scene {
    stage: Stage,
    listeners: Listeners,
    victim: Victim,
}

impl Scene {
    fn new(who: Who) -> Scene {
        let stage = Stage::new(who, POLICY);
        stage.copy_attacks("project/attacks");
        stage.copy_attacks("project/banned");
        std::fs::copy("/bin/true", stage.home().join("outside/hidden")).unwrap();
        std::os::unix::fs::symlink("banned", stage.project().join("link-to-banned")).unwrap();
        stage.write(
            "project/script-of-banned",
            &format!("#!{}/banned\n", stage.project().display()),
        );
        executable(&stage, "project/script-of-banned");
        if is_root() {
            let path = stage.copy_attacks("project/set-uid");
            std::os::unix::fs::chown(&path, Some(0), Some(0)).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o4755)).unwrap();
        }
        stage.write(".ssh/id_ed25519", "secret\n");
        // A first session makes the log's key.
        stage.succeed(&["run", "--", "true"]);
        git_dir(&stage);
        let listeners = Listeners::open(&stage);
        let victim = Victim::start(&stage);
        let scene = Scene { stage, listeners, victim };
        scene.reset();
        scene
    }

    fn at(&self, name: &str) -> String {
        self.stage.home().join(name).to_str().unwrap().to_owned()
    }

    fn tcp6_port(&self) -> String {
        self.listeners.tcp6.as_ref().map_or("1".to_owned(), |it| port(it.local_addr()))
    }

    /// Everything as it was before any attack.
    fn reset(&self) {
        self.stage.write("outside/canary", "untouched\n");
        self.stage.write("readonly/file", "untouched\n");
        for name in EFFECTS {
            let path = self.stage.home().join(name);
            let _ = std::fs::remove_file(&path);
            let _ = std::fs::remove_dir_all(&path);
        }
        let _ = std::fs::remove_dir_all(self.stage.project().join("exchanging"));
        let _ = std::fs::create_dir(self.stage.project().join(".git/hooks"));
        self.stage.give(&self.stage.project().join(".git/hooks"));
        self.stage.write("project/.vscode/settings.json", "{}\n");
        self.stage.write("project/.ringfence/policy.cedar", &self.policy());
        self.listeners.reached();
    }

    fn policy(&self) -> String {
        POLICY.replace("HOME", self.stage.home().to_str().unwrap())
    }

    /// All attacks as one script: a line `= NUMBER CODE` for each.
    fn script(&self) -> String {
        let mut script = String::new();
        for (number, it) in ATTACKS.iter().enumerate() {
            let on = (it.on)(self);
            let word = it.word;
            writeln!(script, "./attacks {word} '{on}' >/dev/null 2>&1; echo \"= {number} $?\"")
                .unwrap();
        }
        script
    }

    /// Runs all attacks; their codes in order.
    fn run(&self, side: Side) -> Vec<i32> {
        self.run_in("namespaces", side)
    }

    /// The same in a world of this tier.
    fn run_in(&self, tier: &str, side: Side) -> Vec<i32> {
        let output = self.stage.script_in(tier, side, &self.script());
        let text = text(&output);
        let codes: Vec<i32> = text
            .lines()
            .filter_map(|line| line.strip_prefix("= ")?.split_once(' ')?.1.parse().ok())
            .collect();
        assert_eq!(codes.len(), ATTACKS.len(), "{side:?} {:?}: {text}", self.stage.who);
        codes
    }

    /// What the attacks have changed, as far as it can be seen from outside.
    fn effects(&self) -> Vec<String> {
        let mut found: Vec<String> =
            EFFECTS.iter().filter(|name| self.stage.has(name)).map(|it| (*it).to_owned()).collect();
        for name in ["outside/canary", "readonly/file"] {
            if self.stage.read(name) != "untouched\n" {
                found.push(name.to_owned());
            }
        }
        if self.stage.read("project/.ringfence/policy.cedar") != self.policy() {
            found.push("the policy".to_owned());
        }
        found.extend(self.listeners.reached().into_iter().map(str::to_owned));
        found
    }
}

/// Files that are there if an attack got through.
const EFFECTS: &[&str] = &[
    "outside/signalled",
    "project/.git/hooks/pre-commit",
    "project/.git/hooks/pre-push",
    "project/.git/hooks/exchanged",
    "project/.mcp.json",
    "project/.vscode/tasks.json",
    "project/forbidden",
    "project/made-set-id",
    "project/outlived",
    "readonly/linked-tmpfile",
];

fn executable(stage: &Stage, name: &str) {
    let path = stage.home().join(name);
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// What git takes for a repository.
fn git_dir(stage: &Stage) {
    stage.write("project/.git/HEAD", "ref: refs/heads/main\n");
    stage.write("project/.git/config", "[core]\n\trepositoryformatversion = 0\n");
    for dir in ["objects", "refs", "hooks"] {
        let path = stage.project().join(".git").join(dir);
        std::fs::create_dir_all(&path).unwrap();
        stage.give(&path);
    }
}

#[test]
fn what_works_outside_is_stopped_inside_and_leaves_nothing() {
    for who in everybody() {
        let mut scene = Scene::new(who);
        let outside = scene.run(Side::Outside);
        let (mut unproven, mut wrong) = (Vec::new(), Vec::new());
        for (it, code) in ATTACKS.iter().zip(&outside) {
            let must = match it.outside {
                Outside::Everybody => true,
                Outside::Root => who == Who::Root,
                Outside::Perhaps => false,
            };
            let on = (it.on)(&scene);
            if must && *code != 0 {
                wrong.push(format!("{who:?}: outside, `{} {on}` ended with {code}", it.word));
            } else if *code != 0 {
                unproven.push(it.word);
            }
        }
        println!("{who:?}: not possible outside either: {unproven:?}");
        oracle_effects(&scene);
        for tier in tiers(who) {
            scene.reset();
            wrong.extend(not_stopped(&scene, tier));
            assert!(wrong.is_empty(), "{wrong:#?}");
            // Longer than what `daemon` waits before it writes.
            std::thread::sleep(Duration::from_millis(1300));
            assert_eq!(scene.effects(), [""; 0], "{who:?} {tier}");
            assert!(scene.victim.is_alive());
        }
        let verified = scene.stage.ringfence_command(&["log", "verify"]).output().unwrap();
        assert!(verified.status.success(), "{}", text(&verified));
    }
}

/// What ends otherwise without namespaces, and how: a connection to the host's loopback is led to the
/// gate, which hangs up, and there is no terminal of one's own to try things on.
const ON_THE_HOST: &[(&str, i32)] = &[("tcp4", 0), ("tcp6", 0), ("tiocsetd", 2)];

/// The tiers in which all is tried. Without mounts nobody maps owners, so that root's payload, who is
/// nobody, could write nothing anyway, and is not started: see `tier`.
fn tiers(who: Who) -> Vec<&'static str> {
    match who {
        Who::Root => vec!["namespaces", "oci"],
        Who::Ordinary | Who::Caller => vec!["namespaces", "oci", "landlock"],
    }
}

/// The attacks that did not end as they must inside.
fn not_stopped(scene: &Scene, tier: &str) -> Vec<String> {
    let codes = scene.run_in(tier, Side::Inside);
    let mut wrong = Vec::new();
    for (it, code) in ATTACKS.iter().zip(&codes) {
        let on = (it.on)(scene);
        let otherwise = tier == "landlock" && ON_THE_HOST.contains(&(it.word, *code));
        let stopped = it.inside == Inside::Unaware || *code == 1 || otherwise;
        if !stopped {
            wrong.push(format!("{tier}: `{} {on}` ended with {code}", it.word));
        }
    }
    wrong
}

/// Outside, every effect is there.
fn oracle_effects(scene: &Scene) {
    let expected = ["abstract", "outside/canary", "readonly/file", "tcp4", "the policy", "udp4"];
    let expected = expected.iter().chain(&["unix", "unix-datagram"]).chain(EFFECTS);
    let mut seen: Vec<String> = Vec::new();
    for name in expected {
        wait_until(name, || {
            seen.extend(scene.effects());
            seen.iter().any(|it| it == name)
        });
    }
}
