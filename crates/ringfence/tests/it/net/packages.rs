//! Package managers behind rules on releases, against registries of our own: of `aged`, 1.0.0 is years
//! old and 2.0.0 new; `banned` is old.

use std::path::Path;
use std::process::Command;

use super::stage::Net;
use super::tools::{as_root, python_packages, somebody};
use crate::attacks::stage::{Side, text};

/// Nothing younger than three days, and nothing that is called `banned`.
const RULES: &str = r#"
@id("packages")
permit (principal, action == Action::"net.request", resource)
when { context has package && context.package.age_hours >= 3 * 24 };
@id("banned") @reason("it was taken over")
forbid (principal, action == Action::"net.request", resource)
when { context has package && context.package.name == "banned" };
"#;

/// A network with these rules, in which `web` and `tls` have registries by these settings.
fn registries(settings: &str) -> Net {
    let permit = |endpoint: String| {
        format!(
            "permit (principal, action == Action::\"net.connect\", \
             resource == Endpoint::\"{endpoint}\");\n"
        )
    };
    let net = Net::with_policy(somebody(), |port| {
        let all = ["web", "other", "tls"].map(|name| {
            let port = port(name);
            permit(format!("good.example:{port}")) + &permit(format!("127.0.0.1:{port}"))
        });
        all.concat() + RULES
    });
    let files = net.stage.home().join("outside/files");
    let made = Command::new("/usr/bin/python3")
        .arg("tests/net/releases.py")
        .arg(&files)
        .arg(net.with_ports("https://good.example:{tls}/files"))
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", text(&made));
    net.stage.write(".config/ringfence/settings.toml", &net.with_ports(settings));
    net
}

fn registry(ecosystem: &str, url: &str) -> String {
    format!("[[registry]]\necosystem = \"{ecosystem}\"\nurl = \"{url}\"\n")
}

/// What a script inside says, and is told by the gate, where the host believes the servers; and
/// whether it succeeded.
fn inside(net: &Net, script: &str) -> (String, bool) {
    let script = format!("{{ {{ {script}; }} && echo it succeeded; }} 2>&1 | cat");
    let mut command = net.command(Side::Inside, &script);
    command.env("SSL_CERT_FILE", net.stage.home().join("project/ca.pem"));
    let said = text(&command.output().unwrap());
    let succeeded = said.contains("it succeeded");
    (said, succeeded)
}

fn succeeds(net: &Net, script: &str, expected: &str) -> String {
    let (said, succeeded) = inside(net, script);
    assert!(succeeded && said.contains(expected), "{script}: {said}");
    said
}

fn fails(net: &Net, script: &str, expected: &[&str]) {
    let (said, succeeded) = inside(net, script);
    assert!(!succeeded, "{script}: {said}");
    for words in expected {
        assert!(said.contains(words), "{script}: no `{words}` in {said}");
    }
}

/// The servers have not seen a request for a file of this name.
fn nobody_saw(net: &Net, file: &str) {
    let seen = net.seen();
    let saw = seen.iter().any(|it| it["path"].as_str().is_some_and(|path| path.contains(file)));
    assert!(!saw, "{seen:?}");
}

const NPM: &str = "npm install --no-audit --no-fund --fetch-retries 0 --loglevel error \
     --registry https://good.example:{tls}/files/registry/";

fn npm() -> Net {
    let net = registries(&registry("npm", "https://good.example:{tls}/files/registry/"));
    net.stage.write("project/package.json", "{}");
    net
}

#[test]
fn npm_installs_the_newest_release_that_is_old_enough() {
    let net = npm();
    let install = format!("{NPM} aged && node -p 'require(\"aged\")'");
    let said = succeeds(&net, &install, "aged 1.0.0 from npm");
    assert!(said.contains("kept back: aged 2.0.0 of npm"), "{said}");
    nobody_saw(&net, "aged-2.0.0.tgz");
    let shown = net.stage.succeed(&["show"]);
    assert!(shown.contains("aged 1.0.0 of npm, released 1095 days ago"), "{shown}");
    assert!(shown.contains("kept back: 2.0.0"), "{shown}");
}

#[test]
fn a_test_of_the_network_says_that_connections_to_registries_are_opened() {
    let net = npm();
    for (server, opened) in [("tls", true), ("web", false)] {
        let target = net.with_ports(&format!("good.example:{{{server}}}"));
        let inner = net.stage.ringfence_command(&["net", "test", &target]);
        let said = text(&net.named(&inner).output().unwrap());
        assert_eq!(said.contains("each request is decided"), opened, "{said}");
    }
    for (age, word, code) in [
        (&[][..], "would be denied", 1),
        (&["--age", "1h"], "would be denied", 1),
        (&["--age", "360d"], "would be permitted", 0),
    ] {
        let target =
            net.with_ports("https://good.example:{tls}/files/registry/aged/-/aged-2.0.0.tgz");
        let words = [&["net", "test", &target][..], age].concat();
        let output = net.named(&net.stage.ringfence_command(&words)).output().unwrap();
        let said = text(&output);
        assert!(said.contains(word) && output.status.code() == Some(code), "{age:?}: {said}");
        assert!(said.contains("aged 2.0.0 of npm, released"), "{said}");
    }
}

#[test]
fn npm_says_in_plain_words_what_is_denied() {
    let net = npm();
    fails(&net, &format!("{NPM} banned"), &["403", "it was taken over", "banned 1.0.0 of npm"]);
    nobody_saw(&net, "banned-1.0.0.tgz");
    // By its address, as a lock file has it.
    let address = "https://good.example:{tls}/files/registry/aged/-/aged-2.0.0.tgz";
    fails(
        &net,
        &format!("{NPM} {address}"),
        &["403", "aged 2.0.0 of npm, released within the hour"],
    );
    nobody_saw(&net, "aged-2.0.0.tgz");
    let lock = format!(
        "{{\"lockfileVersion\":3,\"packages\":{{\"\":{{\"dependencies\":{{\"aged\":\"2.0.0\"}}}},\
         \"node_modules/aged\":{{\"version\":\"2.0.0\",\"resolved\":\"{}\"}}}}}}",
        net.with_ports(address)
    );
    net.stage.write("project/package.json", "{\"dependencies\":{\"aged\":\"2.0.0\"}}");
    net.stage.write("project/package-lock.json", &lock);
    let clean = NPM.replace("npm install", "npm ci");
    fails(&net, &clean, &["403", "aged 2.0.0 of npm"]);
    nobody_saw(&net, "aged-2.0.0.tgz");
}

#[test]
fn no_other_way_leads_to_a_release_that_is_denied() {
    let net = npm();
    let origin = "https://good.example:{tls}";
    let get = |target: &str| {
        format!("curl -sS --path-as-is -o got -w '%{{http_code}}' '{origin}{target}'; cat got")
    };
    // The oracle: the old one is there.
    succeeds(&net, &get("/files/registry/aged/-/aged-1.0.0.tgz"), "200");
    for target in [
        "/files/registry/aged/-/aged-2.0.0.tgz",
        "/files/registry/aged/-/aged-2.0.0.tgz?x=y",
        "/files/registry/aged/-/aged-2.0.0.tg%7A",
        "/files/registry/%61ged/-/aged-2.0.0.tgz",
        "/files/registry/aged%2F-%2Faged-2.0.0.tgz",
        "/files/registry//aged/-/aged-2.0.0.tgz",
        "/files//registry/aged/-/aged-2.0.0.tgz",
        "/files/registry/aged/-/aged-2.0.0.tgz/",
        "/files/registry/aged/-/aged-2.0.0.tgz;x",
        "/files/registry/x/../aged/-/aged-2.0.0.tgz",
        "/files/registry/banned/-/aged-2.0.0.tgz",
        // Beside the registry.
        "/files/npm-files/aged-2.0.0.tgz",
        "/files/%6epm-files/aged-2.0.0.tgz",
        // Not called like a release at all.
        "/files/hidden/aged-2.0.0.bin",
        "/files/hidden/banned-1.0.0.bin",
        "/download?file=aged-2.0.0.tgz",
    ] {
        let (said, _) = inside(&net, &get(target));
        assert!(said.contains("40") && !said.contains("200"), "{target}: {said}");
    }
    let (said, _) = inside(&net, &get("/files/hidden/aged-2.0.0.bin"));
    assert!(said.contains("which npm release is at") && said.contains("is not known"), "{said}");
    // In parts, too.
    let part = get("/files/hidden/aged-2.0.0.bin").replace("curl", "curl -r 20-400");
    let (said, _) = inside(&net, &part);
    assert!(said.contains("403"), "{said}");
    // What is neither a list nor a release passes.
    succeeds(&net, &get("/-/ping"), "hello from tls");
}

#[test]
fn a_redirect_leads_to_no_place_that_rules_do_not_reach() {
    let net = npm();
    let get = "curl -sS -L -o got -w '%{http_code}' \
         https://good.example:{tls}/to/other/files/hidden/aged-2.0.0.bin; cat got";
    let (said, _) = inside(&net, get);
    assert!(said.contains("403") && said.contains("the settings do not say"), "{said}");
    let settings = registry("npm", "https://good.example:{tls}/files/registry/")
        + "files = [\"http://good.example:{other}/files/hidden/\"]\n";
    net.stage.write(".config/ringfence/settings.toml", &net.with_ports(&settings));
    // Now it is reached: there, the address does not say which release it is.
    let (said, _) = inside(&net, get);
    assert!(said.contains("403") && said.contains("is not known"), "{said}");
}

/// `pip` in the project, with `index` as the place of the lists.
fn pip(index: &str) -> (Net, String) {
    let net =
        registries(&registry("pypi", &format!("https://good.example:{{tls}}/files/{index}/")));
    let copy = format!("cp -r {}/pip .", python_packages().display());
    let made = net.stage.command(Path::new("/bin/sh"), &["-c", &copy]);
    let made = as_root(&made).output().unwrap();
    assert!(made.status.success(), "{}", text(&made));
    let install = format!(
        "PYTHONPATH=. python3 -m pip --disable-pip-version-check --no-cache-dir --retries 0 install \
         --index-url https://good.example:{{tls}}/files/{index}/ --target out$$"
    );
    (net, install)
}

#[test]
fn pip_installs_the_newest_release_that_is_old_enough() {
    // The list says when its files came out; a page does not, and the files are asked.
    for index in ["simple", "pages"] {
        let (net, install) = pip(index);
        let script = format!("{install} aged && PYTHONPATH=out$$ python3 -c 'import aged'");
        let said = succeeds(&net, &script, "aged 1.0.0 from pypi");
        assert!(said.contains("kept back: aged 2.0.0 of pypi"), "{said}");
    }
}

#[test]
fn pip_and_the_gate_say_what_is_denied() {
    let (net, install) = pip("simple");
    fails(&net, &format!("{install} banned"), &["it was taken over", "banned 1.0.0 of pypi"]);
    fails(&net, &format!("{install} aged==2.0.0"), &["kept back: aged 2.0.0 of pypi"]);
    // By its address, which is beside the index: a list has to confirm what it is.
    let url = |release: &str| {
        format!("https://good.example:{{tls}}/files/wheels/{release}-py3-none-any.whl")
    };
    let direct = |release: &str| format!("{install} --no-index {}", url(release));
    fails(&net, &direct("aged-2.0.0"), &["403", "aged 2.0.0 of pypi"]);
    fails(&net, &direct("banned-1.0.0"), &["403", "it was taken over"]);
    nobody_saw(&net, "wheels/");
    succeeds(&net, &direct("aged-1.0.0"), "Successfully installed aged-1.0.0");
}

fn cargo(version: &str) -> (Net, &'static str) {
    let net = registries(&registry("cargo", "sparse+https://good.example:{tls}/files/cargo/"));
    require(&net, version);
    net.stage.write("project/src/lib.rs", "");
    let cargo = net.stage.project().join("cargo");
    std::fs::copy(std::env::var_os("CARGO").unwrap(), &cargo).unwrap();
    net.stage.give(&cargo);
    let vendor = "rm -rf vendor Cargo.lock; CARGO_HOME=$PWD/home$$ \
         CARGO_REGISTRIES_OURS_INDEX=sparse+https://good.example:{tls}/files/cargo/ \
         ./cargo vendor -q && cat vendor/*/src/lib.rs";
    (net, vendor)
}

fn require(net: &Net, dependency: &str) {
    let manifest = format!(
        "[package]\nname = \"x\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[dependencies]\n{dependency}\n"
    );
    net.stage.write("project/Cargo.toml", &manifest);
}

#[test]
fn cargo_fetches_the_newest_release_that_is_old_enough() {
    let (net, vendor) = cargo("aged = { version = \">=1\", registry = \"ours\" }");
    let said = succeeds(&net, vendor, "aged 1.0.0 from cargo");
    assert!(said.contains("kept back: aged 2.0.0 of cargo"), "{said}");
    require(&net, "aged = { version = \"2\", registry = \"ours\" }");
    fails(&net, vendor, &["kept back: aged 2.0.0 of cargo"]);
    require(&net, "banned = { version = \"1\", registry = \"ours\" }");
    fails(&net, vendor, &["403", "it was taken over"]);
    let file = "curl -sSf -o got https://good.example:{tls}/files/cargo/aged-2.0.0.crate";
    fails(&net, file, &["403", "aged 2.0.0 of cargo"]);
    nobody_saw(&net, "aged-2.0.0.crate");
    // Files where no rule on releases reaches them.
    let elsewhere = "{\"dl\":\"http://good.example:{other}/files/cargo/{crate}-{version}.crate\"}";
    net.stage.write("outside/files/cargo/config.json", &net.with_ports(elsewhere));
    require(&net, "aged = { version = \">=1\", registry = \"ours\" }");
    fails(&net, vendor, &["403", "the settings do not say"]);
}

#[test]
fn apt_downloads_what_is_old_enough_and_says_what_is_not() {
    let net = registries(&registry("debian", "http://good.example:{web}/files/deb/"));
    let apt = "rm -rf apt *.deb; mkdir -p apt/lists/partial apt/cache/archives/partial; \
         echo 'deb [trusted=yes] http://good.example:{web}/files/deb stable main' > apt/sources.list; \
         a=\"-q -o Dir::State=$PWD/apt -o Dir::State::lists=$PWD/apt/lists -o Dir::Cache=$PWD/apt/cache \
         -o Dir::Etc::sourcelist=$PWD/apt/sources.list -o Dir::Etc::sourceparts=- \
         -o APT::Sandbox::User= -o APT::Update::Error-Mode=any\"; \
         apt-get $a update && apt-get $a download";
    succeeds(&net, &format!("{apt} aged=1.0.0 && ls *.deb"), "aged_1.0.0_all.deb");
    let words = ["403  Denied by Ringfence: aged 2.0.0 of debian, released within the hour"];
    fails(&net, &format!("{apt} aged"), &words);
    fails(&net, &format!("{apt} banned"), &["banned 1.0.0 of debian", "it was taken over"]);
}
