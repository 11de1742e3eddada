//! Secrets by real programs: the server saw the real key, and the world never did.

use std::io::Write as _;
use std::process::Stdio;

use serde_json::Value;

use super::stage::Net;
use crate::attacks::stage::{Side, Who, everybody, text};
use crate::run::Terminal;

/// Has what is spelled differently in JSON, in a query and in base64.
const VALUE: &str = "sk-ant-api03-Zq9/xY+wB_7h-cR2mN4pLk8vT1sD6fGj";
/// A part of it that no stand-in has.
const PART: &str = "Zq9/xY+wB";

const RULES: &str = r#"
@id("use")
permit (principal, action == Action::"secret.use", resource == Secret::"model");
@id("use-forge")
permit (principal, action == Action::"secret.use", resource == Secret::"forge");
"#;

/// Permits all servers, and the uses that `rules` permit; `model` and `other` are kept.
fn net(who: Who, rules: &str) -> Net {
    let net = Net::with_policy(who, |port| {
        let permit = |host: &str, name: &str| {
            let port = port(name);
            format!(
                "permit (principal, action == Action::\"net.connect\", \
                 resource == Endpoint::\"{host}:{port}\");\n"
            )
        };
        let all = ["keys", "openkeys", "web"].map(|name| {
            ["good.example", "www.good.example", "host.ringfence.internal", "127.0.0.1"]
                .map(|host| permit(host, name))
                .concat()
        });
        all.concat() + rules
    });
    let slots = "--header x-api-key --header authorization:Bearer --query key --path /v1 \
                 --path /json --path /unicode --path /base64 --path /percent --path /hex \
                 --path /split --path /gzip --path /redirect --methods GET,POST";
    keep(
        &net,
        &format!(
            "model --for good.example:{{keys}} --for good.example:{{openkeys}} \
             --for host.ringfence.internal:{{openkeys}} {slots} --env MODEL_KEY --file model.key"
        ),
        VALUE,
    );
    keep(
        &net,
        "other --for www.good.example:{keys} --header x-api-key --env OTHER_KEY",
        "other-0123456789-abcdef",
    );
    net
}

pub(super) fn keep(net: &Net, words: &str, value: &str) {
    let words = net.with_ports(words);
    let words: Vec<&str> = ["secret", "add"].into_iter().chain(words.split_whitespace()).collect();
    let mut command = net.stage.ringfence_command(&words);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(value.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
}

/// What a script inside prints, in a world whose starter has the real key in its environment.
fn inside(net: &Net, script: &str) -> String {
    let script = format!("{{ {script}; }} 2>&1 | cat");
    let mut command = net.command(Side::Inside, &script);
    command.env("SSL_CERT_FILE", net.stage.home().join("project/ca.pem")).env("MODEL_KEY", VALUE);
    let said = text(&command.output().unwrap());
    assert!(!said.contains(PART) && !said.contains(&encoded(PART)), "{said}");
    said
}

/// As in base64, in the middle of a text.
fn encoded(part: &str) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(part);
    text.get(..text.len() - 4).unwrap().to_owned()
}

/// What the server was shown in a header, request by request.
pub(super) fn shown(net: &Net, header: &str) -> Vec<String> {
    let all = net.seen().into_iter().filter(|it| it["path"].is_string());
    all.map(|it| it["headers"][header].as_str().unwrap_or("").to_owned()).collect()
}

fn incidents(net: &Net) -> Vec<Value> {
    net.entries("secret_misused").into_iter().chain(net.entries("secret-misused")).collect()
}

#[test]
fn the_server_sees_the_key_and_the_world_never_does() {
    for who in everybody() {
        let net = net(who, RULES);
        let origin = "https://good.example:{keys}";
        for (program, header, expected) in [
            (
                format!("curl -sS {origin}/v1 -H \"x-api-key: $MODEL_KEY\""),
                "x-api-key",
                VALUE.to_owned(),
            ),
            (
                format!(
                    "curl -sS --http1.1 {origin}/v1 -H \"authorization: Bearer $(cat model.key)\""
                ),
                "authorization",
                format!("Bearer {VALUE}"),
            ),
            (
                format!(
                    "python3 -c 'import os, urllib.request as r; q = r.Request(\"{origin}/v1\", \
                     headers={{\"X-Api-Key\": os.environ[\"MODEL_KEY\"]}}); \
                     print(r.urlopen(q).read().decode())'"
                ),
                "x-api-key",
                VALUE.to_owned(),
            ),
            (
                format!(
                    "node -e 'fetch(\"{origin}/v1\", {{headers: {{\"x-api-key\": \
                     process.env.MODEL_KEY}}}}).then(r => r.text()).then(console.log)'"
                ),
                "x-api-key",
                VALUE.to_owned(),
            ),
        ] {
            net.seen();
            let said = inside(&net, &program);
            assert!(said.contains("/v1 ") && said.contains(" end"), "{program}: {said}");
            assert_eq!(shown(&net, header), [expected], "{program}: {said}");
            assert!(incidents(&net).is_empty());
        }
        let said = inside(&net, &format!("curl -sS \"{origin}/v1?a=1&key=$MODEL_KEY\""));
        let path = net.seen().into_iter().find_map(|it| Some(it["path"].as_str()?.to_owned()));
        let query = VALUE.replace('/', "%2F").replace('+', "%2B");
        assert_eq!(path, Some(format!("/v1?a=1&key={query}")), "{said}");
        // Over the host's own loopback nothing can be overheard.
        let local = "http://host.ringfence.internal:{openkeys}/v1";
        inside(&net, &format!("curl -sS {local} -H \"x-api-key: $MODEL_KEY\""));
        assert_eq!(shown(&net, "x-api-key"), [VALUE]);
        let used = net.entries("use_secret");
        assert!(!used.is_empty() && !used.iter().any(|it| it.to_string().contains(PART)));
    }
}

#[test]
fn nothing_in_a_world_or_behind_it_has_the_key() {
    for who in everybody() {
        let net = net(who, RULES);
        let home = net.stage.home().display().to_string();
        // The pattern is in two pieces, so that the script does not find itself.
        let said = inside(
            &net,
            &format!(
                "curl -sS https://good.example:{{keys}}/v1 -H \"x-api-key: $MODEL_KEY\"; \
                 echo key=$MODEL_KEY; echo file=$(cat model.key); env; \
                 cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'; \
                 grep -rlF 'Zq9/x''Y+wB' {home} /run /tmp /etc /var /dev/shm 2>/dev/null; \
                 ls -a {home}/.local/state/ringfence/secrets; echo searched"
            ),
        );
        assert!(said.contains("searched") && said.contains("No such file"), "{said}");
        assert!(
            said.contains("key=sk-ant-api03-") && said.contains("file=sk-ant-api03-"),
            "{said}"
        );
        assert!(!said.contains("left out of the environment"), "{said}");
        // And nothing stays: neither a value in the log, nor a file in the project.
        let found = std::process::Command::new("grep")
            .args(["-rlF", VALUE])
            .args([net.stage.home()])
            .output()
            .unwrap();
        assert_eq!(text(&found), "");
        assert!(!net.stage.has("project/model.key"));
    }
}

#[test]
fn a_key_of_the_environment_stays_outside_and_is_put_in() {
    for who in everybody() {
        let net = net(who, RULES);
        net.stage.succeed(&["secret", "remove", "model", "--yes"]);
        let words = "secret add model --from env:ANTHROPIC_API_KEY --header x-api-key \
                     --env STAND_IN --for good.example:{keys}";
        let words = net.with_ports(words);
        let words: Vec<&str> = words.split_whitespace().collect();
        let unset = net.stage.ringfence_command(&words).output().unwrap();
        assert!(text(&unset).contains("$ANTHROPIC_API_KEY is not set"), "{}", text(&unset));
        let mut command = net.stage.ringfence_command(&words);
        let kept = command.env("ANTHROPIC_API_KEY", VALUE).output().unwrap();
        assert!(kept.status.success(), "{}", text(&kept));
        // A variable that a world is given otherwise.
        let script = "{ curl -sS https://good.example:{keys}/v1 -H \"x-api-key: $STAND_IN\"; \
                      echo got=$ANTHROPIC_API_KEY; env; } 2>&1 | cat";
        let mut command = net.command(Side::Inside, script);
        command.env("SSL_CERT_FILE", net.stage.home().join("project/ca.pem"));
        let said = text(&command.env("ANTHROPIC_API_KEY", VALUE).output().unwrap());
        assert!(said.contains("got=\n") && !said.contains(PART), "{said}");
        assert!(said.contains("STAND_IN=sk-ant-api03-"), "{said}");
        assert_eq!(shown(&net, "x-api-key"), [VALUE], "{said}");
        let opened = net.with_ports("good.example:{keys}");
        let mut foreseen = net.named(&net.stage.ringfence_command(&["net", "test", &opened]));
        let foreseen = text(&foreseen.output().unwrap());
        assert!(foreseen.contains("opened   each request is decided"), "{foreseen}");
    }
}

#[test]
fn what_is_not_permitted_is_not_put_in() {
    for who in everybody() {
        let net = net(who, "");
        let said = inside(
            &net,
            "curl -sS https://good.example:{keys}/v1 -H \"x-api-key: $MODEL_KEY\" -w '%{http_code}'",
        );
        assert!(said.contains("may not use the secret model"), "{said}");
        assert!(said.contains("ringfence grant secret:model") && said.contains("403"), "{said}");
        assert!(net.seen().iter().all(|it| it["path"].is_null()), "{said}");
        // What has no stand-in in it goes on.
        let said = inside(&net, "curl -sS https://good.example:{keys}/v1");
        assert!(said.contains("/v1  end"), "{said}");
    }
}

#[test]
fn a_stand_in_anywhere_else_is_an_incident_and_goes_nowhere() {
    for who in everybody() {
        let net = net(who, RULES);
        let origin = "https://good.example:{keys}";
        for (attempt, why) in [
            (format!("curl -sS {origin}/v1 -H \"cookie: $MODEL_KEY\""), "not a place"),
            (format!("curl -sS {origin}/v1 -H \"x-api-key: a$MODEL_KEY\""), "not a place"),
            (format!("curl -sS {origin}/other -H \"x-api-key: $MODEL_KEY\""), "not bound to this path"),
            (format!("curl -sS '{origin}/v1/a;b' -H \"x-api-key: $MODEL_KEY\""), "more than one way"),
            (format!("curl -sS -X PUT {origin}/v1 -H \"x-api-key: $MODEL_KEY\""), "the method PUT"),
            (format!("curl -sS {origin}/v1?q=$MODEL_KEY"), "not a place"),
            (format!("curl -sS {origin}/v1/$MODEL_KEY"), "not a place"),
            (format!("curl -sS {origin}/v1 -d \"key=$MODEL_KEY\""), "no place for it"),
            (
                format!("curl -sS {origin}/v1 -d \"key=$MODEL_KEY\" -H \"x-api-key: $OTHER_KEY\""),
                "is not bound to good.example",
            ),
            (
                "curl -sS https://www.good.example:{keys}/v1 -H \"x-api-key: $MODEL_KEY\"".to_owned(),
                "is not bound to www.good.example",
            ),
            (
                "curl -sS http://good.example:{web}/v1 -H \"x-api-key: $MODEL_KEY\"".to_owned(),
                "is not bound to good.example",
            ),
            (
                "curl -sS -x http://127.0.0.1:3128 http://good.example:{web}/v1 -H \"x-api-key: $MODEL_KEY\"".to_owned(),
                "is not bound to good.example",
            ),
            (
                "curl -sS http://good.example:{openkeys}/v1 -H \"x-api-key: $MODEL_KEY\"".to_owned(),
                "it would go unencrypted",
            ),
        ] {
            net.seen();
            let told = "echo; grep -c '\"action\":\"secret.use\"' $RINGFENCE_DENIALS";
            let answer = "-o /dev/null -w '<%{http_code}>'";
            let said = inside(&net, &format!("{attempt} {answer}; {told}"));
            assert!(said.contains(why) && said.contains("<403>\n1\n"), "{attempt}: {said}");
            // Also where the program does not show what it is answered.
            assert!(said.contains("denied: what stands in for the secret"), "{attempt}: {said}");
            // A head may be there before its body: without anything real in it.
            let seen = net.seen();
            assert!(!seen.iter().any(|it| it.to_string().contains(PART)), "{attempt}: {seen:?}");
            let found = incidents(&net);
            assert_eq!(found.len(), 1, "{attempt}: {found:?}");
            let shown = net.stage.succeed(&["show"]);
            assert!(shown.contains("stand-in"), "{attempt}: {shown}");
            let entry = found[0]["index"].to_string();
            let explained = net.stage.succeed(&["explain", &entry]);
            assert!(explained.contains("incident: what stands in for the secret `"), "{explained}");
            assert!(explained.contains("  done     the request was refused"), "{explained}");
        }
    }
}

#[test]
fn what_was_refused_is_apart_from_what_was_answered_and_says_why() {
    let net = net(everybody().remove(0), RULES);
    let origin = "https://good.example:{keys}";
    let said = inside(
        &net,
        &format!(
            "curl -sS {origin}/v1; curl -sS {origin}/v1 -H \"cookie: $MODEL_KEY\"; \
             curl -sS --path-as-is {origin}/v1/../x -o /dev/null -w '<%{{http_code}}>'; \
             grep -c 'the segment' $RINGFENCE_DENIALS"
        ),
    );
    let origin = net.with_ports(origin);
    let of_path =
        net.with_ports("denied: a request to good.example:{keys}: the path has the segment");
    assert!(said.contains(&of_path) && said.contains("<400>1\n"), "{said}");
    let shown = net.stage.succeed(&["show"]);
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines: Vec<String> = shown.lines().map(words).collect();
    let begins = |start: String| lines.iter().any(|line| line.starts_with(&start));
    assert!(begins(format!("GET {origin}/v1 200 ")), "{shown}");
    assert!(begins(format!("GET {origin}/v1 refused 403 ")), "{shown}");
    assert!(shown.contains("2 requests: 1 permitted, 1 refused"), "{shown}");
    assert!(shown.contains("1 call that no policy can name"), "{shown}");
    // What a program reads is not cut, unless it says how wide it is.
    let sessions = net.stage.succeed(&["sessions"]);
    assert!(sessions.contains("grep -c 'the segment'") && !sessions.contains('…'), "{sessions}");
    let mut narrow = net.stage.ringfence_command(&["sessions"]);
    let narrow = text(&narrow.env("COLUMNS", "100").output().unwrap());
    assert!(narrow.contains('…') && !narrow.contains("the segment"), "{narrow}");
    let archive: Value = serde_json::from_str(&net.stage.succeed(&["export", "har"])).unwrap();
    let entries = archive["log"]["entries"].as_array().unwrap();
    let refused = entries.iter().find(|it| it["response"]["status"] == 403).unwrap();
    assert!(refused["comment"].as_str().unwrap().starts_with("refused: "), "{refused}");
    assert!(refused["_ringfence"]["findings"][0].as_str().unwrap().contains("stands in"));
    let call = net.entries("\"refused\"").into_iter().find(|it| it["entry"]["syscall"].is_string());
    let explained = net.stage.succeed(&["explain", &call.unwrap()["index"].to_string()]);
    assert!(explained.contains("denied before any rule was asked: a request to"), "{explained}");
}

#[test]
fn a_client_that_broke_off_is_recorded_in_plain_words() {
    let net = net(everybody().remove(0), RULES);
    let half = "POST /v1 HTTP/1.1\\r\\nHost: good.example\\r\\nContent-Length: 99\\r\\n\\r\\nhalf";
    inside(
        &net,
        &format!(
            "printf '{half}' | timeout 2 openssl s_client -quiet -connect good.example:{{keys}} \
             -servername good.example 2>/dev/null"
        ),
    );
    let ended = format!("{:?}", net.entries("finished"));
    assert!(ended.contains("the client broke off in the middle of a body"), "{ended}");
    assert!(!ended.contains("Body stream"), "{ended}");
}

#[test]
fn a_body_may_mention_a_stand_in_where_the_value_goes_too() {
    for who in everybody() {
        let net = net(who, RULES);
        let said = inside(
            &net,
            "curl -sS https://good.example:{keys}/v1 -d \"I see $MODEL_KEY\" -H \"x-api-key: $MODEL_KEY\"",
        );
        assert!(said.starts_with("51 "), "{said}");
        assert_eq!(shown(&net, "x-api-key"), [VALUE]);
        let found = incidents(&net);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].to_string().contains("\"refused\":false"), "{found:?}");
    }
}

#[test]
fn a_server_that_echoes_a_key_does_not_show_it() {
    for who in everybody() {
        let net = net(who, RULES);
        let origin = "https://good.example:{keys}";
        for how in ["v1", "json", "unicode", "base64", "percent", "hex", "split"] {
            let said = inside(
                &net,
                &format!("curl -sS -i {origin}/{how} -H \"x-api-key: $MODEL_KEY\" | tee answer"),
            );
            assert!(said.contains("200") && said.contains(" end"), "{how}: {said}");
            let spelled = |write: &dyn Fn(u8) -> String| -> String {
                VALUE
                    .bytes()
                    .skip(20)
                    .take(8)
                    .flat_map(|byte| write(byte).into_bytes())
                    .map(char::from)
                    .collect()
            };
            for left in [
                spelled(&|byte| char::from(byte).to_string()),
                spelled(&|byte| format!("{byte:02x}")),
                spelled(&|byte| format!("%{byte:02X}")),
                spelled(&|byte| format!("\\u{byte:04x}")),
            ] {
                assert!(!said.contains(&left), "{how}: {said}");
            }
        }
        let said = inside(
            &net,
            &format!("curl -sS {origin}/gzip --compressed -H \"x-api-key: $MODEL_KEY\""),
        );
        assert!(said.contains("although that was not asked for"), "{said}");
        let said = inside(
            &net,
            "curl -sS --http1.1 -i -N -m 3 -H 'connection: upgrade' -H 'upgrade: websocket' \
             -H 'sec-websocket-version: 13' -H 'sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==' \
             -H \"x-api-key: $MODEL_KEY\" https://good.example:{keys}/v1 | tr -d '\\0'",
        );
        assert!(said.contains("101") && said.contains("sk-ant-api03-"), "{said}");
    }
}

#[test]
fn what_a_client_says_over_a_websocket_is_searched_for_stand_ins() {
    let words = "python3 streams.py words good.example {keys} tls";
    for who in everybody() {
        let net = net(who, RULES);
        let mut outside = net.command(Side::Outside, &format!("{words} ca.pem"));
        let said =
            text(&outside.env("MODEL_KEY", "a-stand-in-of-more-than-twenty").output().unwrap());
        assert!(said.starts_with("words HTTP/1.1 101 Switching Protocols open"), "{said}");
        let heard = |net: &Net| -> String {
            let all = net.seen().into_iter();
            all.filter_map(|it| Some(it["words"].as_str()?.to_owned())).collect()
        };
        assert!(heard(&net).starts_with("I have a-stand-in-of-more-than-twenty here"), "{said}");
        let said = inside(&net, words);
        assert!(said.contains("101 Switching Protocols ended"), "{said}");
        assert!(said.contains("is in the body: a body is no place for it"), "{said}");
        assert!(!heard(&net).contains("here"), "{said}");
        let found = incidents(&net);
        assert!(found.len() == 1 && found[0].to_string().contains("\"refused\":true"), "{found:?}");
        // Where the value goes too it is told, and goes on.
        let said = inside(&net, &format!("WITH_KEY=1 {words}"));
        assert!(said.contains("101 Switching Protocols open"), "{said}");
        let heard = heard(&net);
        assert!(heard.contains(" here and more") && !heard.contains(PART), "{said} {heard}");
        let found = incidents(&net);
        assert!(found[0].to_string().contains("\"refused\":false"), "{found:?}");
    }
}

#[test]
fn an_answer_that_cannot_be_searched_is_refused_before_a_value_is_had_and_after() {
    for who in everybody() {
        let net = net(who, RULES);
        let plain = "curl -sS https://good.example:{keys}/gzip --compressed";
        let said = inside(
            &net,
            &format!(
                "{plain}; echo between; \
                 curl -sS https://good.example:{{keys}}/v1 -H \"x-api-key: $MODEL_KEY\"; {plain}"
            ),
        );
        let (before, after) = said.split_once("between").unwrap();
        // Also before: a value may be had while an answer goes on.
        for said in [before, after] {
            assert!(said.contains("although that was not asked for"), "{said}");
            assert!(!said.contains("/gzip  end"), "{said}");
        }
    }
}

#[test]
fn a_use_that_is_asked_about_waits_for_its_answer() {
    let rule = "permit (principal, action == Action::\"secret.use\", \
         resource == Secret::\"model\") when { context.approvals.contains(\"owner\") };";
    let net = net(everybody()[0], rule);
    net.stage.write(".config/ringfence/settings.toml", "roles = [\"owner\"]\n");
    let script = "curl -sS https://good.example:{keys}/v1 -H \"x-api-key: $MODEL_KEY\" \
         -w '<%{http_code}>'";
    for (answer, status, seen) in
        [("allow once", "<200>", vec![VALUE]), ("refuse", "<403>", vec![])]
    {
        let mut command = net.command(Side::Inside, script);
        command.env("SSL_CERT_FILE", net.stage.home().join("project/ca.pem"));
        let mut terminal = Terminal::owned_by(None, &command);
        let code = terminal.code(answer);
        assert!(shown(&net, "x-api-key").is_empty(), "{}", terminal.seen);
        terminal.types(&code);
        terminal.shows(status);
        assert!(terminal.child.wait().unwrap().success());
        assert_eq!(shown(&net, "x-api-key"), seen, "{}", terminal.seen);
    }
}

#[test]
fn a_redirect_carries_no_key_to_another_host() {
    for who in everybody() {
        let net = net(who, RULES);
        let to = "https://www.good.example:{keys}/v1";
        let said = inside(
            &net,
            &format!(
                "curl -sS -L --location-trusted 'https://good.example:{{keys}}/redirect?{to}' \
                 -H \"x-api-key: $MODEL_KEY\""
            ),
        );
        assert!(said.contains("is not bound to www.good.example"), "{said}");
        assert_eq!(shown(&net, "x-api-key"), [VALUE], "{said}");
    }
}

#[test]
fn git_pushes_over_https_without_a_token_in_the_world() {
    for who in everybody() {
        let net = net(who, RULES);
        keep(
            &net,
            "forge --kind git-https --for good.example:{keys} --path /repo.git",
            "tok-Zq9/xY+wB-x",
        );
        let repository = net.stage.home().join("outside/repo.git");
        let made = std::process::Command::new("git")
            .args(["init", "-q", "--bare", "-b", "main"])
            .arg(&repository)
            .status();
        assert!(made.unwrap().success());
        let url = "https://x:$GIT_TOKEN@good.example:{keys}/repo.git";
        let said = inside(
            &net,
            &format!(
                "git clone -q {url} work && cd work && git -c user.name=a -c user.email=a@b \
                 commit -q --allow-empty -m pushed && git push -q origin HEAD:main && \
                 git ls-remote -q origin main && echo pushed"
            ),
        );
        assert!(said.contains("refs/heads/main\npushed\n"), "{said}");
        let seen = shown(&net, "authorization");
        assert!(seen.iter().any(|it| it.starts_with("Basic ")), "{seen:?}");
    }
}

/// A keyring on a bus of its own, unlocked, with one item.
const KEYRING: &str =
    "printf '\\n' | gnome-keyring-daemon --unlock --components=secrets >/dev/null 2>&1
printf %s \"$1\" | secret-tool store --label model service model username me
echo \"$DBUS_SESSION_BUS_ADDRESS\"
cat >/dev/null";

#[test]
fn a_key_of_the_keyring_stays_outside_and_is_put_in() {
    use std::io::BufRead as _;
    // A bus serves only users that the system knows by name.
    let net = net(everybody().remove(0), RULES);
    net.stage.succeed(&["secret", "remove", "model", "--yes"]);
    // Of the same user as the one who starts worlds: a bus takes nobody else.
    let mut keyring = net.stage.command(
        std::path::Path::new("/usr/bin/dbus-run-session"),
        &["--", "sh", "-c", KEYRING, "sh", VALUE],
    );
    // Where the one that is unlocked tells the one that the bus asks.
    keyring.env("XDG_RUNTIME_DIR", net.stage.home());
    let mut bus = keyring.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let until_dropped = bus.stdin.take();
    let mut address = String::new();
    std::io::BufReader::new(bus.stdout.take().unwrap()).read_line(&mut address).unwrap();
    let address = address.trim();
    // `unix:path=NAME,guid=...`, or `abstract` with a name that begins with NUL.
    let (kind, socket) = address.strip_prefix("unix:").unwrap().split_once('=').unwrap();
    let socket = socket.split(',').next().unwrap();
    let socket = if kind == "abstract" { format!("\\0{socket}") } else { socket.to_owned() };
    let reach = format!(
        "python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect(\"{socket}\"); \
         print(\"reach\" + \"ed\")'"
    );
    let mut outside = net.stage.command(std::path::Path::new("/bin/sh"), &["-c", &reach]);
    assert_eq!(text(&outside.output().unwrap()), "reached\n");
    let words = "secret add model --from keyring:model/me --header x-api-key --env STAND_IN \
                 --for good.example:{keys}";
    let words = net.with_ports(words);
    let words: Vec<&str> = words.split_whitespace().collect();
    let without = net.stage.ringfence_command(&words).output().unwrap();
    assert!(text(&without).contains("there is no session bus"), "{}", text(&without));
    let mut command = net.stage.ringfence_command(&words);
    let kept = command.env("DBUS_SESSION_BUS_ADDRESS", address).output().unwrap();
    assert!(kept.status.success(), "{}", text(&kept));
    let script = format!(
        "{{ curl -sS https://good.example:{{keys}}/v1 -H \"x-api-key: $STAND_IN\"; env; \
         {reach}; }} 2>&1 | cat"
    );
    let mut command = net.command(Side::Inside, &script);
    command.env("SSL_CERT_FILE", net.stage.home().join("project/ca.pem"));
    let said = text(&command.env("DBUS_SESSION_BUS_ADDRESS", address).output().unwrap());
    assert!(!said.contains(PART) && said.contains("STAND_IN=sk-ant-api03-"), "{said}");
    assert!(!said.contains("BUS_ADDRESS=") && !said.contains("reached"), "{said}");
    assert_eq!(shown(&net, "x-api-key"), [VALUE], "{said}");
    drop(until_dropped);
    bus.wait().unwrap();
}
