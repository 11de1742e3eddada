//! What a person does next who has added a server.

use std::collections::BTreeMap;

use ringfence_core::ServerName;
use ringfence_runtime::servers::Pinned;
use ringfence_runtime::servers::proposal::Does;
use ringfence_runtime::wording::shell_word;
use serde_json::{Map, Value, json};

use super::in_force;
use crate::exit::Failure;
use crate::screen::Screen;

/// The agent that is named as an example where none is.
const AGENT: &str = "claude";

/// How the entry of Ringfence is called in a client's settings.
const ENTRY: &str = "ringfence";

/// What stands for a call where none is made up.
const CALL: &str = "TOOL ARGUMENTS";

/// Longest arguments that are made up for an example, in bytes.
const EXAMPLE_BYTES_MAX: usize = 120;

/// Says how the server is tried, how a client comes to its tools, and what else it needs for them.
pub(super) fn tell(name: &ServerName, agent: Option<&str>, screen: &Screen) -> Result<(), Failure> {
    let Some(known) = in_force::quietly(&[])? else { return Ok(()) };
    let Some(server) = known.servers.get(name) else { return Ok(()) };
    let agent = agent.unwrap_or(AGENT);
    let call = call(&server.file.tools).unwrap_or_else(|| CALL.to_owned());
    screen.hint(&if server.file.tools.is_empty() {
        format!("to see that it works, run `ringfence mcp test {name}`")
    } else {
        format!(
            "to see that it works, run `ringfence mcp test {name}`; to call a tool of it as an agent would, \
             `ringfence mcp test {name} {call}`"
        )
    });
    // Each word of it is whole where a terminal breaks the line.
    let words = ["mcp", "run", "--agent", agent].map(|word| json!(word).to_string()).join(", ");
    let entry = format!(
        "{{\"mcpServers\": {{\"{ENTRY}\": {{\"command\": \"ringfence\", \"args\": [{words}]}}}}}}"
    );
    screen.hint(&format!(
        "a client that starts `ringfence mcp run` has its tools when it starts next; to have one start that, put this into \
         its settings: {entry}"
    ));
    if server.names_files() {
        screen.hint(&format!(
            "a file that an argument names is decided for who calls, too: outside of its project an agent needs a rule of \
             its own, as permit (principal == Agent::\"{agent}\", action == Action::\"fs.read\", resource in Dir::\"DIR\");"
        ));
    }
    Ok(())
}

/// A call that is tried without harm: of a tool that looks like it only reads, else of one of which the server says so. What
/// changes something is no example.
fn call(tools: &BTreeMap<String, Pinned>) -> Option<String> {
    let does = |wanted: Does| {
        tools.iter().filter(move |(tool, pinned)| Does::of(tool, pinned, &[]) == wanted)
    };
    let says_so = |(_, pinned): &(&String, &Pinned)| {
        let hint = pinned.definition.get("annotations").and_then(|it| it.get("readOnlyHint"));
        hint.and_then(Value::as_bool) == Some(true)
    };
    let (tool, pinned) = does(Does::Reads).chain(does(Does::Unknown).filter(says_so)).next()?;
    let arguments = arguments(pinned).unwrap_or_else(|| "ARGUMENTS".to_owned());
    Some(format!("{} {arguments}", shell_word(tool)?).trim_end().to_owned())
}

/// The arguments that a tool requires, with something in their places, as a word for a shell; none where it requires none.
fn arguments(pinned: &Pinned) -> Option<String> {
    let schema = pinned.definition.get("inputSchema")?;
    let required = schema.get("required").and_then(Value::as_array);
    let names = required.into_iter().flatten().map(|it| it.as_str().filter(|it| is_plain(it)));
    let names = names.collect::<Option<Vec<&str>>>()?;
    if names.is_empty() {
        return Some(String::new());
    }
    let of = |name: &str| schema.get("properties").and_then(|it| it.get(name));
    let all: Map<String, Value> =
        names.into_iter().map(|name| (name.to_owned(), stand_in(of(name)))).collect();
    let text = Value::Object(all).to_string();
    (text.len() <= EXAMPLE_BYTES_MAX).then(|| shell_word(&text)).flatten()
}

/// Something of the type of an argument.
fn stand_in(schema: Option<&Value>) -> Value {
    let of = |name: &str| schema.and_then(|it| it.get(name));
    let one = of("enum").and_then(|all| all.get(0)).and_then(Value::as_str);
    if let Some(one) = one.filter(|it| is_plain(it)) {
        return json!(one);
    }
    match of("type").and_then(Value::as_str) {
        Some("integer" | "number") => json!(0),
        Some("boolean") => json!(false),
        Some("array") => json!([]),
        Some("object") => json!({}),
        Some(_) | None => json!("..."),
    }
}

/// Whether a word of a server's is shown in an example.
fn is_plain(word: &str) -> bool {
    !word.is_empty() && word.chars().all(|it| it.is_ascii_alphanumeric() || "_-.".contains(it))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call_of(tools: Vec<Value>) -> Option<String> {
        call(&Pinned::all(tools).unwrap())
    }

    fn tool(name: &str, schema: &Value) -> Value {
        json!({"name": name, "inputSchema": schema})
    }

    #[test]
    fn a_tool_that_reads_is_the_example_and_what_it_requires_is_in_it() {
        let none = json!({"type": "object"});
        let schema = json!({
            "type": "object",
            "properties": {
                "path": {"type": "string"}, "head": {"type": "integer"}, "how": {"enum": ["raw"]},
                "all": {"type": "boolean"}, "left_out": {"type": "string"},
            },
            "required": ["all", "head", "how", "path"],
        });
        let read = tool("read_file", &schema);
        let call = call_of(vec![tool("delete_file", &none), tool("create_file", &none), read]);
        let arguments = r#"'{"all":false,"head":0,"how":"raw","path":"..."}'"#;
        assert_eq!(call, Some(format!("read_file {arguments}")));
        assert_eq!(call_of(vec![tool("list_files", &none)]), Some("list_files".to_owned()));
        let mut says_so = tool("glance", &none);
        says_so["annotations"] = json!({"readOnlyHint": true});
        assert_eq!(call_of(vec![says_so]), Some("glance".to_owned()));
    }

    #[test]
    fn what_does_not_only_read_is_no_example_and_no_word_of_a_server_is_more_than_a_word() {
        let none = json!({"type": "object"});
        let mut lies = tool("delete_file", &none);
        lies["annotations"] = json!({"readOnlyHint": true});
        for tools in
            [vec![], vec![tool("delete_file", &none)], vec![tool("glance", &none)], vec![lies]]
        {
            assert_eq!(call_of(tools.clone()), None, "{tools:?}");
        }
        for name in ["a`b", "a b", "'; rm -r ~; '", "", "\u{202e}a"] {
            let schema = json!({"type": "object", "required": [name]});
            let call = call_of(vec![tool("read_file", &schema)]);
            assert_eq!(call.as_deref(), Some("read_file ARGUMENTS"), "{name}");
        }
        let long = "a".repeat(EXAMPLE_BYTES_MAX);
        let call = call_of(vec![tool("read_file", &json!({"type": "object", "required": [long]}))]);
        assert_eq!(call.as_deref(), Some("read_file ARGUMENTS"));
    }
}
