//! Where a tool's schema lets texts stand: through everything that puts a schema together.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::place::{Place, Step};

/// Deepest place that is looked for, in steps; what lies deeper is taken whole.
const STEPS_MAX: usize = 12;
/// Most places of a tool that are told apart; of more, all arguments are taken whole.
const PLACES_MAX: usize = 256;
/// Deepest that schemas refer to each other.
const REFERENCES_MAX: usize = 64;
/// Most schemas that are looked at within a tool's, each time it is referred to: references go round in circles.
const SCHEMAS_MAX: usize = 4_096;

/// What a schema says of a place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// The nearest name.
    pub(super) name: String,
    /// The name that this one is of, where there is one.
    pub(super) of: String,
    /// The formats that it may have.
    pub(super) formats: BTreeSet<String>,
    /// The descriptions of it.
    pub(super) described: BTreeSet<String>,
    /// Whether any text may stand there, and not only some that the schema names.
    pub(super) free: bool,
}

/// What a schema says of places.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Every place where a text may stand.
    pub(super) texts: BTreeMap<Place, Said>,
    /// Every place that has a name.
    pub(super) named: BTreeSet<Place>,
}

/// Every place that a schema leads to.
pub(super) fn places(schema: &Value) -> Places {
    let (texts, named) = (BTreeMap::new(), BTreeSet::new());
    let mut walk = Walk { root: schema, found: texts, named, left: SCHEMAS_MAX, within: 0 };
    let names = Names::default();
    walk.look(schema, (&Place::root(), &names), Bound::Object);
    if walk.left == 0 || walk.found.len() > PLACES_MAX {
        let whole = Said { free: true, ..Said::default() };
        let texts = BTreeMap::from([(Place::root().then(Step::Below), whole)]);
        return Places { texts, named: BTreeSet::new() };
    }
    Places { texts: walk.found, named: walk.named }
}

/// The nearest name on the way to a place, and the one before.
#[derive(Debug, Clone, Default)]
struct Names {
    name: String,
    of: String,
}

impl Names {
    fn then(&self, name: &str) -> Names {
        Names { name: name.to_owned(), of: self.name.clone() }
    }
}

/// What is known of a value before the schema at hand is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    /// Nothing: what the schema does not say may be anything.
    Free,
    /// Another schema says what it may be; this one only says more of it.
    Said,
    /// It is an object, and there is nothing in it but what the schema says.
    Object,
}

struct Walk<'a> {
    root: &'a Value,
    found: BTreeMap<Place, Said>,
    named: BTreeSet<Place>,
    left: usize,
    within: usize,
}

/// Keywords whose schemas are about the same value.
const OF_THE_SAME: [&str; 6] = ["allOf", "anyOf", "oneOf", "if", "then", "else"];

impl<'a> Walk<'a> {
    fn look(&mut self, schema: &'a Value, at: (&Place, &Names), bound: Bound) {
        self.within = self.within.saturating_add(1);
        self.look_here(schema, at, bound);
        self.within = self.within.saturating_sub(1);
    }

    fn look_here(&mut self, schema: &'a Value, at: (&Place, &Names), bound: Bound) {
        self.left = self.left.saturating_sub(1);
        let schema = match schema {
            _ if self.left == 0 => return,
            Value::Object(schema) => schema,
            Value::Bool(false) => return,
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_)
                if bound == Bound::Said =>
            {
                return;
            }
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => {
                return self.open(at);
            }
        };
        if at.0.depth() >= STEPS_MAX || self.within > REFERENCES_MAX {
            return self.open(at);
        }
        let own = of_itself(schema);
        let bound = match own {
            Own::Nothing => bound,
            Own::Something if bound == Bound::Object => Bound::Object,
            Own::Something => Bound::Said,
        };
        let elsewhere = self.elsewhere(schema, at, bound);
        if own == Own::Nothing && bound == Bound::Free && !elsewhere {
            return self.open(at);
        }
        if may_be(schema, "string") && own == Own::Something && at.0.depth() > 0 {
            self.text(schema, at);
        }
        self.members_of_object(schema, at);
        self.members_of_array(schema, at);
    }

    /// What other schemas say of the same value; whether there are any.
    fn elsewhere(
        &mut self,
        schema: &'a Map<String, Value>,
        at: (&Place, &Names),
        bound: Bound,
    ) -> bool {
        let mut all: Vec<&'a Value> = Vec::new();
        for key in OF_THE_SAME {
            match schema.get(key) {
                Some(Value::Array(several)) => all.extend(several),
                Some(one) => all.push(one),
                None => {}
            }
        }
        for key in ["dependentSchemas", "dependencies"] {
            let several = schema.get(key).and_then(Value::as_object).into_iter().flatten();
            all.extend(several.map(|(_, one)| one).filter(|one| !one.is_array()));
        }
        let referred =
            ["$ref", "$dynamicRef", "$recursiveRef"].into_iter().filter_map(|key| schema.get(key));
        let mut any = !all.is_empty();
        // What leads elsewhere than to a place in the schema is not followed, and says nothing.
        for to in referred {
            any = true;
            match to.as_str().and_then(|to| self.find(to)) {
                Some(found) => all.push(found),
                None => self.open(at),
            }
        }
        for one in all {
            self.look(one, at, bound);
        }
        any
    }

    fn find(&self, to: &str) -> Option<&'a Value> {
        let pointer = to.strip_prefix('#')?;
        let plain = pointer.is_empty() || (pointer.starts_with('/') && !pointer.contains('%'));
        plain.then(|| self.root.pointer(pointer)).flatten()
    }

    fn members_of_object(&mut self, schema: &'a Map<String, Value>, at: (&Place, &Names)) {
        let (place, names) = at;
        for (name, inner) in object(schema, "properties") {
            let inside = place.then(Step::Name(name.clone()));
            self.look(inner, (&inside, &names.then(name)), Bound::Free);
            self.named.insert(inside);
        }
        let others = ["additionalProperties", "unevaluatedProperties"];
        let others = others.into_iter().filter_map(|key| schema.get(key));
        let others = others.filter(|inner| **inner != Value::Bool(false));
        for inner in object(schema, "patternProperties").map(|(_, inner)| inner).chain(others) {
            self.note(at.0.then(Step::Names), names, true);
            self.look(inner, (&place.then(Step::Any), names), Bound::Free);
        }
        let says_nothing =
            ["properties", "additionalProperties", "patternProperties", "unevaluatedProperties"];
        let open = says_nothing.iter().all(|key| schema.get(*key).is_none());
        if open && is(schema, "object") && place.depth() > 0 {
            self.open(at);
        }
    }

    fn members_of_array(&mut self, schema: &'a Map<String, Value>, at: (&Place, &Names)) {
        let (place, names) = (at.0.then(Step::Members), at.1);
        let mut said = false;
        for key in ["items", "prefixItems", "additionalItems", "unevaluatedItems"] {
            match schema.get(key) {
                Some(Value::Array(several)) => {
                    for one in several {
                        self.look(one, (&place, names), Bound::Free);
                    }
                }
                Some(one) => self.look(one, (&place, names), Bound::Free),
                None => continue,
            }
            said = true;
        }
        if let Some(one) = schema.get("contains") {
            self.look(one, (&place, names), if said { Bound::Said } else { Bound::Free });
        }
        if !said && is(schema, "array") {
            self.open((&place, names));
        }
        // What follows after those that are told of one by one.
        let first_ones =
            schema.contains_key("prefixItems") || schema.get("items").is_some_and(Value::is_array);
        let more =
            ["additionalItems", "unevaluatedItems"].iter().any(|key| schema.contains_key(*key));
        let more = more || (schema.contains_key("prefixItems") && schema.contains_key("items"));
        if first_ones && !more {
            self.open((&place, names));
        }
    }

    fn text(&mut self, schema: &Map<String, Value>, at: (&Place, &Names)) {
        let chosen = |key: &str| schema.contains_key(key);
        let free = !chosen("enum") && !chosen("const");
        self.note(at.0.clone(), at.1, free);
        let Some(said) = self.found.get_mut(at.0) else { return };
        let text = |key: &str| schema.get(key).and_then(Value::as_str).map(str::to_owned);
        said.formats.extend(text("format"));
        said.described.extend(text("description"));
    }

    /// Anything may stand there.
    fn open(&mut self, at: (&Place, &Names)) {
        self.note(at.0.then(Step::Below), at.1, true);
    }

    fn note(&mut self, place: Place, names: &Names, free: bool) {
        if self.found.len() > PLACES_MAX {
            return;
        }
        let said = self.found.entry(place).or_default();
        said.name.clone_from(&names.name);
        said.of.clone_from(&names.of);
        said.free |= free;
    }
}

/// Whether a schema says by itself what a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Own {
    Nothing,
    Something,
}

fn of_itself(schema: &Map<String, Value>) -> Own {
    const TELLING: [&str; 13] = [
        "type",
        "enum",
        "const",
        "properties",
        "additionalProperties",
        "patternProperties",
        "unevaluatedProperties",
        "items",
        "prefixItems",
        "additionalItems",
        "unevaluatedItems",
        "format",
        "pattern",
    ];
    if TELLING.iter().any(|key| schema.contains_key(*key)) { Own::Something } else { Own::Nothing }
}

/// Whether the schema's own words let a value be of this type.
fn may_be(schema: &Map<String, Value>, name: &str) -> bool {
    if let Some(chosen) = schema.get("enum").and_then(Value::as_array) {
        return chosen.iter().any(Value::is_string);
    }
    if let Some(chosen) = schema.get("const") {
        return chosen.is_string();
    }
    !schema.contains_key("type") || is(schema, name)
}

fn is(schema: &Map<String, Value>, name: &str) -> bool {
    match schema.get("type") {
        Some(Value::String(one)) => one == name,
        Some(Value::Array(all)) => all.iter().any(|one| one == name),
        Some(_) | None => false,
    }
}

fn object<'a>(
    schema: &'a Map<String, Value>,
    key: &str,
) -> impl Iterator<Item = (&'a String, &'a Value)> {
    schema.get(key).and_then(Value::as_object).into_iter().flatten()
}
