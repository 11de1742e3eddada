//! The text of a first policy and of its settings.

use std::fmt::Write as _;

use super::found::Surroundings;
use super::{agents, asks, dir};

const HEAD: &str = "\
// What agents may do in this project. Written by `ringfence init`; change it with
// `ringfence policy edit`. What no rule permits is denied; a forbid wins over every permit.
// Paths are those of this machine. Ringfence's own files, git hooks, editor and agent settings
// are protected without a rule. Servers of tools have none of what only the agent needs: what they
// need themselves is proposed by `ringfence mcp add`, for one server alone.

// Any program that can be seen may run: the walls are files and the network.
@id(\"programs\")
@reason(\"any program that can be seen may run\")
permit (principal, action == Action::\"exec\", resource);

// --- files

";

const NET: &str = "
// --- network: by name and port; everything else is unreachable

";

const ASKS: &str = "
// --- what leaves the machine asks first

";

/// A commented rule for what could not be known.
const REGISTRY: &str = "\
// No package registry was found in your configuration. The first denial names the host; allow it
// with `ringfence grant net:HOST:443 --always`, or here:
// @id(\"registry\")
// @reason(\"packages are fetched from here\")
// permit (principal, action == Action::\"net.connect\", resource == Endpoint::\"HOST:443\");
";

const MODEL: &str = "\
// The agent's model. Name its host, or the host's own service as host.ringfence.internal:PORT:
// @id(\"model\")
// @reason(\"the agent's model\")
// permit (principal, action == Action::\"net.connect\", resource == Endpoint::\"HOST:443\");
";

/// `.ringfence/policy.cedar`.
pub(super) fn policy(around: &Surroundings) -> String {
    let mut text = HEAD.to_owned();
    let project = but_servers(&fs_permit(&dir(&around.project)));
    rule(&mut text, ("project", "the project"), &project);
    if let Some(git_dir) = &around.git_dir {
        let git = but_servers(&fs_permit(&dir(git_dir)));
        rule(&mut text, ("git", "the repository of this worktree"), &git);
    }
    agent_home(&mut text, around);
    for (number, (path, what)) in (1..).zip(&around.readable) {
        let id = format!("read-{number}");
        let body = format!(
            "permit (principal, action == Action::\"fs.read\", resource in {});",
            dir(path)
        );
        rule(&mut text, (&id, what), &body);
    }
    text.push_str(NET);
    network(&mut text, around);
    let asks = asks::rules(&around.path);
    if !asks.is_empty() {
        text.push_str(ASKS);
        text.push_str(&asks.join("\n"));
    }
    text
}

/// `.ringfence/settings.toml`.
pub(super) fn settings(around: &Surroundings) -> String {
    let languages: Vec<&str> = around.languages.iter().map(|language| language.name()).collect();
    let found = if languages.is_empty() {
        "nothing in particular".to_owned()
    } else {
        languages.join(", ")
    };
    format!(
        "# Settings of this project for Ringfence (found: {found}). They may only restrict: what\n\
         # loosens belongs in ~/.config/ringfence/settings.toml.\n\n\
         # Who can approve what asks. The person at the terminal holds these roles.\n\
         roles = [\"owner\"]\n\n\
         [agent]\n# claude-code, codex or generic\nprofile = \"{}\"\n\n\
         [limits]\n# most permitted acts in one session\n# steps_max = 100000\n\
         # most memory of all its programs, in bytes, and most programs at once\n# memory_bytes_max = 8000000000\n# processes_max = 2000\n",
        around.profile
    )
}

fn agent_home(text: &mut String, around: &Surroundings) {
    let Some(home) = agents::home_of(around.profile) else { return };
    let own = around.home.join(home.dir);
    let what = format!("{} keeps its login and history here", around.profile);
    rule(text, ("agent-state", &what), &but_servers(&fs_permit(&dir(&own))));
    let _ = writeln!(text, "// What {} would run on the host later is read-only.", around.profile);
    for name in home.read_only {
        let id = format!("agent-{}", name.to_ascii_lowercase().replace('.', "-"));
        let body = format!(
            "forbid (principal, action in [Action::\"fs.write\", Action::\"fs.delete\"], resource in {});",
            dir(&own.join(name))
        );
        rule(text, (&id, "the host runs or obeys this later"), &body);
    }
}

fn network(text: &mut String, around: &Surroundings) {
    for (number, endpoint) in (1..).zip(&around.model) {
        let id = if number == 1 { "model".to_owned() } else { format!("model-{number}") };
        rule(text, (&id, "the agent's model and login"), &but_servers(&connect(endpoint)));
    }
    if around.model.is_empty() {
        text.push_str(MODEL);
        text.push('\n');
    }
    for (number, registry) in (1..).zip(&around.registries) {
        let id = format!("registry-{number}");
        let reason = format!("packages, as {} says", registry.source);
        rule(text, (&id, &reason), &connect(&registry.endpoint));
    }
    if around.registries.is_empty() {
        text.push_str(REGISTRY);
    }
}

fn rule(text: &mut String, (id, reason): (&str, &str), body: &str) {
    let reason = reason.replace('\\', "\\\\").replace('"', "\\\"");
    let _ = writeln!(text, "@id(\"{id}\")\n@reason(\"{reason}\")\n{body}\n");
}

/// A permit for whoever runs here under whatever name, but for servers of tools.
fn but_servers(permit: &str) -> String {
    let open = permit.strip_suffix(';').unwrap_or(permit);
    format!("{open}\nunless {{ principal in AgentKind::\"tool-server\" }};")
}

fn fs_permit(resource: &str) -> String {
    format!("permit (principal, action in Action::\"fs\", resource in {resource});")
}

fn connect(endpoint: &str) -> String {
    format!(
        "permit (principal, action == Action::\"net.connect\", resource == Endpoint::\"{endpoint}\");"
    )
}
