//! What a server says of itself when it begins: a client is told what a person has looked at, and nothing else.

use ringfence_proxy::mcp::edit;
use ringfence_proxy::mcp::frame::{Answer, Frame, Kind, Members, Message, quoted, string};
use ringfence_proxy::mcp::middle::{Effect, Odd, OddKind, Whose};

use crate::servers::Server;

/// The instructions of a server, by the name that MCP has for them.
const INSTRUCTIONS: &str = "instructions";

/// A message as it goes on, if it does: where it is the beginning of the server with this number, with what is pinned of
/// that.
pub(super) fn passed(
    servers: &[Server],
    (number, whose): (usize, Whose),
    message: Message,
    effects: &mut Vec<Effect>,
) -> Option<Message> {
    match (whose, servers.get(number)) {
        (Whose::Hello, Some(server)) => {
            let (message, odd) = as_pinned(server, message);
            effects.extend(odd.map(|what| {
                let (server, kind) = (Some(number), OddKind::NewInstructions);
                Effect::Odd(Odd { server, kind, what: what.to_owned() })
            }));
            message
        }
        (Whose::Hello | Whose::Call(_) | Whose::Far(_) | Whose::Definitions | Whose::Other, _) => {
            Some(message)
        }
    }
}

/// The message with the instructions that are pinned, or none, in place of others; and what is to be told of that.
/// There is no message where it could not be written anew.
fn as_pinned(server: &Server, message: Message) -> (Option<Message>, Option<&'static str>) {
    let pinned = server.file.instructions.as_deref();
    let Kind::Response { answer: Answer::Result(at), .. } = message.kind() else {
        return (Some(message), None);
    };
    let Some(members) = Members::of(message.part(at)) else { return (Some(message), None) };
    let raw = members.get(INSTRUCTIONS);
    let said = raw.and_then(string).filter(|text| !text.is_empty());
    if said.as_deref() == pinned && (said.is_some() || raw.is_none_or(|raw| raw == "\"\"")) {
        return (Some(message), None);
    }
    let instead = edit::object(Some(message.part(at)), &[(INSTRUCTIONS, pinned.map(quoted))]);
    let text = message.with(vec![(at.clone(), &instead)]);
    let what = match (raw, pinned) {
        (None, _) => "it has no instructions any more: the agent is given those that were pinned",
        (Some(_), Some(_)) => {
            "its instructions are others than those that were pinned, which the agent is given"
        }
        (Some(_), None) => "it has instructions that nobody has looked at: the agent is given none",
    };
    let message = match Frame::parse(text.into_bytes()) {
        Ok(Frame::One(message)) => Some(message),
        Ok(Frame::Batch(_)) | Err(_) => None,
    };
    (message, Some(what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::servers::ServerFile;

    fn told(pinned: Option<&str>, result: &str) -> (String, bool) {
        let mut file = ServerFile::started_by(vec!["true".to_owned()]);
        file.instructions = pinned.map(str::to_owned);
        let server = Server::new("files".parse().unwrap(), file).unwrap();
        let text = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#);
        let Frame::One(message) = Frame::parse(text.into_bytes()).unwrap() else { panic!() };
        let (message, odd) = as_pinned(&server, message);
        let value: serde_json::Value = serde_json::from_str(message.unwrap().text()).unwrap();
        (value["result"].to_string(), odd.is_some())
    }

    #[test]
    fn only_the_instructions_that_a_person_has_looked_at_are_passed_on() {
        let same = r#"{"instructions":"a\nb","x":1.5}"#;
        assert_eq!(told(Some("a\nb"), same), (same.to_owned(), false));
        assert_eq!(told(None, r#"{"x":1}"#), (r#"{"x":1}"#.to_owned(), false));
        assert!(!told(None, r#"{"instructions":""}"#).1);
        for other in [r#""b""#, "null", "1", r#"["a"]"#, r#"{"a":1}"#, r#""""#] {
            let said = format!(r#"{{"instructions":{other},"x":1}}"#);
            let (with, odd) = told(Some("a"), &said);
            assert!(odd && with.contains(r#""instructions":"a""#), "{other}: {with}");
            if other != r#""""# {
                assert_eq!(told(None, &said), (r#"{"x":1}"#.to_owned(), true), "{other}");
            }
        }
        let (with, odd) = told(Some("a"), r#"{"x":1}"#);
        assert!(odd && with.contains(r#""instructions":"a""#), "{with}");
    }
}
