//! What something that is no message was to be: whoever waits for it is told, by the name that stands in it.

use super::{Id, NAME_BYTES_MAX};

/// A message that cannot be read, as far as it can be told what it was. What is taken from it is a name alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Torn {
    id: Option<Id>,
    has_method: bool,
    is_answer: bool,
}

impl Torn {
    /// Looks at the members of an object that need not be JSON, or not be whole. An `id` that stands twice is none.
    pub fn of(bytes: &[u8]) -> Torn {
        let mut torn = Torn::default();
        let (mut ids, mut depth, mut at) = (0_u32, 0_u64, 0_usize);
        // The text that ended last, and whether a member's value may begin.
        let (mut key, mut is_value): (Option<&[u8]>, bool) = (None, false);
        while let Some(byte) = bytes.get(at) {
            match byte {
                b'"' => {
                    let end = string_end(bytes, at);
                    let text = bytes.get(at..end).unwrap_or_default();
                    if depth == 1 && is_value && key == Some(br#""id""#) {
                        ids = ids.saturating_add(1);
                        torn.id = id(text);
                    }
                    key = (depth == 1 && !is_value).then_some(text);
                    is_value = false;
                    at = end;
                    continue;
                }
                b'{' | b'[' => depth = depth.saturating_add(1),
                b'}' | b']' => depth = depth.saturating_sub(1),
                b':' if depth == 1 => {
                    is_value = true;
                    torn.has_method |= key == Some(br#""method""#);
                    torn.is_answer |= matches!(key, Some(br#""result""# | br#""error""#));
                }
                b',' if depth == 1 => (key, is_value) = (None, false),
                b'-' | b'0'..=b'9' if depth == 1 && is_value && key == Some(br#""id""#) => {
                    let rest = bytes.get(at..).unwrap_or_default();
                    let is_of_number =
                        |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
                    let length = rest.iter().take_while(|byte| is_of_number(byte)).count();
                    ids = ids.saturating_add(1);
                    torn.id = id(rest.get(..length).unwrap_or_default());
                    (key, is_value) = (None, false);
                    at = at.saturating_add(length);
                    continue;
                }
                _ => {}
            }
            at = at.saturating_add(1);
        }
        if ids != 1 {
            torn.id = None;
        }
        torn
    }

    /// The name of the request that it was to be, where it was one.
    pub fn request(&self) -> Option<&Id> {
        self.id.as_ref().filter(|_| !self.is_answer)
    }

    /// The name of the request that it was to answer, where it was an answer.
    pub fn answered(&self) -> Option<&Id> {
        self.id.as_ref().filter(|_| !self.has_method)
    }

    /// Whether it may have been an answer to anything.
    pub fn may_answer(&self) -> bool {
        self.id.is_none() && !self.has_method
    }
}

fn id(text: &[u8]) -> Option<Id> {
    let text = std::str::from_utf8(text).ok().filter(|text| text.len() <= NAME_BYTES_MAX)?;
    // What is written behind it in an answer is JSON.
    let known: serde_json::Value = serde_json::from_str(text).ok()?;
    (known.is_string() || known.is_number()).then(|| Id::read(text)).flatten()
}

/// Where a string that begins here ends, behind its quotation mark.
fn string_end(bytes: &[u8], from: usize) -> usize {
    let mut at = from.saturating_add(1);
    while let Some(found) = memchr::memchr2(b'"', b'\\', bytes.get(at..).unwrap_or_default()) {
        at = at.saturating_add(found);
        if bytes.get(at) == Some(&b'"') {
            return at.saturating_add(1);
        }
        at = at.saturating_add(2);
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> (Option<String>, Option<String>) {
        let torn = Torn::of(text.as_bytes());
        let json = |id: Option<&Id>| id.map(|id| id.json().to_owned());
        (json(torn.request()), json(torn.answered()))
    }

    #[test]
    fn who_waits_for_a_message_that_cannot_be_read_is_known_by_its_name() {
        let name = |name: &str| Some(name.to_owned());
        let deep = format!(r#"{{"result":{},"id":7"#, "[".repeat(100_000));
        let known = [
            (r#"{"jsonrpc":"2.0","id":1,"method":"x","params":{"a":1,"a":2}}"#, name("1"), None),
            (r#"{"id": "a\"b", "result": {"x": NaN}}"#, None, name(r#""a\"b""#)),
            (r#"{"id":-3.5e1,"result":{"id":4}"#, None, name("-3.5e1")),
            (r#"{"result":{"id":4},"error":[{"id":5}],"id":6}"#, None, name("6")),
            // Not even that much can be told.
            (r#"{"id":1,"id":2,"result":{}}"#, None, None),
            (r#"{"id":1,"result":{},"id":1}"#, None, None),
            (r#"{"id":{"id":1},"result":{}}"#, None, None),
            (r#"{"id":1x,"result":{}}"#, None, None),
            (r#"{"id":null,"result":{}}"#, None, None),
            (r#"{"x":"id","y":1,"result":{}}"#, None, None),
            (r#"{"id":"not ended,"#, None, None),
            (r#"[{"id":1,"result":{}}]"#, None, None),
            (r#""id":1"#, None, None),
            ("", None, None),
            (&deep, None, None),
        ];
        for (text, request, answered) in known {
            assert_eq!(of(text), (request, answered), "{text:.60}");
        }
        let text = r#"{"id":1}"#;
        assert_eq!(of(text), (name("1"), name("1")), "it may have been either");
        for length in 0..text.len() {
            Torn::of(text.get(..length).unwrap().as_bytes());
        }
    }
}
