//! Files of a project that the person's own git configuration names: git runs them, or takes
//! settings from them, outside, so that an agent must not be who wrote them.

use std::path::Path;

use super::stage::{Side, Stage, everybody, text};

/// Everything runs, the project is writable.
const POLICY: &str = r#"
@id("programs")
permit (principal, action == Action::"exec", resource);
@id("project")
permit (principal, action in Action::"fs", resource in Dir::"HOME/project");
"#;

/// What the person has set up, what the agent writes, and what the person does later; `MARK` is
/// what must not appear.
struct Named {
    repository: &'static str,
    set_up: &'static str,
    plant: &'static str,
    later: &'static str,
}

const COMMIT: &str = "git -c user.name=a -c user.email=a@b commit -q --allow-empty -m later";

const HOOK: &str = "printf '#!/bin/sh\\ntouch MARK\\n' > DIR/pre-commit; chmod +x DIR/pre-commit";

const CONFIG: &str = "printf '[core]\\n\\tfsmonitor = \"touch MARK; false\"\\n' > FILE";

const NAMED: &[Named] = &[
    Named {
        repository: "hooks-path",
        set_up: "git config core.hooksPath .githooks; mkdir .githooks; touch .githooks/keep",
        plant: "HOOK",
        later: COMMIT,
    },
    Named {
        repository: "hooks-path-absent",
        set_up: "git config core.hooksPath .githooks",
        plant: "mkdir .githooks; HOOK",
        later: COMMIT,
    },
    Named {
        repository: "hooks-path-link",
        set_up: "git config core.hooksPath .githooks; mkdir -p t/h; touch t/h/keep; \
                 ln -s t/h .githooks",
        plant: "HOOK",
        later: COMMIT,
    },
    Named {
        repository: "hooks-path-moved",
        set_up: "git config core.hooksPath a/b/.githooks; mkdir -p a/b/.githooks",
        plant: "mv a c; mkdir -p a/b/.githooks; AB",
        later: COMMIT,
    },
    Named {
        repository: "hooks-path-of-user",
        set_up: "printf '[core]\\n\\thooksPath = .userhooks\\n' > ~/.gitconfig; mkdir .userhooks",
        plant: "USER",
        later: COMMIT,
    },
    Named {
        repository: "include",
        set_up: "git config include.path ../.gitsettings; touch .gitsettings",
        plant: "CONFIG",
        later: "git status",
    },
    Named {
        repository: "include-absent",
        set_up: "git config include.path ../.gitsettings",
        plant: "CONFIG",
        later: "git status",
    },
    Named {
        repository: "include-of-include",
        set_up: "git config include.path ../one; printf '[include]\\n\\tpath = .gitsettings\\n' > one; \
                 touch .gitsettings",
        plant: "CONFIG",
        later: "git status",
    },
    Named {
        repository: "filter",
        set_up: "git config filter.x.clean 'tools/clean.sh %f'; echo '* filter=x' > .gitattributes; \
                 mkdir tools; printf '#!/bin/sh\\ncat\\n' > tools/clean.sh; chmod +x tools/clean.sh",
        plant: "printf '#!/bin/sh\\ntouch MARK\\ncat\\n' > tools/clean.sh",
        later: "echo x > f; git add f",
    },
    Named {
        repository: "monitor",
        set_up: "git config core.fsmonitor ./monitor; printf '#!/bin/sh\\n' > monitor; chmod +x monitor",
        plant: "printf '#!/bin/sh\\ntouch MARK\\n' > monitor",
        later: "git status",
    },
    Named {
        repository: "hooks-path-other-link",
        set_up: "git config core.hooksPath .githooks; mkdir -p t/h; touch t/h/keep; \
                 ln -s x .githooks; ln -s t/h x",
        plant: "rm .githooks && mkdir .githooks && HOOK; rm x && mkdir x && VIA",
        later: COMMIT,
    },
    Named {
        repository: "hooks-path-link-to-nothing",
        set_up: "git config core.hooksPath .githooks; ln -s t .githooks",
        plant: "mkdir t; HOOK",
        later: COMMIT,
    },
    Named {
        repository: "hooks-link",
        set_up: "rm -rf .git/hooks; mkdir t; touch t/keep; ln -s ../t .git/hooks",
        plant: "TARGET; rm .git/hooks && mkdir .git/hooks && OWN",
        // The person's own hooksPath, above, is for all repositories.
        later: "git -c core.hooksPath=.git/hooks -c user.name=a -c user.email=a@b commit -q \
                --allow-empty -m later",
    },
    Named {
        repository: "include-link",
        set_up: "git config include.path ../.gitsettings; touch x; ln -s x .gitsettings",
        plant: "rm -f .gitsettings; CONFIG",
        later: "git status",
    },
    Named {
        repository: "dot-git-link",
        set_up: "mv .git g; ln -s g .git; mkdir e; git init -q e; \
                 git -C e config core.fsmonitor 'touch MARK; false'",
        plant: "rm .git; ln -s e/.git .git",
        later: "git status",
    },
    Named {
        repository: "working-tree",
        set_up: "git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x; \
                 git worktree add -q w; mkdir e; mv w/.git e/.git; git worktree add -q v",
        plant: "grep gitdir: e/.git > v/.git",
        later: "cd v; test $(git rev-parse --git-dir | sed s,.*/,,) = v || touch MARK",
    },
    Named {
        repository: "alias",
        set_up: "git config alias.go '!sh tools/go.sh \"$@\"'; mkdir tools; touch tools/go.sh",
        plant: "rm -f tools/go.sh; echo 'touch MARK' > tools/go.sh",
        later: "git go",
    },
];

/// Which repositories' files were run when the person used git after the agent.
fn ran(stage: &Stage, side: Side) -> Vec<&'static str> {
    let mut script = String::new();
    for it in NAMED {
        let mark = stage.home().join("outside").join(it.repository);
        let set_up = it.set_up.replace("MARK", mark.to_str().unwrap());
        let made =
            format!("git init -q {} && cd {} && {{ {}; }}", it.repository, it.repository, set_up);
        let made = stage.command(Path::new("/bin/sh"), &["-c", &made]).output().unwrap();
        assert!(made.status.success(), "{}", text(&made));
        let plant = it
            .plant
            .replace("HOOK", HOOK)
            .replace("CONFIG", &CONFIG.replace("FILE", ".gitsettings"))
            .replace("AB", &HOOK.replace("DIR", "a/b/.githooks"))
            .replace("VIA", &HOOK.replace("DIR", "x"))
            .replace("TARGET", &HOOK.replace("DIR", "t"))
            .replace("OWN", &HOOK.replace("DIR", ".git/hooks"))
            .replace("USER", &HOOK.replace("DIR", ".userhooks"))
            .replace("DIR", ".githooks")
            .replace("MARK", mark.to_str().unwrap());
        script.push_str(&format!("(cd {}; {plant})\n", it.repository));
    }
    stage.script(side, &script);
    let used = |it: &&Named| {
        let mark = stage.home().join("outside").join(it.repository);
        let later = it.later.replace("MARK", mark.to_str().unwrap());
        let mut git = stage.command(Path::new("/bin/sh"), &["-c", &later]);
        let _ = git.current_dir(stage.project().join(it.repository)).output().unwrap();
        stage.has(&format!("outside/{}", it.repository))
    };
    NAMED.iter().filter(used).map(|it| it.repository).collect()
}

#[test]
fn what_the_persons_git_configuration_names_is_not_the_agents() {
    for who in everybody() {
        let all: Vec<&str> = NAMED.iter().map(|it| it.repository).collect();
        assert_eq!(ran(&Stage::new(who, POLICY), Side::Outside), all, "{who:?}: outside");
        assert_eq!(ran(&Stage::new(who, POLICY), Side::Inside), [""; 0], "{who:?}");
    }
}
