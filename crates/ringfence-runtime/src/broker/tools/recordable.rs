//! What no entry of the log has room for is not done: nothing goes on unrecorded, and no call ends the session of all
//! others by being too large to record.

use std::io;

use ringfence_core::Act;
use ringfence_log::ENTRY_BYTES_MAX;

/// Largest act that is decided, in bytes of JSON: what else stands in its entry has a mebibyte.
const ACT_BYTES_MAX: usize = ENTRY_BYTES_MAX - 1024 * 1024;

/// Bytes of arguments whose acts fit in any case: a fact is at most some six times as long as what says it.
const SURE_BYTES: u64 = 64 * 1024;

/// Why one of the acts of a call could not be recorded; the first is the call itself.
pub(super) fn why_not<'a>(acts: impl IntoIterator<Item = &'a Act>) -> Option<String> {
    let mut acts = acts.into_iter().peekable();
    if let Some(Act::CallTool(call)) = acts.peek()
        && call.bytes <= SURE_BYTES
    {
        return None;
    }
    let too_large = |act: &Act| serde_json::to_writer(Room(ACT_BYTES_MAX), act).is_err();
    acts.any(too_large).then(|| {
        let most = ACT_BYTES_MAX / (1024 * 1024);
        format!("the arguments are too large to be recorded: more than {most} MiB")
    })
}

/// Takes so many bytes, and keeps none.
struct Room(usize);

impl io::Write for Room {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use ringfence_core::ToolCall;
    use serde_json::{Value, json};

    use super::*;

    fn call(arguments: Value) -> Act {
        let Value::Object(arguments) = arguments else { panic!() };
        Act::CallTool(ToolCall::new("files/write".parse().unwrap(), &arguments))
    }

    #[test]
    fn what_no_entry_has_room_for_is_not_done() {
        for fits in [json!({}), json!({"x": "a".repeat(6 << 20)}), json!({"x": [1, 2, 3]})] {
            assert_eq!(why_not([&call(fits)]), None);
        }
        let large = call(json!({"x": "a".repeat(12 << 20)}));
        // Each of them is longer as a fact.
        let many = call(json!({"x": vec![1; 1 << 20]}));
        let escaped = call(json!({"x": "\u{1}".repeat(2 << 20)}));
        for act in [large, many, escaped] {
            assert!(why_not([&act]).unwrap().contains("too large to be recorded"));
        }
        let (first, second) =
            (json!({"x": "a".repeat(5 << 20)}), json!({"x": "a".repeat(8 << 20)}));
        assert!(why_not([&call(first), &call(second)]).is_some(), "what an argument names as well");
    }
}
