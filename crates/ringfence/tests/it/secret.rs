//! `secret`: kept without being shown, bound to hosts, out of every world.

use expect_test::expect;

use crate::home::Home;

const VALUE: &str = "sk-ant-api03-Zq9xY-wB_7hcR2mN4pLk8vT1sD6fGj";

const POLICY: &str = r#"
@id("reads")
permit (principal, action == Action::"secret.use", resource == Secret::"orders")
when { context.method == "GET" };
@id("writes")
forbid (principal, action == Action::"secret.use", resource == Secret::"orders")
when { context.method == "POST" } unless { context.approvals.contains("owner") };
permit (principal, action == Action::"secret.use", resource == Secret::"orders")
when { context.method == "POST" };
@id("shops")
permit (principal, action == Action::"net.connect", resource in Domain::"shop.example");
@id("api")
permit (principal, action == Action::"net.connect", resource == Endpoint::"api.example.com:443");
@id("orders")
permit (principal, action == Action::"net.request", resource == Endpoint::"api.example.com:443")
when { context.path like "/v1/orders*" && context.path != "/v1/orders/private" };
"#;

/// A proxy of the host's: no name is looked up.
const PROXY: &[(&str, &str)] = &[("HTTPS_PROXY", "http://proxy.example:3128")];

/// A home in which a secret for a service and one with a binding of its own are kept.
fn home() -> Home {
    let home = Home::with_policy(POLICY);
    home.write(".config/ringfence/settings.toml", "roles = [\"owner\"]\n");
    let orders = [
        "secret",
        "add",
        "orders",
        "--for",
        "api.example.com",
        "--for",
        "*.shop.example:8443",
        "--header",
        "authorization: Bearer",
        "--query",
        "key",
        "--methods",
        "get,POST",
        "--path",
        "/v1/orders",
        "--env",
        "ORDERS_TOKEN",
        "--file",
        "token",
    ];
    for (words, value) in [
        (&["secret", "add", "model", "--kind", "anthropic"][..], VALUE),
        (&orders, "tok-0123456789"),
    ] {
        let said = home.run_with(words, &format!("{value}\n"));
        assert!(said.ends_with("[0]\n") && !said.contains(value), "{said}");
    }
    home
}

#[test]
fn secrets_are_added_listed_rotated_and_removed() {
    let home = home();
    let all = [
        home.run(&["secret", "list"]),
        home.run_with(&["secret", "rotate", "model"], "sk-ant-api03-another-value"),
        home.run(&["secret", "remove", "orders"]),
        home.run(&["secret", "remove", "orders", "--yes"]),
        home.run(&["secret", "list"]),
    ];
    let text = all.concat();
    assert!(!text.contains(VALUE) && !text.contains("tok-0"), "{text}");
    expect![[r#"
        $ ringfence secret list
        name    for                                                              in requests                       value  in worlds
        model   api.anthropic.com:443                                            x-api-key, authorization: Bearer  age    $ANTHROPIC_API_KEY
        orders  api.example.com:443, *.shop.example:8443; GET, POST; /v1/orders  authorization: Bearer, ?key=      age    $ORDERS_TOKEN, HOME/project/token
        [0]
        $ ringfence secret rotate model
        ! replaced: the value of model
        ! hint: a session that used it keeps the old value: `ringfence sessions` says which run
        [0]
        $ ringfence secret remove orders
        ! a rule speaks of it: .ringfence/policy.cedar:3  permit (principal, action == Action::"secret.use", resource == Secret::"orders")
        ! a rule speaks of it: .ringfence/policy.cedar:6  forbid (principal, action == Action::"secret.use", resource == Secret::"orders")
        ! a rule speaks of it: .ringfence/policy.cedar:8  permit (principal, action == Action::"secret.use", resource == Secret::"orders")
        ! error: this needs an answer, and there is no terminal to ask on
        !   the question: forget `orders` all the same? [y/N]
        ! hint: to forget it all the same, add `--yes`
        [2]
        $ ringfence secret remove orders --yes
        ! a rule speaks of it: .ringfence/policy.cedar:3  permit (principal, action == Action::"secret.use", resource == Secret::"orders")
        ! a rule speaks of it: .ringfence/policy.cedar:6  forbid (principal, action == Action::"secret.use", resource == Secret::"orders")
        ! a rule speaks of it: .ringfence/policy.cedar:8  permit (principal, action == Action::"secret.use", resource == Secret::"orders")
        ! removed: orders
        ! hint: a session that used it keeps the old value: `ringfence sessions` says which run
        [0]
        $ ringfence secret list
        name   for                    in requests                       value  in worlds
        model  api.anthropic.com:443  x-api-key, authorization: Bearer  age    $ANTHROPIC_API_KEY
        [0]
    "#]].assert_eq(&text);
}

#[test]
fn what_would_become_of_a_use_is_said_from_the_connection_on() {
    let home = home();
    let all = [
        home.run_where(PROXY, &["secret", "test", "orders"]),
        home.run_where(PROXY, &["secret", "test", "orders", "--method", "POST"]),
        home.run_where(PROXY, &["secret", "test", "orders", "--path", "/v1/orders/private"]),
        home.run_where(PROXY, &["secret", "test", "model"]),
    ];
    expect![[r#"
        $ ringfence secret test orders
        orders: its value can be read from age
        would be permitted: GET api.example.com:443/v1/orders
          name     permitted; .ringfence/policy.cedar:12 `api`
          proxy    proxy.example:3128, which looks the name up itself
          opened   each request is decided, this one: permitted; .ringfence/policy.cedar:14 `orders`
          secret   permitted; .ringfence/policy.cedar:2 `reads`
        would be permitted: GET any.shop.example:8443/v1/orders
          name     permitted; .ringfence/policy.cedar:10 `shops`
          proxy    proxy.example:3128, which looks the name up itself
          opened   each request is decided, this one: permitted; .ringfence/policy.cedar:10 `shops`
          secret   permitted; .ringfence/policy.cedar:2 `reads`
        [0]
        $ ringfence secret test orders --method POST
        orders: its value can be read from age
        would be asked about: POST api.example.com:443/v1/orders
          name     permitted; .ringfence/policy.cedar:12 `api`
          proxy    proxy.example:3128, which looks the name up itself
          opened   each request is decided, this one: permitted; .ringfence/policy.cedar:14 `orders`
          secret   asked about, role `owner`; .ringfence/policy.cedar:5 `writes`
        would be asked about: POST any.shop.example:8443/v1/orders
          name     permitted; .ringfence/policy.cedar:10 `shops`
          proxy    proxy.example:3128, which looks the name up itself
          opened   each request is decided, this one: permitted; .ringfence/policy.cedar:10 `shops`
          secret   asked about, role `owner`; .ringfence/policy.cedar:5 `writes`
        [3]
        $ ringfence secret test orders --path /v1/orders/private
        orders: its value can be read from age
        would be denied: GET api.example.com:443/v1/orders/private
          name     permitted; .ringfence/policy.cedar:12 `api`
          proxy    proxy.example:3128, which looks the name up itself
          opened   each request is decided, this one: denied; no permit matches; nearest: .ringfence/policy.cedar:14 `orders` (`context.path != "/v1/orders/private"` is false)
          secret   permitted; .ringfence/policy.cedar:2 `reads`
        would be permitted: GET any.shop.example:8443/v1/orders/private
          name     permitted; .ringfence/policy.cedar:10 `shops`
          proxy    proxy.example:3128, which looks the name up itself
          opened   each request is decided, this one: permitted; .ringfence/policy.cedar:10 `shops`
          secret   permitted; .ringfence/policy.cedar:2 `reads`
        ! hint: to permit it in this project from now on, run `ringfence grant 'net.request:GET api.example.com:443/v1/orders/private' --always`
        [1]
        $ ringfence secret test model
        model: its value can be read from age
        would be denied: GET api.anthropic.com:443/
          name     denied; no permit matches; nearest: .ringfence/policy.cedar:12 `api` (host differs: it permits `api.example.com:443`)
          opened   each request is decided, this one: denied; no permit matches; nearest: .ringfence/policy.cedar:12 `api` (host differs: it permits `api.example.com:443`)
          secret   denied; no permit matches
        ! hint: to permit it in this project from now on, run `ringfence grant net:api.anthropic.com:443 --always`
        ! hint: to permit it in this project from now on, run `ringfence grant secret:model --always`
        [1]
    "#]].assert_eq(&all.concat());
}

#[test]
fn what_is_wrong_with_a_secret_is_said_before_anybody_types_it() {
    let home = home();
    let at = "other --for a.example";
    for (words, said) in [
        ("add Model --kind anthropic".to_owned(), "is no name for a secret"),
        ("add model --kind anthropic".to_owned(), "there is a secret `model` already"),
        ("add other --kind anthropic".to_owned(), "in $ANTHROPIC_API_KEY already"),
        ("add other --kind nobody".to_owned(), "the known ones are anthropic, "),
        ("add other --header x-key --env OTHER".to_owned(), "it is not said where it may go"),
        (format!("add {at} --env OTHER"), "`--header`, `--query` or `--basic`"),
        (format!("add {at} --header x-key"), "add `--env` or `--file`"),
        ("add other --for *.com --basic --env OTHER".to_owned(), "`*.com` is too wide"),
        (format!("add {at} --header host --env OTHER"), "no header that a secret can stand in"),
        (format!("add {at} --basic --env LD_PRELOAD"), "no environment variable"),
        (format!("add {at} --basic --methods TRACE --env OTHER"), "no method that a secret"),
        (format!("add {at} --basic --path v1 --env OTHER"), "`v1` is no path"),
        (format!("add {at} --basic --file /run/ringfence/x"), "no place for a file"),
        (format!("add {at} --basic --file ."), "no place for a file"),
        (format!("add {at} --basic --env OTHER a-value"), "unexpected argument"),
        (
            "add other --for https://a.example/v1/x?y --basic --env OTHER".to_owned(),
            "name its host alone, `a.example`, and its path, if it matters, with `--path /v1/x`",
        ),
        (
            "add other --for http://a.example --basic --env OTHER".to_owned(),
            "name its host alone, `a.example:80`",
        ),
        (
            "add other --kind git-https".to_owned(),
            "hint: `--kind git-https` does not say it: add `--for HOST`",
        ),
        ("test other".to_owned(), "there is no secret `other`"),
        ("test orders --method DELETE".to_owned(), "it is not bound to the method DELETE"),
        ("test orders --path /v1/orders/../x".to_owned(), "can be read in more than one way"),
        ("rotate other".to_owned(), "there is no secret `other`"),
        ("remove other".to_owned(), "there is no secret `other`"),
    ] {
        let words: Vec<&str> = std::iter::once("secret").chain(words.split(' ')).collect();
        let text = home.run_with(&words, "a-value-of-a-secret");
        assert!(text.contains(said) && !text.ends_with("[0]\n"), "{text}");
    }
    assert_eq!(home.json_lines(&["secret", "list", "--json"]).as_array().map(Vec::len), Some(2));
}

#[test]
fn a_value_that_is_none_is_refused_and_not_quoted() {
    let home = home();
    for wrong in ["", "short", "two words are none", "zwölf-zeichen", "line\nline-and-line"] {
        for words in [
            &["secret", "add", "other", "--for", "a.example", "--basic", "--env", "OTHER"][..],
            &["secret", "rotate", "model"],
        ] {
            let said = home.run_with(words, wrong);
            assert!(said.ends_with("[2]\n"), "{wrong}: {said}");
            assert!(wrong.is_empty() || !said.contains(wrong), "{said}");
            let nothing = said.contains("nothing was typed or piped");
            assert_eq!(nothing, wrong.is_empty(), "{said}");
        }
    }
    assert!(home.run(&["secret", "test", "model"]).contains("can be read"));
}

#[test]
fn a_binding_that_was_changed_behind_our_back_is_no_secret() {
    let home = home();
    let path = home.state().join("secrets/orders.json");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("api.example.com", "evil.example.com")).unwrap();
    let said = home.run(&["secret", "test", "orders"]);
    assert!(said.contains("the binding was changed") && said.ends_with("[2]\n"), "{said}");
}

#[test]
fn no_grant_names_a_secret_that_is_none_unsaid() {
    let home = home();
    home.write(
        ".config/ringfence/settings.toml",
        "roles = [\"owner\"]\n[ssh]\nkeys = { deploy = \
         \"SHA256:+DiY3wvvV6TuJJhbpZisF/zLDA0zPMSvHdkr4UvCOqU\" }\n",
    );
    let none = home.run(&["grant", "secret:nosuch", "--always", "--yes"]);
    assert!(
        none.contains("error: there is no secret `nosuch`") && none.ends_with("[2]\n"),
        "{none}"
    );
    assert!(
        none.contains("hint: the secrets there are: model, orders, deploy; to keep another"),
        "{none}"
    );
    for name in ["model", "deploy"] {
        let made = home.run(&["grant", &format!("secret:{name}"), "--always", "--yes"]);
        assert!(made.ends_with("[0]\n"), "{made}");
    }
    let listed = home.run(&["secret", "list"]);
    assert!(listed.contains("keys that sign and stay in your ssh agent: deploy"), "{listed}");
    let tested = home.run(&["secret", "test", "deploy"]);
    assert!(tested.contains("`deploy` is a key of your ssh agent"), "{tested}");
    let removed = home.run(&["secret", "remove", "model"]);
    assert!(removed.contains("still names it (in HOME/project)"), "{removed}");
    assert!(removed.contains("run `ringfence grants revoke g-"), "{removed}");
    home.run(&["grant", "secret:orders", "--always", "--yes"]);
    let removed = home.run(&["secret", "remove", "orders", "--revoke-grants", "--yes"]);
    assert!(removed.contains("revoked: g-") && !removed.contains("warning"), "{removed}");
    let left = home.json_lines(&["grants", "list", "--json"]);
    let left: Vec<_> = left.as_array().unwrap().iter().map(|it| it["text"].clone()).collect();
    assert_eq!(left, ["secret:model", "secret:deploy"]);
}

#[test]
fn a_secret_that_a_server_sends_is_forgotten_only_when_that_is_said() {
    let home = home();
    let server = r#"{"version": 1, "url": "https://api.example.com/mcp", "headers": {"X": "${secret:model}"}, "tools": {}}"#;
    home.write(".config/ringfence/mcp/shop.json", server);
    let refused = home.run(&["secret", "remove", "model"]);
    assert!(
        refused.contains("the server `shop` sends it with each request")
            && refused.contains("add `--yes`")
            && refused.ends_with("[2]\n"),
        "{refused}"
    );
    let refused = home.run(&["secret", "remove", "model", "--json"]);
    assert!(refused.ends_with("[2]\n"), "{refused}");
    // Where nobody can say what needs it, somebody has to say that it may go.
    home.write(".config/ringfence/policy.cedar", "permit (");
    let refused = home.run(&["secret", "remove", "model"]);
    assert!(refused.contains("is not known") && refused.ends_with("[2]\n"), "{refused}");
    assert!(home.run(&["secret", "list"]).contains("model"));
    let removed = home.run(&["secret", "remove", "model", "--yes"]);
    assert!(removed.contains("removed: model") && removed.ends_with("[0]\n"), "{removed}");
}

/// Types at the prompt of a terminal; prints what was on the screen, whether the terminal shows what
/// is typed again, and how the command ended.
const TYPE: &str = r#"
import os, pty, sys, termios
keys, program, *words = sys.argv[1:]
pid, terminal = pty.fork()
if pid == 0:
    os.execv(program, [program, *words])
seen = b""
def read():
    global seen
    try:
        more = os.read(terminal, 4096)
    except OSError:
        more = b""
    seen += more
    return more
while b"not shown" not in seen and read():
    pass
os.write(terminal, keys.encode().decode("unicode_escape").encode())
while read():
    pass
status = os.waitpid(pid, 0)[1]
echo = bool(termios.tcgetattr(terminal)[3] & termios.ECHO)
print(seen.decode(), f"[{os.waitstatus_to_exitcode(status)}] echo={echo}")
"#;

fn typed(home: &Home, keys: &str, words: &[&str]) -> String {
    let mut command = std::process::Command::new("/usr/bin/python3");
    command.args(["-c", TYPE, keys, env!("CARGO_BIN_EXE_ringfence")]).args(words);
    let inner = home.command(words);
    command.current_dir(inner.get_current_dir().unwrap()).env_clear();
    for (name, value) in inner.get_envs().filter_map(|(name, value)| Some((name, value?))) {
        command.env(name, value);
    }
    let output = command.output().unwrap();
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}

#[test]
fn what_is_typed_at_the_prompt_is_not_shown() {
    let home = Home::with_policy(POLICY);
    let add = ["secret", "add", "model", "--kind", "anthropic"];
    let said = typed(&home, &format!("{VALUE}\\x03"), &add);
    assert!(said.contains("nothing changed: it was interrupted"), "{said}");
    assert!(said.contains("[1] echo=True") && !said.contains("Zq9"), "{said}");
    // Two slips, one taken back and one the whole line.
    let said = typed(&home, &format!("wrong\\x15{VALUE}x\\x7f\\r"), &add);
    assert!(said.contains("kept: model") && said.contains("[0] echo=True"), "{said}");
    assert!(!said.contains("Zq9") && !said.contains("wrong"), "{said}");
    let said = home.run(&["secret", "test", "model"]);
    assert!(said.contains("its value can be read"), "{said}");
    let shape = std::fs::read_to_string(home.state().join("secrets/model.json")).unwrap();
    assert!(shape.contains(&format!("\"length\": {}", VALUE.len())), "{shape}");
}

#[test]
fn no_world_would_show_a_file_in_a_secret_place_and_so_none_is_kept_there() {
    let home = Home::with_policy(POLICY);
    for (place, covered) in [(".ssh/key", ".ssh"), (".aws/a/b", ".aws")] {
        let file = home.path(place).display().to_string();
        let words = ["secret", "add", "x", "--for", "a.example", "--header", "x", "--file", &file];
        let said = home.run_with(&words, "value-of-no-use\n");
        assert!(said.contains(&format!("`~/{covered}`, which it lies in, is covered")), "{said}");
        assert!(said.contains("hint: name `--env NAME`") && said.ends_with("[2]\n"), "{said}");
    }
    let file = home.path(".netrc").display().to_string();
    let words = ["secret", "add", "x", "--for", "a.example", "--header", "x", "--file", &file];
    let said = home.run_with(&words, "value-of-no-use\n");
    assert!(said.ends_with("[0]\n"), "the place itself: {said}");
}
