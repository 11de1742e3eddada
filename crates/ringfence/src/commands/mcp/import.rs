//! `mcp import`: the servers that other clients start are added here, and their files say `ringfence mcp run` instead.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use ringfence_core::ServerName;
use ringfence_runtime::broker::tools::login::Wants;
use ringfence_runtime::clients::{
    Backups, Brought, Client, ClientError, ClientFile, Described, Reference, Understood, covered,
    covered_address, covered_words, name_for,
};
use ringfence_runtime::servers::{Remark, Server, ServerFile};
use ringfence_runtime::suggest::unified;
use ringfence_runtime::trust::Project;
use ringfence_runtime::wording::{printable, shell_word};
use serde_json::{Value, json};

use super::add::{Adding, Asks, Proposes};
use super::proposed::{self, Proposing};
use super::{in_force, secrets, undo};
use crate::cli::{CalledHere, McpImportArgs};
use crate::commands::context;
use crate::exit::{Done, Failure, Message};
use crate::prompt::{self, Consent};
use crate::screen::Screen;

/// Version of the JSON.
const SCHEMA: u32 = 1;

/// What stands in for a person's yes.
pub(super) const ALL: &str = "to take over all that is listed, add `--all`";

/// A server that a client starts, and what can be done about it.
struct Candidate {
    /// Which of the files, and which of its entries.
    file: usize,
    entry: usize,
    name: Option<ServerName>,
    is: Understood,
}

/// What was done with a server that is taken over.
enum Taken {
    /// It is started from here now; what was added for that, where it was not here before.
    Here(Option<Brought>),
    /// Nothing.
    Not,
}

/// The servers that were taken over, by the place of their candidates.
type AllTaken = BTreeMap<usize, (ServerName, Option<Brought>)>;

pub(super) fn import(args: &McpImportArgs, screen: &Screen) -> Result<Done, Failure> {
    let dirs = context::dirs()?;
    let cwd = context::current_dir()?;
    let project = Project::find(&cwd, dirs.home())?.dir;
    let places = places(args, dirs.home(), &project)?;
    if args.undo {
        return undo::undo(&places, args, screen);
    }
    if (args.all || !args.json) && in_force::quietly(&[])?.is_none() {
        // Without a policy nothing can be taken over: that is said once, and before anything is asked.
        in_force::load(&[], screen)?;
    }
    let mut files = Vec::new();
    for (client, path) in &places {
        // What a project has may be a link of whoever wrote it: it leads to nothing else of yours.
        let is_project = path.starts_with(&project) && project != dirs.home();
        let within = if is_project { &project } else { dirs.home() };
        match ClientFile::read(*client, path, &[within, &project]) {
            Ok(file) => files.extend(file),
            // One that was named is an answer by itself.
            Err(error) if args.from.is_some() => return Err(error.into()),
            Err(error) => screen.warn(&error.to_string()),
        }
    }
    let candidates = candidates((&files, &args.called), dirs.home(), &project)?;
    if args.json && !args.all {
        screen.json(&as_json(&files, &candidates, &BTreeMap::new()))?;
        return Ok(Done::Yes);
    }
    for (number, file) in files.iter().enumerate() {
        list((number, file), &candidates, screen);
    }
    if candidates.is_empty() {
        screen.note("no server was found in the settings of a client that is known");
        screen.hint("to add one by its command, run `ringfence mcp add NAME -- COMMAND`");
        return Ok(Done::Yes);
    }
    let asks = if args.all { Asks::Nothing } else { Asks::Person };
    let could = candidates.iter().filter(|it| matches!(it.is, Understood::Server(_))).count();
    if could > 0 && asks == Asks::Person && !prompt::can_ask() {
        return Err(prompt::unasked("take over what is listed?", ALL));
    }
    let mut taken = AllTaken::new();
    for (number, candidate) in candidates.iter().enumerate() {
        let Understood::Server(described) = &candidate.is else { continue };
        let Some(name) = &candidate.name else { continue };
        let Some(file) = files.get(candidate.file) else { continue };
        match take((file, candidate, name), described, (args, asks), screen) {
            Ok(Taken::Here(brought)) => {
                taken.insert(number, (name.clone(), brought));
            }
            Ok(Taken::Not) => {
                screen.note(&format!("left as it is: {name}"));
            }
            Err(failure) => {
                screen.failure(&failure);
                screen.note(&format!("left as it is: {name}"));
            }
        }
    }
    rewrite(&files, &candidates, (&taken, asks), screen)?;
    if args.json {
        screen.json(&as_json(&files, &candidates, &taken))?;
    }
    Ok(if taken.len() == could { Done::Yes } else { Done::No })
}

/// The files that are looked for.
fn places(
    args: &McpImportArgs,
    home: &Path,
    project: &Path,
) -> Result<Vec<(Client, PathBuf)>, Failure> {
    let Some(from) = &args.from else {
        let clients = args.client.map_or_else(|| Client::ALL.to_vec(), |client| vec![client]);
        let of =
            |client: Client| client.files(home, project).into_iter().map(move |it| (client, it));
        return Ok(clients.into_iter().flat_map(of).collect());
    };
    let path = context::current_dir()?.join(from);
    let client = args.client.or_else(|| Client::of_file(&path)).ok_or_else(|| {
        Message::new(format!("whose settings `{}` are does not show in its name", from.display()))
            .hint("name the client: `--client claude`")
            .could_not()
    })?;
    if !path.exists() {
        return Err(Message::new(format!("there is no `{}`", from.display())).could_not());
    }
    Ok(vec![(client, path)])
}

/// Why an entry that wants something of this environment is not taken over from any file but the client's own in the home:
/// whoever writes a project would have it, at a host of their choice.
fn taken_by_others(is: &Understood, file: &ClientFile, home: &Path) -> Option<String> {
    let Understood::Server(described) = is else { return None };
    if file.is_persons(home) || described.variables.is_empty() {
        return None;
    }
    let named: Vec<String> = described.variables.iter().map(|it| format!("`${it}`")).collect();
    Some(format!(
        "it takes {} from your environment, and stands in a file that others may write: keep what it needs as a secret, \
         and add it with `ringfence mcp add NAME -- CMD`, or its address in place of the command",
        named.join(", ")
    ))
}

/// The servers in these files, each with the name that it gets here.
fn candidates(
    (files, called): (&[ClientFile], &[CalledHere]),
    home: &Path,
    project: &Path,
) -> Result<Vec<Candidate>, Failure> {
    let environment = context::environment();
    let entries = || files.iter().flat_map(|file| &file.entries);
    if let Some(none) = called.iter().find(|it| entries().all(|entry| !it.is_for(&entry.name))) {
        let text = format!("no client starts a server that it calls `{}`", printable(&none.theirs));
        let hint = "to see what there is, run `ringfence mcp import --json`";
        return Err(Message::new(text).hint(hint).could_not());
    }
    let mut all: Vec<Candidate> = Vec::new();
    let mut names: BTreeMap<ServerName, (usize, usize)> = BTreeMap::new();
    for (file, of) in files.iter().enumerate() {
        for (entry, said) in of.entries.iter().enumerate() {
            let mut is = said.understood(&environment, home, project);
            if let Some(variables) = taken_by_others(&is, of, home) {
                is = Understood::Not(variables);
            }
            let as_said = called.iter().find(|it| it.is_for(&said.name));
            let name = as_said.map_or_else(|| name_for(&said.name), |it| Some(it.ours.clone()));
            if let (Understood::Server(described), None) = (&is, &name) {
                let _ = described;
                is = Understood::Not("nothing of its name can stand in one of ours".to_owned());
            }
            if let (Understood::Server(described), Some(name)) = (&is, &name) {
                let first = names.entry(name.clone()).or_insert((file, entry));
                let same = all.iter().find(|it| (it.file, it.entry) == *first);
                let differs = same.is_some_and(|it| match &it.is {
                    Understood::Server(other) => other != described,
                    Understood::Already | Understood::Not(_) => false,
                });
                if differs {
                    is = Understood::Not(format!(
                        "another server is called `{name}` already; {}",
                        under_another(
                            &of.path,
                            &said.name,
                            &unlike(name, |it| names.contains_key(it))
                        )
                    ));
                }
            }
            all.push(Candidate { file, entry, name, is });
        }
    }
    Ok(all)
}

/// How an entry of a file is taken over under another name.
fn under_another(file: &Path, theirs: &str, ours: &str) -> String {
    let word = |word: &str| shell_word(word).unwrap_or_else(|| printable(word));
    format!(
        "to take it over under another name, run `ringfence mcp import --from {} --as {}`",
        word(&file.to_string_lossy()),
        word(&format!("{theirs}={ours}"))
    )
}

/// A name like this one that is not taken.
fn unlike(name: &ServerName, is_taken: impl Fn(&ServerName) -> bool) -> String {
    let mut names = (2..100_u32).filter_map(|it| format!("{name}-{it}").parse().ok());
    names.find(|it| !is_taken(it)).map_or_else(|| "OTHER".to_owned(), |it| it.to_string())
}

fn list((number, file): (usize, &ClientFile), all: &[Candidate], screen: &Screen) {
    let mut of_it = all.iter().filter(|it| it.file == number).peekable();
    if of_it.peek().is_none() {
        return;
    }
    let mut out = format!("{}: {}\n", file.client.name(), printable(&file.path.to_string_lossy()));
    for candidate in of_it {
        let Some(entry) = file.entries.get(candidate.entry) else { continue };
        let name = printable(&entry.name);
        let what = match &candidate.is {
            Understood::Server(described) => shown(described),
            Understood::Already => "starts the gate already".to_owned(),
            Understood::Not(why) => format!("cannot be taken over: {}", printable(why)),
        };
        let ours = match &candidate.name {
            Some(ours) if ours.as_str() != entry.name => format!(" (as `{ours}`)"),
            Some(_) | None => String::new(),
        };
        let of = entry.project.as_ref().map(|it| format!(" for {}", printable(it)));
        let _ = writeln!(out, "  {name}{ours}{}: {what}", of.unwrap_or_default());
    }
    screen.as_it_is(out.trim_end());
}

/// What is started, and which secrets it is given, by their names.
fn shown(described: &Described) -> String {
    let word = |word: &String| shell_word(word).unwrap_or_else(|| printable(word));
    let words = covered_words(&described.command);
    let command = words.iter().map(word).collect::<Vec<_>>().join(" ");
    let mut what = described.url.as_deref().map_or(command, |url| printable(&covered_address(url)));
    let secrets = described.secret_env.keys().chain(described.secret_headers.keys());
    let bare = described.bare.iter().map(|it| &it.what);
    for (are, names) in [
        ("secret", secrets.collect::<Vec<_>>()),
        ("perhaps secret", described.unsure.keys().collect()),
        ("secret, with no stand-in", bare.collect()),
    ] {
        if !names.is_empty() {
            let names: Vec<String> = names.iter().map(|it| printable(it)).collect();
            let _ = write!(what, " [{are}: {}]", names.join(", "));
        }
    }
    what
}

/// A server as the person wants it stored: what may be a secret is one unless they say no, and what nothing can stand in
/// for is in the clear where they say yes. Without a person the one is a secret, and the other keeps it from being stored.
fn settled(
    name: &ServerName,
    described: &Described,
    (asks, place): (Asks, &Path),
) -> Result<Option<Described>, Failure> {
    for bare in &described.bare {
        let what = printable(&bare.what);
        let why = format!("{what} of `{name}` {}, so that nothing can stand in for it", bare.why);
        let ask =
            "to store it in the clear with the server, answer `ringfence mcp import` at a terminal";
        if asks == Asks::Nothing {
            return Err(Message::new(why).hint(ask).could_not());
        }
        let place = place.display();
        let question = format!("{why}.\nstore it in the clear in `{place}`?");
        if prompt::consent(&question, ask)? == Consent::Refused {
            return Ok(None);
        }
    }
    let mut settled = described.clone();
    for unsure in described.unsure.keys() {
        let question = format!("keep `{}` as a secret?", printable(unsure));
        if asks == Asks::Nothing || prompt::consent_unless(&question, ALL)? == Consent::Given {
            settled.keep_secret(unsure);
        }
    }
    Ok(Some(settled))
}

/// Adds one server; whether it can be started from here now.
fn take(
    (file, candidate, name): (&ClientFile, &Candidate, &ServerName),
    described: &Described,
    (args, asks): (&McpImportArgs, Asks),
    screen: &Screen,
) -> Result<Taken, Failure> {
    let there = in_force::load(&[], screen)?.servers;
    if let Some(known) = there.get(name) {
        // The same server for another client.
        let same = known.file.command == described.command && known.file.url == described.url;
        if same {
            for_one_more((known, file.client), &there, (args, asks), screen)?;
            return Ok(Taken::Here(None));
        }
        let theirs = file.entries.get(candidate.entry).map_or(name.as_str(), |it| &it.name);
        let free = unlike(name, |it| there.contains_key(it));
        return Err(Message::new(format!("there is another server `{name}` already"))
            .hint(under_another(&file.path, theirs, &free))
            .could_not());
    }
    if asks == Asks::Person {
        let question = format!("take over `{name}` of {}?", file.client.name());
        if prompt::consent(&question, ALL)? == Consent::Refused {
            return Ok(Taken::Not);
        }
    }
    let place = super::place(&super::request(Vec::new(), "import")?, name, false)?;
    let Some(settled) = settled(name, described, (asks, &place))? else { return Ok(Taken::Not) };
    let described = &settled;
    let kept = secrets::keep(name, described, asks, screen)?;
    let mut of = match &described.url {
        Some(url) => ServerFile::at(url.clone()),
        None => ServerFile::started_by(described.command.clone()),
    };
    of.env.clone_from(&described.env);
    of.headers.clone_from(&described.headers);
    of.headers.extend(kept.headers.clone());
    let adding = Adding {
        name: name.clone(),
        file: of,
        project: false,
        overrides: Vec::new(),
        agent: Some(file.client.name().to_owned()),
        asks,
        proposes: if args.no_policy { Proposes::Nothing } else { Proposes::Policy },
        json: args.json,
        quiet: true,
        uses: kept.uses(),
        wants: Wants::default(),
    };
    let done = adding.all(screen);
    if matches!(done, Ok(Done::Yes)) {
        let brought = Brought { server: name.clone(), secrets: kept.uses().secrets };
        return Ok(Taken::Here(Some(brought)));
    }
    kept.forget(screen);
    done.map(|_| Taken::Not)
}

/// What a server's tools need is proposed for one client more, as `mcp add --agent` does: rules that were written for
/// another leave it without any.
fn for_one_more(
    (known, client): (&Server, Client),
    there: &BTreeMap<ServerName, Server>,
    (args, asks): (&McpImportArgs, Asks),
    screen: &Screen,
) -> Result<(), Failure> {
    if args.no_policy {
        return Ok(());
    }
    let remarks = Remark::all(&known.name, &known.file.said(), there.values());
    let proposing = Proposing { project: None, agent: Some(client.name()), asks };
    proposed::tools(known, &remarks, proposing, screen).map(drop)
}

/// Lets the clients start us in the place of what was taken over.
fn rewrite(
    files: &[ClientFile],
    all: &[Candidate],
    (taken, asks): (&AllTaken, Asks),
    screen: &Screen,
) -> Result<(), Failure> {
    let program = program()?;
    let backups = Backups::of(&context::dirs()?);
    for (number, file) in files.iter().enumerate() {
        let of_it = taken
            .iter()
            .filter_map(|(at, it)| Some((all.get(*at)?, it)))
            .filter(|(it, _)| it.file == number);
        let of_file: Vec<(usize, &ServerName)> =
            of_it.clone().map(|(it, (name, _))| (it.entry, name)).collect();
        let brought: Vec<Brought> = of_it.filter_map(|(_, (_, brought))| brought.clone()).collect();
        if of_file.is_empty() {
            continue;
        }
        let (text, lose) = file.with(&of_file, &program)?;
        let named = file.path.file_name().unwrap_or_default().to_string_lossy();
        let diff = unified(&named, &hidden(file.text(), all, number), &hidden(&text, all, number));
        screen.as_it_is(&proposed::coloured(&diff, screen));
        for name in lose {
            screen.note(&format!("comments within `{}` stay in the backup only", printable(&name)));
        }
        let shown = printable(&file.path.to_string_lossy());
        if asks == Asks::Person
            && prompt::consent(&format!("change `{shown}` so?"), ALL)? == Consent::Refused
        {
            screen.note(&format!("left as it is: {shown}"));
            undo::hint_at_what_stays(&brought, screen);
            continue;
        }
        let backup = backups.replace(file, &text, (&of_file, &brought))?;
        screen.note(&format!("changed: {shown}; it was {}", printable(&backup.to_string_lossy())));
        let had_secrets = if hidden(file.text(), all, number) == file.text() {
            ""
        } else {
            "; secrets that stood in it are in that copy still"
        };
        screen.hint(&format!(
            "to have it as it was, run `ringfence mcp import --undo`, which removes that copy{had_secrets}"
        ));
    }
    Ok(())
}

/// A text without the secrets that stand in it, to be shown.
fn hidden(text: &str, all: &[Candidate], file: usize) -> String {
    let mut shown = text.to_owned();
    for candidate in all.iter().filter(|it| it.file == file) {
        let Understood::Server(described) = &candidate.is else { continue };
        let known = described.secret_env.values().chain(described.secret_headers.values());
        for secret in known.chain(described.unsure.values()) {
            if let Reference::Value(value) = &secret.is {
                // As it stands in JSON and TOML.
                let quoted = Value::from(value.as_str()).to_string();
                let inner = quoted.trim_matches('"');
                shown = shown.replace(inner, "[secret]").replace(value.as_str(), "[secret]");
            }
        }
    }
    // Others' secrets stand in it as well.
    covered(&shown)
}

/// How clients start us: by name where that is this program.
fn program() -> Result<String, Failure> {
    let own = std::env::current_exe()
        .map_err(|error| Message::new(format!("cannot find ourselves: {error}")).could_not())?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let real = std::fs::canonicalize(&own).unwrap_or_else(|_| own.clone());
    let found = std::env::split_paths(&path)
        .map(|dir| dir.join("ringfence"))
        .find(|it| it.is_file())
        .and_then(|it| std::fs::canonicalize(it).ok());
    if found.is_some_and(|found| found == real) {
        return Ok("ringfence".to_owned());
    }
    own.to_str()
        .map(str::to_owned)
        .ok_or_else(|| Message::new("our own path is not UTF-8").could_not())
}

fn as_json(files: &[ClientFile], all: &[Candidate], taken: &AllTaken) -> Value {
    let one = |(number, it): (usize, &Candidate)| {
        let file = files.get(it.file)?;
        let entry = file.entries.get(it.entry)?;
        let (state, why) = match &it.is {
            Understood::Server(_) if taken.contains_key(&number) => ("taken", None),
            Understood::Server(_) => ("found", None),
            Understood::Already => ("already", None),
            Understood::Not(why) => ("cannot", Some(why)),
        };
        let (secrets, unsure, bare): (Vec<_>, Vec<_>, Vec<_>) = match &it.is {
            Understood::Server(described) => (
                described.secret_env.keys().chain(described.secret_headers.keys()).collect(),
                described.unsure.keys().collect(),
                described.bare.iter().map(|it| &it.what).collect(),
            ),
            Understood::Already | Understood::Not(_) => (Vec::new(), Vec::new(), Vec::new()),
        };
        Some(json!({
            "client": file.client, "file": file.path, "project": entry.project,
            "server": entry.name, "name": it.name, "state": state, "why": why, "secrets": secrets,
            "unsure": unsure, "bare": bare,
        }))
    };
    let servers: Vec<Value> = all.iter().enumerate().filter_map(one).collect();
    json!({ "schema": SCHEMA, "servers": servers })
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        Message::new(error.to_string()).could_not()
    }
}
