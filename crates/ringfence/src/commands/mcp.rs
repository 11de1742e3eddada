//! `mcp`: servers of tools, added, looked at, and served to agents.

mod relay;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::fd::AsFd as _;
use std::path::PathBuf;

use ringfence_core::ServerName;
use ringfence_runtime::broker::tools::{self, At, Listening, Ready, ToolsClosing, ToolsRequest};
use ringfence_runtime::servers::{Difference, Pinned, SERVERS_DIR, Server, ServerFile, digest};
use ringfence_runtime::suggest::unified;
use ringfence_runtime::trust::Project;
use ringfence_runtime::whole_file;
use ringfence_runtime::wording::{printable, shell_word};
use serde_json::{Value, json};

use super::{context, in_force, run};
use crate::cli::{
    McpAddArgs, McpCommand, McpInspectArgs, McpListArgs, McpRemoveArgs, McpRunArgs, McpServeArgs,
};
use crate::exit::{Done, Failure, Message};
use crate::prompt::{self, Consent};
use crate::render::text;
use crate::screen::Screen;

/// Version of the JSON.
const SCHEMA: u32 = 1;

/// Most columns of what a server says of a tool.
const DESCRIPTION_COLUMNS: usize = 100;

pub(crate) fn mcp(command: McpCommand, screen: &Screen) -> Result<Done, Failure> {
    let environment = context::environment();
    if let McpCommand::Run(args) = &command
        && let Some(socket) = relay::socket(&environment)
    {
        // Who calls is whose world it is, and the policy that counts is its session's.
        return relay::run(&socket, args.servers.clone());
    }
    prompt::outside_only(&environment, "servers of tools cannot be run or changed")?;
    match command {
        McpCommand::Run(args) => serve(args, screen),
        McpCommand::Serve(args) => serve_http(args, screen),
        McpCommand::Add(args) => add(args, screen),
        McpCommand::List(args) => list(&args, screen),
        McpCommand::Inspect(args) => inspect(&args, screen),
        McpCommand::Remove(args) => remove(&args, screen),
    }
}

fn serve(args: McpRunArgs, screen: &Screen) -> Result<Done, Failure> {
    let McpRunArgs { servers, agent, policy } = args;
    let request = ToolsRequest { servers, agent, ..request(policy)? };
    let (from, to) = (std::io::stdin(), std::io::stdout());
    let client = (from.as_fd(), to.as_fd());
    let ended = tools::run(&request, client, &mut |notice| run::tell(notice, screen));
    let closing = ended.map_err(|error| run::failure(&error, screen))?;
    said(&closing, screen);
    Ok(Done::Yes)
}

fn said(closing: &ToolsClosing, screen: &Screen) {
    screen.note(&format!(
        "ringfence: {} permitted, {} denied, {} failed, {} entries; to look closer, run `ringfence show {}`",
        closing.permitted, closing.denied, closing.failed, closing.entries, closing.session
    ));
}

fn serve_http(args: McpServeArgs, screen: &Screen) -> Result<Done, Failure> {
    let McpServeArgs { servers, agent, listen, token_file, allow_origin, policy } = args;
    let request = ToolsRequest { servers, agent, ..request(policy)? };
    let at = match listen.strip_prefix("unix:") {
        Some(path) => At::Unix(path.into()),
        None => At::Tcp(listen.parse().map_err(|_| {
            Message::new(format!("`--listen` takes ADDRESS:PORT or unix:PATH, not `{listen}`"))
                .could_not()
        })?),
    };
    let listening = Listening { at, token_file, origins: allow_origin };
    let ready = &mut |ready: &Ready| {
        let file = ready.token_file.display();
        screen.note(&format!("serving at {}, for who has the token in {file}", ready.at));
    };
    let ended = tools::serve(&request, &listening, ready, &mut |notice| run::tell(notice, screen));
    let closing = ended.map_err(|error| run::failure(&error, screen))?;
    said(&closing, screen);
    Ok(Done::Yes)
}

fn request(overrides: Vec<PathBuf>) -> Result<ToolsRequest, Failure> {
    let own = std::env::current_exe()
        .map_err(|error| Message::new(format!("cannot find ourselves: {error}")).could_not())?;
    Ok(ToolsRequest {
        dirs: context::dirs()?,
        environment: context::environment(),
        cwd: context::current_dir()?,
        overrides,
        agent: "mcp-client".to_owned(),
        servers: Vec::new(),
        run: vec![own.into(), "run".into()],
    })
}

fn add(args: McpAddArgs, screen: &Screen) -> Result<Done, Failure> {
    let request = request(args.policy)?;
    let mut file = match args.url {
        Some(url) => ServerFile::at(url),
        None => ServerFile::started_by(args.command),
    };
    file.env = variables(&args.env)?;
    file.headers = headers(&args.header)?;
    let wrong = |why: String| Message::new(format!("`{}`: {why}", args.name)).could_not();
    let server = Server::new(args.name.clone(), file.clone()).map_err(wrong)?;
    screen.note(&match &file.url {
        Some(url) => format!("asking `{}` at {}", args.name, printable(url)),
        None => format!("starting `{}` in a world of its own", args.name),
    });
    let said = tools::look_at(&server, &request).map_err(|error| {
        let hint = format!(
            "it runs under the policy for `Agent::\"{0}\"`: what it lacks says `ringfence show`",
            args.name
        );
        Message::new(error.to_string()).hint(hint).could_not()
    })?;
    let wrong = |why: String| Message::new(format!("`{}`: {why}", args.name)).could_not();
    file.tools = Pinned::all(said).map_err(wrong)?;
    let server = Server::new(args.name.clone(), file).map_err(wrong)?;
    let place = place(&request, &args.name, args.project)?;
    if args.json {
        screen.note(shown(&server).trim_end());
    } else {
        screen.data(&shown(&server))?;
    }
    if !args.yes
        && prompt::consent(&format!("pin these in `{}`?", place.display()), "--yes")?
            == Consent::Refused
    {
        return Ok(Done::No);
    }
    if let Some(dir) = place.parent() {
        whole_file::create_private_dir(dir)?;
    }
    whole_file::replace(&place, server.file.to_text().as_bytes(), 0o600)?;
    if args.json {
        return screen.json(&as_json(&server)).map(|()| Done::Yes);
    }
    let number = text::count(server.file.tools.len(), "tool", "tools");
    screen.note(&format!("pinned: {number} of `{}`; none is permitted by that", args.name));
    if args.project {
        screen.hint("the project's files have changed: to trust them, run `ringfence trust`");
    }
    if let Some(tool) = server.file.tools.keys().next() {
        screen.hint(&format!(
            "to permit a tool, run `ringfence grant tool:{}/{tool} --always`, or write a rule on `Action::\"{}/{tool}\"`",
            args.name, args.name
        ));
    }
    Ok(Done::Yes)
}

fn headers(all: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let one = |text: &String| {
        let (name, value) = text.split_once(':').filter(|(name, _)| !name.is_empty())?;
        Some((name.trim().to_owned(), value.trim().to_owned()))
    };
    let all: Option<_> = all.iter().map(one).collect();
    all.ok_or_else(|| Message::new("`--header` takes `NAME: VALUE`").could_not())
}

fn variables(all: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let one = |text: &String| {
        let (name, value) = text.split_once('=').filter(|(name, _)| !name.is_empty())?;
        Some((name.to_owned(), value.to_owned()))
    };
    let all: Option<_> = all.iter().map(one).collect();
    all.ok_or_else(|| Message::new("`--env` takes NAME=VALUE").could_not())
}

/// Where the file of a server is.
fn place(request: &ToolsRequest, name: &ServerName, project: bool) -> Result<PathBuf, Failure> {
    let file = format!("{name}.json");
    if project {
        let project = Project::find(&request.cwd, request.dirs.home())?;
        return Ok(project.dir.join(".ringfence").join(SERVERS_DIR).join(file));
    }
    Ok(request.dirs.user_servers().join(file))
}

fn list(args: &McpListArgs, screen: &Screen) -> Result<Done, Failure> {
    let assembled = in_force::load(&[], screen)?;
    if args.json {
        screen.json_lines(assembled.servers.values().map(as_json))?;
        return Ok(Done::Yes);
    }
    if assembled.servers.is_empty() {
        screen.note("no server of tools; to add one, run `ringfence mcp add NAME -- COMMAND`");
        return Ok(Done::Yes);
    }
    let rows = assembled.servers.values().map(|server| {
        let number = text::count(server.file.tools.len(), "tool", "tools");
        vec![server.name.to_string(), number, command(server)]
    });
    screen.data(&text::table(&rows.collect::<Vec<_>>()))?;
    Ok(Done::Yes)
}

fn inspect(args: &McpInspectArgs, screen: &Screen) -> Result<Done, Failure> {
    let assembled = in_force::load(&[], screen)?;
    let server = assembled.servers.get(&args.name).ok_or_else(|| {
        Message::new(format!("no server `{}`", args.name))
            .hint("which there are says `ringfence mcp list`")
            .could_not()
    })?;
    if !args.diff {
        if args.json {
            screen.json(&as_json(server))?;
        } else {
            screen.data(&shown(server))?;
        }
        return Ok(Done::Yes);
    }
    let said = tools::look_at(server, &request(Vec::new())?)
        .map_err(|error| Message::new(error.to_string()).could_not())?;
    let differences = Difference::all(&server.file.tools, &said);
    if args.json {
        let mut all = as_json(server);
        if let Some(all) = all.as_object_mut() {
            all.insert("differences".to_owned(), json!(differences));
        }
        screen.json(&all)?;
    } else if differences.is_empty() {
        screen.note(&format!("`{}` is as it was pinned", args.name));
    } else {
        screen.data(&changes(server, &said, &differences))?;
        screen.hint(&format!(
            "to pin what it is now, run `ringfence mcp add {} {}{}`",
            args.name,
            if server.file.url.is_some() { "" } else { "-- " },
            command(server)
        ));
    }
    Ok(if differences.is_empty() { Done::Yes } else { Done::No })
}

fn remove(args: &McpRemoveArgs, screen: &Screen) -> Result<Done, Failure> {
    let request = request(Vec::new())?;
    let place = place(&request, &args.name, args.project)?;
    match std::fs::remove_file(&place) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Message::new(format!("no server in `{}`", place.display())).could_not());
        }
        Err(error) => return Err(context::cannot_read(&place, &error)),
    }
    screen.note(&format!("forgotten: {}", args.name));
    // Rules on its tools mean nothing any more.
    match in_force::load(&[], screen) {
        Ok(assembled) => in_force::warn_of_vain(&assembled.policy, screen),
        Err(_) => screen
            .warn("the policy cannot be used as it is: no session starts until that is mended"),
    }
    Ok(Done::Yes)
}

/// How a server differs from what is pinned, tool by tool.
fn changes(server: &Server, said: &[Value], differences: &[Difference]) -> String {
    let now = |name: &str| said.iter().find(|it| it["name"] == name).map(pretty);
    let before = |name: &str| server.file.tools.get(name).map(|it| pretty(&it.definition));
    let mut out = String::new();
    for difference in differences {
        let (what, name, old, new) = match difference {
            Difference::New(name) => ("new", name, None, now(name)),
            Difference::Changed(name) => ("changed", name, before(name), now(name)),
            Difference::Gone(name) => ("gone", name, before(name), None),
            Difference::Twice(name) => ("told of twice", name, None, None),
        };
        let _ = writeln!(out, "{what}: {}", printable(name));
        let change = unified(name, &old.unwrap_or_default(), &new.unwrap_or_default());
        for line in change.lines().skip(2) {
            let _ = writeln!(out, "  {}", printable(line));
        }
    }
    out
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).map(|text| text + "\n").unwrap_or_default()
}

/// A server's tools, for a person who decides about them.
fn shown(server: &Server) -> String {
    let mut out = format!("{}: {}\n", server.name, command(server));
    for (name, pinned) in &server.file.tools {
        let described = pinned.definition.get("description").and_then(Value::as_str);
        let first = described.unwrap_or_default().lines().next().unwrap_or_default();
        let _ = writeln!(out, "  {}", printable(name));
        if !first.is_empty() {
            let _ = writeln!(out, "    {}", text::fit(&printable(first), DESCRIPTION_COLUMNS));
        }
        for (argument, role) in &pinned.roles {
            let _ = writeln!(out, "    {}: {role}", printable(&argument.to_string()));
        }
    }
    out
}

fn command(server: &Server) -> String {
    if let Some(url) = &server.file.url {
        return printable(url);
    }
    let word = |word: &String| shell_word(word).unwrap_or_else(|| printable(word));
    server.file.command.iter().map(word).collect::<Vec<_>>().join(" ")
}

fn as_json(server: &Server) -> Value {
    let tool = |(name, pinned): (&String, &Pinned)| json!({"name": name, "sha256": digest(&pinned.definition), "roles": pinned.roles});
    json!({
        "schema": SCHEMA,
        "name": server.name,
        "command": server.file.command,
        "url": server.file.url,
        "tools": server.file.tools.iter().map(tool).collect::<Vec<_>>(),
    })
}
