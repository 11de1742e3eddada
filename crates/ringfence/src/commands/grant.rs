//! `grant`: permits something for a session, for a time or always.

use std::path::{Path, PathBuf};

use ringfence_core::{AbsolutePath, Event, SecretName, ServerName, SessionId, ToolName};
use ringfence_policy::grant::GrantText;
use ringfence_policy::nearest_word;
use ringfence_runtime::advice::{Advice, Session};
use ringfence_runtime::environment::Environment;
use ringfence_runtime::grants::{self, Grant, NewGrant, Scope, resolve_program};
use ringfence_runtime::registration::Description;
use ringfence_runtime::state::StateDirs;
use ringfence_runtime::suggest::World;
use ringfence_runtime::trust::Project;
use ringfence_runtime::users;
use ringfence_runtime::wording::{localhost, printable, shell_word};
use ringfence_secrets::store::Store;
use serde_json::json;

use super::grants::{SCHEMA, as_json, tell_sessions};
use super::secret::keys;
use super::{context, explain, in_force, overruled, trust};
use crate::cli::GrantArgs;
use crate::exit::{Done, Failure, Message};
use crate::prompt::{self, Consent};
use crate::render::text;
use crate::screen::Screen;

/// Where and how long a grant holds, in words too.
struct Reach {
    scope: Scope,
    expires: Option<u64>,
    words: String,
}

pub(crate) fn grant(args: &GrantArgs, screen: &Screen) -> Result<Done, Failure> {
    let environment = context::environment();
    prompt::outside_only(&environment, "nothing can be granted")?;
    let dirs = context::dirs()?;
    let granted = parse(&args.text, &environment, dirs.home())?;
    let reach = reach(args, &granted, &dirs)?;
    screen.note(&format!("grant {}, {}", printable(&granted.to_string()), printable(&reach.words)));
    of_the_base(&granted, &reach.scope, &dirs)?;
    without_mounts(&granted, &reach.scope, &dirs)?;
    overruled::check(&granted, &reach.scope, &dirs, screen)?;
    warn_of_secrets(&granted, &dirs, screen);
    look_for(&granted, &dirs, screen)?;
    if let Some(kept) = same(&granted, &reach, &dirs)? {
        screen.warn("this is granted already, and holds as long: nothing changed");
        if args.json {
            return said(screen, Made::Before, &kept);
        }
        screen.note(&format!("granted: {}", kept.id));
        return Ok(Done::Yes);
    }
    if !args.yes {
        let flag = "to grant it without being asked, add `--yes`";
        if prompt::consent("grant this?", flag)? == Consent::Refused {
            return Err(Message::new("nothing changed: it was not granted").no());
        }
    }
    dirs.create()?;
    let Reach { scope, expires, .. } = reach;
    let new = NewGrant { text: granted.to_string(), scope, author: author(), expires };
    let kept = grants::add(&dirs, new, context::now_ms(), |id| granted.to_cedar(id))?;
    tell_sessions(&dirs, screen)?;
    if args.json {
        return said(screen, Made::Now, &kept);
    }
    screen.note(&format!("granted: {}", kept.id));
    screen.hint(&format!("to take it back, run `ringfence grants revoke {}`", kept.id));
    Ok(Done::Yes)
}

/// Says what nobody would offer: whoever is granted it has the secret, and not only its use.
fn warn_of_secrets(granted: &GrantText, dirs: &StateDirs, screen: &Screen) {
    let project = trust::project(dirs, None).map(|it| it.dir).unwrap_or_default();
    if let Advice::Kept { why, .. } = Advice::of(granted, dirs.home(), &project) {
        let granted = printable(&granted.to_string());
        screen.warn(&format!("`{granted}` is more than any hint offers: {why}"));
    }
}

/// Whether a grant is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    Now,
    /// It was there, and holds as long.
    Before,
}

/// What was granted, for programs.
fn said(screen: &Screen, made: Made, grant: &Grant) -> Result<Done, Failure> {
    screen.json(&json!({
        "schema": SCHEMA,
        "granted": as_json(grant),
        "new": made == Made::Now,
    }))?;
    Ok(Done::Yes)
}

/// A grant that is kept already for the same, in the same place, and no shorter.
fn same(granted: &GrantText, reach: &Reach, dirs: &StateDirs) -> Result<Option<Grant>, Failure> {
    let (text, now_ms) = (granted.to_string(), context::now_ms());
    let lasts = |end: u64| now_ms < end && reach.expires.is_some_and(|wanted| wanted <= end);
    let is_same = |kept: &Grant| {
        kept.text == text && kept.scope == reach.scope && kept.expires.is_none_or(lasts)
    };
    Ok(grants::list(dirs)?.into_iter().find(is_same))
}

/// Refuses writing where every world is alike: a running one cannot be given it, and a later one only what
/// is there when it starts.
fn of_the_base(granted: &GrantText, scope: &Scope, dirs: &StateDirs) -> Result<(), Failure> {
    let GrantText::Write(path) = granted else { return Ok(()) };
    let project = trust::project(dirs, None).map(|it| it.dir).unwrap_or_default();
    let Advice::Base(base) = Advice::of(granted, dirs.home(), &project) else { return Ok(()) };
    if may_be_for_tools(scope, dirs) {
        return Ok(());
    }
    let text = printable(&granted.to_string());
    let base = printable(&base.to_string_lossy());
    let refused = Message::new(format!("nothing changed: granting {text} has no effect"));
    match scope {
        Scope::Session(_) => Err(refused
            .detail(format!(
                "`{base}` belongs to the runtime base, which no grant opens in a running world"
            ))
            .no()),
        Scope::Project(_) | Scope::Everywhere if !path.as_path().exists() => Err(refused
            .detail(format!(
                "`{base}` belongs to the runtime base: a world shows there what exists when it \
                 starts, and `{}` does not",
                printable(path.as_str())
            ))
            .hint("make it yourself first, or have it written somewhere else")
            .no()),
        Scope::Project(_) | Scope::Everywhere => Ok(()),
    }
}

/// Whether a grant may be for what calls of tools name, which are the host's own files and not a world's.
fn may_be_for_tools(scope: &Scope, dirs: &StateDirs) -> bool {
    match scope {
        Scope::Session(session) => {
            let opening = context::opening(dirs, session);
            opening.is_some_and(|it| explain::world_of(&it) == World::None)
        }
        Scope::Project(_) | Scope::Everywhere => {
            let found = in_force::quietly(&[]).ok().flatten();
            found.is_some_and(|it| !it.served().is_empty())
        }
    }
}

/// Refuses files for a session that can be given none while it runs: it would end before the grant could hold.
fn without_mounts(granted: &GrantText, scope: &Scope, dirs: &StateDirs) -> Result<(), Failure> {
    let (GrantText::Read(_) | GrantText::Write(_), Scope::Session(session)) = (granted, scope)
    else {
        return Ok(());
    };
    let why = match context::tier(dirs, session) {
        Some(tier) if tier.has_mounts() => return Ok(()),
        Some(tier) => {
            format!("nothing is mounted in its tier, `{tier}`: it has the files it started with")
        }
        None => "its tier is unknown here: another version of `ringfence` started it".to_owned(),
    };
    let text = granted.to_string();
    let refused = Message::new(format!(
        "nothing changed: granting {} to session {session} has no effect",
        printable(&text)
    ))
    .detail(why);
    Err(match shell_word(&text) {
        Some(word) => refused.hint(format!(
            "to allow it in this project from the next start on, run `ringfence grant {word} --always`"
        )),
        None => refused,
    }
    .no())
}

/// Says what is not there: a program that is none is a slip, a path may be made later.
fn look_for(granted: &GrantText, dirs: &StateDirs, screen: &Screen) -> Result<(), Failure> {
    let path = match granted {
        GrantText::Read(path) | GrantText::Write(path) | GrantText::ConnectUnix(path) => path,
        GrantText::Exec { program, .. } => program,
        GrantText::UseSecret(name) => return look_for_secret(name, dirs, screen),
        GrantText::CallTool(name) => {
            look_for_tool(name, screen);
            return Ok(());
        }
        GrantText::Connect(to) | GrantText::Request { to, .. } => {
            if let Some(localhost) = localhost(to) {
                screen.warn(&localhost);
            }
            return Ok(());
        }
    };
    let found = std::fs::symlink_metadata(path.as_path());
    if !found.is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
        return Ok(());
    }
    let missing = format!("`{}` does not exist", printable(path.as_str()));
    if matches!(granted, GrantText::Exec { .. }) {
        return Err(Message::new(missing).could_not());
    }
    screen.warn(&format!("{missing}: a session can be given it only once it does"));
    Ok(())
}

/// A tool that nobody has pinned is never called; it may be added later.
fn look_for_tool(name: &ToolName, screen: &Screen) {
    // Where nothing can be put together, that is said where it matters.
    let Ok(assembled) = in_force::load(&[], screen) else { return };
    let near = |word: &str, known: &[&str]| {
        let near = nearest_word(word, known.iter().copied());
        near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
    };
    let Some(server) = assembled.servers.get(name.server()) else {
        let known: Vec<&str> = assembled.servers.keys().map(ServerName::as_str).collect();
        let near = near(name.server().as_str(), &known);
        screen.warn(&format!("there is no server of tools `{}`{near}", name.server()));
        return;
    };
    let tools: Vec<&str> = server.known_tools().collect();
    if server.is_left_out().is_none() && !tools.contains(&name.tool()) {
        let (of, tool) = (name.server(), printable(name.tool()));
        screen.warn(&format!("`{of}` has no tool `{tool}`{}", near(name.tool(), &tools)));
    }
}

/// A secret that is none is a slip too: nothing would ever ask for it.
fn look_for_secret(name: &SecretName, dirs: &StateDirs, screen: &Screen) -> Result<(), Failure> {
    let kept = Store::at(dirs.secrets()).list()?;
    let settings = in_force::settings_here(screen)?;
    if kept.iter().any(|it| it.name == *name) || keys::agent_of(&settings, name.as_str()).is_some()
    {
        return Ok(());
    }
    let kept = kept.iter().map(|it| it.name.to_string());
    let keys = settings.ssh_keys.keys().chain(settings.gpg_keys.keys()).cloned();
    let known: Vec<String> = kept.chain(keys).collect();
    let hint = if known.is_empty() {
        format!(
            "none is kept: to keep it, run `ringfence secret add {name}` with `--kind` or `--for`"
        )
    } else {
        format!(
            "the secrets there are: {}; to keep another, run `ringfence secret add {name}` with `--kind` or `--for`",
            known.join(", ")
        )
    };
    Err(Message::new(format!("there is no secret `{name}`")).hint(hint).could_not())
}

/// The grant with its program or path resolved now, so that it is for that file.
fn parse(text: &str, environment: &Environment, home: &Path) -> Result<GrantText, Failure> {
    let cwd = context::current_dir()?;
    let is_program = text.starts_with("exec:");
    let path = environment.text("PATH").unwrap_or("").to_owned();
    let resolve = |name: &str| {
        // In quotes the shell leaves it alone.
        let at_home =
            name.strip_prefix("~/").and_then(|rest| home.join(rest).to_str().map(str::to_owned));
        let name = at_home.as_deref().unwrap_or(name);
        let found = if is_program {
            resolve_program(name, &path, &cwd).ok()?
        } else {
            canonical(&cwd.join(name))
        };
        AbsolutePath::parse(found.to_str()?).ok()
    };
    let wrong = |error: ringfence_policy::grant::GrantError| {
        Message::new(error.to_string())
            .hint(if text.starts_with("net:") && text.contains("://") {
                "a grant of connections names host and port, and nothing of a URL else: \
                 `net:api.example.com:443`"
            } else {
                "a grant looks like `ringfence grant net:api.example.com:443 --session`"
            })
            .could_not()
    };
    let granted = GrantText::parse(text, &resolve).map_err(wrong)?;
    let real = |path: AbsolutePath| {
        let found = canonical(path.as_path());
        found.to_str().and_then(|text| AbsolutePath::parse(text).ok()).unwrap_or(path)
    };
    Ok(match granted {
        GrantText::Read(path) => GrantText::Read(real(path)),
        GrantText::Write(path) => GrantText::Write(real(path)),
        GrantText::ConnectUnix(path) => GrantText::ConnectUnix(real(path)),
        GrantText::Exec { program, subcommand } => {
            GrantText::Exec { program: real(program), subcommand }
        }
        GrantText::Connect(_)
        | GrantText::Request { .. }
        | GrantText::UseSecret(_)
        | GrantText::CallTool(_) => granted,
    })
}

/// The path with symbolic links resolved as far as it exists; what is missing stays as written.
fn canonical(path: &Path) -> PathBuf {
    if let Ok(found) = std::fs::canonicalize(path) {
        return found;
    }
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) => canonical(parent).join(name),
        _ => path.to_owned(),
    }
}

fn reach(args: &GrantArgs, granted: &GrantText, dirs: &StateDirs) -> Result<Reach, Failure> {
    if let Some(named) = &args.session {
        return in_session(dirs, named.as_ref(), granted);
    }
    if args.always {
        return if args.everywhere { Ok(everywhere()) } else { in_project(dirs) };
    }
    if let Some(time) = args.duration {
        let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let here = in_project(dirs)?;
        let words = format!(
            "for {}, in {}",
            text::duration(ms),
            here.words.trim_start_matches("always in ")
        );
        let expires = Some(context::now_ms().saturating_add(ms));
        return Ok(Reach { expires, words, ..here });
    }
    let choices = ["for the running session", "always, in this project", "always, everywhere"];
    let flag = "to say where it holds, add `--session`, `--for 2h`, `--always` or \
        `--always --everywhere`";
    match prompt::choice("where shall it hold?", &choices, flag)? {
        Some(0) => in_session(dirs, None, granted),
        Some(1) => in_project(dirs),
        Some(2) => Ok(everywhere()),
        Some(_) | None => Err(Message::new("nothing changed: no scope was chosen").no()),
    }
}

/// The named session, or the only one that runs.
fn in_session(
    dirs: &StateDirs,
    named: Option<&SessionId>,
    granted: &GrantText,
) -> Result<Reach, Failure> {
    let running = context::running(dirs)?;
    let session = match named {
        Some(named) if running.iter().any(|it| it.session == *named) => named.clone(),
        Some(named) => return Err(not_running(dirs, named, granted)),
        None => only_session(&running)?,
    };
    let words = format!("for session {session}");
    Ok(Reach { scope: Scope::Session(session), expires: None, words })
}

/// The only session that runs; servers of tools run beside the one that they are for, and are not meant.
fn only_session(running: &[Description]) -> Result<SessionId, Failure> {
    let (servers, others): (Vec<_>, Vec<_>) = running.iter().partition(|it| it.server);
    let (message, several) = match (others.as_slice(), servers.as_slice()) {
        ([only], _) => return Ok(only.session.clone()),
        ([], []) => {
            return Err(Message::new("no session is running")
                .hint("to grant it for this project, add `--always` or `--for 2h`")
                .could_not());
        }
        ([], servers) => ("only servers of tools are running: name one".to_owned(), servers),
        (several, _) => (format!("{} sessions are running: name one", several.len()), several),
    };
    let each = |message: Message, it: &&Description| message.detail(it.session.to_string());
    Err(several
        .iter()
        .fold(Message::new(message), each)
        .hint("add `--session ID`; `ringfence sessions` says what each one is")
        .could_not())
}

/// A session that has ended cannot be given anything; its project can, for the next one.
fn not_running(dirs: &StateDirs, named: &SessionId, granted: &GrantText) -> Failure {
    let first = context::opening(dirs, named).map(|first| first.entry.event);
    let Some(Event::SessionOpened { cwd, .. }) = first else {
        return Message::new(format!("there is no session `{named}`"))
            .hint("to see which sessions run, run `ringfence sessions`")
            .could_not();
    };
    let message = Message::new(format!("session `{named}` has ended"));
    if !cwd.as_path().exists() {
        let dir = printable(cwd.as_str());
        return message.detail(format!("and {dir}, where it ran, is gone")).could_not();
    }
    let project = Project::find(cwd.as_path(), dirs.home()).map(|project| project.dir);
    let here = trust::project(dirs, None).map(|project| project.dir);
    let advice = Advice::Grant(granted.to_string());
    let hint = match (&project, &here) {
        (Ok(there), Ok(here)) if there != here => advice.hint(Session::EndedIn(there)),
        _ => advice.hint(Session::Ended),
    };
    hint.into_iter().fold(message, Message::hint).could_not()
}

fn in_project(dirs: &StateDirs) -> Result<Reach, Failure> {
    let dir = trust::project(dirs, None)?.dir;
    let words = format!("always in {}", dir.display());
    Ok(Reach { scope: Scope::Project(dir), expires: None, words })
}

fn everywhere() -> Reach {
    Reach { scope: Scope::Everywhere, expires: None, words: "always and everywhere".to_owned() }
}

/// Login name of the person, or the user id where there is none.
fn author() -> String {
    let uid = rustix::process::getuid().as_raw();
    users::by_id(uid).map_or_else(|| format!("uid {uid}"), |user| user.name)
}
