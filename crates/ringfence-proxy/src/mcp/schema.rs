//! What a tool's JSON Schema means: what may be sent to it, and what the policy sees of that.
//!
//! A schema is the server's own word. Where it says nothing of a key, that key is not let through: the
//! server would ignore it, or understand it in a way that no rule has looked at.

use std::cell::Cell;
use std::collections::BTreeMap;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, PatternOptions, ReferencingError, ValidationError, Validator};
use ringfence_core::{Fact, FactType, Field, Fields};
use serde_json::{Map, Value};

use super::bounded::{self, Names, STEPS_MAX, TOLD_STEPS_MAX, Unbounded};

/// Longest schema of one tool, in bytes of JSON: what is read, compiled and walked grows with it.
pub const SCHEMA_BYTES_MAX: usize = 256 * 1024;
/// Deepest level of arguments that rules can speak of; what lies deeper is text to them.
const LEVELS_MAX: usize = 6;
/// Most arguments on each level.
const FIELDS_MAX: usize = 256;
/// Most members of a schema and of what it refers to, each time it is referred to.
const FIELDS_IN_ALL_MAX: usize = 4_096;
/// Most steps back that a pattern of a schema may take over a text: both come from who is governed.
const BACKTRACKS_MAX: usize = 100_000;
/// Longest reason that is given for a refusal, in characters.
const REASON_CHARS_MAX: usize = 300;

/// The schema of a tool's arguments, ready to be held against calls.
#[derive(Debug)]
pub struct ArgumentSchema {
    schema: Value,
    names: Names,
    validator: Validator,
    fields: Fields,
}

/// Why a schema is none that calls can be held against.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// It is not what JSON Schema allows.
    #[error("its schema cannot be used: {0}")]
    Unusable(String),
    /// It refers to something that is not in it.
    #[error("its schema refers to `{0}`, which is not fetched")]
    Elsewhere(String),
    /// It refers to something in it that is not there.
    #[error("its schema refers to `{0}`, which is not in it")]
    Nowhere(String),
    /// It is not that of an object.
    #[error("the schema of its arguments is not that of an object")]
    NoObject,
}

/// What is wrong with a call's arguments.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// The schema has no such key.
    #[error("`{0}` is no argument of this tool")]
    Unknown(String),
    /// The schema says otherwise.
    #[error("{at}: {reason}")]
    Invalid {
        /// Which argument, as a path through names and numbers.
        at: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody can hold them against the schema in a bounded time.
    #[error("the arguments are not held against the tool's schema: {0}")]
    Unbounded(String),
    /// A number that no rule could be held against.
    #[error("`{0}` is a number out of range")]
    OutOfRange(String),
}

impl ArgumentSchema {
    /// Reads a schema; nothing is fetched, whatever it refers to.
    pub fn new(schema: Value) -> Result<ArgumentSchema, SchemaError> {
        let kind = schema.get("type").and_then(Value::as_str);
        if !schema.is_object() || kind.is_some_and(|kind| kind != "object") {
            return Err(SchemaError::NoObject);
        }
        if schema.to_string().len() > SCHEMA_BYTES_MAX {
            return Err(SchemaError::Unusable(format!(
                "it is longer than {SCHEMA_BYTES_MAX} bytes"
            )));
        }
        let patterns = PatternOptions::fancy_regex().backtrack_limit(BACKTRACKS_MAX);
        let options = jsonschema::options().with_pattern_options(patterns);
        let options = options.should_validate_formats(false);
        let options = match schema.get("$schema") {
            Some(_) => options,
            // What the protocol takes for granted, since 2025-11-25.
            None => options.with_draft(Draft::Draft202012),
        };
        let validator = options.build(&schema).map_err(|error| unusable(&error))?;
        let fields = Reader::new(&schema).fields(&schema, 0).unwrap_or_default();
        let names = Names::of(&schema);
        Ok(ArgumentSchema { schema, names, validator, fields })
    }

    /// The arguments that rules can speak of.
    pub fn fields(&self) -> &Fields {
        &self.fields
    }

    /// The schema as the server gave it.
    pub fn json(&self) -> &Value {
        &self.schema
    }

    /// Holds arguments against the schema, and says what of them a policy sees. Absent arguments are
    /// none: `{}`.
    pub fn facts(&self, arguments: &Value) -> Result<BTreeMap<String, Fact>, Mismatch> {
        let steps = bounded::steps(&self.schema, &self.names, arguments).map_err(unbounded)?;
        if let Some(unknown) = Reader::new(&self.schema).unknown(&self.schema, arguments, 0) {
            return Err(Mismatch::Unknown(unknown));
        }
        if !self.validator.is_valid(arguments) {
            let told =
                (steps <= TOLD_STEPS_MAX).then(|| self.validator.iter_errors(arguments).next());
            let Some(error) = told.flatten() else {
                let reason = "they are not what the schema says".to_owned();
                return Err(Mismatch::Invalid { at: "arguments".to_owned(), reason });
            };
            let at = error.instance_path().to_string();
            let at = if at.is_empty() {
                "arguments".to_owned()
            } else {
                format!("`{}`", at.trim_start_matches('/'))
            };
            return Err(Mismatch::Invalid { at, reason: cut(&error.to_string()) });
        }
        let none = Map::new();
        facts_of(&self.fields, arguments.as_object().unwrap_or(&none))
    }
}

/// Why a schema is none, in words of ours: those of the library are for who writes programs with it.
fn unusable(error: &ValidationError<'_>) -> SchemaError {
    let ValidationErrorKind::Referencing(refers) = error.kind() else {
        let at = cut(&error.instance_path().to_string());
        return SchemaError::Unusable(match at.as_str() {
            "" => "JSON Schema has no such thing".to_owned(),
            at => format!("at `{at}` stands what JSON Schema does not have there"),
        });
    };
    match refers {
        ReferencingError::Unretrievable { uri, .. }
        | ReferencingError::CircularMetaschema { uri }
        | ReferencingError::UnknownSpecification { specification: uri } => {
            SchemaError::Elsewhere(cut(uri))
        }
        ReferencingError::PointerToNowhere { pointer: to }
        | ReferencingError::InvalidPercentEncoding { pointer: to, .. }
        | ReferencingError::InvalidArrayIndex { pointer: to, .. }
        | ReferencingError::NoSuchAnchor { anchor: to }
        | ReferencingError::InvalidAnchor { anchor: to } => SchemaError::Nowhere(cut(to)),
        ReferencingError::InvalidUri(_) => {
            SchemaError::Unusable("it refers to something by what is no address".to_owned())
        }
    }
}

fn unbounded(why: Unbounded) -> Mismatch {
    Mismatch::Unbounded(match why {
        Unbounded::TooMany => format!("that takes more than {STEPS_MAX} steps"),
        Unbounded::Unknown(place) => format!("it refers to `{}`", cut(&place)),
    })
}

/// One line, not too long.
fn cut(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let mut cut: String = line.chars().take(REASON_CHARS_MAX).collect();
    if cut.len() < line.len() {
        cut.push_str("...");
    }
    cut
}

/// Goes through a schema.
struct Reader<'a> {
    root: &'a Value,
    /// How many more members are looked at: references may lead round in circles.
    budget: Cell<usize>,
}

impl<'a> Reader<'a> {
    fn new(root: &'a Value) -> Reader<'a> {
        Reader { root, budget: Cell::new(FIELDS_IN_ALL_MAX) }
    }

    /// What a schema refers to within itself; itself where it refers to nothing.
    fn resolved(&self, schema: &'a Value) -> &'a Value {
        let mut schema = schema;
        for _ in 0..LEVELS_MAX {
            let Some(to) = schema.get("$ref").and_then(Value::as_str) else { return schema };
            match to.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer)) {
                Some(found) => schema = found,
                None => return schema,
            }
        }
        schema
    }

    /// The members of an object; `None` where others may be there as well, or too many.
    fn fields(&self, schema: &'a Value, level: usize) -> Option<Fields> {
        let properties = match schema.get("properties") {
            None => return is_closed(schema).then(Fields::new),
            Some(properties) => properties.as_object()?,
        };
        if level >= LEVELS_MAX || properties.len() > FIELDS_MAX {
            return None;
        }
        self.budget.set(self.budget.get().checked_sub(properties.len())?);
        let required: Vec<&str> = schema
            .get("required")
            .and_then(Value::as_array)
            .map(|names| names.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        let field = |(name, schema): (&String, &'a Value)| {
            let (kind, nullable) = self.kind(schema, level);
            let required = required.contains(&name.as_str()) && !nullable;
            (name.clone(), Field { kind, required })
        };
        Some(properties.iter().map(field).collect())
    }

    /// What kind of fact a value is, and whether it may be null.
    fn kind(&self, schema: &'a Value, level: usize) -> (FactType, bool) {
        let schema = self.resolved(schema);
        if let Some(choices) =
            ["anyOf", "oneOf"].into_iter().find_map(|key| schema.get(key)?.as_array())
        {
            return self.one_of(choices, level);
        }
        let types: Vec<&str> = match schema.get("type") {
            Some(Value::String(one)) => vec![one],
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect(),
            Some(_) | None => Vec::new(),
        };
        let nullable = types.contains(&"null");
        let mut others = types.into_iter().filter(|one| *one != "null");
        let kind = match (others.next(), others.next()) {
            (Some("boolean"), None) => FactType::Bool,
            (Some("integer"), None) => FactType::Long,
            (Some("number"), None) => FactType::Decimal,
            (Some("array"), None) => self.set(schema, level),
            (Some("object"), None) if is_closed(schema) || schema.get("properties").is_some() => {
                let open = !is_closed(schema) && allows_others(schema);
                let fields = if open { None } else { self.fields(schema, level.saturating_add(1)) };
                fields.map_or(FactType::Text, FactType::Record)
            }
            (_, _) => FactType::Text,
        };
        (kind, nullable)
    }

    /// Of several choices, the only one besides null.
    fn one_of(&self, choices: &'a [Value], level: usize) -> (FactType, bool) {
        let is_null = |choice: &&Value| choice.get("type").and_then(Value::as_str) == Some("null");
        let nullable = choices.iter().any(|choice| is_null(&choice));
        let mut others = choices.iter().filter(|choice| !is_null(choice));
        match (others.next(), others.next()) {
            (Some(only), None) if level < LEVELS_MAX => {
                let (kind, also) = self.kind(only, level.saturating_add(1));
                (kind, nullable || also)
            }
            (_, _) => (FactType::Text, nullable),
        }
    }

    fn set(&self, schema: &'a Value, level: usize) -> FactType {
        match schema.get("items") {
            Some(items) if level < LEVELS_MAX && schema.get("prefixItems").is_none() => {
                match self.kind(items, level.saturating_add(1)) {
                    (kind, false) => FactType::Set(Box::new(kind)),
                    (_, true) => FactType::Text,
                }
            }
            Some(_) | None => FactType::Text,
        }
    }

    /// A key of which the schema says nothing, by its path.
    fn unknown(&self, schema: &'a Value, value: &Value, level: usize) -> Option<String> {
        let schema = self.resolved(schema);
        if level >= LEVELS_MAX {
            return None;
        }
        match value {
            Value::Object(all) => {
                let properties = schema.get("properties").and_then(Value::as_object);
                if level > 0 && properties.is_none() {
                    return None;
                }
                all.iter().find_map(|(name, value)| {
                    match properties.and_then(|properties| properties.get(name)) {
                        Some(inner) => {
                            let below = self.unknown(inner, value, level.saturating_add(1))?;
                            Some(format!("{name}.{below}"))
                        }
                        None => (!allows_others(schema)).then(|| name.clone()),
                    }
                })
            }
            Value::Array(all) => {
                let items = schema.get("items")?;
                all.iter().find_map(|value| self.unknown(items, value, level.saturating_add(1)))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        }
    }
}

/// Whether a schema says that there is nothing but its properties.
fn is_closed(schema: &Value) -> bool {
    schema.get("additionalProperties") == Some(&Value::Bool(false))
}

/// Whether a schema says in so many words that there may be more than its properties. What puts parts of
/// it elsewhere (`allOf` and the like) is not looked through: then what it refuses is what counts.
fn allows_others(schema: &Value) -> bool {
    const ELSEWHERE: [&str; 9] = [
        "patternProperties",
        "propertyNames",
        "unevaluatedProperties",
        "allOf",
        "anyOf",
        "oneOf",
        "if",
        "dependentSchemas",
        "$dynamicRef",
    ];
    let named = schema.get("additionalProperties").is_some_and(|it| *it != Value::Bool(false));
    named || ELSEWHERE.iter().any(|key| schema.get(key).is_some())
}

fn facts_of(fields: &Fields, all: &Map<String, Value>) -> Result<BTreeMap<String, Fact>, Mismatch> {
    let known = fields.iter().filter_map(|(name, field)| Some((name, field, all.get(name)?)));
    // Null is what an absent one is.
    let given =
        known.filter(|(_, field, value)| !(value.is_null() && field.kind != FactType::Text));
    given.map(|(name, field, value)| Ok((name.clone(), fact(&field.kind, value, name)?))).collect()
}

fn fact(kind: &FactType, value: &Value, name: &str) -> Result<Fact, Mismatch> {
    let out_of_range = || Mismatch::OutOfRange(name.to_owned());
    Ok(match (kind, value) {
        (FactType::Bool, Value::Bool(is)) => Fact::Bool(*is),
        (FactType::Long, Value::Number(number)) => {
            Fact::Long(whole(number).ok_or_else(out_of_range)?)
        }
        (FactType::Decimal, Value::Number(number)) => {
            Fact::decimal(number.as_f64().ok_or_else(out_of_range)?)
        }
        (FactType::Set(kind), Value::Array(all)) => {
            Fact::Set(all.iter().map(|value| fact(kind, value, name)).collect::<Result<_, _>>()?)
        }
        (FactType::Record(fields), Value::Object(all)) => Fact::Record(facts_of(fields, all)?),
        (FactType::Text, Value::String(text)) => Fact::Text(text.clone()),
        (FactType::Text, other) => Fact::Text(other.to_string()),
        // The validator has let it through as something else than its type says.
        (_, _) => {
            return Err(Mismatch::Invalid {
                at: format!("`{name}`"),
                reason: "it is not of the type that the schema says".to_owned(),
            });
        }
    })
}

/// A whole number, which JSON Schema takes `2.0` for too.
fn whole(number: &serde_json::Number) -> Option<i64> {
    let exact = |float: f64| {
        // Beyond these, a float does not tell one whole number from the next.
        let fits = float.fract() == 0.0 && float.abs() <= 9_007_199_254_740_992.0;
        #[expect(clippy::cast_possible_truncation, reason = "it is whole and in range")]
        fits.then_some(float as i64)
    };
    number.as_i64().or_else(|| if number.is_u64() { None } else { exact(number.as_f64()?) })
}

#[cfg(test)]
mod tests;
