//! The programs of a developer's day over TLS that is opened: each believes the session's authority
//! without any setting, and its requests are decided.

use super::inspect::{inside, net, paths};
use super::stage::Net;
use super::tools::{bring_cargo, bring_pip, bring_python, fill_registries, somebody};

/// A script prints this where its request is permitted, and the server sees another request never.
fn gets(net: &Net, script: &str, expected: &str) {
    net.seen();
    let said = inside(net, &format!("{{ {script}; }} 2>&1 | cat"));
    assert!(said.contains(expected), "{script}: {said}");
    let seen = paths(net);
    assert!(!seen.is_empty(), "{script}: {said}");
    let denied = script.replace("/open/", "/other/").replace("/files/", "/hidden/");
    let said = inside(net, &format!("{{ {denied}; }} 2>&1 | cat"));
    assert!(!said.contains(expected), "{denied}: {said}");
    // What the program itself says, or what the gate adds to it.
    let told = said.contains("may not send") || said.contains("Denied by Ringfence");
    assert!(told, "{denied}: {said}");
    assert!(paths(net).is_empty(), "{denied}: {said}");
}

#[test]
fn runtimes_and_browsers_believe_the_authority_of_the_session() {
    let net = net(somebody());
    net.stage.write("project/Get.java", include_str!("../../net/Get.java"));
    bring_python(&net);
    let url = "https://good.example:{tls}/open/1";
    let python = |library: &str| {
        format!("PYTHONPATH=site python3 -c 'import {library} as r; print(r.get(\"{url}\").text)'")
    };
    for script in [
        format!("java -XX:TieredStopAtLevel=1 Get.java {url}"),
        python("requests"),
        python("httpx"),
        format!(
            "HOME=$PWD/h chromium --headless --no-sandbox --disable-gpu --disable-dev-shm-usage \
             --user-data-dir=$PWD/profile --dump-dom --timeout=10000 {url}"
        ),
    ] {
        gets(&net, &script, "hello from tls");
    }
}

#[test]
fn package_managers_and_git_believe_the_authority_of_the_session() {
    let net = net(somebody());
    let origin = "https://good.example:{tls}/files";
    fill_registries(&net, origin);
    bring_cargo(&net);
    bring_pip(&net);
    for (script, expected) in [
        (
            format!(
                "rm -rf node_modules package-lock.json; npm install --no-audit --no-fund \
                 --fetch-retries 0 --loglevel error --cache c$$ --registry {origin}/npm/ hello && \
                 node -p 'require(\"hello\")'"
            ),
            "hello from npm",
        ),
        (
            format!(
                "PYTHONPATH=. python3 -m pip --disable-pip-version-check --no-cache-dir --retries 0 \
                 install --index-url {origin}/simple/ --target out$$ hello && \
                 PYTHONPATH=out$$ python3 -c 'import hello'"
            ),
            "hello from pypi",
        ),
        (
            format!(
                "rm -rf vendor Cargo.lock; CARGO_HOME=$PWD/home$$ \
                 CARGO_REGISTRIES_OURS_INDEX=sparse+{origin}/cargo/ \
                 ./cargo vendor -q && cat vendor/hello/src/lib.rs"
            ),
            "hello from cargo",
        ),
        (
            format!(
                "rm -rf apt; mkdir -p apt/lists/partial apt/cache/archives/partial; \
                 echo 'deb [trusted=yes] {origin}/deb/ ./' > apt/sources.list; \
                 a=\"-q -o Dir::State=$PWD/apt -o Dir::State::lists=$PWD/apt/lists \
                 -o Dir::Cache=$PWD/apt/cache -o Dir::Etc::sourcelist=$PWD/apt/sources.list \
                 -o Dir::Etc::sourceparts=- -o APT::Sandbox::User= \
                 -o APT::Update::Error-Mode=any\"; \
                 rm -f *.deb; apt-get $a update && apt-get $a download hello-ours && ls *.deb"
            ),
            "hello-ours_1.0_all.deb",
        ),
        (
            format!(
                "new=$(mktemp -u XXXXXX); git clone -q {origin}/repo.git $new && cat $new/hello"
            ),
            "hello from git",
        ),
    ] {
        gets(&net, &script, expected);
    }
}
