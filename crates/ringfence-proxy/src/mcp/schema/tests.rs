use serde_json::json;

use super::*;

fn schema(value: Value) -> ArgumentSchema {
    ArgumentSchema::new(value).unwrap()
}

#[expect(clippy::needless_pass_by_value, reason = "it reads better in tests")]
fn refused(schema: &ArgumentSchema, arguments: Value) -> String {
    schema.facts(&arguments).unwrap_err().to_string()
}

#[test]
fn arguments_are_facts_of_the_types_that_the_schema_says() {
    let schema = schema(json!({
        "type": "object",
        "properties": {
            "path": {"type": "string"},
            "head": {"type": "integer"},
            "share": {"type": "number"},
            "deep": {"type": ["boolean", "null"]},
            "tags": {"type": "array", "items": {"type": "string"}},
            "range": {"$ref": "#/$defs/range"},
            "any": {"description": "what you like"},
            "maybe": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        },
        "required": ["path", "deep"],
        "$defs": {"range": {"type": "object", "properties": {"from": {"type": "integer"}}}},
    }));
    let kinds: Vec<_> =
        schema.fields().iter().map(|(name, it)| (name.as_str(), &it.kind, it.required)).collect();
    let range = [("from".to_owned(), Field { kind: FactType::Long, required: false })];
    assert_eq!(
        kinds,
        [
            ("any", &FactType::Text, false),
            ("deep", &FactType::Bool, false),
            ("head", &FactType::Long, false),
            ("maybe", &FactType::Long, false),
            ("path", &FactType::Text, true),
            ("range", &FactType::Record(range.into()), false),
            ("share", &FactType::Decimal, false),
            ("tags", &FactType::Set(Box::new(FactType::Text)), false),
        ]
    );
    let arguments = json!({
        "path": "/a", "head": 2.0, "share": 0.00001, "deep": null, "tags": ["x"],
        "range": {"from": -1}, "any": {"b": [1]}, "maybe": null,
    });
    let facts = schema.facts(&arguments).unwrap();
    let expected = [
        ("any", Fact::Text(r#"{"b":[1]}"#.to_owned())),
        ("head", Fact::Long(2)),
        ("path", Fact::Text("/a".to_owned())),
        ("range", Fact::Record([("from".to_owned(), Fact::Long(-1))].into())),
        ("share", Fact::Decimal(1)),
        ("tags", Fact::Set(vec![Fact::Text("x".to_owned())])),
    ];
    let expected: BTreeMap<_, _> =
        expected.into_iter().map(|(name, fact)| (name.to_owned(), fact)).collect();
    assert_eq!(facts, expected);
}

#[test]
fn what_the_schema_does_not_say_is_refused_by_name() {
    let schema = schema(json!({
        "type": "object",
        "properties": {
            "path": {"type": "string"},
            "edits": {"type": "array", "items": {"type": "object", "properties": {"old": {"type": "string"}}}},
        },
        "required": ["path"],
    }));
    assert_eq!(
        refused(&schema, json!({"path": "a", "force": true})),
        "`force` is no argument of this tool"
    );
    assert_eq!(
        refused(&schema, json!({"path": "a", "edits": [{"old": "x", "new": "y"}]})),
        "`edits.new` is no argument of this tool"
    );
    assert!(refused(&schema, json!({})).contains("\"path\" is a required property"));
    assert!(refused(&schema, json!(null)).starts_with("arguments: "));
    assert!(refused(&schema, json!({"path": 1})).starts_with("`path`: "));
    assert!(refused(&schema, json!([])).starts_with("arguments: "));
}

#[test]
fn a_schema_without_arguments_takes_none() {
    let schema = schema(json!({"type": "object"}));
    assert!(schema.facts(&json!({})).unwrap().is_empty());
    assert_eq!(refused(&schema, json!({"x": 1})), "`x` is no argument of this tool");
    let open = super::ArgumentSchema::new(json!({"type": "object", "additionalProperties": true}));
    assert!(open.unwrap().facts(&json!({"x": 1})).unwrap().is_empty());
}

#[test]
fn numbers_that_no_rule_could_be_held_against_are_refused() {
    let schema = schema(json!({"type": "object", "properties": {"n": {"type": "integer"}}}));
    for number in [json!(u64::MAX), json!(1e300), json!(9.3e18)] {
        assert_eq!(refused(&schema, json!({"n": number})), "`n` is a number out of range");
    }
    assert!(schema.facts(&json!({"n": i64::MIN})).is_ok());
}

#[test]
fn nothing_is_fetched_and_what_is_no_schema_is_none() {
    for (text, why) in [
        (
            json!({"$ref": "https://example.com/a.json"}),
            "refers to `https://example.com/a.json`, which is not fetched",
        ),
        (
            json!({"$ref": "file:///etc/passwd"}),
            "refers to `file:///etc/passwd`, which is not fetched",
        ),
        (json!({"$ref": "#/$defs/none"}), "refers to `/$defs/none`, which is not in it"),
        (json!({"type": "strin"}), "at `/properties/a/type` stands what JSON Schema does not have"),
        (json!({"type": "string", "pattern": "("}), "at `/properties/a/pattern` stands"),
        (json!({"$ref": "http://[::"}), "cannot be used"),
    ] {
        let error = ArgumentSchema::new(json!({"type": "object", "properties": {"a": text}}));
        let said = error.unwrap_err().to_string();
        assert!(said.starts_with("its schema ") && said.contains(why), "{text} {said}");
        // What a library says to who builds with it helps nobody here.
        assert!(!said.contains("resolve") && !said.contains("feature"), "{said}");
    }
    let own = json!({"$schema": "https://example.com/own", "type": "object"});
    let error = ArgumentSchema::new(own).unwrap_err();
    assert_eq!(error, SchemaError::Elsewhere("https://example.com/own".to_owned()));
    for text in [json!(true), json!([]), json!({"type": "string"})] {
        assert_eq!(ArgumentSchema::new(text).unwrap_err(), SchemaError::NoObject);
    }
}

#[test]
fn a_pattern_that_takes_for_ever_ends_as_a_refusal() {
    let pattern = r"^(?=(a+)+$)(a|aa)+$";
    let schema = schema(
        json!({"type": "object", "properties": {"a": {"type": "string", "pattern": pattern}}}),
    );
    schema.facts(&json!({"a": "aaa"})).unwrap();
    refused(&schema, json!({"a": "a".repeat(64) + "!"}));
}

#[test]
fn a_schema_that_refers_to_itself_ends() {
    let schema = schema(json!({
        "type": "object",
        "properties": {"node": {"$ref": "#/$defs/node"}, "loop": {"$ref": "#/$defs/loop"}},
        "$defs": {
            "node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}},
            "loop": {"allOf": [{"type": "string"}]},
        },
    }));
    let mut arguments = json!({});
    for _ in 0..30 {
        arguments = json!({"next": arguments});
    }
    schema.facts(&json!({"node": arguments, "loop": "x"})).unwrap();
}

#[test]
fn a_schema_that_refers_to_itself_is_read_in_a_moment_and_one_that_is_too_long_is_none() {
    let properties: Map<String, Value> =
        (0..256).map(|number| (format!("a{number}"), json!({"$ref": "#"}))).collect();
    let schema = json!({"type": "object", "properties": properties});
    assert!(ArgumentSchema::new(schema).unwrap().fields().len() <= FIELDS_IN_ALL_MAX);
    let long = json!({"type": "object", "description": "x".repeat(SCHEMA_BYTES_MAX)});
    assert!(matches!(ArgumentSchema::new(long), Err(SchemaError::Unusable(_))));
}

#[test]
fn arguments_that_cannot_be_held_against_a_schema_in_a_bounded_time_are_denied() {
    let both = json!({"properties": {"a": {"$ref": "#"}}, "additionalProperties": true});
    let schema = json!({"type": "object", "anyOf": [both, both], "minProperties": 1});
    let schema = ArgumentSchema::new(schema).unwrap();
    let mut arguments = json!({});
    for _ in 0..28 {
        arguments = json!({ "a": arguments });
    }
    assert!(matches!(schema.facts(&arguments), Err(Mismatch::Unbounded(_))));
    assert!(matches!(schema.facts(&json!({"a": {}})), Err(Mismatch::Invalid { .. })));
    schema.facts(&json!({"a": {"a": {"b": 1}}})).unwrap();
}
