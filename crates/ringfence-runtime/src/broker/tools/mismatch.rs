//! What an agent is told whose arguments are not those of a tool: what was probably meant, and what is missing.

use ringfence_policy::nearest_word;
use ringfence_proxy::mcp::schema::{ArgumentSchema, Mismatch};
use serde_json::Value;

use crate::wording::printable;

/// Most missing arguments that are named.
const MISSING_MAX: usize = 8;

/// Why the arguments that a call gives are refused.
pub(super) fn said(why: &Mismatch, schema: &ArgumentSchema, given: &Value) -> String {
    let Mismatch::Unknown(unknown) = why else { return why.to_string() };
    let missing = missing(schema.json(), given);
    // Of members of others the schema says more than a line has room for.
    let near = (!unknown.contains('.'))
        .then(|| {
            let free = schema.fields().keys().map(String::as_str);
            nearest_word(unknown, free.filter(|name| given.get(*name).is_none()))
        })
        .flatten();
    let meant = near.map(|near| {
        let is_missing = if missing.contains(&near) { ", which is missing" } else { "" };
        format!("; did you mean `{}`{is_missing}?", printable(near))
    });
    let others: Vec<String> = missing
        .iter()
        .filter(|name| Some(**name) != near)
        .take(MISSING_MAX)
        .map(|name| format!("`{}`", printable(name)))
        .collect();
    let others = match others.as_slice() {
        [] => String::new(),
        all => format!("; missing: {}", all.join(", ")),
    };
    format!("{why}{}{others}", meant.unwrap_or_default())
}

/// The arguments that the schema wants and the call does not have.
fn missing<'a>(schema: &'a Value, given: &Value) -> Vec<&'a str> {
    let required = schema.get("required").and_then(Value::as_array);
    let names = required.into_iter().flatten().filter_map(Value::as_str);
    names.filter(|name| given.get(*name).is_none()).collect()
}

#[cfg(test)]
mod tests {
    use ringfence_proxy::mcp::schema::ArgumentSchema;
    use serde_json::json;

    use super::said;

    #[test]
    fn what_was_meant_and_what_is_missing_is_said_and_nothing_that_is_there() {
        let schema = ArgumentSchema::new(json!({
            "type": "object", "properties": {"path": {"type": "string"}, "text": {"type": "string"},
            "mode": {"type": "string"}}, "required": ["path", "text"],
        }))
        .unwrap();
        let none = "is no argument of this tool";
        for (given, told) in [
            (json!({"pth": "a", "text": ""}), "`pth` NONE; did you mean `path`, which is missing?"),
            (
                json!({"pth": "a"}),
                "`pth` NONE; did you mean `path`, which is missing?; missing: `text`",
            ),
            (json!({"zzzzzz": 1}), "`zzzzzz` NONE; missing: `path`, `text`"),
            (json!({"path": "", "text": "", "mod": ""}), "`mod` NONE; did you mean `mode`?"),
            (json!({"path": "", "text": "", "pth": ""}), "`pth` NONE"),
            (json!({"path": 1, "text": ""}), "`path`: 1 is not of type \"string\""),
        ] {
            let why = schema.facts(&given).unwrap_err();
            assert_eq!(said(&why, &schema, &given), told.replace("NONE", none));
        }
    }
}
