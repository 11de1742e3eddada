//! The programs of a developer's day, with no setting but what the world gives: each reaches what is
//! permitted, and says of what is denied something that a person understands.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::stage::Net;
use crate::attacks::stage::{Side, Who, everybody, is_root, text};
use crate::started::{Started, free_port};

/// Whoever is not root where that can be chosen: the attacks are made as everybody.
pub(super) fn somebody() -> Who {
    everybody().pop().unwrap()
}

/// A permitted script prints this; the same about a host that is denied fails, and says this.
fn reaches(net: &Net, script: &str, (expected, denied): (&str, &str)) {
    let script = net.with_ports(script);
    let output = net.script(Side::Inside, &script);
    let said = text(&output);
    assert!(output.status.success() && said.contains(expected), "{script}: {said}");
    let script = script.replace("good.example", "evil.example");
    let said = net.said(&format!("{script} || echo it failed"));
    assert!(said.contains("it failed"), "{script}: {said}");
    // What the program itself says, and what the gate adds to it.
    assert!(said.contains(denied), "{script}: {said}");
    assert!(said.contains("may not connect to evil.example:"), "{script}: {said}");
}

/// Small registries below the web server's files, and a network that permits it.
fn registries() -> Net {
    let net = Net::new(somebody());
    fill_registries(&net, "http://good.example:{web}/files");
    bring_pip(&net);
    bring_cargo(&net);
    net
}

/// Registries that are found at this address, and a repository of git.
pub(super) fn fill_registries(net: &Net, origin: &str) {
    let files = net.stage.home().join("outside/files");
    let made = Command::new("/usr/bin/python3")
        .arg("tests/net/registries.py")
        .arg(&files)
        .arg(net.with_ports(origin))
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", text(&made));
    let make = "git init -q -b main work && cd work && echo hello from git > hello && git add hello && \
         git -c user.name=a -c user.email=a@b commit -q -m one && \
         git clone -q --bare . ../repo.git && git --git-dir ../repo.git update-server-info";
    let made = Command::new("sh").args(["-c", make]).current_dir(&files).output().unwrap();
    assert!(made.status.success(), "{}", text(&made));
}

/// The pinned packages of PyPI that setup installed.
pub(super) fn python_packages() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache/ringfence/python");
    let dir = std::env::var_os("RINGFENCE_TEST_PYTHON").map_or_else(home, PathBuf::from);
    let found = std::fs::read_dir(dir.join("lib")).ok().and_then(|mut list| list.next());
    assert!(found.is_some(), "no Python packages: `cargo xtask setup --yes` installs them");
    found.unwrap().unwrap().path().join("site-packages")
}

/// Puts pip into the project.
pub(super) fn bring_pip(net: &Net) {
    let copy = format!("cp -r {}/pip .", python_packages().display());
    let made = net.stage.command(Path::new("/bin/sh"), &["-c", &copy]);
    let made = as_root(&made).output().unwrap();
    assert!(made.status.success(), "{}", text(&made));
}

/// Puts requests and httpx into the project, below `site`.
pub(super) fn bring_python(net: &Net) {
    let copy = format!(
        "mkdir site && cd {} && cp -r $(ls | grep -v -e pip -e setuptools -e pkg_) \"$OLDPWD/site\"",
        python_packages().display()
    );
    let made = net.stage.command(Path::new("/bin/sh"), &["-c", &copy]);
    let made = as_root(&made).output().unwrap();
    assert!(made.status.success(), "{}", text(&made));
}

/// Puts cargo, and something that depends on `hello`, into the project.
pub(super) fn bring_cargo(net: &Net) {
    let manifest = "[package]\nname = \"x\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\
         [dependencies]\nhello = { version = \"1\", registry = \"ours\" }\n";
    net.stage.write("project/Cargo.toml", manifest);
    net.stage.write("project/src/lib.rs", "");
    let cargo = net.stage.project().join("cargo");
    std::fs::copy(std::env::var_os("CARGO").unwrap(), &cargo).unwrap();
    net.stage.give(&cargo);
}
/// Permits a host at a port, and the loopback address it leads to.
pub(super) fn permit(host: &str, port: u16) -> String {
    let permit = |endpoint: String| {
        format!(
            "permit (principal, action == Action::\"net.connect\", \
             resource == Endpoint::\"{endpoint}\");\n"
        )
    };
    permit(format!("{host}:{port}")) + &permit(format!("127.0.0.1:{port}"))
}

#[test]
fn npm_installs_from_a_registry() {
    let net = registries();
    net.stage.write("project/package.json", "{}");
    let install = "npm install --no-audit --no-fund --fetch-retries 0 --loglevel error \
         --registry http://good.example:{web}/files/npm/ hello && node -p 'require(\"hello\")'";
    reaches(&net, install, ("hello from npm", "403 Denied by Ringfence: evil.example:"));
}

#[test]
fn pip_installs_from_an_index() {
    let net = registries();
    let install = "PYTHONPATH=. python3 -m pip --disable-pip-version-check --no-cache-dir \
         --retries 0 install --index-url http://good.example:{web}/files/simple/ \
         --trusted-host good.example --target out$$ hello && PYTHONPATH=out$$ python3 -c 'import hello'";
    reaches(&net, install, ("hello from pypi", "No matching distribution found for hello"));
}

#[test]
fn cargo_fetches_from_an_index() {
    let net = registries();
    let vendor = "rm -rf vendor Cargo.lock; CARGO_HOME=$PWD/home$$ \
         CARGO_REGISTRIES_OURS_INDEX=sparse+http://good.example:{web}/files/cargo/ \
         ./cargo vendor -q && cat vendor/hello/src/lib.rs";
    reaches(&net, vendor, ("hello from cargo", "403"));
}

#[test]
fn apt_downloads_from_an_archive() {
    let net = registries();
    let download = "rm -rf apt; mkdir -p apt/lists/partial apt/cache/archives/partial; \
         echo 'deb [trusted=yes] http://good.example:{web}/files/deb/ ./' > apt/sources.list; \
         a=\"-q -o Dir::State=$PWD/apt -o Dir::State::lists=$PWD/apt/lists -o Dir::Cache=$PWD/apt/cache \
         -o Dir::Etc::sourcelist=$PWD/apt/sources.list -o Dir::Etc::sourceparts=- \
         -o APT::Sandbox::User= -o APT::Update::Error-Mode=any\"; \
         apt-get $a update && apt-get $a download hello-ours && ls *.deb";
    reaches(&net, download, ("hello-ours_1.0_all.deb", "403  Denied by Ringfence: evil.example:"));
}

#[test]
fn requests_and_httpx_get_pages() {
    let net = Net::new(somebody());
    bring_python(&net);
    for library in ["requests", "httpx"] {
        let get = format!(
            "PYTHONPATH=site python3 -c 'import {library} as r; \
             a = r.get(\"http://good.example:{{web}}/\"); a.raise_for_status(); print(a.text)'"
        );
        reaches(&net, &get, ("hello from web", "Denied by Ringfence: evil.example:"));
    }
}

#[test]
fn java_gets_pages() {
    let net = Net::new(somebody());
    net.stage.write("project/Get.java", include_str!("../../net/Get.java"));
    let get = "java -XX:TieredStopAtLevel=1 Get.java http://good.example:{web}/";
    reaches(&net, get, ("hello from web", "403"));
}

#[test]
fn a_program_of_another_c_library_gets_pages() {
    let net = Net::new(somebody());
    net.stage.write("project/get.c", include_str!("../../net/get.c"));
    let made = net.script(Side::Outside, "musl-gcc -static -O1 -o get get.c");
    assert!(made.status.success(), "{}", text(&made));
    reaches(&net, "./get good.example {web}", ("hello from web", "may not connect"));
}

#[test]
fn curl_speaks_http_2_and_websockets() {
    let net = Net::new(somebody());
    let h2 = "curl -sS --http2 --cacert ca.pem -w '%{http_version}\\n' https://good.example:{h2}/";
    reaches(&net, h2, ("hello from h2\n2\n", "access denied"));
    let upgrade = "curl -sS -i -N -m 1 \
         -H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' \
         -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' http://good.example:{web}/ | head -1";
    let said = text(&net.script(Side::Inside, upgrade));
    assert!(said.contains("101 Switching Protocols"), "{said}");
}

#[test]
fn chromium_shows_pages() {
    let net = Net::new(somebody());
    let show = "HOME=$PWD/h chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage \
         --user-data-dir=$PWD/profile --dump-dom --timeout=10000 http://good.example:{web}/ 2>&1";
    let said = text(&net.script(Side::Inside, show));
    assert!(said.contains("hello from web"), "{said}");
    let denied = show.replace("good.example", "evil.example");
    let said = text(&net.script(Side::Inside, &denied));
    assert!(said.contains("may not connect to evil.example:"), "{said}");
}

#[test]
fn psql_reaches_a_service_of_this_host() {
    let port = free_port();
    let net = Net::with_policy(somebody(), |_| permit("host.ringfence.internal", port));
    let dir = net.stage.home().join("outside/db");
    let bin = std::fs::read_dir("/usr/lib/postgresql").unwrap().next().unwrap().unwrap();
    let bin = bin.path().join("bin");
    // It does not run as root.
    let who = if is_root() { "setpriv --reuid=65534 --regid=65534 --clear-groups" } else { "" };
    let make = format!(
        "mkdir {dir} && chmod 777 {dir} && cd {dir} && \
         {who} {bin}/initdb -D {dir}/data -U tester --auth=trust --no-sync --locale=C -E UTF8",
        dir = dir.display(),
        bin = bin.display()
    );
    let made = Command::new("sh").args(["-c", &make]).output().unwrap();
    assert!(made.status.success(), "{}", text(&made));
    let start = format!(
        "exec {who} {}/postgres -D {dir}/data -h 127.0.0.1 -p {port} -k {dir} -F 2>/dev/null",
        bin.display(),
        dir = dir.display()
    );
    let mut server = Command::new("sh");
    server.args(["-c", &start]);
    let _server = Started::listening(server, port);
    let select = format!(
        "psql -At -h host.ringfence.internal -p {port} -U tester postgres -c \"select 'hello ' || 6*7\""
    );
    let output = net.script(Side::Inside, &select);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "hello 42\n", "{}", text(&output));
    let denied = net.said("psql -At -h host.ringfence.internal -U tester postgres -c 'select 1'");
    assert!(denied.contains("port 5432 failed: Connection refused"), "{denied}");
    assert!(denied.contains("may not connect to host.ringfence.internal:5432"), "{denied}");
}

#[test]
fn git_clones_and_pushes_over_ssh() {
    let port = free_port();
    let net = Net::with_policy(somebody(), |_| permit("good.example", port));
    let (server, user) = ssh_server(&net, port);
    let repository = net.stage.home().join("outside/repo.git");
    let make = format!("git init -q --bare -b main {}", repository.display());
    let made = Command::new("sh").args(["-c", &make]).output().unwrap();
    assert!(made.status.success(), "{}", text(&made));
    let url = format!("ssh://{user}@good.example:{port}{}", repository.display());
    let push = format!(
        "export GIT_SSH_COMMAND='ssh -F none -i key -o StrictHostKeyChecking=no \
         -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR'; chmod 600 key; \
         git clone -q {url} work && cd work && export GIT_SSH_COMMAND=\"$GIT_SSH_COMMAND -i ../key\" && \
         git -c user.name=a -c user.email=a@b commit -q --allow-empty -m pushed && \
         git push -q origin HEAD:main && git ls-remote origin main"
    );
    let output = net.script(Side::Inside, &push);
    assert!(output.status.success(), "{}", text(&output));
    let log = format!("git --git-dir={} log --format=%s main", repository.display());
    let log = Command::new("sh").args(["-c", &log]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&log.stdout), "pushed\n", "{}", text(&log));
    let denied = net.said("git ls-remote ssh://git@evil.example/repo.git");
    let words = "connect to host evil.example port 22: Connection refused";
    assert!(denied.contains(words), "{denied}");
    assert!(denied.contains("may not connect to evil.example:22"), "{denied}");
    drop(server);
}

/// A server of OpenSSH at a port of the loopback, which lets the tests' own user in by `project/key`;
/// and that user.
pub(super) fn ssh_server(net: &Net, port: u16) -> (Started, String) {
    let (dir, key) = (net.stage.home().join("outside/ssh"), net.stage.project().join("key"));
    let make = format!(
        "mkdir -p {dir} && ssh-keygen -q -t ed25519 -N '' -f {dir}/host && \
         ssh-keygen -q -t ed25519 -N '' -C '' -f {key} && cp {key}.pub {dir}/authorized && id -un && \
         {{ [ $(id -u) != 0 ] || mkdir -p -m 755 /run/sshd; }}",
        dir = dir.display(),
        key = key.display()
    );
    let made = Command::new("sh").args(["-c", &make]).output().unwrap();
    assert!(made.status.success(), "{}", text(&made));
    net.stage.give(&key);
    let user = String::from_utf8(made.stdout).unwrap().trim().to_owned();
    let file = |name: &str| dir.join(name).display().to_string();
    let mut command = Command::new("/usr/sbin/sshd");
    command.args(["-D", "-e", "-f", "none", "-p", &port.to_string(), "-h", &file("host")]);
    for option in [
        "ListenAddress=127.0.0.1".to_owned(),
        format!("AuthorizedKeysFile={}", file("authorized")),
        "StrictModes=no".to_owned(),
        "UsePAM=no".to_owned(),
        "PermitRootLogin=prohibit-password".to_owned(),
        format!("PidFile={}", file("pid")),
    ] {
        command.args(["-o", &option]);
    }
    (Started::listening(command, port), user)
}

/// The same command as whoever runs the tests: what setup installed is theirs.
pub(super) fn as_root(command: &Command) -> Command {
    let words: Vec<_> = command.get_args().collect();
    let at = words.iter().position(|word| *word == "-c").unwrap();
    let mut same = Command::new("/bin/sh");
    same.args(&words[at..]).current_dir(command.get_current_dir().unwrap());
    same
}
