//! Servers with names, and the same client outside and inside of a world.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

use serde_json::Value;

use crate::attacks::stage::{Side, Stage, Who, text};

/// Every server answers to these names.
const NAMES: &str = "127.0.0.1 good.example evil.example *.good.example www.good.example localhost";

/// Servers, and a project whose policy permits `good.example` at each of them.
pub(crate) struct Net {
    pub(crate) stage: Stage,
    servers: Child,
    _until_dropped: ChildStdin,
    heard: Receiver<Value>,
    ports: Value,
    kernel: Kernel,
}

/// What the kernel is able to do for worlds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kernel {
    /// All that it can.
    Whole,
    /// It has no packet filter.
    WithoutNetfilter,
}

/// Runs a command on a kernel without netfilter.
const POORER: &str = "without_netfilter.py";

/// What permits a server by name needs: loopback addresses are permitted by themselves.
const POLICY: &str = r#"
@id("programs")
permit (principal, action == Action::"exec", resource);
@id("project")
permit (principal, action in Action::"fs", resource in Dir::"HOME/project");
"#;

impl Net {
    pub(crate) fn new(who: Who) -> Net {
        Net::with_policy(who, |port| {
            let permit = |endpoint: String| {
                format!(
                    "permit (principal, action == Action::\"net.connect\", \
                     resource == Endpoint::\"{endpoint}\");\n"
                )
            };
            let all = ["web", "tls", "h2", "banner", "echo"].map(|name| {
                let port = port(name);
                let named = permit(format!("good.example:{port}"));
                let host = permit(format!("host.ringfence.internal:{port}"));
                named + &host + &permit(format!("127.0.0.1:{port}"))
            });
            all.concat()
        })
    }

    /// The same on a kernel that is poorer.
    pub(crate) fn on(mut self, kernel: Kernel) -> Net {
        self.stage.write(POORER, include_str!("../../net/without_netfilter.py"));
        self.kernel = kernel;
        self
    }

    /// The policy's rules on connections are made from the servers' ports.
    pub(crate) fn with_policy(who: Who, rules: impl Fn(&dyn Fn(&str) -> u64) -> String) -> Net {
        Net::with(who, rules, None)
    }

    /// The same where names that no file knows are asked of a name server of ours, at this address
    /// of the loopback's: it knows them all, and says what it is asked.
    pub(crate) fn with(
        who: Who,
        rules: impl Fn(&dyn Fn(&str) -> u64) -> String,
        name_server: Option<&str>,
    ) -> Net {
        let stage = Stage::without_policy(who);
        let (certificate, key) = certificate();
        let files = stage.home().join("outside");
        let mut servers = Command::new("/usr/bin/python3")
            .arg("tests/net/servers.py")
            .args([certificate, key, files.as_path()])
            .args(name_server)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let until_dropped = servers.stdin.take().unwrap();
        let (say, heard) = sync_channel(10_000);
        let lines = BufReader::new(servers.stdout.take().unwrap()).lines();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if say.send(serde_json::from_str(&line).unwrap()).is_err() {
                    return;
                }
            }
        });
        let first: Value = heard.recv_timeout(Duration::from_mins(1)).unwrap();
        let ports = first["ports"].clone();
        let policy = POLICY.replace("HOME", stage.home().to_str().unwrap())
            + &rules(&|name| ports[name].as_u64().unwrap());
        stage.write("project/.ringfence/policy.cedar", &policy);
        stage.write("project/client.py", include_str!("../../net/client.py"));
        stage.write("project/led.py", include_str!("../../net/led.py"));
        stage.write("project/streams.py", include_str!("../../net/streams.py"));
        stage.write("project/h2raw.py", include_str!("../../net/h2raw.py"));
        stage.write("project/smuggle.py", include_str!("../../net/smuggle.py"));
        stage.write("project/ca.pem", &std::fs::read_to_string(certificate).unwrap());
        stage.write(
            "hosts",
            &format!("127.0.0.1 localhost\n{}\n", NAMES.replace("*.good.example ", "")),
        );
        if let Some(address) = name_server {
            stage.write("resolv", &format!("nameserver {address}\noptions timeout:1\n"));
        }
        stage.succeed(&["trust", "--yes"]);
        Net { stage, servers, _until_dropped: until_dropped, heard, ports, kernel: Kernel::Whole }
    }

    /// Puts ports in place of the servers' names in braces: `{web}`.
    pub(crate) fn with_ports(&self, text: &str) -> String {
        self.ports.as_object().unwrap().iter().fold(text.to_owned(), |text, (name, port)| {
            text.replace(&format!("{{{name}}}"), &port.to_string())
        })
    }

    /// A shell script in the project, where the servers have their names, and no proxy is known.
    pub(crate) fn command(&self, side: Side, script: &str) -> Command {
        let script = format!(
            "unset HTTP_PROXY http_proxy HTTPS_PROXY https_proxy ALL_PROXY all_proxy \
             NODE_USE_ENV_PROXY; {}",
            self.with_ports(script)
        );
        let words = ["run", "--", "sh", "-c", &script];
        let inner = match side {
            Side::Outside => self.stage.command(Path::new("/bin/sh"), &["-c", &script]),
            Side::Inside => self.stage.ringfence_command(&words),
        };
        self.named(&self.poorer(inner))
    }

    /// The same command on this stage's kernel.
    pub(crate) fn poorer(&self, inner: Command) -> Command {
        if self.kernel == Kernel::Whole {
            return inner;
        }
        let mut command = Command::new("/usr/bin/python3");
        command.arg(self.stage.home().join(POORER)).arg(inner.get_program()).args(inner.get_args());
        command.env_clear().current_dir(inner.get_current_dir().unwrap());
        for (name, value) in inner.get_envs().filter_map(|(name, value)| Some((name, value?))) {
            command.env(name, value);
        }
        command
    }

    /// The same command where the servers have their names.
    pub(crate) fn named(&self, inner: &Command) -> Command {
        let mut command = Command::new("unshare");
        let bind = "cd \"$1\" && mount --bind hosts /etc/hosts && \
             { [ ! -e resolv ] || mount --bind resolv /etc/resolv.conf; } && \
             cd \"$OLDPWD\" && shift && exec \"$@\"";
        command.args(["--mount", "sh", "-c", bind, "sh"]).arg(self.stage.home());
        command.arg(inner.get_program()).args(inner.get_args()).stdin(Stdio::null()).env_clear();
        command.current_dir(inner.get_current_dir().unwrap());
        for (name, value) in inner.get_envs().filter_map(|(name, value)| Some((name, value?))) {
            command.env(name, value);
        }
        command
    }

    pub(crate) fn script(&self, side: Side, script: &str) -> Output {
        self.command(side, script).output().unwrap()
    }

    /// What a script inside prints and is told by the gate, on a pipe of its own.
    pub(crate) fn said(&self, script: &str) -> String {
        text(&self.script(Side::Inside, &format!("{{ {script}; }} 2>&1 | cat")))
    }

    /// One attempt of `client.py`; what it printed.
    pub(crate) fn attempt(&self, side: Side, words: &str) -> String {
        let output = self.script(side, &format!("python3 client.py {words}"));
        let said = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
        assert!(!said.is_empty(), "{words}: {}", text(&output));
        said
    }

    /// What the servers have seen since the last time this was asked.
    pub(crate) fn seen(&self) -> Vec<Value> {
        // What a client was answered was said before; a connection without answer may lag.
        std::thread::sleep(Duration::from_millis(50));
        self.heard.try_iter().collect()
    }

    /// Entries of the last session of this kind.
    pub(crate) fn entries(&self, kind: &str) -> Vec<Value> {
        let shown = self.stage.succeed(&["log", "show", "--json"]);
        let lines = shown.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line.to_string().contains(kind)).collect()
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        let _ = self.servers.kill();
        let _ = self.servers.wait();
    }
}

/// A certificate of our own for our names, and its key.
pub(crate) fn certificate() -> (&'static Path, &'static Path) {
    static FILES: OnceLock<(PathBuf, PathBuf)> = OnceLock::new();
    let (certificate, key) = FILES.get_or_init(|| {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let at = |end: &str| dir.join(format!("net-{}.{end}", std::process::id()));
        // The loopback's address is for servers that are called by it.
        let names = "subjectAltName=DNS:good.example,DNS:*.good.example,\
                     DNS:host.ringfence.internal,IP:127.0.0.1";
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
            .args(["-nodes", "-days", "30", "-subj", "/CN=good.example", "-addext", names])
            // An authority's is not taken for a server's.
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-keyout")
            .arg(at("key"))
            .arg("-out")
            .arg(at("pem"))
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", text(&made));
        bad_certificates(&at("pem"), &at("key"));
        (at("pem"), at("key"))
    });
    (certificate, key)
}

/// Certificates with the same key that nobody should believe, whoever trusts them.
fn bad_certificates(good: &Path, key: &Path) {
    let good = good.to_str().unwrap().strip_suffix(".pem").unwrap();
    let openssl = |arguments: &[&str]| {
        let made = Command::new("openssl").args(arguments).output().unwrap();
        assert!(made.status.success(), "{}", text(&made));
    };
    let (request, key) = (format!("{good}.csr"), key.to_str().unwrap());
    openssl(&["req", "-new", "-key", key, "-subj", "/CN=good.example", "-out", &request]);
    for (kind, days, says) in [
        ("expired", "0", "subjectAltName=DNS:good.example"),
        ("other", "30", "subjectAltName=DNS:evil.example"),
        ("client", "30", "subjectAltName=DNS:good.example\nextendedKeyUsage=clientAuth"),
    ] {
        let (says_at, at) = (format!("{good}-{kind}.ext"), format!("{good}-{kind}.pem"));
        std::fs::write(&says_at, format!("basicConstraints=critical,CA:FALSE\n{says}\n")).unwrap();
        let signed = ["x509", "-req", "-in", &request, "-signkey", key, "-days", days];
        openssl(&[&signed[..], &["-extfile", &says_at, "-out", &at]].concat());
    }
}
