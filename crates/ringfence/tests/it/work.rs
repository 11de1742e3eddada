//! Ordinary work in the world of `init`'s template: what works outside works inside.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ringfence_core::CommandLine;
use serde_json::{Value, json};

use crate::person::{Person, Who, text};
use crate::run::wait_for;
use crate::schemas::conforms;

/// Runs the same script outside for one person and inside for another.
fn alike(who: Who, prepare: &str, script: &str) -> (Person, Person) {
    let [outside, inside] = [Person::new(who), Person::new(who)];
    for person in [&outside, &inside] {
        let prepared = person.outside(prepare);
        assert!(prepared.status.success(), "{}", text(&prepared));
        person.succeed(&["init", "--agent", "generic"]);
    }
    compare(&outside, &inside, script);
    (outside, inside)
}

fn compare(outside: &Person, inside: &Person, script: &str) {
    let there = outside.outside(script);
    assert!(there.status.success(), "not even outside: {}", text(&there));
    let here = inside.inside(script);
    assert!(here.status.success(), "only outside: {}", text(&here));
    assert_eq!(inside.stable(&here.stdout), outside.stable(&there.stdout));
    let decided = inside.decided();
    let denied: Vec<_> = decided.iter().filter(|(verdict, _)| verdict != "\"permit\"").collect();
    assert!(denied.is_empty(), "{denied:#?}");
}

#[test]
fn git_works_and_remotes_come_back() {
    for who in Who::all() {
        let (_, inside) = alike(
            who,
            "git init -q -b main .; git config user.name Ann; git config user.email a@example.com",
            "echo one > f; git add f; git commit -q -m one; git checkout -q -b topic
             echo two >> f; git commit -q -am two; git checkout -q main; git merge -q topic
             git remote add origin https://example.com/x.git; git remote -v
             git config branch.main.remote origin; git log --format=%s; git branch
             git tag v1; git stash list; git clone -q . ../project/copy; git -C copy log --format=%s
             git init -q born; git -C born status --short; git gc -q; git worktree list | wc -l",
        );
        let remote = inside.outside("git remote -v; git config branch.main.remote");
        assert!(text(&remote).contains("https://example.com/x.git"), "{}", text(&remote));
        let log = inside.outside("git log --format=%s; git fsck");
        assert!(log.status.success() && text(&log).contains("two"), "{}", text(&log));
        let said = text(
            &inside.inside("git remote add up https://example.com/up; git config core.pager evil"),
        );
        let taken = "/.git/config`: remote.up.fetch, remote.up.url\n";
        assert!(said.contains("taken over into `") && said.contains(taken), "{said}");
        let left = "/.git/config`, not in yours: core.pager\n";
        assert!(said.contains("left in the world's copy of `") && said.contains(left), "{said}");
        let shown = inside.succeed(&["show"]);
        let told = "/.git/config; taken over: remote.up.fetch, remote.up.url; left";
        let words = shown.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(told) && words.contains("world's copy: core.pager"), "{shown}");
        let shown: Value = serde_json::from_str(&inside.succeed(&["show", "--json"])).unwrap();
        assert_eq!(shown["taken_back"][0]["left"], json!(["core.pager"]), "{shown}");
        conforms(&shown, "show.schema.json");
    }
}

#[test]
fn a_write_that_failed_is_no_change() {
    for who in Who::all() {
        let person = Person::new(who);
        person.succeed(&["init", "--agent", "generic"]);
        let script = "mkdir closed full; touch full/f; chmod 555 closed
                      echo x > closed/new || true; rmdir full || true
                      echo x > kept; echo x > gone; rm gone; chmod 755 closed";
        let said = text(&person.inside(script));
        assert!(said.contains(" 0 asked, 2 failed, "), "{said}");
        let shown: Value = serde_json::from_str(&person.succeed(&["show", "--json"])).unwrap();
        conforms(&shown, "show.schema.json");
        let failed = shown["failed"].as_array().unwrap();
        assert_eq!(failed.len(), 2, "{shown:#}");
        for (act, (name, error)) in failed.iter().zip([
            ("/closed/new", "Permission denied (os error 13)"),
            ("/full", "Directory not empty (os error 39)"),
        ]) {
            assert!(act["resource"].as_str().unwrap().ends_with(name), "{act}");
            assert_eq!(act["error"], error);
        }
        let shown = person.succeed(&["show"]);
        assert!(shown.contains("2 acts permitted, and failed\n"), "{shown}");
        assert!(shown.contains(" 0 asked, 2 failed, "), "{shown}");
        assert_eq!(shown.matches("/closed/new\n").count(), 1, "{shown}");
        assert!(shown.contains("  +   full ") && !shown.contains("-  full"), "{shown}");
    }
}

#[test]
fn compilers_make_pipelines_and_editors_work() {
    for who in Who::all() {
        alike(
            who,
            "for i in $(seq 20); do echo \"int f$i(void){return $i;}\" > f$i.c; done
             echo 'int main(void){return 0;}' > main.c
             printf 'all: a b\\na:\\n\\techo a > a\\nb:\\n\\techo b > b\\n' > Makefile",
            "cc -c f*.c main.c; cc -o prog *.o; ./prog; ls | wc -l; make -s -j2; cat a b
             printf 'x\\ny\\nx\\n' | sort | uniq -c | awk '{ print $2, $1 }'
             sed -i s/a/z/ a; cat a
             python3 -c 'import os; open(\"t.new\", \"w\").write(\"new\\n\"); os.replace(\"t.new\", \"a\")'
             cat a; if command -v vim >/dev/null; then vim -N -u NONE -es -c s/new/vim/ -c wq a; fi
             cat a; ln -s a l; cp a c; mkdir -p d/e; mv c d/e; rm -r d; mktemp -d >/dev/null
             tar cf x.tar f1.c; tar tf x.tar; find . -name 'f1*.c' | sort | head -3; echo $((1 + 1))",
        );
    }
}

#[test]
fn python_and_npm_work() {
    alike(
        Who::Caller,
        "echo '{\"name\":\"x\",\"version\":\"1.0.0\",\"scripts\":{\"hello\":\"node -p 42\"}}' > package.json",
        "python3 -m venv v; v/bin/python -c 'import sys; print(sys.prefix != sys.base_prefix)'
         v/bin/pip --version >/dev/null; npm run -s --no-update-notifier hello; node -p 6*7",
    );
}

/// Cargo's home as the tests run with it.
fn cargo_home() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cargo");
    std::env::var_os("CARGO_HOME").map_or_else(home, PathBuf::from)
}

/// Copies one package of the host's cache, and its index, into another home.
fn copy_cache(to: &Path, package: &str, index: &str) {
    let registry = cargo_home().join("registry");
    let host = fs::read_dir(registry.join("cache")).unwrap().next().unwrap().unwrap().file_name();
    let copy = |below: PathBuf| {
        let target = to.join(".cargo/registry").join(&below);
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        let mut cp = Command::new("cp");
        cp.arg("-r").arg(registry.join(&below)).arg(&target);
        assert!(cp.status().unwrap().success(), "{}", below.display());
    };
    copy(Path::new("cache").join(&host).join(package));
    copy(Path::new("index").join(&host).join("config.json"));
    copy(Path::new("index").join(&host).join(".cache").join(index));
    let settings = cargo_home().join("config.toml");
    if settings.exists() {
        fs::copy(settings, to.join(".cargo/config.toml")).unwrap();
    }
}

#[test]
fn cargo_builds_offline_with_the_hosts_cache() {
    let lock = fs::read_to_string("../../Cargo.lock").unwrap();
    let (_, rest) = lock.split_once("name = \"cfg-if\"\nversion = \"").unwrap();
    let version = rest.split('"').next().unwrap();
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output().unwrap();
    let sysroot = PathBuf::from(String::from_utf8(sysroot.stdout).unwrap().trim());
    let people = [Person::new(Who::Caller), Person::new(Who::Caller)].map(|mut person| {
        person.prepend_path(&sysroot.join("bin"));
        copy_cache(&person.home(), &format!("cfg-if-{version}.crate"), "cf/g-");
        let manifest =
            "[package]\nname = \"x\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[dependencies]\n";
        person.write("Cargo.toml", &format!("{manifest}cfg-if = \"={version}\"\n"));
        person.write(
            "src/main.rs",
            "fn main() { cfg_if::cfg_if! { if #[cfg(unix)] { println!(\"built\") } } }\n",
        );
        person.succeed(&["init", "--agent", "generic"]);
        person.succeed(&["grant", &format!("fs.read:{}", sysroot.display()), "--always", "--yes"]);
        person
    });
    let [outside, inside] = &people;
    compare(outside, inside, "cargo build -q --offline; target/debug/x; cargo run -q --offline");
    // What the agent's cargo unpacked is not in the cache that the host builds from.
    assert!(outside.home().join(".cargo/registry/src").exists());
    assert!(!inside.home().join(".cargo/registry/src").exists());
}

#[test]
fn what_leaves_the_machine_asks_however_it_is_called() {
    let person = Person::new(Who::Caller);
    person.write("x/package.json", "{\"name\":\"x\",\"version\":\"1.0.0\"}");
    person.succeed(&["init", "--agent", "generic"]);
    for script in [
        "npm publish x",
        "npm --prefix x publish",
        "npm --otp 123 --tag next publish x",
        "git push",
        "git -C . push",
        "/usr/lib/git-core/git push",
        "/usr/lib/git-core/git-push origin",
        "$(git --exec-path)/git push",
        "$(git --exec-path)/git-push origin",
        "git -c alias.p=push p",
        "exec -a git-push git origin",
    ] {
        let script = format!("exec bash -c '{script}'");
        let output = person.inside(&script);
        assert!(!output.status.success(), "{script}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("denied: ") && said.contains("a person decides"), "{script}: {said}");
    }
    assert!(person.inside("npm --version; git --version; npm --prefix x ls").status.success());
}

/// In a fresh project, without a repository or anything else.
#[test]
fn what_the_host_would_run_is_listed_at_the_end_and_held_back() {
    for who in Who::all() {
        for (plant, file) in [
            ("git init -q . && cp /bin/true .git/hooks/post-commit", ".git/hooks/post-commit"),
            ("git init -q . && git config core.fsmonitor /tmp/evil", ".git/config"),
            (
                "mkdir -p sub/.git/hooks && cp /bin/true sub/.git/hooks/pre-commit",
                "sub/.git/hooks/pre-commit",
            ),
            ("mkdir sub; echo evil > sub/.envrc", "sub/.envrc"),
            ("mkdir -p sub/.vscode; echo {} > sub/.vscode/tasks.json", "sub/.vscode/tasks.json"),
            (
                "mkdir -p sub/.claude; echo {} > sub/.claude/settings.json",
                "sub/.claude/settings.json",
            ),
        ] {
            let person = Person::new(who);
            person.succeed(&["init", "--agent", "generic"]);
            let output = person.inside(plant);
            assert!(output.status.success(), "{plant}: {}", text(&output));
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let path = person.project().join(file);
            assert!(said.contains(path.to_str().unwrap()), "{plant} is not listed: {said}");
            assert!(!path.exists(), "{plant} was not held back");
        }
    }
}

#[test]
fn what_the_person_changes_meanwhile_stays_where_it_is() {
    for who in Who::all() {
        let person = Person::new(who);
        person.write("sub/x", "");
        person.write(".vscode/settings.json", "{}");
        person.write(".git-hook", "#!/bin/sh\n");
        let prepared = person.outside(
            "git init -q .; mkdir -p .git/hooks; mv .git-hook .git/hooks/pre-push; \
             chmod +x .git/hooks/pre-push",
        );
        assert!(prepared.status.success(), "{}", text(&prepared));
        person.succeed(&["init", "--agent", "generic"]);
        // Without a cover a file is held by the gate; `.git/config` is covered again by its copy.
        let wait = "touch started; until test -e go; do sleep 0.02; done; echo evil > sub/.envrc; \
                    for file in .envrc .vscode/tasks.json; do \
                    if echo evil >> $file; then exit 9; fi; done";
        let mut session = person.ringfence(&["run", "--", "/bin/sh", "-ec", wait]);
        let session = session.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait_for(|| person.project().join("started").exists().then_some(()));
        let changed = person.outside(
            "echo '// mine' >> .ringfence/policy.cedar; echo true >> .git/hooks/pre-push; \
             cp .git/hooks/pre-push .git/hooks/pre-commit; echo '{ }' > .vscode/settings.json; \
             echo '{}' > .vscode/tasks.json; echo '{}' > .claude/settings.json; \
             echo mine > .envrc; git config alias.x '!true'; touch go",
        );
        assert!(changed.status.success(), "{}", text(&changed));
        let output = session.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let named = |line: &&str| line.contains("quarantined: ") || line.contains("not held back");
        let held: Vec<&str> = said.lines().filter(named).collect();
        assert_eq!(held.len(), 1, "{said}");
        assert!(held[0].contains("/sub/.envrc "), "{said}");
        let project = person.project();
        let told = format!("`{0}/.envrc`, `{0}/.git/config`", project.display());
        assert!(said.contains(&told), "{said}");
        let again = format!("`{}/.git/config` was replaced while", project.display());
        assert!(said.contains(&again), "{said}");
        for file in
            [".git/hooks/pre-commit", ".vscode/tasks.json", ".claude/settings.json", ".envrc"]
        {
            assert!(project.join(file).exists(), "{file}");
        }
    }
}

#[test]
fn at_the_top_of_a_project_it_cannot_even_come_to_be() {
    let person = Person::new(Who::Caller);
    person.succeed(&["init", "--agent", "generic"]);
    for file in [".envrc", ".vscode/tasks.json", ".claude/settings.json", ".mcp.json"] {
        let plant = format!(
            "mkdir -p {}; echo evil > {file}",
            Path::new(file).parent().unwrap().join(".").display()
        );
        let output = person.inside(&plant);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains("denied: "), "{file}: {said}");
        assert!(!person.project().join(file).exists(), "{file}");
    }
}

/// Prints what npm takes each beginning of a command's or alias's name for.
const NPM_MEANS: &str = r#"
const { commands, aliases, deref } = require(process.argv[1])
const means = {}
for (const name of commands.concat(Object.keys(aliases)))
  for (let end = 1; end <= name.length; end++) means[name.slice(0, end)] = deref(name.slice(0, end))
console.log(JSON.stringify(means))
"#;

#[test]
fn an_abbreviated_npm_command_asks_as_its_full_name_does() {
    let person = Person::new(Who::Caller);
    person.write("package.json", "{\"name\":\"x\",\"version\":\"1.0.0\"}");
    person.succeed(&["init", "--agent", "generic"]);
    let ended = person.inside("npm publ --dry-run");
    assert!(!ended.status.success(), "{}", text(&ended));
    let asked = person.decided().into_iter().find(|(verdict, _)| verdict.contains("ask"));
    assert!(asked.is_some_and(|(_, act)| act.contains("npm publ")), "{}", text(&ended));
    let policy = fs::read_to_string(person.project().join(".ringfence/policy.cedar")).unwrap();
    let rule = policy.split("@id(\"ask-npm").nth(1).unwrap().split("unless").next().unwrap();
    // What the template asks about, by the names that the installed npm takes for it.
    let npm = person.outside("readlink -f $(command -v npm)");
    let npm = PathBuf::from(String::from_utf8(npm.stdout).unwrap().trim());
    let list = npm.parent().unwrap().parent().unwrap().join("lib/utils/cmd-list.js");
    let node = Command::new("node").args(["-e", NPM_MEANS]).arg(list).output().unwrap();
    let means: BTreeMap<String, Option<String>> = serde_json::from_slice(&node.stdout).unwrap();
    let asking = means.iter().filter_map(|(word, full)| Some((word, full.as_ref()?)));
    let asking: Vec<_> = asking.filter(|(_, full)| rule.contains(&format!("\"{full}\""))).collect();
    assert!(asking.iter().any(|(word, _)| *word == "publ"), "{asking:?}");
    for (word, full) in asking {
        let line = CommandLine::new("npm-cli.js", &[b"npm".to_vec(), word.clone().into_bytes()]);
        assert_eq!(line.subcommand.as_ref(), Some(full), "{word}");
    }
}

/// A home that may be read as a whole, as `prepare` left it, and `more` rules.
fn home_shown(prepare: &str, more: &str) -> Person {
    let person = Person::new(Who::all().pop().unwrap());
    let ended = person.outside(prepare);
    assert!(ended.status.success(), "{}", text(&ended));
    let rules = "permit (principal, action == Action::\"exec\", resource);\n\
        permit (principal, action == Action::\"fs.read\", resource in Dir::\"HOME\");\n";
    let rules = format!("{rules}{more}").replace("HOME", person.home().to_str().unwrap());
    person.write(".ringfence/policy.cedar", &rules);
    person.succeed(&["trust", "--yes"]);
    person
}

/// One archive in the host's cache of go, whose modules lie at `$GO`.
const MODULES: &str = "mkdir -p $GO/pkg/mod/cache/download/a $GO/pkg/mod/cache/download/b; \
    echo first > $GO/pkg/mod/cache/download/a/info; echo second > $GO/pkg/mod/cache/download/b/info;";

#[test]
fn a_home_that_is_shown_as_a_whole_starts_with_the_caches_that_it_has() {
    let forbid = "@id(\"go\") forbid (principal, action, resource in Dir::\"HOME/go\");\n";
    for (prepare, more, works) in [
        ("GO=$HOME/go;", "", true),
        ("GO=$HOME/away; ln -s $GO $HOME/go;", "", true),
        // A place outside of what is shown, and one that is not there.
        ("GO=$(mktemp -d); ln -s $GO $HOME/go;", "", true),
        ("GO=$HOME/other; ln -s nowhere $HOME/go;", "", false),
        ("GO=$HOME/other; mkdir -p $HOME/go/pkg; ln -s nowhere $HOME/go/pkg/mod;", "", false),
        ("GO=$HOME/other;", "", false),
        ("GO=$HOME/go;", forbid, false),
    ] {
        let person = home_shown(&format!("{prepare} {MODULES}"), more);
        let ended = person.inside("echo x > ~/go/pkg/mod/mine && echo works || echo fails");
        assert!(ended.status.success(), "{prepare}{more}: {}", text(&ended));
        assert_eq!(text(&ended).contains("works"), works, "{prepare}{more}: {}", text(&ended));
        assert!(!person.home().join("go/pkg/mod/mine").exists(), "{prepare}");
    }
}

#[test]
fn what_is_forbidden_in_a_cache_is_at_no_other_place_either() {
    let look = "find ~ /run/ringfence/host -name info -exec cat {} + 2>/dev/null || :";
    // Without the rule it is found.
    let ended = home_shown(&format!("GO=$HOME/go; {MODULES}"), "").inside(look);
    assert!(text(&ended).contains("second"), "{}", text(&ended));
    let forbid = "@id(\"b\") forbid (principal, action, resource in Dir::\"HOME/go/pkg/mod/cache/download/b\");\n";
    let ended = home_shown(&format!("GO=$HOME/go; {MODULES}"), forbid).inside(look);
    assert!(ended.status.success() && !text(&ended).contains("second"), "{}", text(&ended));
}

#[test]
fn a_rule_that_lets_write_and_not_delete_says_that_its_place_stays_read_only() {
    let write = "[Action::\"fs.read\", Action::\"fs.write\"]";
    let inside = "echo x > ~/out/file";
    for (action, works) in [("Action::\"fs\"", true), (write, false)] {
        let person = Person::new(Who::all().pop().unwrap());
        person.outside("mkdir ~/out");
        let out = person.home().join("out");
        let rules = format!(
            "permit (principal, action == Action::\"exec\", resource);\n\
             permit (principal, action == Action::\"fs.read\", resource in Dir::\"{}\");\n\
             permit (principal, action in {action}, resource in Dir::\"{}\");\n",
            person.project().display(),
            out.display()
        );
        person.write(".ringfence/policy.cedar", &rules);
        person.succeed(&["trust", "--yes"]);
        let ended = person.inside(inside);
        assert_eq!(ended.status.success(), works, "{action}: {}", text(&ended));
        assert_eq!(out.join("file").exists(), works);
        let checked = person.ringfence(&["policy", "check"]).output().unwrap();
        for said in [text(&ended), text(&checked)] {
            let warns = format!("`{}` stays read-only in a world", out.display());
            assert_eq!(said.contains(&warns), !works, "{action}: {said}");
        }
    }
}
