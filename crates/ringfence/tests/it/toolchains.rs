//! Tools of everyday work in the world that `init` writes, with nothing added by hand. What they fetch comes
//! from the host's caches and from a registry on its loopback.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use crate::person::{Person, Who, text};

/// Runs a script in the person's project inside, which must succeed without a denial; its stdout.
#[track_caller]
fn works(person: &Person, script: &str) -> String {
    let ended = person.inside(script);
    assert!(ended.status.success(), "{}", text(&ended));
    let decided = person.decided();
    let denied: Vec<_> = decided.iter().filter(|(verdict, _)| verdict != "\"permit\"").collect();
    assert!(denied.is_empty(), "{denied:#?}");
    String::from_utf8_lossy(&ended.stdout).into_owned()
}

/// An ordinary person where there can be one: for tools that take long.
fn one() -> Who {
    Who::all().pop().unwrap()
}

/// Prepares a person's host by a script, outside of any world, and writes the template's policy.
#[track_caller]
fn prepared(who: Who, script: &str) -> Person {
    let person = Person::new(who);
    let ended = person.outside(script);
    assert!(ended.status.success(), "{}", text(&ended));
    person.succeed(&["init", "--agent", "generic"]);
    person
}

/// A module proxy of files with one module, which is then in the host's cache.
const GO: &str = r#"
    v=$HOME/proxy/example.com/dep/@v; mkdir -p $v example.com/dep@v1.0.0
    printf 'module example.com/dep\n\ngo 1.19\n' | tee $v/v1.0.0.mod > example.com/dep@v1.0.0/go.mod
    printf 'package dep\n\nfunc Two() int { return 2 }\n' > example.com/dep@v1.0.0/dep.go
    echo '{"Version":"v1.0.0","Time":"2024-01-01T00:00:00Z"}' > $v/v1.0.0.info; echo v1.0.0 > $v/list
    python3 -m zipfile -c $v/v1.0.0.zip example.com
    python3 - $v/v1.0.0.zip <<'X'
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w") as out:
    for name in "go.mod", "dep.go": out.write("example.com/dep@v1.0.0/" + name)
X
    rm -r example.com
    printf 'module example.com/x\n\ngo 1.19\n\nrequire example.com/dep v1.0.0\n' > go.mod
    printf 'package main\n\nimport "example.com/dep"\n\nfunc main() { println(dep.Two()) }\n' > main.go
    printf 'package main\n\nimport ("testing"; "example.com/dep")\n\nfunc TestTwo(t *testing.T) { if dep.Two() != 2 { t.Fail() } }\n' > main_test.go
    GOFLAGS=-mod=mod GOSUMDB=off GOPROXY=file://$HOME/proxy go mod download -x example.com/dep
    GOFLAGS=-mod=mod GOSUMDB=off GOPROXY=off go mod tidy
"#;

#[test]
fn go_builds_and_tests_with_the_hosts_modules_and_writes_none_of_them() {
    for who in Who::all() {
        let person = prepared(who, GO);
        let said = works(
            &person,
            "go build -o x .; ./x 2>&1; go vet ./...; go test ./... | cut -c1-20; go mod vendor
             go build -mod=vendor -o y .; ./y 2>&1
             echo evil > ~/go/pkg/mod/cache/download/example.com/dep/@v/v6.6.6.info
             chmod -R u+w ~/go/pkg/mod/example.com; echo evil > ~/go/pkg/mod/example.com/dep@v1.0.0/dep.go",
        );
        assert!(said.starts_with("2\nok") && said.ends_with("2\n"), "{said}");
        let cache = person.home().join("go/pkg/mod");
        assert!(!cache.join("cache/download/example.com/dep/@v/v6.6.6.info").exists());
        let source = fs::read_to_string(cache.join("example.com/dep@v1.0.0/dep.go"));
        assert!(source.is_ok_and(|text| text.contains("return 2")));
    }
}

#[test]
fn cmake_configures_builds_tests_and_installs() {
    for who in Who::all() {
        let person = prepared(
            who,
            "printf 'cmake_minimum_required(VERSION 3.20)\\nproject(x C)\\nenable_testing()\\nadd_executable(x main.c)\\nadd_test(NAME runs COMMAND x)\\ninstall(TARGETS x DESTINATION bin)\\n' > CMakeLists.txt
             printf '#include <stdio.h>\\nint main(void) { puts(\"built\"); return 0; }\\n' > main.c",
        );
        let said = works(
            &person,
            "cmake -S . -B build >/dev/null; cmake --build build -j2 >/dev/null
             (cd build; ctest >/dev/null); cmake --install build --prefix out >/dev/null; out/bin/x",
        );
        assert_eq!(said, "built\n");
    }
}

/// Maven with the plugins of Debian's own repository, through a mirror whose settings hold a password.
const MAVEN: &str = r#"
    mkdir -p ~/.m2 src/main/java/x
    cat > ~/.m2/settings.xml <<X
<settings><mirrors><mirror><id>d</id><mirrorOf>*</mirrorOf><url>file:///usr/share/maven-repo</url></mirror></mirrors>
<servers><server><id>d</id><password>hunter2</password></server></servers></settings>
X
    plugin() {
        version=$(ls /usr/share/maven-repo/org/apache/maven/plugins/$1 | grep '^[0-9]' | sort -V | tail -1)
        echo "<plugin><artifactId>$1</artifactId><version>$version</version></plugin>"
    }
    cat > pom.xml <<X
<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>x</groupId><artifactId>x</artifactId><version>1</version>
<properties><maven.compiler.source>17</maven.compiler.source><maven.compiler.target>17</maven.compiler.target>
<project.build.sourceEncoding>UTF-8</project.build.sourceEncoding></properties>
<build><plugins>$(plugin maven-resources-plugin)$(plugin maven-compiler-plugin)</plugins></build></project>
X
    echo 'package x; public class A { public static void main(String[] a) { System.out.println("built"); } }' > src/main/java/x/A.java
    mvn -q -Duser.home=$HOME compile; rm -r target
"#;

#[test]
fn maven_builds_with_the_hosts_repository_and_never_sees_its_password() {
    let person = prepared(one(), MAVEN);
    let said = works(
        &person,
        "mvn -q -o compile; java -cp target/classes x.A; echo evil > ~/.m2/repository/evil
         cat ~/.m2/settings.xml | tr -d '\\n'; echo",
    );
    assert!(said.contains("built\n") && said.contains("<mirrorOf>*</mirrorOf>"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
    assert!(!person.home().join(".m2/repository/evil").exists());
}

#[test]
fn hooks_of_the_persons_repository_run_and_cannot_be_changed() {
    for who in Who::all() {
        let person = prepared(
            who,
            "git init -q -b main .; git config user.name Ann; git config user.email a@example.com
             printf '#!/bin/sh\\ntest ! -e block\\n' > .git/hooks/pre-commit
             printf '#!/bin/sh\\necho signed-off >> \"$1\"\\n' > .git/hooks/commit-msg
             chmod +x .git/hooks/pre-commit .git/hooks/commit-msg",
        );
        let said = works(
            &person,
            "echo a > a; git add a; git commit -q -m one; git log --format=%B | head -2; touch block
             if git commit -q --allow-empty -m two; then exit 9; fi; git log --format=%s | wc -l",
        );
        assert_eq!(said, "one\nsigned-off\n1\n");
        let ended = person.inside("echo '#!/bin/sh' > .git/hooks/pre-commit");
        assert!(!ended.status.success() && text(&ended).contains("Permission denied"));
        let hook = fs::read_to_string(person.project().join(".git/hooks/pre-commit")).unwrap();
        assert!(hook.contains("block"), "{hook}");
    }
}

#[test]
fn a_terminal_multiplexer_and_an_editor_in_it_work() {
    for who in Who::all() {
        let person = prepared(who, "echo one > f");
        let said = works(
            &person,
            "export TERM=xterm; vi=$(command -v vim.tiny || command -v vim)
             tmux -L t new-session -d -s s \"$vi -N -u NONE -i NONE f\"
             until tmux -L t capture-pane -p -t s | grep -q one; do sleep 0.1; done
             tmux -L t send-keys -t s :s/one/two/ Enter :wq Enter
             until grep -q two f; do sleep 0.1; done; cat f",
        );
        assert_eq!(said, "two\n");
    }
}

/// What `docker ps` does first: it connects to the engine's socket.
const DOCKER: &str = "python3 -c 'import socket
try: socket.socket(socket.AF_UNIX).connect(\"/var/run/docker.sock\")
except OSError as error: print(error.strerror)'";

#[test]
fn a_client_of_a_container_engine_is_told_that_it_is_not_for_worlds() {
    for who in Who::all() {
        let person = prepared(who, "true");
        let ended = person.inside(DOCKER);
        let said = text(&ended);
        assert!(said.starts_with("Permission denied\n"), "{said}");
        assert!(said.contains("outside of every world: programs that need an engine"), "{said}");
        assert!(!said.contains("ringfence grant"), "{said}");
        let (verdict, act) = person.decided().pop().unwrap();
        assert!(verdict == "\"deny\"" && act.contains("/run/docker.sock"), "{act}");
        let denials = person.inside(&format!("{DOCKER}; cat $RINGFENCE_DENIALS"));
        assert!(text(&denials).contains("programs that need an engine"), "{}", text(&denials));
    }
}

/// A registry on the host's loopback that has one package for npm and one for pip; and whatever its clients
/// said of themselves.
struct Registry {
    port: u16,
    said: Arc<Mutex<String>>,
}

impl Registry {
    fn new(archive: Vec<u8>, wheel: Vec<u8>) -> Registry {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let said = Arc::new(Mutex::new(String::new()));
        let heard = Arc::clone(&said);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let _ = answer(&client, (&archive, &wheel), &heard);
            }
        });
        Registry { port, said }
    }
}

fn answer(
    mut client: &TcpStream,
    (archive, wheel): (&[u8], &[u8]),
    heard: &Mutex<String>,
) -> std::io::Result<()> {
    let mut lines = BufReader::new(client).lines();
    let first = lines.next().unwrap_or(Ok(String::new()))?;
    let mut host = String::new();
    for line in lines {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if let Some(("host", value)) = line.to_ascii_lowercase().split_once(": ") {
            value.clone_into(&mut host);
        }
        heard.lock().unwrap().push_str(&format!("{line}\n"));
    }
    let path = first.split(' ').nth(1).unwrap_or("");
    let list = format!(
        "{{\"name\":\"dep\",\"dist-tags\":{{\"latest\":\"1.0.0\"}},\"versions\":{{\"1.0.0\":{{\"name\":\"dep\",\
         \"version\":\"1.0.0\",\"dist\":{{\"tarball\":\"http://{host}/dep/-/dep-1.0.0.tgz\"}}}}}}}}"
    );
    let page = "<a href=\"/f/dep-1.0.0-py3-none-any.whl\">dep-1.0.0-py3-none-any.whl</a>";
    let (kind, body): (&str, &[u8]) = match path {
        "/dep" => ("application/json", list.as_bytes()),
        "/dep/-/dep-1.0.0.tgz" => ("application/octet-stream", archive),
        "/simple/dep/" => ("text/html", page.as_bytes()),
        "/f/dep-1.0.0-py3-none-any.whl" => ("application/octet-stream", wheel),
        _ => {
            return client
                .write_all(b"HTTP/1.1 404 None\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        }
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    client.write_all(head.as_bytes())?;
    client.write_all(body)
}

/// A package for npm, `dep-1.0.0.tgz`, and a wheel, in the person's project.
const PACKAGES: &str = r#"
    mkdir package; echo '{"name":"dep","version":"1.0.0"}' > package/package.json
    echo 'module.exports = 42' > package/index.js; tar czf dep-1.0.0.tgz package; rm -r package
    python3 - <<'X'
import zipfile
name = "dep-1.0.0.dist-info/"
files = {"dep.py": "V = 42\n", name + "METADATA": "Metadata-Version: 2.1\nName: dep\nVersion: 1.0.0\n",
         name + "WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}
files[name + "RECORD"] = "".join(f"{file},,\n" for file in [*files, name + "RECORD"])
with zipfile.ZipFile("dep-1.0.0-py3-none-any.whl", "w") as out:
    for file, text in files.items(): out.writestr(file, text)
X
    echo '{"name":"x","version":"1.0.0"}' > package.json
"#;

#[test]
fn packages_come_from_the_registry_that_the_person_configured_and_its_login_stays_outside() {
    let person = Person::new(one());
    let made = person.outside(PACKAGES);
    assert!(made.status.success(), "{}", text(&made));
    let file = |name: &str| fs::read(person.project().join(name)).unwrap();
    let registry = Registry::new(file("dep-1.0.0.tgz"), file("dep-1.0.0-py3-none-any.whl"));
    let port = registry.port;
    let settings = person.outside(&format!(
        "mkdir -p ~/.config/pip
         printf 'registry=http://127.0.0.1:{port}/\\n//127.0.0.1:{port}/:_authToken=hunter2\\n' > ~/.npmrc
         printf '[global]\\nindex-url = http://ann:hunter2@127.0.0.1:{port}/simple/\\n' > ~/.config/pip/pip.conf"
    ));
    assert!(settings.status.success(), "{}", text(&settings));
    person.succeed(&["init", "--agent", "generic"]);
    let said = works(
        &person,
        "npm install -s --no-audit --no-fund --no-update-notifier dep; node -p 'require(\"dep\")'
         npm ci -s --no-audit --no-fund --no-update-notifier; node -p 'require(\"dep\") + 1'
         python3 -m venv v; v/bin/pip install -q --disable-pip-version-check dep
         v/bin/python -c 'import dep; print(dep.V + 2)'; cat ~/.npmrc ~/.config/pip/pip.conf",
    );
    assert!(said.starts_with("42\n43\n44\n"), "{said}");
    assert!(said.contains(&format!("host.ringfence.internal:{port}")), "{said}");
    let heard = registry.said.lock().unwrap().to_ascii_lowercase();
    assert!(heard.contains("user-agent: pip") && heard.contains("npm-command"), "{heard}");
    assert!(!said.contains("hunter2") && !heard.contains("authorization"), "{said}{heard}");
    // It is in the person's own file as before.
    assert!(fs::read_to_string(person.home().join(".npmrc")).unwrap().contains("hunter2"));
}
