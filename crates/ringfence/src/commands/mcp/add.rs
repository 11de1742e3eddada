//! `mcp add`: a server is started or asked, looked at, and pinned; and a policy for its tools is proposed.

mod looked;

use std::path::{Path, PathBuf};

use ringfence_core::ServerName;
use ringfence_runtime::broker::tools::ToolsRequest;
use ringfence_runtime::broker::tools::login::Wants;
use ringfence_runtime::clients::covered;
use ringfence_runtime::servers::written::Wrote;
use ringfence_runtime::servers::{Remark, Server, ServerFile};
use ringfence_runtime::suggest::unified;
use ringfence_runtime::trust::{Project, Trust};
use ringfence_runtime::whole_file::{self, FileText, Links};
use ringfence_runtime::wording::printable;
use ringfence_runtime::writing::{Replaced, Writing};
use serde_json::json;

use super::pairs::{headers, variables};
use super::permitted::{self, Permitted};
use super::proposed::{self, Proposing, Tried};
use super::secrets::{Uses, has_secrets};
use super::shown::{as_json, in_two, pointed_at, shown};
use super::unseen::{self, Unseen};
use super::{again, in_force, place, request};
use super::{lacks, next, places};
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
        None if args.command.is_empty() => again::known(&args.name, args.project, screen)?,
        None => ServerFile::started_by(from_anywhere(&args, screen)?),
    };
    if !args.env.is_empty() {
        file.env = variables(&args.env)?;
    } else if !args.command.is_empty() {
        lacks::keep_variables((&args.name, args.project), &mut file, screen)?;
    }
    if !args.header.is_empty() {
        file.headers = headers(&args.header)?;
    }
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

/// A command with its program, and what lies outside of the directory that it is typed in, named from everywhere: clients
/// start servers wherever they are themselves, and look for programs in other places than a shell. What a project has is
/// for many hosts, and stays as it was typed; so does a program that is to be looked for in places of its own.
fn from_anywhere(args: &McpAddArgs, screen: &Screen) -> Result<Vec<String>, Failure> {
    if args.project {
        return Ok(args.command.clone());
    }
    let cwd = context::current_dir()?;
    let has_own_path = args.env.iter().any(|it| it.starts_with("PATH="));
    let path = std::env::var_os("PATH").filter(|_| !has_own_path).unwrap_or_default();
    let mut words = args.command.clone();
    for (number, word) in words.iter_mut().enumerate() {
        let is_program = number == 0;
        let program = is_program.then(|| places::found_in(word, &path)).flatten();
        let Some(whole) = program.or_else(|| places::outside(word, &cwd)) else { continue };
        screen.note(&format!("`{}` is kept as `{}`", printable(word), printable(&whole)));
        *word = whole;
    }
    Ok(words)
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
            let rules = text::count(new.len(), "rule", "rules");
            screen
                .note(&format!("`{}` is not added: its rules are taken back ({rules})", self.name));
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
            Err(not) => self.with_needs(&server, (&request, not), proposing, screen)?,
            Ok(server) => server,
        };
        let place = place(&request, &self.name, self.project)?;
        let once = || self.agreed(&server, (&place, &dir), &request, screen);
        let Some(agreed) = proposed::anew(once, screen)? else { return Ok(Done::No) };
        let Agreed { server, remarks, permitted, left } = agreed;
        *is_pinned = IsPinned::Yes;
        let change = if self.proposes() {
            proposed::tools(&server, &remarks, proposing, screen)?
        } else {
            None
        };
        if self.json {
            let mut all = as_json(&server, &remarks);
            if let Some(all) = all.as_object_mut() {
                all.insert("permitted".to_owned(), json!(permitted));
                all.insert("not_pinned".to_owned(), left.as_json());
                all.extend(change.as_ref().map(|it| ("policy".to_owned(), json!(it))));
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
        let known = in_force::load(&self.overrides, screen)?;
        let remarks = Remark::all(&self.name, &server.file.said(), known.servers.values());
        let before = old.as_ref().and_then(|old| Server::read(old).ok());
        let mut permitted = Permitted::of(&server, &known)?;
        let (server, left) = match self.asks {
            Asks::Person => (server, Unseen::default()),
            Asks::Nothing => unseen::without(server, (&remarks, &permitted), before.as_ref()),
        };
        permitted.retain(&server);
        let is_new = old.as_ref().is_none_or(|old| old.text != server.file.to_text());
        self.show((&server, &remarks), old.as_ref(), screen)?;
        if self.asks == Asks::Person && is_new {
            let new = permitted.of_others_than(&server, before.as_ref());
            new.lines()
                .iter()
                .for_each(|line| screen.note(&format!("{line}, and nobody is asked")));
            let question = format!("pin these in `{}`?", place.display());
            if prompt::consent(&question, YES)? == Consent::Refused {
                let name = &self.name;
                screen.note(&match old {
                    Some(_) => format!("nothing was changed: what is pinned of `{name}` stays"),
                    None => format!("nothing was pinned: `{name}` is not added"),
                });
                return Ok(Tried::Done(None));
            }
        }
        let Some(was) = self.pin(&server, (place, old.as_ref(), dir), request)? else {
            proposed::warn_of_change(&place.display().to_string(), screen);
            return Ok(Tried::Changed);
        };
        if is_new {
            self.tell_pinned((&server, &permitted), &was, screen);
        }
        unseen::tell((&server, self.project), &left, screen);
        Ok(Tried::Done(Some(Agreed { server, remarks, permitted, left })))
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

    /// Where other files stand in for the policy, whoever named them writes them.
    fn proposes(&self) -> bool {
        self.proposes == Proposes::Policy && self.overrides.is_empty()
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

    fn tell_pinned(
        &self,
        (server, permitted): (&Server, &Permitted),
        was: &Trust,
        screen: &Screen,
    ) {
        let number = text::count(server.file.tools.len(), "tool", "tools");
        let so = if permitted.is_empty() { "none is permitted by that" } else { permitted::SOME };
        screen.note(&format!("pinned: {number} of `{}`; {so}", self.name));
        permitted.lines().iter().for_each(|line| screen.note(line));
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
    /// Which of its tools rules permitted before anybody agreed to a policy for them.
    permitted: Permitted,
    /// What was left out that nobody has looked at.
    left: Unseen,
}

/// Whether the server has its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum IsPinned {
    No,
    Yes,
}

/// What stands in for a person's yes.
pub(super) const YES: &str = "to agree to all that is shown, add `--yes`";
