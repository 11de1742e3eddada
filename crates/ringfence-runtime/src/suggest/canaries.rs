//! Acts that must stay denied, whatever is suggested: secrets, hooks, the host's accounts, metadata
//! services, sockets of the host, what leaves the machine by a program, and what a person refused.

use std::path::Path;

use ringfence_core::{
    AbsolutePath, Act, CommandLine, Decide as _, Endpoint, Exec, FileIdentity, Request, SetName,
    Verdict,
};
use ringfence_policy::grant::GrantText;
use ringfence_policy::{Options, Policy, Source};

use super::{Around, Denied};
use crate::compose::secret_places;
use crate::protected;
use crate::wording;

/// Files of every host that are not an agent's to read.
const READS: &[&str] = &["/etc/shadow", "/etc/gshadow", "/etc/sudoers", "/root/.ssh/id_ed25519"];

/// What makes programs run on the host.
const WRITES: &[&str] = &[
    "/etc/passwd",
    "/etc/cron.d/canary",
    "/etc/ld.so.preload",
    "/usr/bin/canary",
    "/var/spool/cron/crontabs/canary",
];

/// The same below the home.
const WRITES_AT_HOME: &[&str] = &[
    ".bashrc",
    ".profile",
    ".zshrc",
    ".gitconfig",
    ".ssh/authorized_keys",
    ".config/autostart/canary.desktop",
    ".config/systemd/user/canary.service",
    ".cargo/bin/cargo",
    ".local/bin/canary",
];

/// Hosts that are nobody's, and such as give out credentials.
const HOSTS: &[&str] = &[
    "169.254.169.254:80",
    "169.254.170.2:80",
    "100.100.100.200:80",
    "[fd00:ec2::254]:80",
    "metadata.google.internal:80",
    "canary.invalid:443",
    "203.0.113.1:443",
];

/// Sockets of a host.
const SOCKETS: &[&str] =
    &["/run/docker.sock", "/run/podman/podman.sock", "/run/dbus/system_bus_socket"];

/// Programs whose work leaves the machine, with the word for it.
const PUBLISHING: &[(&str, &str)] = &[("/usr/bin/git", "push"), ("/usr/bin/npm", "publish")];

/// Acts that are denied, or asked about, as things are.
pub(super) struct Canaries<'a> {
    around: &'a Around<'a>,
    requests: Vec<Request>,
}

pub(super) fn all<'a>(around: &'a Around<'a>, denied: &[Denied]) -> Canaries<'a> {
    let request = |act: Act| Request { agent: around.agent.clone(), act, process: None };
    let all = files(around).into_iter().chain(others());
    let permitted = |request: &Request| {
        let ruling = around.assembled.policy.decide(request, around.facts);
        ruling.verdict == Verdict::Permit
    };
    let refused = denied.iter().filter(|act| act.refused.is_some());
    let all = all.map(request).chain(refused.map(|act| act.request.clone()));
    let requests = all.filter(|request| !permitted(request)).collect();
    Canaries { around, requests }
}

impl Canaries<'_> {
    pub(super) fn count(&self) -> usize {
        self.requests.len()
    }

    /// How many of them a policy still does not permit.
    pub(super) fn denied_under(&self, policy: &Policy) -> usize {
        let facts = self.around.facts;
        let permits = |request: &&Request| policy.decide(request, facts).verdict == Verdict::Permit;
        self.requests.len() - self.requests.iter().filter(permits).count()
    }

    /// What a grant by itself would open of them, in words.
    pub(super) fn opened_by(&self, grant: &GrantText) -> Option<String> {
        let source = Source {
            set: SetName::User,
            file: "suggestion".to_owned(),
            text: grant.to_cedar("suggestion"),
            approves: Vec::new(),
        };
        let facts = self.around.facts;
        // A rule that cannot be loaded opens nothing, and is found out when the whole is loaded.
        let alone = Policy::load(vec![source], &Options::default()).ok()?;
        let opened =
            self.requests.iter().find(|it| alone.decide(it, facts).verdict == Verdict::Permit)?;
        Some(wording::describe(&opened.act))
    }
}

fn files(around: &Around<'_>) -> Vec<Act> {
    let home = around.dirs.home();
    let project = around.assembled.project.dir.as_path();
    let secrets = secret_places(home, around.cwd, around.environment);
    let secrets = secrets.into_iter().flat_map(|(place, _)| [place.join("canary"), place]);
    let own = [around.dirs.state(), around.dirs.config(), around.dirs.sessions().as_path()]
        .map(|dir| dir.join("canary"));
    let reads = READS.iter().map(Path::new).map(Path::to_owned).chain(secrets).chain(own.clone());
    let protected = protected::in_project(project, &[]).into_iter().map(|place| place.path);
    let hooks = [".git/hooks/pre-commit", ".git/config"].map(|name| project.join(name));
    let writes = WRITES.iter().map(Path::new).map(Path::to_owned);
    let writes = writes.chain(WRITES_AT_HOME.iter().map(|name| home.join(name)));
    let writes = writes.chain(own).chain(protected).chain(hooks);
    let named = |path: std::path::PathBuf| AbsolutePath::parse(path.to_str()?).ok();
    let reads = reads.filter_map(named).map(Act::Read);
    reads.chain(writes.filter_map(named).map(Act::Write)).collect()
}

fn others() -> Vec<Act> {
    let hosts = HOSTS.iter().filter_map(|text| text.parse::<Endpoint>().ok()).map(Act::Connect);
    let sockets = SOCKETS.iter().filter_map(|text| AbsolutePath::parse(text).ok());
    let programs = PUBLISHING.iter().filter_map(|(program, word)| publishing(program, word));
    hosts.chain(sockets.map(Act::ConnectUnix)).chain(programs).collect()
}

fn publishing(program: &str, word: &str) -> Option<Act> {
    let program = AbsolutePath::parse(program).ok()?;
    let argv = [program.file_name().as_bytes().to_vec(), word.as_bytes().to_vec()];
    Some(Act::Exec(Exec {
        identity: FileIdentity { device: 0, inode: 0 },
        command_line: CommandLine::new(program.file_name(), &argv),
        cwd: AbsolutePath::root(),
        program,
    }))
}
