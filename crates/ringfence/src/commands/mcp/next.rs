//! What a person does next who has added a server.

use ringfence_core::ServerName;
use serde_json::json;

use super::in_force;
use crate::exit::Failure;
use crate::screen::Screen;

/// The agent that is named as an example where none is.
const AGENT: &str = "claude";

/// How the entry of Ringfence is called in a client's settings.
const ENTRY: &str = "ringfence";

/// Says how the server is tried, how a client comes to its tools, and what else it needs for them.
pub(super) fn tell(name: &ServerName, agent: Option<&str>, screen: &Screen) -> Result<(), Failure> {
    let Some(known) = in_force::quietly(&[])? else { return Ok(()) };
    let Some(server) = known.servers.get(name) else { return Ok(()) };
    let agent = agent.unwrap_or(AGENT);
    let tool = server.file.tools.keys().next();
    screen.hint(&match tool {
        Some(tool) => format!(
            "to see that it works, run `ringfence mcp test {name}`; to call a tool of it as an agent would, \
             `ringfence mcp test {name} {tool} ARGUMENTS`"
        ),
        None => format!("to see that it works, run `ringfence mcp test {name}`"),
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
