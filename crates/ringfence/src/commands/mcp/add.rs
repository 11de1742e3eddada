//! `mcp add`: a server is started or asked, looked at, and pinned; and a policy for its tools is proposed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use ringfence_core::{Event, ServerName, SessionId};
use ringfence_runtime::broker::tools::login::Wants;
use ringfence_runtime::broker::tools::{self, ToolsRequest};
use ringfence_runtime::clients::{covered, covered_address};
use ringfence_runtime::servers::written::Wrote;
use ringfence_runtime::servers::{Pinned, Remark, Server, ServerFile};
use ringfence_runtime::state::StateDirs;
use ringfence_runtime::suggest::unified;
use ringfence_runtime::trust::{Project, Trust};
use ringfence_runtime::whole_file::{self, FileText, Links};
use ringfence_runtime::wording::printable;
use ringfence_runtime::writing::{Replaced, Writing};
use serde_json::json;

use super::login::{Browser, Logging, NotLooked};
use super::pairs::{headers, variables};
use super::proposed::{self, Proposing, Tried};
use super::secrets::{Uses, has_secrets};
use super::shown::{as_json, in_two, not_looked_at, pointed_at, shown};
use super::{in_force, place, request};
use super::{lacks, next, places, unseen};
use crate::cli::McpAddArgs;
use crate::commands::context;
use crate::exit::{Done, Failure, Message};
use crate::prompt::{self, Consent};
use crate::render::text;
use crate::screen::Screen;

pub(super) fn add(args: McpAddArgs, screen: &Screen) -> Result<Done, Failure> {
    let (name, agent) = (args.name.clone(), args.agent.clone());
    let done = adding(args, screen)?.all(screen)?;
    if done == Done::Yes {
        next::tell(&name, agent.as_deref(), screen)?;
    }
    Ok(done)
}

fn adding(args: McpAddArgs, screen: &Screen) -> Result<Adding, Failure> {
    let mut file = match &args.url {
        Some(url) if !url.contains("://") => {
            return Err(Message::new(format!("`{}` is no address of a server", printable(url)))
                .hint(format!(
                    "what is to be started comes after two dashes: `ringfence mcp add {} -- COMMAND`",
                    args.name
                ))
                .could_not());
        }
        Some(url) => ServerFile::at(url.clone()),
        None if args.command.is_empty() => {
            let name = &args.name;
            return Err(Message::new(format!("nothing says what `{name}` is"))
                .hint(format!(
                    "one that is started: `ringfence mcp add {name} -- COMMAND`; one that listens somewhere: \
                     `ringfence mcp add {name} https://HOST/PATH`"
                ))
                .could_not());
        }
        None => ServerFile::started_by(args.command.clone()),
    };
    file.env = variables(&args.env)?;
    lacks::keep_variables((&args.name, args.project), &mut file, screen)?;
    file.headers = headers(&args.header)?;
    Ok(Adding {
        name: args.name,
        file,
        project: args.project,
        overrides: args.policy,
        agent: args.agent,
        asks: if args.yes { Asks::Nothing } else { Asks::Person },
        proposes: if args.no_policy { Proposes::Nothing } else { Proposes::Policy },
        json: args.json,
        quiet: false,
        uses: Uses::default(),
        wants: Wants {
            client_id: args.client_id,
            client_secret: args.client_secret,
            ..Wants::default()
        },
    })
}

/// A server that is being added.
pub(super) struct Adding {
    pub(super) name: ServerName,
    pub(super) file: ServerFile,
    /// Into the project.
    pub(super) project: bool,
    pub(super) overrides: Vec<PathBuf>,
    /// The agent that its tools are proposed for.
    pub(super) agent: Option<String>,
    pub(super) asks: Asks,
    pub(super) proposes: Proposes,
    pub(super) json: bool,
    /// Whoever adds it prints the JSON.
    pub(super) quiet: bool,
    /// What it needs besides its tools.
    pub(super) uses: Uses,
    /// What a login is to be, where the server wants one.
    pub(super) wants: Wants,
}

/// Whether a person is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asks {
    /// Before anything is written.
    Person,
    /// Nobody: it was said before.
    Nothing,
}

/// Whether a policy is proposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proposes {
    Policy,
    Nothing,
}

/// How often a server is started anew with what it was denied before.
const STARTS_MAX: usize = 3;

impl Adding {
    /// Adds it. What was written for one that is not added after all is taken back.
    pub(super) fn all(self, screen: &Screen) -> Result<Done, Failure> {
        let before = proposed::written_for(&self.name)?;
        let mut is_pinned = IsPinned::No;
        let done = self.steps(&mut is_pinned, screen);
        if is_pinned == IsPinned::Yes {
            return done;
        }
        let new: Vec<Wrote> = proposed::written_for(&self.name)?
            .into_iter()
            .filter(|it| !before.contains(it))
            .collect();
        if !new.is_empty() {
            screen.note(&format!("`{}` is not added: its rules are taken back", self.name));
            if proposed::take_out(&new, (None, screen))?.len() < new.len() {
                screen.warn("some of them were changed meanwhile, and stay");
            }
        }
        done
    }

    fn steps(&self, is_pinned: &mut IsPinned, screen: &Screen) -> Result<Done, Failure> {
        let request = request(self.overrides.clone(), "add")?;
        let wrong = |why: String| Message::new(format!("`{}`: {why}", self.name)).could_not();
        let server = Server::new(self.name.clone(), self.file.clone()).map_err(wrong)?;
        self.is_there()?;
        has_secrets(&server, &request.dirs)?;
        request.dirs.create()?;
        self.warn_of_agents(screen)?;
        let dir = Project::find(&request.cwd, request.dirs.home())?.dir;
        let proposing = Proposing {
            project: self.project.then_some(dir.as_path()),
            agent: self.agent.as_deref(),
            asks: self.asks,
        };
        if self.proposes()
            && proposed::address((&server, &self.uses), proposing, screen)? == Consent::Refused
        {
            return Ok(Done::No);
        }
        if self.proposes() {
            proposed::places(&server, proposing, screen)?;
        }
        let server = match self.looked_at(&server, &request, screen) {
            Err(not) if server.file.url.is_some() => {
                self.logged_in(&server, (&request, not), screen)?
            }
            Err(not) => self.with_needs(&server, (&request, not.failure), proposing, screen)?,
            Ok(server) => server,
        };
        let place = place(&request, &self.name, self.project)?;
        let once = || self.agreed(&server, (&place, &dir), &request, screen);
        let Some(agreed) = proposed::anew(once, screen)? else { return Ok(Done::No) };
        let Agreed { server, remarks } = agreed;
        *is_pinned = IsPinned::Yes;
        let change = if self.proposes() {
            proposed::tools(&server, &remarks, proposing, screen)?
        } else {
            None
        };
        if self.json {
            let mut all = as_json(&server, &remarks);
            if let (Some(all), Some(change)) = (all.as_object_mut(), &change) {
                all.insert("policy".to_owned(), json!(change));
            }
            if !self.quiet {
                screen.json(&all)?;
            }
        } else if change.is_none() && proposed::written_for(&self.name)?.is_empty() {
            self.hint_at_grants(&server, screen);
        }
        Ok(Done::Yes)
    }

    /// Pins the server where the person agrees to what they are shown of it; `None` where they do not.
    fn agreed(
        &self,
        server: &Server,
        (place, dir): (&Path, &Path),
        request: &ToolsRequest,
        screen: &Screen,
    ) -> Result<Tried<Option<Agreed>>, Failure> {
        let old = whole_file::read_text(place, self.links())?;
        let server = self.as_before(server.clone(), old.as_ref(), screen)?;
        let others = in_force::load(&self.overrides, screen)?.servers;
        let remarks = Remark::all(&self.name, &server.file.said(), others.values());
        let (server, left) = match self.asks {
            Asks::Person => (server, BTreeSet::new()),
            Asks::Nothing => {
                let before = old.as_ref().and_then(|old| Server::read(old).ok());
                unseen::without(server, &remarks, before.as_ref())
            }
        };
        let is_new = old.as_ref().is_none_or(|old| old.text != server.file.to_text());
        self.show((&server, &remarks), old.as_ref(), screen)?;
        if self.asks == Asks::Person && is_new {
            let question = format!("pin these in `{}`?", place.display());
            if prompt::consent(&question, YES)? == Consent::Refused {
                return Ok(Tried::Done(None));
            }
        }
        let Some(was) = self.pin(&server, (place, old.as_ref(), dir), request)? else {
            proposed::warn_of_change(&place.display().to_string(), screen);
            return Ok(Tried::Changed);
        };
        if is_new {
            self.tell_pinned(&server, &was, screen);
        }
        unseen::tell(&server, &left, screen);
        Ok(Tried::Done(Some(Agreed { server, remarks })))
    }

    /// A project's file may have been written by others; a person's own may be a link of theirs.
    fn links(&self) -> Links {
        if self.project { Links::Refuse } else { Links::Follow }
    }

    /// What is nowhere need not be started to be found missing.
    fn is_there(&self) -> Result<(), Failure> {
        let path = places::search_path(&self.file);
        match places::missing(&self.file.command, &context::current_dir()?, &path) {
            None => Ok(()),
            Some(program) => Err(Message::new(format!(
                "there is no program `{}`",
                printable(program)
            ))
            .hint("one that is in no directory of PATH is named with its own: `/opt/tools/server`")
            .could_not()),
        }
    }

    /// What rules permit to an agent by its name holds for a server of that name.
    fn warn_of_agents(&self, screen: &Screen) -> Result<(), Failure> {
        let Some(found) = in_force::quietly(&self.overrides)? else { return Ok(()) };
        let is_known = found.servers.contains_key(&self.name)
            || found.left_out.contains_key(&self.name)
            || !proposed::written_for(&self.name)?.is_empty();
        if is_known {
            return Ok(());
        }
        if let Some(rule) = found.policy.permit_for(&self.name.to_string()) {
            screen.warn(&format!(
                "the policy permits something to an agent called `{}` ({}:{}), and so to this server: give it another name unless that is meant",
                self.name, rule.file, rule.line
            ));
        }
        Ok(())
    }

    /// The server with the roles that a person has corrected in the file that is there.
    fn as_before(
        &self,
        server: Server,
        old: Option<&FileText>,
        screen: &Screen,
    ) -> Result<Server, Failure> {
        let Some(old) = old else { return Ok(server) };
        match Server::read(old) {
            Ok(old) => {
                let mut file = server.file;
                file.keep_roles(&old.file);
                let wrong =
                    |why: String| Message::new(format!("`{}`: {why}", self.name)).could_not();
                Server::new(server.name, file).map_err(wrong)
            }
            Err(error) => {
                screen.warn(&format!("nothing of the file that is there is kept: {error}"));
                Ok(server)
            }
        }
    }

    /// What a person is to look at: the whole server, or what of it is another than in the file that is there.
    fn show(
        &self,
        (server, remarks): (&Server, &[Remark]),
        old: Option<&FileText>,
        screen: &Screen,
    ) -> Result<(), Failure> {
        let Some(old) = old else {
            let seen = shown(server) + &pointed_at(remarks);
            if self.json {
                screen.note(seen.trim_end());
                return Ok(());
            }
            return screen.data(&text::fold_lines(&seen, screen.room()));
        };
        let name = format!("{}.json", self.name);
        let (before, now) = (in_two(&old.text), in_two(&server.file.to_text()));
        // What starts it may have secrets in it; what it says of itself is what a person has to see, all of it.
        let mut diff = unified(&name, &covered(&before.0), &covered(&now.0));
        let said = unified(&name, &before.1, &now.1);
        diff.extend(said.lines().map(|line| printable(line) + "\n"));
        if diff.is_empty() {
            screen.note(&format!("`{}` is as it was pinned", self.name));
        } else {
            screen.as_it_is(&proposed::coloured(&diff, screen));
        }
        if !remarks.is_empty() {
            screen.note(pointed_at(remarks).trim_end());
        }
        Ok(())
    }

    /// The server with what it says of itself, once it has what it was denied when it started; else why not.
    fn with_needs(
        &self,
        server: &Server,
        (request, mut failure): (&ToolsRequest, Failure),
        proposing: Proposing<'_>,
        screen: &Screen,
    ) -> Result<Server, Failure> {
        if !self.proposes() {
            return Err(failure);
        }
        // What could not be read is no denial that a log has, unless it is asked for.
        let mut traced = request.clone();
        traced.run.push("--why".into());
        for _ in 0..STARTS_MAX {
            screen.note("it does not start: once more, to see what it is denied");
            let began_ms = context::now_ms();
            match self.looked_at(server, &traced, screen) {
                Ok(server) => return Ok(server),
                // Its session has what could not be read as well.
                Err(seen) => failure = seen.failure,
            }
            let Some(session) = last_session(&request.dirs, &self.name, began_ms)? else { break };
            match proposed::needs(server, &session, proposing, screen)? {
                Some(Consent::Given) => {}
                Some(Consent::Refused) => return Err(failure),
                None => break,
            }
            match self.looked_at(server, request, screen) {
                Ok(server) => return Ok(server),
                Err(again) => failure = again.failure,
            }
        }
        Err(failure)
    }

    /// Where other files stand in for the policy, whoever named them writes them.
    fn proposes(&self) -> bool {
        self.proposes == Proposes::Policy && self.overrides.is_empty()
    }

    /// The server with what it says of itself once a person has logged in at it, where that is what it wants; else why
    /// it could not be looked at.
    fn logged_in(
        &self,
        server: &Server,
        (request, not): (&ToolsRequest, NotLooked),
        screen: &Screen,
    ) -> Result<Server, Failure> {
        let has_login =
            server.file.headers.keys().any(|it| it.eq_ignore_ascii_case("authorization"));
        let Some(lacks) = not.lacks.filter(|_| !has_login) else { return Err(not.failure) };
        let logging =
            Logging { wants: self.wants.clone(), asks: self.asks, browser: Browser::Open };
        let look = |server: &Server| self.looked_at(server, request, screen);
        let challenge = Some(lacks.challenge().clone());
        let (_, server) = logging.taken((server, challenge), (request, screen), &look)?;
        Ok(server)
    }

    /// The server with what it says of itself.
    fn looked_at(
        &self,
        server: &Server,
        request: &ToolsRequest,
        screen: &Screen,
    ) -> Result<Server, NotLooked> {
        screen.note(&match &self.file.url {
            Some(url) => format!("asking `{}` at {}", self.name, printable(&covered_address(url))),
            None => format!("starting `{}` in a world of its own", self.name),
        });
        let since_ms = context::now_ms();
        let said = tools::look_at(server, request).map_err(|error| {
            let failed = not_looked_at(&error);
            // Never by starting it as an agent of that name: it would be no server to the rules.
            let failed = match last_session(&request.dirs, &self.name, since_ms) {
                Ok(Some(session)) => failed.hint(format!(
                    "to see what it did and was denied, run `ringfence show {session}`"
                )),
                Ok(None) | Err(_) => failed,
            };
            NotLooked { failure: failed.could_not(), lacks: error.lacks }
        })?;
        let wrong = |why: String| {
            let failure = Message::new(format!("`{}`: {why}", self.name)).could_not();
            NotLooked { failure, lacks: None }
        };
        let mut file = server.file.clone();
        file.instructions = said.instructions;
        file.tools = Pinned::all(said.tools).map_err(wrong)?;
        Server::new(self.name.clone(), file).map_err(wrong)
    }

    /// Writes the file of the server if it is still the old one; a project that is trusted with it stays so. What the
    /// project was; `None` where nothing was written.
    fn pin(
        &self,
        server: &Server,
        (place, old, dir): (&Path, Option<&FileText>, &Path),
        request: &ToolsRequest,
    ) -> Result<Option<Trust>, Failure> {
        if let Some(dir) = place.parent() {
            whole_file::create_private_dir(dir)?;
        }
        let writing = Writing::begin(request.dirs.state())?;
        let mut project = Project::read(dir)?;
        let was = project.trust(&request.dirs)?;
        let (text, old) = (server.file.to_text(), old.map(|old| old.text.as_str()));
        let replaced = writing.replace((place, self.links()), old, (&text, 0o600))?;
        if replaced == Replaced::ChangedMeanwhile {
            return Ok(None);
        }
        if self.project && was == Trust::Trusted {
            // Not what is on the disk by now, but what was trusted, and what the person has seen.
            let text = FileText::new(place.to_owned(), text);
            project.servers.insert(self.name.to_string(), text);
            project.give_trust(&request.dirs, context::now_ms())?;
        }
        Ok(Some(was))
    }

    fn tell_pinned(&self, server: &Server, was: &Trust, screen: &Screen) {
        let number = text::count(server.file.tools.len(), "tool", "tools");
        screen.note(&format!("pinned: {number} of `{}`; none is permitted by that", self.name));
        if self.project && *was != Trust::Trusted {
            screen.hint(
                "the project is not trusted as it is now: to trust it, run `ringfence trust`",
            );
        }
    }

    fn hint_at_grants(&self, server: &Server, screen: &Screen) {
        let Some(tool) = server.file.tools.keys().next() else { return };
        let name = &self.name;
        screen.hint(&format!(
            "to permit a tool, run `ringfence grant tool:{name}/{tool} --always`, or write a rule on `Action::\"{name}/{tool}\"`",
        ));
    }
}

/// A server that was pinned, and what was pointed at in it.
struct Agreed {
    server: Server,
    remarks: Vec<Remark>,
}

/// Whether the server has its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum IsPinned {
    No,
    Yes,
}

/// The session in which a server was started last, since then.
fn last_session(
    dirs: &StateDirs,
    server: &ServerName,
    since_ms: u64,
) -> Result<Option<SessionId>, Failure> {
    let began = |id: &SessionId| {
        let first = context::opening(dirs, id)?;
        let Event::SessionOpened { agent, .. } = &first.entry.event else { return None };
        (agent == server.as_str() && first.entry.at_ms >= since_ms).then_some(first.entry.at_ms)
    };
    let all = context::session_ids(dirs)?;
    Ok(all.into_iter().filter_map(|id| Some((began(&id)?, id))).max().map(|(_, id)| id))
}

/// What stands in for a person's yes.
pub(super) const YES: &str = "to agree to all that is shown, add `--yes`";
