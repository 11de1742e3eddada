//! A value comes from where its binding says, and from nowhere else.

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
    let backends = Backends::new(Store::at(dir.path().join("secrets")), bindings, variable);
    let value = backends.fetch(of).map_err(|error| error.to_string())?;
    Ok(value.dangerous_reveal().to_owned())
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
    ] {
        let one = binding(backend);
        let said = fetched(std::slice::from_ref(&one), &one).unwrap_err();
        assert!(said.contains(why) && said.contains("`model`"), "{backend}: {said}");
    }
    // A variable that no binding named when the session began was not taken along.
    assert!(fetched(&[binding("age")], &binding("env:OTHER")).is_err());
}
