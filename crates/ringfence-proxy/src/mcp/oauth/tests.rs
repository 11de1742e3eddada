use base64::Engine as _;
use serde_json::json;
use sha2::Digest as _;

use super::super::http::url::Url;
use super::challenge::Challenge;
use super::flow::{Asked, Came, Client, Method, RANDOM_BYTES, callback, registered, renew, tokens};
use super::metadata::{
    Authority, Named, authority, authority_places, resource, resource_places, usual,
};
use super::*;

fn url(text: &str) -> Url {
    text.parse().unwrap()
}

fn server() -> Url {
    url("https://mcp.example.com/a/mcp")
}

fn document() -> Value {
    json!({
        "issuer": "https://login.example.com",
        "authorization_endpoint": "https://login.example.com/authorize",
        "token_endpoint": "https://login.example.com/token",
        "code_challenge_methods_supported": ["plain", "S256"],
        "response_types_supported": ["code"],
        "authorization_response_iss_parameter_supported": true,
    })
}

fn read(document: &Value) -> Result<Authority, OauthError> {
    authority(document, Named::As("https://login.example.com"), &server())
}

fn client() -> Client {
    Client { id: "us".to_owned(), secret: None, in_form: false }
}

fn with_secret(secret: &str) -> Client {
    Client { id: "us".to_owned(), secret: Some(secret.to_owned()), in_form: false }
}

fn asked(authority: &Authority) -> Asked {
    let random: [u8; RANDOM_BYTES] = std::array::from_fn(|at| u8::try_from(at).unwrap());
    let to = ("http://127.0.0.1:7/callback", "https://mcp.example.com/a/mcp");
    Asked::new(&random, (authority, &client()), to, Some("a b"))
}

fn state(asked: &Asked) -> String {
    let (_, rest) = asked.address.split_once("&state=").unwrap();
    rest.split('&').next().unwrap().to_owned()
}

#[test]
fn a_challenge_is_read_as_it_is_written_and_not_otherwise() {
    let read = |text: &str| Challenge::read(text);
    let found = read(r#"Basic realm="x, Bearer y", Bearer error="invalid_token", resource_metadata="https://a.example/x\"y", scope=files"#).unwrap();
    assert_eq!(found.resource_metadata.unwrap(), "https://a.example/x\"y");
    assert_eq!(
        (found.scope.as_deref(), found.error.as_deref()),
        (Some("files"), Some("invalid_token"))
    );
    assert_eq!(read("Bearer"), Some(Challenge::default()));
    assert_eq!(read("bearer scope=\"a\", scope=\"b\"").unwrap().scope, None);
    for none in ["", "Basic realm=\"Bearer\"", "Negotiate abc==", ",,,", "=", "\""] {
        assert_eq!(read(none), None, "{none}");
    }
    assert_eq!(read("Bearer scope=\"open").unwrap().scope, None);
}

#[test]
fn what_is_said_of_another_server_is_refused() {
    let of = |named: &str| {
        resource(
            &json!({"resource": named, "authorization_servers": ["https://l.example"]}),
            &server(),
        )
    };
    for named in [
        "https://mcp.example.com/a/mcp",
        "https://mcp.example.com/a",
        "https://mcp.example.com",
        "https://mcp.example.com/",
        "https://MCP.example.com:443/a/",
    ] {
        assert_eq!(of(named).unwrap().issuers, ["https://l.example"], "{named}");
    }
    for named in [
        "https://evil.example/a/mcp",
        "http://mcp.example.com/a/mcp",
        "https://mcp.example.com:8443/a/mcp",
        "https://mcp.example.com/a/mc",
        "https://mcp.example.com/b",
        "https://mcp.example.com/a/mcp/more",
        "mcp.example.com",
        "",
    ] {
        assert!(of(named).is_err(), "{named}");
    }
    assert!(resource(&json!({}), &server()).is_err());
}

#[test]
fn documents_are_looked_for_where_the_rules_say_and_nowhere_inward() {
    let places = |all: Vec<Url>| all.iter().map(|it| it.target.clone()).collect::<Vec<_>>();
    assert_eq!(
        places(resource_places(&server(), None).unwrap()),
        ["/.well-known/oauth-protected-resource/a/mcp", "/.well-known/oauth-protected-resource"]
    );
    assert_eq!(
        places(authority_places("https://l.example/t", &server()).unwrap()),
        [
            "/.well-known/oauth-authorization-server/t",
            "/.well-known/openid-configuration/t",
            "/t/.well-known/openid-configuration",
        ]
    );
    assert_eq!(places(authority_places("https://l.example", &server()).unwrap()).len(), 2);
    for inward in [
        "http://l.example/x",
        "http://127.0.0.1:1/x",
        "https://127.0.0.1/x",
        "https://10.0.0.1/x",
        "https://169.254.169.254/latest",
        "https://[::ffff:10.0.0.1]/x",
        "https://localhost/x",
        "file:///etc/passwd",
        "https://user@l.example/",
    ] {
        assert!(resource_places(&server(), Some(inward)).is_err(), "{inward}");
        assert!(authority_places(inward, &server()).is_err(), "{inward}");
        let mut document = document();
        document["token_endpoint"] = json!(inward);
        assert!(read(&document).is_err(), "{inward}");
    }
    // A server of this host may have its logins here.
    let here = url("http://127.0.0.1:3000/mcp");
    assert!(resource_places(&here, Some("http://127.0.0.1:3001/x")).is_ok());
    assert!(resource_places(&here, Some("http://192.168.0.1/x")).is_err());
    assert!(authority_places("https://l.example/?x=y", &server()).is_err());
}

#[test]
fn an_issuer_says_its_own_name_and_binds_codes_to_who_asked() {
    assert!(read(&document()).unwrap().says_issuer);
    for (name, value) in [
        ("issuer", json!("https://evil.example")),
        ("issuer", json!("https://login.example.com/")),
        ("issuer", Value::Null),
        ("authorization_endpoint", Value::Null),
        ("token_endpoint", json!("http://login.example.com/token")),
        ("code_challenge_methods_supported", json!(["plain"])),
        ("code_challenge_methods_supported", Value::Null),
        ("response_types_supported", json!(["token"])),
    ] {
        let mut document = document();
        document[name] = value.clone();
        assert!(read(&document).is_err(), "{name}: {value}");
    }
}

#[test]
fn only_the_answer_to_what_was_asked_brings_a_code() {
    let authority = read(&document()).unwrap();
    let asked = asked(&authority);
    for part in [
        "response_type=code",
        "client_id=us",
        "redirect_uri=http%3A%2F%2F127.0.0.1%3A7%2Fcallback",
        "code_challenge_method=S256",
        "resource=https%3A%2F%2Fmcp.example.com%2Fa%2Fmcp",
        "scope=a%20b",
    ] {
        assert!(asked.address.contains(part), "{part}: {}", asked.address);
    }
    let state = state(&asked);
    assert!(state.len() >= 40);
    let iss = "iss=https%3A%2F%2Flogin.example.com";
    let code = |text: &str| match asked.came(text) {
        Came::Code(code) => Some((*code).clone()),
        Came::Refused(_) | Came::NotOurs => None,
    };
    assert_eq!(code(&format!("code=x%2By&state={state}&{iss}")).unwrap(), "x+y");
    for not_ours in [
        format!("code=x&{iss}"),
        format!("code=x&state=&{iss}"),
        format!("code=x&state={}&{iss}", "A".repeat(state.len())),
        format!("code=x&state={state}x&{iss}"),
        format!("code=x&state={state}&state={state}&{iss}"),
        format!("code=%zz&state={state}&{iss}"),
        String::new(),
    ] {
        assert!(asked.came(&not_ours) == Came::NotOurs, "{not_ours}");
    }
    for refused in [
        format!("code=x&state={state}&iss=https%3A%2F%2Fevil.example"),
        format!("code=x&state={state}"),
        format!("code=x&state={state}&{iss}&{iss}"),
        format!("error=access_denied&state={state}&{iss}"),
        format!("code=x&error=access_denied&state={state}&{iss}"),
        format!("code=x&code=y&state={state}&{iss}"),
        format!("state={state}&{iss}"),
    ] {
        assert!(matches!(asked.came(&refused), Came::Refused(_)), "{refused}");
    }
    // An issuer that does not say its name is not asked for it, and must not say another.
    let quiet = super::flow::Asked::new(
        &[7; RANDOM_BYTES],
        (&Authority { says_issuer: false, ..authority }, &client()),
        ("http://127.0.0.1:7/callback", "r"),
        None,
    );
    let of = self::state(&quiet);
    assert!(matches!(quiet.came(&format!("code=x&state={of}")), Came::Code(_)));
    assert!(matches!(
        quiet.came(&format!("code=x&state={of}&iss=https%3A%2F%2Fe.example")),
        Came::Refused(_)
    ));
}

#[test]
fn a_code_is_brought_with_what_only_we_know_and_no_other_form_has_it() {
    let authority = read(&document()).unwrap();
    let asked = asked(&authority);
    let post = asked.exchange("c&d", &client());
    let (_, challenge) = asked.address.split_once("code_challenge=").unwrap();
    let challenge = challenge.split('&').next().unwrap();
    let (_, verifier) = post.body.split_once("code_verifier=").unwrap();
    let verifier = verifier.split('&').next().unwrap();
    let digest = sha2::Sha256::digest(verifier);
    assert_eq!(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest), challenge);
    assert!(!asked.address.contains(verifier));
    assert!(
        post.body.contains("code=c%26d")
            && post.body.contains("client_id=us")
            && post.login.is_none()
    );
    let secret = with_secret("s:t");
    let post = renew("r", "https://mcp.example.com", &secret);
    assert!(!post.body.contains("s%3At") && post.login.is_some());
    let mut in_form = secret.clone();
    in_form.in_form = true;
    let post = renew("r", "https://mcp.example.com", &in_form);
    assert!(post.body.contains("client_secret=s%3At") && post.login.is_none());
    assert!(!format!("{:?}", with_secret("hidden")).contains("hidden"));
}

#[test]
fn tokens_are_those_of_bearers_and_fit_into_a_header() {
    let good = json!({"access_token": "abc", "token_type": "bearer", "expires_in": 60, "refresh_token": "r"});
    let read = tokens(&good).unwrap();
    assert_eq!((read.access.as_str(), read.life_seconds), ("abc", Some(60)));
    for (name, value) in [
        ("access_token", json!("a b")),
        ("access_token", json!("a\r\nb")),
        ("access_token", json!("")),
        ("access_token", json!(1)),
        ("access_token", json!("x".repeat(9_000))),
        ("token_type", json!("DPoP")),
        ("token_type", Value::Null),
        ("refresh_token", json!("a\u{0}b")),
        ("error", json!("invalid_grant")),
    ] {
        let mut document = good.clone();
        document[name] = value.clone();
        let error = tokens(&document).err().unwrap().to_string();
        assert!(!error.contains("abc"), "{name}: {error}");
    }
}

#[test]
fn a_client_shows_its_secret_as_its_issuer_takes_it_and_no_secret_that_it_was_not_asked_for() {
    let with = |methods: &[&str]| Authority {
        methods: methods.iter().map(|it| (*it).to_owned()).collect(),
        ..read(&document()).unwrap()
    };
    for (methods, secret, to_register) in [
        (&[][..], Some(Method::Basic), Some(Method::None)),
        (&["none"], None, Some(Method::None)),
        (&["client_secret_post", "none"], Some(Method::Form), Some(Method::None)),
        (&["client_secret_post", "client_secret_basic"], Some(Method::Basic), Some(Method::Basic)),
        (&["private_key_jwt"], None, None),
        (&["CLIENT_SECRET_BASIC"], None, None),
    ] {
        let authority = with(methods);
        assert_eq!(Method::with_secret(&authority).ok(), secret, "{methods:?}");
        assert_eq!(Method::to_register(&authority).ok(), to_register, "{methods:?}");
    }
    let said = |method: &str, asked: Method| {
        let mut document = json!({"client_id": "x", "client_secret": "y"});
        if !method.is_empty() {
            document["token_endpoint_auth_method"] = json!(method);
        }
        let client = registered(&document, asked).ok()?;
        Some((client.secret.is_some(), client.in_form))
    };
    assert_eq!(said("", Method::Basic), Some((true, false)));
    assert_eq!(said("", Method::Form), Some((true, true)));
    assert_eq!(said("", Method::None), Some((false, false)));
    assert_eq!(said("none", Method::Basic), Some((false, false)));
    assert_eq!(said("client_secret_basic", Method::None), Some((true, false)));
    assert_eq!(said("client_secret_post", Method::None), Some((true, true)));
    assert_eq!(said("private_key_jwt", Method::None), None);
    let none = Method::None;
    for bad in [
        json!({}),
        json!({"client_id": ""}),
        json!({"error": "x", "client_id": "y"}),
        json!({"client_id": "x", "token_endpoint_auth_method": "client_secret_basic"}),
    ] {
        assert!(registered(&bad, none).is_err(), "{bad}");
    }
}

#[test]
fn a_page_elsewhere_is_told_from_the_issuers_own_unless_it_says_its_name() {
    for (page, says_issuer, elsewhere) in [
        ("https://login.example.com/authorize", false, false),
        ("https://LOGIN.example.com:443/other/authorize", false, false),
        ("https://other.example.com/authorize", false, true),
        ("https://login.example.com:8443/authorize", false, true),
        ("https://other.example.com/authorize", true, false),
    ] {
        let mut document = document();
        document["authorization_endpoint"] = json!(page);
        document["authorization_response_iss_parameter_supported"] = json!(says_issuer);
        let authority = read(&document).unwrap();
        assert_eq!(authority.elsewhere().is_some(), elsewhere, "{page} {says_issuer}");
    }
    let quiet = |issuer: &str| Authority {
        issuer: issuer.to_owned(),
        says_issuer: false,
        ..read(&document()).unwrap()
    };
    let (one, other) = (quiet("https://a.example"), quiet("https://b.example"));
    assert_ne!(callback(&one, None), callback(&other, None));
    assert_eq!(callback(&one, None), callback(&one, None));
    assert_eq!(callback(&one, Some("us")), "/callback");
    assert_eq!(callback(&Authority { says_issuer: true, ..one }, None), "/callback");
}

#[test]
fn where_no_issuer_is_named_the_servers_own_host_is_it_and_no_other() {
    let of = |issuer: &str| {
        let mut document = document();
        document["issuer"] = json!(issuer);
        authority(&document, Named::Host, &server())
    };
    for own in
        ["https://mcp.example.com", "https://mcp.example.com/oauth", "https://MCP.example.com:443/"]
    {
        assert_eq!(of(own).unwrap().issuer, own);
    }
    for other in [
        "https://login.example.com",
        "http://mcp.example.com",
        "https://mcp.example.com:8443",
        "https://mcp.example.com.evil.example",
        "mcp.example.com",
        "",
    ] {
        assert!(of(other).is_err(), "{other}");
    }
    let usual = usual(&server());
    assert_eq!(usual.issuer, "https://mcp.example.com");
    let all = [&usual.authorize, &usual.token, usual.register.as_ref().unwrap()];
    assert_eq!(all.map(|it| it.target.as_str()), ["/authorize", "/token", "/register"]);
    assert!(all.iter().all(|it| it.endpoint == server().endpoint && it.scheme == server().scheme));
    assert!(!usual.says_issuer && usual.elsewhere().is_none());
}

#[test]
fn what_others_say_is_one_line_of_a_bounded_length() {
    assert_eq!(told("a\nok: b\r\u{1b}[2J\u{2028}c"), "a\\nok: b\\r\\u{1b}[2J\\u{2028}c");
    assert_eq!(told(&"x".repeat(9_000)).len(), 400);
    assert_eq!(told("plain, with ümläute"), "plain, with ümläute");
}
