//! `mcp`: servers of tools, added, looked at, and served to agents.

mod add;
mod again;
mod found;
mod import;
mod lacks;
mod login;
mod next;
mod pairs;
mod permitted;
mod places;
mod proposed;
mod relay;
mod remove;
mod secrets;
mod seen;
mod shown;
mod test;
mod undo;
mod unreached;
mod unseen;

use std::os::fd::AsFd as _;
use std::path::PathBuf;

use ringfence_core::{Agent, ServerName};
use ringfence_runtime::advice::Lasts;
use ringfence_runtime::broker::tools::{self, At, Listening, Ready, ToolsClosing, ToolsRequest};
use ringfence_runtime::servers::{Difference, Remark, SERVERS_DIR};
use ringfence_runtime::trust::Project;
use ringfence_runtime::wording::printable;

use super::{context, in_force, run};
use crate::cli::{McpCommand, McpInspectArgs, McpListArgs, McpRunArgs, McpServeArgs};
use crate::exit::{Done, Failure, Message};
use crate::prompt;
use crate::render::text;
use crate::screen::Screen;
pub(super) use lacks::hint as hint_at_rules;
use shown::{
    as_json, changes, covered_command, differences_as_json, how_to_pin, not_looked_at, pointed_at,
    shown,
};

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
        McpCommand::Add(args) => add::add(args, screen),
        McpCommand::Import(args) => import::import(&args, screen),
        McpCommand::List(args) => list(&args, screen),
        McpCommand::Inspect(args) => inspect(&args, screen),
        McpCommand::Login(args) => login::login(&args, screen),
        McpCommand::Logout(args) => login::logout(&args, screen),
        McpCommand::Test(args) => test::test(&args, screen),
        McpCommand::Remove(args) => remove::remove(&args, screen),
    }
}

fn serve(args: McpRunArgs, screen: &Screen) -> Result<Done, Failure> {
    let McpRunArgs { servers, agent, policy } = args;
    let request = ToolsRequest { servers, agent, ..request(policy, "run")? };
    seen::warn_of_none(&request, screen)?;
    let (from, to) = (std::io::stdin(), std::io::stdout());
    let client = (from.as_fd(), to.as_fd());
    let ended = tools::run(&request, client, &mut |notice| run::tell(notice, screen));
    let closing = ended.map_err(|error| run::failure(&error, screen))?;
    said(&closing, screen);
    Ok(Done::Yes)
}

fn said(closing: &ToolsClosing, screen: &Screen) {
    let acts = text::acts([closing.permitted, closing.denied, closing.asked, closing.failed]);
    screen.note(&format!(
        "ringfence: {acts}, {} entries; to look closer, run `ringfence show {}`",
        closing.entries, closing.session
    ));
}

fn serve_http(args: McpServeArgs, screen: &Screen) -> Result<Done, Failure> {
    let McpServeArgs { servers, agent, listen, token_file, allow_origin, policy } = args;
    let request = ToolsRequest { servers, agent, ..request(policy, "serve")? };
    let at = match listen.strip_prefix("unix:") {
        Some(path) => At::Unix(path.into()),
        None => At::Tcp(listen.parse().map_err(|_| {
            Message::new(format!("`--listen` takes ADDRESS:PORT or unix:PATH, not `{listen}`"))
                .could_not()
        })?),
    };
    seen::warn_of_none(&request, screen)?;
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

fn request(overrides: Vec<PathBuf>, called: &'static str) -> Result<ToolsRequest, Failure> {
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
        lasts: Lasts::GoesOn,
        called,
        printed: None,
    })
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
    if let Some(agent) = args.agent.clone().map(Agent) {
        return seen::list(&assembled, &agent, (args.json, screen));
    }
    if args.json {
        screen.json_lines(assembled.served().iter().map(|server| {
            let others = assembled.servers.values();
            as_json(server, &Remark::all(&server.name, &server.file.said(), others))
        }))?;
        return Ok(Done::Yes);
    }
    let all = assembled.served();
    if all.is_empty() {
        screen.note("no server of tools; to add one, run `ringfence mcp add NAME -- COMMAND`");
        return Ok(Done::Yes);
    }
    let rows = all.iter().map(|server| {
        let name = server.name.to_string();
        if let Some(why) = server.is_left_out() {
            return vec![name, "broken".to_owned(), printable(why)];
        }
        vec![name, text::count(server.file.tools.len(), "tool", "tools"), covered_command(server)]
    });
    screen.data(&text::table_within(&rows.collect::<Vec<_>>(), screen.room()))?;
    Ok(Done::Yes)
}

fn inspect(args: &McpInspectArgs, screen: &Screen) -> Result<Done, Failure> {
    let assembled = found::load_for(&args.name, &[], screen)?;
    let server = found::server(&assembled, &args.name)?;
    let others = || assembled.servers.values();
    if !args.diff {
        let remarks = Remark::all(&args.name, &server.file.said(), others());
        if args.json {
            screen.json(&as_json(server, &remarks))?;
        } else {
            let seen = shown(server) + &pointed_at(&remarks);
            screen.data(&text::fold_lines(&seen, screen.room()))?;
        }
        return Ok(Done::Yes);
    }
    let request = request(Vec::new(), "inspect")?;
    let said = match tools::look_at(server, &request) {
        Ok(said) => said,
        Err(failed) => login::offered(server, &failed, (&request, screen)).ok_or_else(|| {
            let message = not_looked_at(&failed);
            login::hint(&args.name, &failed).into_iter().fold(message, Message::hint).could_not()
        })?,
    };
    let differences = Difference::all(&server.file, &said);
    let remarks = Remark::all(&args.name, &said, others());
    if args.json {
        let mut all = as_json(server, &remarks);
        if let Some(all) = all.as_object_mut() {
            let told = differences_as_json(server, &said, &differences);
            all.insert("differences".to_owned(), told);
        }
        screen.json(&all)?;
    } else if differences.is_empty() {
        screen.note(&format!("`{}` is as it was pinned", args.name));
    } else {
        screen.data(&(changes(server, &said, &differences) + &pointed_at(&remarks)))?;
        screen.hint(&how_to_pin(&server.name));
    }
    Ok(if differences.is_empty() { Done::Yes } else { Done::No })
}
