//! How much work it is at most to hold arguments against a schema: both come from who is governed.
//!
//! `anyOf` over references to `anyOf` doubles with each of them, and a schema that refers to itself twice doubles with
//! each level of the arguments. So the steps are counted first, on the side of too many, and not taken beyond a limit.

use std::collections::BTreeMap;

use ringfence_secrets::look::percent_decoded;
use serde_json::{Map, Value};

/// Most steps that arguments may take to be held against a schema, and more of them for each value that they have.
pub(super) const STEPS_MAX: usize = 100_000;
const OF_A_VALUE: usize = 8;
/// Most steps behind which it is said what is wrong: each leaves something of some hundred bytes.
pub(super) const TOLD_STEPS_MAX: usize = 10_000;
/// Most steps within each other.
const WITHIN_MAX: usize = 512;

/// What a schema of JSON Schema itself costs for each value within the arguments.
const OF_ITSELF: usize = 64;

/// Why arguments are not held against a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Unbounded {
    /// It takes more steps than a call may.
    TooMany,
    /// It refers to this, and where that is cannot be told here.
    Unknown(String),
}

/// The names that parts of a schema have, and where they are.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<String, Vec<String>>);

impl Names {
    pub(super) fn of(schema: &Value) -> Names {
        let mut names = Names::default();
        names.look(schema, &mut String::new());
        names
    }

    fn look(&mut self, value: &Value, pointer: &mut String) {
        let mut within = |key: &str, value: &Value| {
            let length = pointer.len();
            pointer.push('/');
            pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
            self.look(value, pointer);
            pointer.truncate(length);
        };
        match value {
            Value::Object(members) => {
                members.iter().for_each(|(key, value)| within(key, value));
                for key in ["$anchor", "$dynamicAnchor"] {
                    if let Some(name) = members.get(key).and_then(Value::as_str) {
                        self.0.entry(name.to_owned()).or_default().push(pointer.clone());
                    }
                }
            }
            Value::Array(all) => {
                all.iter().enumerate().for_each(|(at, value)| within(&at.to_string(), value));
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

/// How many steps it takes at most.
pub(super) fn steps(root: &Value, names: &Names, arguments: &Value) -> Result<usize, Unbounded> {
    let mut count = Count { root, names, arguments, steps: 0, most: STEPS_MAX };
    count.visit(root, arguments, 0)?;
    Ok(count.steps)
}

struct Count<'a> {
    root: &'a Value,
    names: &'a Names,
    arguments: &'a Value,
    steps: usize,
    most: usize,
}

impl Count<'_> {
    fn step(&mut self, steps: usize) -> Result<(), Unbounded> {
        self.steps = self.steps.saturating_add(steps);
        if self.steps > self.most {
            // Many values take many steps.
            let of_values = values(self.arguments).saturating_mul(OF_A_VALUE);
            self.most = STEPS_MAX.saturating_add(of_values);
        }
        if self.steps > self.most { Err(Unbounded::TooMany) } else { Ok(()) }
    }

    fn visit(&mut self, schema: &Value, value: &Value, within: usize) -> Result<(), Unbounded> {
        self.step(1)?;
        let Value::Object(members) = schema else { return Ok(()) };
        if within >= WITHIN_MAX {
            return Err(Unbounded::TooMany);
        }
        let next = within.saturating_add(1);
        for (key, part) in members {
            match key.as_str() {
                "$ref" | "$dynamicRef" | "$recursiveRef" => self.referred(part, value, next)?,
                "anyOf" | "oneOf" | "allOf" => {
                    for one in part.as_array().into_iter().flatten() {
                        self.visit(one, value, next)?;
                    }
                }
                "not" | "if" | "then" | "else" => self.visit(part, value, next)?,
                "dependentSchemas" | "dependencies" => {
                    for one in part.as_object().into_iter().flat_map(Map::values) {
                        self.visit(one, value, next)?;
                    }
                }
                _ => self.within(key, part, value, next)?,
            }
        }
        Ok(())
    }

    /// Parts of a schema that are about what is within a value.
    fn within(
        &mut self,
        key: &str,
        part: &Value,
        value: &Value,
        next: usize,
    ) -> Result<(), Unbounded> {
        match (key, value, part) {
            ("properties", Value::Object(all), Value::Object(parts)) => {
                for (name, value) in all {
                    if let Some(part) = parts.get(name) {
                        self.visit(part, value, next)?;
                    }
                }
            }
            ("patternProperties", Value::Object(all), Value::Object(parts)) => {
                for value in all.values() {
                    for part in parts.values() {
                        self.visit(part, value, next)?;
                    }
                }
            }
            ("additionalProperties" | "unevaluatedProperties", Value::Object(all), _) => {
                for value in all.values() {
                    self.visit(part, value, next)?;
                }
            }
            ("propertyNames", Value::Object(all), _) => {
                for name in all.keys() {
                    self.visit(part, &Value::from(name.as_str()), next)?;
                }
            }
            ("prefixItems" | "items", Value::Array(all), Value::Array(parts)) => {
                for (value, part) in all.iter().zip(parts) {
                    self.visit(part, value, next)?;
                }
            }
            (
                "items" | "additionalItems" | "contains" | "unevaluatedItems",
                Value::Array(all),
                _,
            ) => {
                for value in all {
                    self.visit(part, value, next)?;
                }
            }
            (_, _, _) => {}
        }
        Ok(())
    }

    fn referred(&mut self, to: &Value, value: &Value, next: usize) -> Result<(), Unbounded> {
        let to = to.as_str().unwrap_or_default();
        if to.starts_with("https://json-schema.org/") || to.starts_with("http://json-schema.org/") {
            return self.step(values(value).saturating_mul(OF_ITSELF));
        }
        let (root, names) = (self.root, self.names);
        let Some(place) = to.strip_prefix('#') else {
            return Err(Unbounded::Unknown(to.to_owned()));
        };
        let place = percent_decoded(place);
        let place = String::from_utf8_lossy(&place);
        if let Some(found) = root.pointer(&place) {
            return self.visit(found, value, next);
        }
        let Some(all) = names.0.get(place.as_ref()) else {
            return Err(Unbounded::Unknown(to.to_owned()));
        };
        for pointer in all {
            if let Some(found) = root.pointer(pointer) {
                self.visit(found, value, next)?;
            }
        }
        Ok(())
    }
}

/// How many values there are within one, with itself.
fn values(value: &Value) -> usize {
    match value {
        Value::Object(all) => all.values().map(values).fold(1, usize::saturating_add),
        Value::Array(all) => all.iter().map(values).fold(1, usize::saturating_add),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 1,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn counted(schema: &Value, arguments: &Value) -> Result<usize, Unbounded> {
        steps(schema, &Names::of(schema), arguments)
    }

    /// Each level is either of two of the level below.
    fn doubling(levels: usize) -> Value {
        let mut defs = Map::new();
        defs.insert("n0".to_owned(), json!({"type": "string", "maxLength": 3}));
        for level in 1..=levels {
            let below = json!({"$ref": format!("#/$defs/n{}", level - 1)});
            defs.insert(format!("n{level}"), json!({"anyOf": [below, below]}));
        }
        let x = json!({"$ref": format!("#/$defs/n{levels}")});
        json!({"type": "object", "$defs": defs, "properties": {"x": x}})
    }

    #[test]
    fn what_doubles_with_each_reference_is_not_begun() {
        let arguments = json!({"x": "zzzzz"});
        assert!(counted(&doubling(4), &arguments).unwrap() < 100);
        for levels in [17, 40, 400] {
            assert_eq!(counted(&doubling(levels), &arguments), Err(Unbounded::TooMany), "{levels}");
        }
    }

    #[test]
    fn what_doubles_with_each_level_of_the_arguments_is_not_begun() {
        let both = json!({"properties": {"a": {"$ref": "#"}}});
        let schema = json!({"type": "object", "anyOf": [both, both]});
        let mut arguments = json!({});
        for level in 0..40 {
            let counted = counted(&schema, &arguments);
            assert!(counted.is_ok() || level > 10, "{level}: {counted:?}");
            assert!(counted.is_err() || level < 20, "{level}: {counted:?}");
            arguments = json!({ "a": arguments });
        }
    }

    #[test]
    fn what_refers_to_itself_and_goes_nowhere_is_not_begun() {
        for schema in [
            json!({"type": "object", "allOf": [{"$ref": "#"}]}),
            json!({"$defs": {"a": {"$anchor": "here", "$ref": "#here"}}, "$ref": "#here"}),
            json!({"$dynamicAnchor": "node", "$dynamicRef": "#node"}),
        ] {
            assert_eq!(counted(&schema, &json!({})), Err(Unbounded::TooMany), "{schema}");
        }
        let schema = json!({"$ref": "other.json#/a"});
        assert_eq!(
            counted(&schema, &json!({})),
            Err(Unbounded::Unknown("other.json#/a".to_owned()))
        );
    }

    #[test]
    fn what_is_usual_takes_few_steps() {
        let schema = json!({
            "type": "object", "$defs": {"a b": {"type": "string"}},
            "properties": {
                "all": {"type": "array", "items": {"$ref": "#/$defs/a%20b"}},
                "tree": {"properties": {"left": {"$ref": "#"}}},
                "any": {"additionalProperties": {"type": "number"}},
            },
        });
        let arguments =
            json!({"all": vec!["x"; 100], "tree": {"left": {"all": []}}, "any": {"n": 1}});
        assert!(counted(&schema, &arguments).unwrap() < 300);
    }
}
