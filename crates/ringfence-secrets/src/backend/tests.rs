//! A value comes from where its binding says, and from nowhere else.

use ringfence_testkit::gate::VirtualClock;

use super::*;
use crate::binding::Slot;
use crate::sentinel::Shape;

fn binding(backend: &str) -> Binding {
    Binding {
        name: "model".parse().unwrap(),
        hosts: vec!["api.example.com".parse().unwrap()],
        methods: Vec::new(),
        paths: Vec::new(),
        slots: vec![Slot::Basic],
        deliver: Vec::new(),
        shape: Shape::unknown(),
        backend: backend.to_owned(),
        ttl_seconds: None,
    }
}

fn fetched(bindings: &[Binding], of: &Binding) -> Result<String, String> {
    let dir = tempfile::tempdir().unwrap();
    let variable = |name: &str| match name {
        "MODEL_KEY" => Some("a-value-of-a-secret".to_owned()),
        "SHORT" => Some("short".to_owned()),
        "OTHER" => Some("another-value".to_owned()),
        _ => None,
    };
    let sources = Sources {
        store: Store::at(dir.path().join("secrets")),
        variable: &variable,
        home: dir.path(),
        way_out: WayOut::default(),
        session: "s7f3abcdef",
        project: dir.path(),
        clock: Arc::new(VirtualClock::default()),
    };
    let backends = Backends::new(sources, bindings);
    let on = Occasion { agent: "claude", host: "api.example.com", method: "GET" };
    match backends.fetch(of, &on).map_err(|error| error.to_string())? {
        Fetched::Fixed(value) => Ok(value.dangerous_reveal().to_owned()),
        Fetched::Lent(_) => panic!("nothing is lent"),
    }
}

#[test]
fn a_value_comes_from_the_variable_that_its_binding_names() {
    let named = binding("env:MODEL_KEY");
    assert_eq!(fetched(std::slice::from_ref(&named), &named), Ok("a-value-of-a-secret".to_owned()));
    assert_eq!(withheld(&[named, binding("age")]), ["MODEL_KEY"]);
}

#[test]
fn what_is_not_there_or_not_named_is_an_error_that_says_so() {
    for (backend, why) in [
        ("env:MISSING", "$MISSING is not set"),
        ("env:SHORT", "at least 8 bytes"),
        ("env:LD_PRELOAD", "no environment variable"),
        ("env:", "no environment variable"),
        ("vault", "no place that values are had from"),
        ("age", "there is no secret"),
        ("vault:kv/app#key", "set $VAULT_ADDR"),
        ("vault-lease:database/creds/app#password", "set $VAULT_ADDR"),
        ("vault-token:reader", "set $VAULT_ADDR"),
    ] {
        let one = binding(backend);
        let said = fetched(std::slice::from_ref(&one), &one).unwrap_err();
        assert!(said.contains(why) && said.contains("`model`"), "{backend}: {said}");
    }
    // A variable that no binding named when the session began was not taken along.
    assert!(fetched(&[binding("age")], &binding("env:OTHER")).is_err());
}

#[test]
fn what_leads_to_a_vault_stays_out_of_worlds() {
    for place in ["vault:kv/app#key", "vault-lease:a/b#c", "vault-token:reader"] {
        assert_eq!(withheld(&[binding(place), binding(place)]), ["BAO_TOKEN", "VAULT_TOKEN"]);
    }
    assert_eq!(
        withheld(&[binding("aws-sm:orders")]),
        ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"]
    );
}
