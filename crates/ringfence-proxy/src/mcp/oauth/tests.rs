use base64::Engine as _;
use serde_json::json;
use sha2::Digest as _;

use super::super::http::url::Url;
use super::challenge::Challenge;
use super::flow::{Asked, Came, Client, RANDOM_BYTES, registered, renew, tokens};
use super::metadata::{Authority, authority, authority_places, resource, resource_places};
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
    authority(document, "https://login.example.com", &server())
}

fn client() -> Client {
    Client { id: "us".to_owned(), secret: None, in_form: false }
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
    let secret = Client { secret: Some("s:t".to_owned()), ..client() };
    let post = renew("r", "https://mcp.example.com", &secret);
    assert!(!post.body.contains("s%3At") && post.login.is_some());
    let post = renew("r", "https://mcp.example.com", &Client { in_form: true, ..secret });
    assert!(post.body.contains("client_secret=s%3At") && post.login.is_none());
    assert!(
        !format!("{:?}", Client { secret: Some("hidden".to_owned()), ..client() })
            .contains("hidden")
    );
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
    assert!(registered(&json!({"client_id": "x", "client_secret": "y"})).unwrap().secret.is_some());
    assert!(
        registered(
            &json!({"client_id": "x", "client_secret": "y", "token_endpoint_auth_method": "none"})
        )
        .unwrap()
        .secret
        .is_none()
    );
    assert!(
        registered(&json!({})).is_err()
            && registered(&json!({"error": "x", "client_id": "y"})).is_err()
    );
}
