//! Whether a text is JSON that can be read in one way: no key stands twice, and nothing is nested too deeply.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{DEPTH_MAX, Key, Why, not_json, quoted};

/// Refuses what is no JSON, and what has a key twice or is nested too deeply.
pub(super) fn check(text: &str) -> Result<(), Why> {
    let mut read = serde_json::Deserializer::from_str(text);
    let checked = Once { depth: 0 }.deserialize(&mut read).and_then(|()| read.end());
    checked.map_err(|error| match error.classify() {
        // Our own words come as errors of data.
        serde_json::error::Category::Data => Why::Ambiguous(error.to_string()),
        serde_json::error::Category::Io
        | serde_json::error::Category::Syntax
        | serde_json::error::Category::Eof => not_json(error),
    })
}

/// Goes through a value in which every key stands once.
#[derive(Clone, Copy)]
struct Once {
    depth: usize,
}

impl Once {
    fn deeper<E: de::Error>(self) -> Result<Once, E> {
        if self.depth >= DEPTH_MAX {
            return Err(E::custom(format_args!("nested deeper than {DEPTH_MAX} levels")));
        }
        Ok(Once { depth: self.depth.saturating_add(1) })
    }
}

impl<'de> DeserializeSeed<'de> for Once {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Once {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while all.next_element_seed(inner)?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        let mut seen = Keys::default();
        while let Some(Key(name)) = map.next_key::<Key<'de>>()? {
            if let Err(name) = seen.add(name) {
                return Err(de::Error::custom(format_args!(
                    "the key {} stands twice",
                    quoted(&name)
                )));
            }
            map.next_value_seed(inner)?;
        }
        Ok(())
    }
}

/// The keys of an object so far: of most there are a few, which are looked through faster than hashed.
#[derive(Default)]
struct Keys<'a> {
    few: Vec<Cow<'a, str>>,
    many: HashSet<Cow<'a, str>>,
}

/// Most keys that are looked through.
const FEW_MAX: usize = 16;

impl<'a> Keys<'a> {
    /// Adds one; the error is one that is there already.
    fn add(&mut self, key: Cow<'a, str>) -> Result<(), Cow<'a, str>> {
        if self.few.contains(&key) || self.many.contains(&key) {
            return Err(key);
        }
        if self.few.len() < FEW_MAX {
            self.few.push(key);
        } else {
            self.many.insert(key);
        }
        Ok(())
    }
}
