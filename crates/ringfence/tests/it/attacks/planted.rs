//! Files planted in a repository for the host's git to run: after the world has ended, the person's
//! git is used, and must run nothing of it.

use std::path::Path;

use super::stage::{Side, Stage, everybody, text};

/// Everything runs, the project is writable.
const POLICY: &str = r#"
@id("programs")
permit (principal, action == Action::"exec", resource);
@id("project")
permit (principal, action in Action::"fs", resource in Dir::"HOME/project");
"#;

/// One way to have the host's git run `touch MARK`.
struct Plant {
    /// The repository it is planted in.
    repository: &'static str,
    /// What the agent does there; `MARK` is what must not appear.
    script: &'static str,
    /// What the person does there later.
    later: &'static str,
}

const fn plant(repository: &'static str, script: &'static str) -> Plant {
    Plant { repository, script, later: COMMIT }
}

const COMMIT: &str =
    "git -c user.name=a -c user.email=a@b commit -q --allow-empty -m later; git status";

const PLANTS: &[Plant] = &[
    plant(
        "hook",
        "printf '#!/bin/sh\ntouch MARK\n' > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit",
    ),
    plant(
        "absent-hooks",
        "mkdir .git/hooks; printf '#!/bin/sh\ntouch MARK\n' > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit",
    ),
    plant(
        "moved",
        "mv .git x; cp -r x .git; rm -rf .git/hooks; mkdir .git/hooks; printf '#!/bin/sh\ntouch MARK\n' > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit",
    ),
    plant(
        "moved-hooks",
        "mv .git/hooks .git/h; mkdir .git/hooks; printf '#!/bin/sh\ntouch MARK\n' > .git/hooks/pre-commit; chmod +x .git/hooks/pre-commit",
    ),
    plant(
        "linked-hooks",
        "rm -rf .git/hooks; mkdir h; printf '#!/bin/sh\ntouch MARK\n' > h/pre-commit; chmod +x h/pre-commit; ln -s ../h .git/hooks",
    ),
    plant("monitor", "git config core.fsmonitor 'touch MARK; false'"),
    plant(
        "hooks-path",
        "mkdir h; printf '#!/bin/sh\ntouch MARK\n' > h/pre-commit; chmod +x h/pre-commit; git config core.hooksPath h",
    ),
    plant("config-text", "printf '[core]\n\tfsmonitor = \"touch MARK; false\"\n' >> .git/config"),
    plant(
        "config-renamed",
        "cp .git/config c; printf '[core]\n\tfsmonitor = \"touch MARK; false\"\n' >> c; mv -f c .git/config",
    ),
    plant(
        "include",
        "printf '[core]\n\tfsmonitor = \"touch MARK; false\"\n' > i; git config include.path ../i",
    ),
    Plant {
        repository: "born-bare",
        script: "mkdir -p b/objects b/refs; printf 'ref: refs/heads/x\n' > b/HEAD; printf '[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tworktree = .\n\tfsmonitor = \"touch MARK; false\"\n' > b/config",
        later: "cd b && git status",
    },
];

/// Repositories that take their configuration from elsewhere, or that a walk does not recognise.
const REDIRECTED: &[Plant] = &[
    plant(
        "common-dir",
        "mkdir x; cp -r .git/objects .git/refs x/; printf '[core]\n\trepositoryformatversion = 0\n\tfsmonitor = \"touch MARK; false\"\n' > x/config; echo ../x > .git/commondir",
    ),
    Plant {
        repository: "born-linked-head",
        script: "mkdir -p b/objects b/refs; ln -s refs/heads/none b/HEAD; printf '[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tworktree = .\n\tfsmonitor = \"touch MARK; false\"\n' > b/config",
        later: "cd b && git status",
    },
    Plant {
        repository: "born-elsewhere",
        script: "mkdir -p x/objects x/refs d s; printf '[core]\n\trepositoryformatversion = 0\n\tfsmonitor = \"touch MARK; false\"\n' > x/config; printf 'ref: refs/heads/x\n' > d/HEAD; echo ../x > d/commondir; echo 'gitdir: ../d' > s/.git",
        later: "cd s && git status",
    },
];

/// What git takes for a repository, or hides one, and what looks like one and is none.
const DISGUISED: &[Plant] = &[
    Plant {
        repository: "born-of-files",
        script: "mkdir -p b/.git; cd b/.git; echo x > objects; echo x > refs; chmod 755 objects refs; EVIL",
        later: "cd b && git status",
    },
    Plant {
        repository: "born-behind-file",
        script: "mkdir -p node_modules/e/objects node_modules/e/refs b; echo 'gitdir: ../node_modules/e' > b/.git; cd node_modules/e; EVIL",
        later: "cd b && git status",
    },
    Plant {
        repository: "born-behind-link",
        script: "mkdir -p node_modules/e/objects node_modules/e/refs b; ln -s ../node_modules/e b/.git; cd node_modules/e; EVIL",
        later: "cd b && git status",
    },
    Plant {
        repository: "born-behind-blank",
        script: "mkdir -p 'node_modules/e /objects' 'node_modules/e /refs' b; echo 'gitdir: ../node_modules/e ' > b/.git; cd 'node_modules/e '; EVIL",
        later: "cd b && git status",
    },
    Plant {
        repository: "born-in-disguise",
        script: "mkdir -p d/objects d/refs d/b/.git/objects d/b/.git/refs; : > d/HEAD; cd d/b/.git; EVIL",
        later: "cd d/b && git status",
    },
    Plant {
        repository: "born-in-submodule",
        script: "mkdir -p target/g/objects target/g/refs target/s/in; echo 'gitdir: ../g' > target/s/.git; echo 'ref: refs/heads/x' > target/g/HEAD; printf '[core]\n\trepositoryformatversion = 0\n' > target/g/config; git init -q target/s/in; git -C target/s/in -c user.name=a -c user.email=a@b commit -q --allow-empty -m y; git -C target/s update-index --add --cacheinfo 160000,$(git -C target/s/in rev-parse HEAD),in; git -C target/s -c user.name=a -c user.email=a@b commit -q -m y; git update-index --add --cacheinfo 160000,$(git -C target/s rev-parse HEAD),target/s; cd target/s/in/.git; EVIL",
        later: "git status",
    },
];

/// What git finds by its name in a directory that does not list it, or that lets nothing be moved.
const CLOSED: &[Plant] = &[
    Plant {
        repository: "born-unlisted",
        script: "git init -q b; HOOK; chmod 0311 b",
        later: "cd b; COMMIT",
    },
    Plant {
        repository: "born-below-unlisted",
        script: "mkdir d; git init -q d/b; cd d; HOOK; chmod 0311 .",
        later: "cd d/b; COMMIT",
    },
    Plant {
        repository: "born-below-listed-only",
        script: "mkdir d; git init -q d/b; cd d; HOOK; chmod 0444 .",
        later: "chmod 0755 d; cd d/b; COMMIT",
    },
    Plant {
        repository: "unlisted-hooks",
        script: "git init -q b; HOOK; chmod 0311 b/.git/hooks",
        later: "cd b; COMMIT",
    },
    Plant {
        repository: "fixed-hooks",
        script: "git init -q b; HOOK; chmod 0555 b/.git/hooks",
        later: "cd b; COMMIT",
    },
    Plant {
        repository: "foreseen",
        script: "git init -q b; HOOK; touch b/.git/hooks/pre-commit.quarantined-$RINGFENCE_SESSION",
        later: "cd b; COMMIT",
    },
];

const HOOK: &str = "mkdir -p b/.git/hooks; printf '#!/bin/sh\ntouch MARK\n' > b/.git/hooks/pre-commit; chmod +x b/.git/hooks/pre-commit";

const EVIL: &str = "printf 'ref: refs/heads/x\n' > HEAD; printf '[core]\n\trepositoryformatversion = 0\n\tbare = false\n\tfsmonitor = \"touch MARK; false\"\n' > config";

/// Where a walk does not look, but where git goes from the root of the project.
const SKIPPED: &[Plant] = &[plant(
    "submodule",
    "git init -q target/s; git -C target/s -c user.name=a -c user.email=a@b commit -q --allow-empty -m y; git -C target/s config core.fsmonitor 'touch MARK; false'; git update-index --add --cacheinfo 160000,$(git -C target/s rev-parse HEAD),target/s",
)];

/// Makes all repositories, has `side` plant in all of them, uses git as the person; which ran it.
fn ran(stage: &Stage, side: Side, plants: &'static [Plant]) -> Vec<&'static str> {
    let marks = stage.home().join("outside");
    let mut script = String::new();
    for plant in plants {
        let at = format!("project/{}", plant.repository);
        let made = stage
            .command(Path::new("git"), &["init", "-q", stage.home().join(&at).to_str().unwrap()])
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", text(&made));
        if plant.repository == "absent-hooks" {
            std::fs::remove_dir_all(stage.home().join(at).join(".git/hooks")).unwrap();
        }
        let mark = marks.join(plant.repository);
        let planted = plant.script.replace("EVIL", EVIL).replace("HOOK", HOOK);
        let planted = planted.replace("MARK", mark.to_str().unwrap());
        script.push_str(&format!("(cd {}; {planted})\n", plant.repository));
    }
    stage.script(side, &script);
    let used = |plant: &&Plant| {
        let at = stage.project().join(plant.repository);
        let mut git =
            stage.command(Path::new("/bin/sh"), &["-c", &plant.later.replace("COMMIT", COMMIT)]);
        let _ = git.current_dir(at).output().unwrap();
        stage.has(&format!("outside/{}", plant.repository))
    };
    plants.iter().filter(used).map(|plant| plant.repository).collect()
}

/// Outside git runs all of it, inside nothing.
fn stopped(plants: &'static [Plant]) {
    for who in everybody() {
        let outside = ran(&Stage::new(who, POLICY), Side::Outside, plants);
        let all: Vec<&str> = plants.iter().map(|plant| plant.repository).collect();
        assert_eq!(outside, all, "{who:?}: outside, git runs all of it");
        let inside = ran(&Stage::new(who, POLICY), Side::Inside, plants);
        assert_eq!(inside, [""; 0], "{who:?}");
    }
}

#[test]
fn what_is_planted_in_a_repository_is_not_run_by_the_hosts_git() {
    stopped(PLANTS);
}

#[test]
fn a_repository_that_is_redirected_is_not_run_by_the_hosts_git() {
    stopped(REDIRECTED);
}

#[test]
fn a_repository_in_disguise_is_not_run_by_the_hosts_git() {
    stopped(DISGUISED);
}

#[test]
fn what_a_closed_directory_hides_is_not_run_by_the_hosts_git() {
    stopped(CLOSED);
}

#[test]
fn a_submodule_in_a_place_that_is_not_walked_is_not_run_by_the_hosts_git() {
    stopped(SKIPPED);
}
