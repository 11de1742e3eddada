//! A schema, a NUL, arguments: no pair makes their readers panic, what passes as facts is of the types that the
//! policy's schema says, and no text is passed over or changed by the roles.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ringfence_core::{Fact, FactType, Fields};
use ringfence_proxy::mcp::roles::{Place, RolePlan, Roles, propose};
use ringfence_proxy::mcp::schema::ArgumentSchema;
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.splitn(2, |byte| *byte == 0);
    let (Some(schema), Some(arguments)) = (parts.next(), parts.next()) else { return };
    let (Ok(schema), Ok(arguments)) =
        (serde_json::from_slice::<Value>(schema), serde_json::from_slice::<Value>(arguments))
    else {
        return;
    };
    let Ok(usable) = ArgumentSchema::new(schema.clone()) else { return };
    if let Ok(facts) = usable.facts(&arguments) {
        for (name, fact) in &facts {
            assert!(fits(fact, &usable.fields()[name].kind), "{name} {fact:?}");
        }
        let missing = |(name, field): (&String, _)| -> bool {
            let field: &ringfence_core::Field = field;
            field.required && !facts.contains_key(name)
        };
        assert!(!usable.fields().iter().any(missing), "{facts:?} {:?}", usable.fields());
    }
    let roles = propose("write_file", "about a path, an url and sql", &schema);
    for place in roles.keys() {
        assert_eq!(place.to_string().parse::<Place>().as_ref(), Ok(place));
    }
    // By name or pinned as proposed is the same.
    let apply = |pinned: &Roles| {
        let plan = RolePlan::new("write_file", "about a path, an url and sql", &schema, pinned);
        let (mut sent, mut seen) = (arguments.clone(), Vec::new());
        let result = plan.apply(&mut sent, &mut |it| {
            seen.push((it.role, it.text.to_owned()));
            Ok(it.text.to_owned())
        });
        (result, sent, seen)
    };
    let (result, sent, seen) = apply(&Roles::new());
    assert_eq!(sent, arguments);
    assert_eq!((result, sent, seen), apply(&roles));
});

fn fits(fact: &Fact, kind: &FactType) -> bool {
    match (fact, kind) {
        (Fact::Bool(_), FactType::Bool)
        | (Fact::Long(_), FactType::Long)
        | (Fact::Decimal(_), FactType::Decimal)
        | (Fact::Text(_), FactType::Text) => true,
        (Fact::Set(all), FactType::Set(kind)) => all.iter().all(|fact| fits(fact, kind)),
        (Fact::Record(all), FactType::Record(fields)) => record(all, fields),
        _ => false,
    }
}

fn record(all: &std::collections::BTreeMap<String, Fact>, fields: &Fields) -> bool {
    let known = all.iter().all(|(name, fact)| fields.get(name).is_some_and(|it| fits(fact, &it.kind)));
    known && fields.iter().all(|(name, field)| !field.required || all.contains_key(name))
}
