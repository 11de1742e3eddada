//! Programs whose work leaves the machine, and which of their subcommands do.

use std::path::PathBuf;

use super::found::programs;
use crate::builtin;

/// A program and the subcommands that ask; none means all of it asks.
struct Ask {
    program: &'static str,
    subcommands: &'static [&'static str],
    reason: &'static str,
}

const ASKS: &[Ask] = &[
    Ask { program: "git", subcommands: &["push", "send-email"], reason: "pushes commits" },
    Ask { program: "gh", subcommands: &[], reason: "acts on the forge in your name" },
    Ask { program: "glab", subcommands: &[], reason: "acts on the forge in your name" },
    Ask {
        program: "cargo",
        subcommands: &["publish", "yank", "owner"],
        reason: "publishes crates",
    },
    Ask {
        program: "npm",
        subcommands: &[
            "publish",
            "unpublish",
            "stage",
            "deprecate",
            "undeprecate",
            "dist-tag",
            "owner",
            "access",
            "trust",
            "team",
            "org",
            "token",
        ],
        reason: "publishes packages",
    },
    Ask { program: "pnpm", subcommands: &["publish"], reason: "publishes packages" },
    Ask { program: "yarn", subcommands: &["publish", "npm"], reason: "publishes packages" },
    Ask { program: "twine", subcommands: &["upload"], reason: "publishes packages" },
    Ask { program: "uv", subcommands: &["publish"], reason: "publishes packages" },
    Ask { program: "gem", subcommands: &["push", "yank"], reason: "publishes packages" },
    Ask { program: "docker", subcommands: &["push", "login"], reason: "pushes images" },
    Ask { program: "podman", subcommands: &["push", "login"], reason: "pushes images" },
    Ask {
        program: "kubectl",
        subcommands: &[
            "apply", "create", "delete", "edit", "exec", "patch", "replace", "rollout", "scale",
            "set",
        ],
        reason: "changes a cluster",
    },
    Ask {
        program: "helm",
        subcommands: &["install", "upgrade", "uninstall", "rollback", "push"],
        reason: "changes a cluster",
    },
    Ask {
        program: "terraform",
        subcommands: &["apply", "destroy", "import"],
        reason: "changes infrastructure",
    },
    Ask {
        program: "tofu",
        subcommands: &["apply", "destroy", "import"],
        reason: "changes infrastructure",
    },
    Ask { program: "flyctl", subcommands: &["deploy", "secrets"], reason: "deploys" },
    Ask { program: "vercel", subcommands: &[], reason: "deploys" },
    Ask { program: "netlify", subcommands: &["deploy"], reason: "deploys" },
];

/// Scripts behind programs: the file that is started has another name than the one that is typed.
const SCRIPTS: &[(&str, &[&str])] =
    &[("npm", &["npm-cli.js"]), ("pnpm", &["pnpm.cjs", "pnpm.js"]), ("yarn", &["yarn.js"])];

/// The rules for the programs that are installed. A rule names the program by its file's name,
/// wherever it lies: a second one, or the one in git's own directory, is the same program to a
/// person. A file of another name that the search path leads to is named by its path.
pub(super) fn rules(path: &str) -> Vec<String> {
    let installed = ASKS.iter().map(|ask| (ask, programs(ask.program, path)));
    installed.filter(|(_, found)| !found.is_empty()).map(|(ask, found)| rule(ask, &found)).collect()
}

fn rule(ask: &Ask, found: &[PathBuf]) -> String {
    let scripts = SCRIPTS.iter().find(|(program, _)| *program == ask.program);
    let scripts = scripts.map_or(&[][..], |(_, scripts)| scripts);
    let names: Vec<&str> = [ask.program].iter().chain(scripts).copied().collect();
    let by_name = |file: &&PathBuf| names.iter().any(|name| file.ends_with(name));
    let others = found.iter().filter(|file| !by_name(file));
    let others = others.map(|file| format!("resource == Program::{}", builtin::quoted(file)));
    let programs: Vec<String> =
        [one_of("resource.name", &names)].into_iter().chain(others).collect();
    let mut condition = programs.join(" || ");
    if !ask.subcommands.is_empty() {
        let subcommand = one_of("context.subcommand", ask.subcommands);
        let program = if programs.len() > 1 { format!("({condition})") } else { condition };
        condition = format!("{program} && context has subcommand && {subcommand}");
    }
    if ask.program == "git" {
        // Where they are files of their own, git's subcommands are programs.
        let own: Vec<String> = ask.subcommands.iter().map(|it| format!("git-{it}")).collect();
        let own: Vec<&str> = own.iter().map(String::as_str).collect();
        condition = format!("({condition}) || {}", one_of("resource.name", &own));
    }
    let Ask { program, reason, .. } = ask;
    format!(
        "@id(\"ask-{program}\")\n@reason(\"`{program}` {reason}: a person decides\")\n\
         forbid (principal, action == Action::\"exec\", resource)\n\
         when {{ {condition} }}\n\
         unless {{ context.approvals.contains(\"owner\") }};\n"
    )
}

/// A condition: the attribute is one of these words.
fn one_of(attribute: &str, words: &[&str]) -> String {
    match words {
        [one] => format!("{attribute} == \"{one}\""),
        several => {
            let several: Vec<String> = several.iter().map(|it| format!("\"{it}\"")).collect();
            format!("[{}].contains({attribute})", several.join(", "))
        }
    }
}
