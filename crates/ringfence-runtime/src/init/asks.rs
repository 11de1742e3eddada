//! Programs whose work leaves the machine, and which of their subcommands do.

use std::fs;
use std::path::{Path, PathBuf};

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

/// Where else git lies, where that is a file of its own.
const GIT_ITSELF: &[&str] = &["/usr/lib/git-core/git", "/usr/libexec/git-core/git"];

fn is_another(path: &Path, known: &[PathBuf]) -> bool {
    fs::canonicalize(path).is_ok_and(|real| real == path && !known.contains(&real))
}

/// The rules for the programs that are installed. A rule names the file, so that it is looked at
/// for that file only; a program that is installed later has no rule yet.
pub(super) fn rules(path: &str) -> Vec<String> {
    let mut rules = Vec::new();
    for ask in ASKS {
        let mut all = programs(ask.program, path);
        if ask.program == "git" && !all.is_empty() {
            // Git calls itself by these, and so can anybody.
            let own = GIT_ITSELF.iter().map(PathBuf::from).filter(|it| is_another(it, &all));
            let own: Vec<PathBuf> = own.collect();
            all.extend(own);
        }
        for (at, program) in all.into_iter().enumerate() {
            let number = if at == 0 { String::new() } else { format!("-{}", at + 1) };
            let named = format!("Program::{}", builtin::quoted(&program));
            let condition = match ask.subcommands {
                [] => String::new(),
                [one] => {
                    format!(
                        "when {{ context has subcommand && context.subcommand == \"{one}\" }}\n"
                    )
                }
                several => format!(
                    "when {{ context has subcommand && [{}].contains(context.subcommand) }}\n",
                    several.iter().map(|it| format!("\"{it}\"")).collect::<Vec<_>>().join(", ")
                ),
            };
            rules.push(format!(
                "@id(\"ask-{}{number}\")\n@reason(\"`{}` {}: a person decides\")\nforbid (principal, action == Action::\"exec\", resource == {named})\n{condition}unless {{ context.approvals.contains(\"owner\") }};\n",
                ask.program, ask.program, ask.reason
            ));
        }
    }
    rules
}
