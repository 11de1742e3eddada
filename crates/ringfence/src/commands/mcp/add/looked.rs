//! A server that is added is started or asked, once more where something that it was denied kept it from starting.

use ringfence_core::{Event, Outcome, ServerName, SessionId, Verdict};
use ringfence_log::LogReader;
use ringfence_runtime::broker::tools::{self, LookError, LookFailed, ToolsRequest};
use ringfence_runtime::clients::covered_address;
use ringfence_runtime::servers::{Pinned, Server, Unusable};
use ringfence_runtime::state::StateDirs;
use ringfence_runtime::wording::printable;
use rustix::io::Errno;

use super::super::login::{Browser, Came, Logging, NotLooked};
use super::super::proposed::{self, Proposing};
use super::super::shown::not_looked_at;
use super::super::unseen;
use super::Adding;
use crate::commands::context;
use crate::exit::{Failure, Message};
use crate::prompt::Consent;
use crate::screen::Screen;

/// How often a server is started anew with what it was denied before.
const STARTS_MAX: usize = 3;

impl Adding {
    /// The server with what it says of itself, once it has what it was denied when it started; else why not.
    pub(super) fn with_needs(
        &self,
        server: &Server,
        (request, not): (&ToolsRequest, NotLooked),
        proposing: Proposing<'_>,
        screen: &Screen,
    ) -> Result<Server, Failure> {
        let NotLooked { mut failure, came, .. } = not;
        if !self.proposes() || came == Came::ToItsTools {
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

    /// The server with what it says of itself once a person has logged in at it, where that is what it wants; else why
    /// it could not be looked at.
    pub(super) fn logged_in(
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
    pub(super) fn looked_at(
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
            let session = last_session(&request.dirs, &self.name, since_ms).ok().flatten();
            let failed = failed(server, &error, session.map(|it| (&request.dirs, it)));
            let (lacks, came) = (error.lacks, Came::ToNothing);
            NotLooked { failure: failed.could_not(), lacks, came }
        })?;
        let wrong = |why: String| {
            let failure = Message::new(format!("`{}`: {why}", self.name)).could_not();
            NotLooked { failure, lacks: None, came: Came::ToItsTools }
        };
        let mut file = server.file.clone();
        file.instructions = said.instructions;
        let (usable, unusable) = Unusable::apart(&self.name, said.tools);
        file.tools = Pinned::all(usable).map_err(wrong)?;
        file.unusable = unusable;
        let server = Server::new(self.name.clone(), file).map_err(wrong)?;
        unseen::warn_of_unusable(&server.file.unusable, screen);
        Ok(server)
    }
}

/// What helps where a server that was denied nothing did not say what it has.
fn of_itself(why: &LookError, session: &SessionId) -> String {
    let what = match why {
        LookError::Slow => {
            "it runs and says nothing: is it a server of MCP over its standard input and output?"
        }
        LookError::Start(_) | LookError::Refused(_) | LookError::Ended(_) | LookError::Odd(_) => {
            "it ended of itself, and what it printed says why"
        }
    };
    format!("nothing was denied: {what}; what it did is in `ringfence show {session}`")
}

/// Why a server could not be looked at, with what helps: the session of that, where something in it was denied.
fn failed(
    server: &Server,
    error: &LookFailed,
    session: Option<(&StateDirs, SessionId)>,
) -> Message {
    let mut failed = not_looked_at(error);
    let Some((dirs, session)) = session else { return failed };
    let happened = Happened::in_session(dirs, &session);
    if happened.denied {
        // Never by starting it as an agent of that name: it would be no server to the rules.
        return failed
            .hint(format!("to see what it did and was denied, run `ringfence show {session}`"));
    }
    match (server.endpoint(), happened.refused) {
        (Some(endpoint), Some(address)) => {
            let at = if endpoint.to_string() == address {
                String::new()
            } else {
                format!(" ({address})")
            };
            failed.text = format!("nothing listens at `{endpoint}`{at}");
            failed.hint("nothing was denied: start what is to listen there, or look at the address")
        }
        (Some(_), None) => {
            failed.hint("nothing was denied: look at the address, and at what answers there")
        }
        (None, _) => failed.hint(of_itself(&error.why, &session)),
    }
}

/// What a session has of why a server could not be looked at.
#[derive(Default)]
struct Happened {
    /// Whether something was denied.
    denied: bool,
    /// The address of a connection that was not taken.
    refused: Option<String>,
}

impl Happened {
    /// By its log; what of that cannot be read may be a denial.
    fn in_session(dirs: &StateDirs, session: &SessionId) -> Happened {
        let unknown = || Happened { denied: true, refused: None };
        let Ok(reader) = LogReader::open(&dirs.session(session)) else { return unknown() };
        let mut all = Happened::default();
        for logged in reader {
            let Ok(logged) = logged else { return unknown() };
            all.add(&logged.entry.event);
        }
        all
    }

    fn add(&mut self, event: &Event) {
        if let Event::Decided { verdict, .. } = event {
            self.denied |= *verdict != Verdict::Permit;
        } else if let Event::FilesRead(read) = event {
            self.denied |= read.files.iter().any(|file| file.result.is_denied());
        } else if let Event::Finished { outcome: Outcome::Connection(used), .. } = event {
            let refused = std::io::Error::from(Errno::CONNREFUSED).to_string();
            if used.error.as_ref().is_some_and(|error| error.contains(&refused)) {
                self.refused.clone_from(&used.address);
            }
        }
    }
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
