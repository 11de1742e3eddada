//! `mcp login` and `mcp logout`: at servers behind addresses, by the person's browser. Agents never see a token.

use std::path::Path;
use std::process::{Command, Stdio};

use ringfence_core::{Endpoint, ServerName};
use ringfence_runtime::broker::tools::login::{self, Challenge, Lacks, LoginError, Wants};
use ringfence_runtime::broker::tools::{self, LookFailed, ToolsRequest};
use ringfence_runtime::servers::{Said, Server, ServerFile};
use ringfence_runtime::trust::{Project, Trust};
use ringfence_runtime::whole_file::{self, Links};
use ringfence_runtime::wording::{printable, shell_word};
use ringfence_runtime::writing::Writing;
use ringfence_secrets::store::{Store, StoreError};

use super::add::{Asks, YES};
use super::proposed::{self, Proposing};
use super::secrets::Uses;
use super::{found, place, request};
use crate::cli::{McpLoginArgs, McpLogoutArgs};
use crate::commands::context;
use crate::exit::{Done, Failure, Message};
use crate::prompt::{self, Consent};
use crate::screen::Screen;

pub(super) fn login(args: &McpLoginArgs, screen: &Screen) -> Result<Done, Failure> {
    let request = request(Vec::new(), "login")?;
    let server = known(&args.name, screen)?;
    let wants = Wants {
        client_id: args.client_id.clone(),
        client_secret: args.client_secret.clone(),
        scope: args.scope.clone(),
        port: args.port,
    };
    let asks = if args.yes { Asks::Nothing } else { Asks::Person };
    let browser = if args.no_browser { Browser::Print } else { Browser::Open };
    let with = Logging { wants, asks, browser };
    let challenge = login::challenge(&server, &request).map_err(|error| failure(&error))?;
    with.kept((&server, challenge), (&request, screen))?;
    screen.note(&format!("logged in at `{}`", server.name));
    Ok(Done::Yes)
}

pub(super) fn logout(args: &McpLogoutArgs, screen: &Screen) -> Result<Done, Failure> {
    let store = Store::at(context::dirs()?.secrets());
    if login::log_out(&args.name, &store).map_err(|error| failure(&error))? {
        screen.note(&format!("forgotten: the login at `{}`", args.name));
        screen.hint("the server may take the token until it ends by itself; where it has a page for that, end it there as well");
        return Ok(Done::Yes);
    }
    screen.note(&format!("there was no login at `{}`", args.name));
    Ok(Done::No)
}

/// What a server that could not be looked at has, where it wants a login for that and a person is there to log in.
pub(super) fn offered(
    server: &Server,
    failed: &LookFailed,
    (request, screen): (&ToolsRequest, &Screen),
) -> Option<Said> {
    let lacks = failed.lacks.as_deref()?;
    if !prompt::can_ask() {
        return None;
    }
    screen.note(&format!("`{}` wants a login: {failed}", server.name));
    let with = Logging { wants: Wants::default(), asks: Asks::Person, browser: Browser::Open };
    match with.kept((server, Some(lacks.challenge().clone())), (request, screen)) {
        Ok(said) => Some(said),
        Err(failure) => {
            screen.failure(&failure);
            None
        }
    }
}

/// What a person can do where a server wants a login that it was not given, if it does.
pub(super) fn hint(server: &ServerName, failed: &LookFailed) -> Option<String> {
    let scope = match failed.lacks.as_deref()? {
        Lacks::Login(_) => None,
        Lacks::More(more) => more.scope.as_deref().and_then(shell_word),
    };
    Some(match scope {
        None => format!("to log in there, run `ringfence mcp login {server}`"),
        Some(scope) => {
            format!("to log in for that, run `ringfence mcp login {server} --scope {scope}`")
        }
    })
}

/// How often at most a person logs in for one look: once, and once more for what the server then turns out to want.
const LOGINS_MAX: usize = 2;

/// Why a server could not be looked at, and what it wants for that.
pub(super) struct NotLooked {
    pub(super) failure: Failure,
    pub(super) lacks: Option<Box<Lacks>>,
    pub(super) came: Came,
}

/// How far a server came that could not be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    /// It did not say which tools it has.
    ToNothing,
    /// It did, and that cannot be pinned: it would say no other when it is started again.
    ToItsTools,
}

/// How a login is had.
pub(super) struct Logging {
    pub(super) wants: Wants,
    pub(super) asks: Asks,
    pub(super) browser: Browser,
}

/// Who takes the person to the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Browser {
    /// What opens pages here, if anything does.
    Open,
    /// The person.
    Print,
}

impl Logging {
    /// Logs in at a server, and writes its file with what stands for that; what it says of itself then.
    fn kept(
        &self,
        (server, challenge): (&Server, Option<Challenge>),
        (request, screen): (&ToolsRequest, &Screen),
    ) -> Result<Said, Failure> {
        let look = |server: &Server| {
            tools::look_at(server, request).map_err(|failed| {
                let why = format!("the server does not take the token that it was given: {failed}");
                let (lacks, came) = (failed.lacks, Came::ToNothing);
                NotLooked { failure: Message::new(why).no(), lacks, came }
            })
        };
        let (logged_in, said) = self.taken((server, challenge), (request, screen), &look)?;
        if logged_in.file != server.file {
            write(server, &logged_in.file, request, screen)?;
        }
        Ok(said)
    }

    /// Logs in at a server, and looks at it so; once more where it then wants a login for more. One that it does not take
    /// is forgotten: it may be for somebody else.
    pub(super) fn taken<T>(
        &self,
        (server, challenge): (&Server, Option<Challenge>),
        (request, screen): (&ToolsRequest, &Screen),
        look: &dyn Fn(&Server) -> Result<T, NotLooked>,
    ) -> Result<(Server, T), Failure> {
        let (mut wants, mut challenge) = (self.wants.clone(), challenge);
        let mut had = 0_usize;
        loop {
            let done = self.log_in(server, (&wants, challenge.as_ref()), request, screen);
            let (file, scope) = match done {
                Err(failure) if had > 0 => {
                    forget(&server.name, request, screen);
                    return Err(failure);
                }
                other => other?,
            };
            had = had.saturating_add(1);
            let logged_in = Server::new(server.name.clone(), file)
                .map_err(|why| Message::new(format!("`{}`: {why}", server.name)).could_not())?;
            let NotLooked { failure, lacks, .. } = match look(&logged_in) {
                Ok(seen) => return Ok((logged_in, seen)),
                Err(not) => not,
            };
            // A person who said what it is for is not asked for more.
            let may_ask = had < LOGINS_MAX && self.wants.scope.is_none();
            let more = lacks.filter(|_| may_ask).and_then(|it| more(&it, scope.as_deref()));
            let Some((all, more)) = more else {
                forget(&server.name, request, screen);
                return Err(failure);
            };
            screen.note(&format!("`{}` wants a login for more than that", server.name));
            (wants.scope, challenge) = (Some(all), Some(more));
        }
    }

    /// Logs in at a server: its file with the header that stands for that, and what the login is for.
    fn log_in(
        &self,
        server: &Server,
        (wants, challenge): (&Wants, Option<&Challenge>),
        request: &ToolsRequest,
        screen: &Screen,
    ) -> Result<(ServerFile, Option<String>), Failure> {
        let mut person = Asking { logging: self, server, screen, failed: None };
        let done = login::log_in(server, request, (wants, challenge), &mut person);
        if let Some(failure) = person.failed {
            return Err(failure);
        }
        let scope = done.map_err(|error| failure(&error))?;
        let mut file = server.file.clone();
        let (header, value) = login::header_of(&server.name);
        file.headers.retain(|name, _| !name.eq_ignore_ascii_case(&header));
        file.headers.insert(header, value);
        let uses = Uses {
            secrets: login::token_of(&server.name).into_iter().collect(),
            endpoints: Vec::new(),
        };
        let proposing = Proposing { project: None, agent: None, asks: self.asks };
        if proposed::address((server, &uses), proposing, screen)? == Consent::Refused {
            screen.note("without that the token is kept and not used");
        }
        Ok((file, scope))
    }
}

/// What a login has to be for, where a server wants it for more than it was for, and what it says of that.
fn more(lacks: &Lacks, had: Option<&str>) -> Option<(String, Challenge)> {
    let Lacks::More(more) = lacks else { return None };
    let had = had.unwrap_or_default();
    let wanted = more.scope.as_deref().unwrap_or_default().split_whitespace();
    let new: Vec<&str> =
        wanted.filter(|it| !had.split_whitespace().any(|its| its == *it)).collect();
    let all = had.split_whitespace().chain(new.iter().copied()).collect::<Vec<_>>().join(" ");
    (!new.is_empty()).then(|| (all, more.clone()))
}

fn forget(server: &ServerName, request: &ToolsRequest, screen: &Screen) {
    match login::log_out(server, &Store::at(request.dirs.secrets())) {
        Ok(_) => screen.note("the token that was given is forgotten again"),
        Err(error) => screen.warn(&format!("the token that was given is kept: {error}")),
    }
}

/// What stands in for a person's word that two hosts are one party's: nothing.
const ELSEWHERE: &str = "`--yes` does not agree to this: run it at a terminal";

/// The person at the terminal.
struct Asking<'a> {
    logging: &'a Logging,
    server: &'a Server,
    screen: &'a Screen,
    failed: Option<Failure>,
}

impl login::Person for Asking<'_> {
    fn may_reach(&mut self, endpoints: &[Endpoint]) -> bool {
        let uses = Uses { secrets: Vec::new(), endpoints: endpoints.to_vec() };
        let proposing = Proposing { project: None, agent: None, asks: self.logging.asks };
        match proposed::address((self.server, &uses), proposing, self.screen) {
            Ok(consent) => consent == Consent::Given,
            Err(failure) => {
                self.failed = Some(failure);
                false
            }
        }
    }

    fn logs_in(&mut self, issuer: &str, scope: Option<&str>) -> bool {
        let scope = scope.map(|it| format!(", for `{}`", printable(it))).unwrap_or_default();
        let what =
            format!("`{}` has its logins at `{}`{scope}", self.server.name, printable(issuer));
        self.screen.note(&what);
        if self.logging.asks == Asks::Nothing {
            return true;
        }
        match prompt::consent("log in there?", YES) {
            Ok(consent) => consent == Consent::Given,
            Err(failure) => {
                self.failed = Some(failure);
                false
            }
        }
    }

    /// Whatever was agreed to beforehand: only a person knows whether the two are one.
    fn logs_in_elsewhere(&mut self, issuer: &str, at: &Endpoint) -> bool {
        let (server, issuer) = (&self.server.name, printable(issuer));
        self.screen.warn(&format!(
            "`{server}` has its tokens from `{issuer}`, which sends you to {at} to log in, and nothing that comes back will say who answered: \
             unless these are one party, that login would be given to `{issuer}`"
        ));
        let question = format!("is {at} where you log in for `{issuer}`?");
        match prompt::consent(&question, ELSEWHERE) {
            Ok(consent) => consent == Consent::Given,
            Err(failure) => {
                self.failed = Some(failure);
                false
            }
        }
    }

    fn goes_to(&mut self, address: &str) {
        self.screen.note("say yes in your browser at this address:");
        self.screen.as_it_is(&printable(address));
        if self.logging.browser == Browser::Open {
            let mut open = Command::new("xdg-open");
            open.arg(address).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            // Where nothing opens it, the person does.
            if let Ok(mut child) = open.spawn() {
                std::thread::spawn(move || child.wait());
            }
        }
    }
}

fn known(name: &ServerName, screen: &Screen) -> Result<Server, Failure> {
    found::server(&found::load_for(name, &[], screen)?, name).cloned()
}

/// Writes a server's file where it is: the person's own, else the project's.
fn write(
    server: &Server,
    file: &ServerFile,
    request: &ToolsRequest,
    screen: &Screen,
) -> Result<(), Failure> {
    let _writing = Writing::begin(request.dirs.state())?;
    let own = place(request, &server.name, false)?;
    if own.exists() {
        is_still(server, &own, Links::Follow)?;
        let led = std::fs::canonicalize(&own).unwrap_or(own);
        return Ok(whole_file::replace(&led, file.to_text().as_bytes(), 0o600)?);
    }
    let project = Project::find(&request.cwd, request.dirs.home())?;
    let was_trusted = project.trust(&request.dirs)? == Trust::Trusted;
    let of_project = place(request, &server.name, true)?;
    is_still(server, &of_project, Links::Refuse)?;
    let text = file.to_text();
    whole_file::replace(&of_project, text.as_bytes(), 0o600)?;
    if was_trusted {
        let mut now = project;
        let text = whole_file::FileText::new(of_project, text);
        now.servers.insert(server.name.to_string(), text);
        now.give_trust(&request.dirs, context::now_ms())?;
    } else {
        screen.hint("the project is not trusted as it is now: to trust it, run `ringfence trust`");
    }
    Ok(())
}

/// A login takes its time: a file that says something else by now is left as it is.
fn is_still(server: &Server, place: &Path, links: Links) -> Result<(), Failure> {
    let now = whole_file::read_text(place, links)?;
    if now.is_some_and(|now| Server::read(&now).is_ok_and(|now| now.file == server.file)) {
        return Ok(());
    }
    let changed = format!("`{}` was changed meanwhile: nothing was written", place.display());
    let again =
        format!("to use the login with it as it is now, run `ringfence mcp login {}`", server.name);
    Err(Message::new(changed).hint(again).could_not())
}

pub(super) fn failure(error: &LoginError) -> Failure {
    let message = Message::new(error.to_string());
    match error {
        LoginError::NotWanted(_) | LoginError::Declined => message.no(),
        LoginError::Unknown(_) => message
            .hint("make yourself known there, and name what it calls you: add `--client-id ID`")
            .could_not(),
        LoginError::Taken { .. } => message
            .hint("keep it under another name, and forget this one with `ringfence secret remove NAME`; or add the server under another name")
            .could_not(),
        LoginError::Unbound { name, endpoint, .. } | LoginError::NoSecret { name, endpoint } => {
            // Programs of a world find what stands in for it, and nothing where no rule lets them use it.
            let variable = name.to_string().to_ascii_uppercase().replace('-', "_");
            message
                .hint(format!(
                    "to keep it for there, run `ringfence secret add {name} --for {endpoint} --basic --env {variable}`"
                ))
                .could_not()
        }
        LoginError::Elsewhere(_) => {
            message
                .hint("forget it with `ringfence secret remove NAME`, and keep it without `--from`")
                .could_not()
        }
        LoginError::Store(StoreError::TooMany) => {
            message.hint("to forget one, run `ringfence secret remove NAME`").could_not()
        }
        LoginError::NoAddress(_)
        | LoginError::Slow
        | LoginError::Oauth(_)
        | LoginError::Run(_)
        | LoginError::Store(_)
        | LoginError::Io(..) => message.could_not(),
    }
}
