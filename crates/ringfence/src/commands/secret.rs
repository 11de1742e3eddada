//! `secret`: what agents use and never hold. A value comes in by stdin or by the keyboard, and never
//! goes out.

pub(crate) mod keys;
mod needed;
mod test;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ringfence_core::AbsolutePath;
use ringfence_policy::grant::GrantText;
use ringfence_runtime::clock::HostClock;
use ringfence_runtime::compose::covered_above;
use ringfence_runtime::grants::{self, Grant};
use ringfence_runtime::trust::Project;
use ringfence_runtime::wording::printable;
use ringfence_secrets::backend::{Backends, Sources};
use ringfence_secrets::binding::{Binding, Delivery, Slot};
use ringfence_secrets::held::{Fetch as _, Fetched, Occasion};
use ringfence_secrets::kinds::Kind;
use ringfence_secrets::loans::NotReturned;
use ringfence_secrets::place::Backend;
use ringfence_secrets::sentinel::Shape;
use ringfence_secrets::store::{Store, StoreError};
use ringfence_secrets::{BindingError, Secret, ValueError};
use serde_json::{Value, json};

use super::grants::tell_sessions;
use super::{context, in_force};
use crate::cli::{
    SecretAddArgs, SecretCommand, SecretListArgs, SecretRemoveArgs, SecretRotateArgs,
};
use crate::exit::{Done, Failure, Message};
use crate::prompt::{self, Consent};
use crate::render::text;
use crate::screen::Screen;

/// Version of the JSON.
const SCHEMA: u32 = 1;
/// What a change of a secret does not do.
const KEPT: &str =
    "a session that used it keeps the old value: `ringfence sessions` says which run";

pub(crate) fn secret(command: SecretCommand, screen: &Screen) -> Result<Done, Failure> {
    let store = store()?;
    match command {
        SecretCommand::Add(args) => add(args, &store, screen),
        SecretCommand::List(args) => list(&args, &store, screen),
        SecretCommand::Test(args) => test::test(&args, &store, screen),
        SecretCommand::Rotate(args) => rotate(&args, &store, screen),
        SecretCommand::Remove(args) => remove(&args, &store, screen),
    }
}

fn store() -> Result<Store, Failure> {
    prompt::outside_only(&context::environment(), "no secret can be seen or changed")?;
    Ok(Store::at(context::dirs()?.secrets()))
}

fn add(args: SecretAddArgs, store: &Store, screen: &Screen) -> Result<Done, Failure> {
    let (as_json, kind) = (args.json, args.kind);
    let mut binding = binding(args)?;
    // All that can be wrong is, before anybody types a value.
    let others = store.list()?;
    if others.iter().any(|other| other.name == binding.name) {
        return Err(StoreError::Exists(binding.name).into());
    }
    free(&binding, &others)?;
    let backend: Backend = binding.backend.parse()?;
    let value = if backend == Backend::Age {
        Some(value(&binding)?)
    } else if backend.is_open() {
        // There is no value before there is a use.
        None
    } else {
        // Only what it looks like is kept.
        let on = Occasion { agent: "", host: "", method: "" };
        Some(fetched((store, screen), &binding, &on)?)
    };
    if let Some(value) = &value {
        binding.shape = binding.shape_of(value);
    }
    store.add(&binding, value.as_ref().filter(|_| backend == Backend::Age))?;
    let name = &binding.name;
    if as_json {
        return changed(screen, "added", &self::as_json(&binding), &[]);
    }
    screen.note(&format!("kept: {name}, for {}", joined(&binding.hosts)));
    screen.hint(&format!(
        "to let agents of this project use it, run `ringfence grant secret:{name} --always`"
    ));
    screen.hint(&format!(
        "to see what else its use needs, a permit on the connection for one, run `ringfence secret \
         test {name}`"
    ));
    if let (Some(Kind::GitHttps), Some(host), Some(Delivery::Env(variable))) =
        (kind, binding.hosts.first(), binding.deliver.first())
    {
        let host = host.to_string();
        let host = host.strip_suffix(":443").unwrap_or(&host);
        screen.hint(&format!(
            "in a world, git takes it from the address: `git clone https://x:${variable}@{host}/PROJECT`"
        ));
    }
    Ok(Done::Yes)
}

/// What the command line says, with what its kind fills in.
fn binding(args: SecretAddArgs) -> Result<Binding, Failure> {
    let headers = args.header.into_iter().map(|it| Ok(Slot::Header(it)));
    let queries = args.query.iter().map(|name| Slot::query(name));
    let basic = args.basic.then_some(Ok(Slot::Basic));
    let files = args.file.iter().map(|path| Ok(Delivery::File(absolute(path)?)));
    let variables = args.env.into_iter().map(|name| Ok(Delivery::Env(name)));
    let backend = args.from.unwrap_or(Backend::Age);
    let mut binding = Binding {
        name: args.name,
        hosts: args.hosts,
        methods: args.methods,
        paths: args.path,
        slots: headers.chain(queries).chain(basic).collect::<Result<_, BindingError>>()?,
        deliver: variables.chain(files).collect::<Result<_, Failure>>()?,
        shape: Shape::unknown(),
        backend: backend.to_string(),
        ttl_seconds: ttl_seconds(&backend, args.ttl)?,
    };
    if let Some(kind) = args.kind {
        kind.complete(&mut binding)?;
    }
    let missing = [
        (binding.hosts.is_empty(), "where it may go", "--for HOST"),
        (
            binding.slots.is_empty(),
            "where it stands in a request",
            "--header`, `--query` or `--basic",
        ),
        (binding.deliver.is_empty(), "where programs look for it", "--env` or `--file"),
    ];
    if let Some((_, what, flag)) = missing.into_iter().find(|(missing, _, _)| *missing) {
        let hint = match args.kind {
            // Only those that people run themselves leave anything open.
            Some(kind) => format!("`--kind {kind}` does not say it: add `{flag}`"),
            None => format!("add `{flag}`, or `--kind` for a service that is known"),
        };
        return Err(Message::new(format!("it is not said {what}")).hint(hint).could_not());
    }
    binding.check()?;
    Ok(binding)
}

/// For how long a value is used, where a place takes that.
fn ttl_seconds(backend: &Backend, ttl: Option<Duration>) -> Result<Option<u32>, Failure> {
    if ttl.is_some() && !backend.takes_ttl() {
        return Err(Message::new(format!("a value from {backend} has no time of its own"))
            .hint("leave out `--ttl`: the value is used as it was when the session began")
            .could_not());
    }
    Ok(ttl.map(|ttl| u32::try_from(ttl.as_secs()).unwrap_or(u32::MAX)))
}

/// A path as a world will know it.
fn absolute(path: &Path) -> Result<AbsolutePath, Failure> {
    let whole: PathBuf = context::current_dir()?.join(path);
    let shown = printable(&path.to_string_lossy());
    let wrong = |why: &str| Message::new(format!("`{shown}` is no place for a file: {why}"));
    let text = whole.to_str().ok_or_else(|| wrong("it is not UTF-8").could_not())?;
    let parsed =
        AbsolutePath::parse(text).map_err(|error| wrong(&error.to_string()).could_not())?;
    if parsed.as_path().starts_with("/run/ringfence") || parsed.as_path().is_dir() {
        return Err(wrong("something else is there").could_not());
    }
    if let Some(name) = covered_above(context::dirs()?.home(), parsed.as_path()) {
        return Err(wrong(&format!("`~/{name}`, which it lies in, is covered in every world"))
            .hint("name `--env NAME`, or a file elsewhere")
            .could_not());
    }
    Ok(parsed)
}

/// No two secrets are found in the same place.
fn free(binding: &Binding, others: &[Binding]) -> Result<(), Failure> {
    let taken = |place: &&Delivery| others.iter().find(|other| other.deliver.contains(place));
    match binding.deliver.iter().find_map(|place| Some((place, taken(&place)?))) {
        None => Ok(()),
        Some((place, other)) => {
            let name = &other.name;
            Err(Message::new(format!("programs find the secret `{name}` in {place} already"))
                .hint(format!(
                    "name another place by `--env` or `--file`, or run `ringfence secret remove {name}`"
                ))
                .could_not())
        }
    }
}

/// The value of a secret, from whoever runs this.
fn value(binding: &Binding) -> Result<Secret, Failure> {
    let form = if binding.signs() { "ID:SECRET or ID:SECRET:TOKEN; " } else { "" };
    let text = prompt::hidden(&format!("value of `{}` ({form}it is not shown): ", binding.name))?;
    if text.trim().is_empty() {
        let name = &binding.name;
        return Err(Message::new(format!(
            "there is no value for `{name}`: nothing was typed or piped"
        ))
        .hint(
            "run it on a terminal to be asked, or pipe the value into it: `pass show KEY | \
                 ringfence secret ...`; where it stays elsewhere, name that with `--from`",
        )
        .could_not());
    }
    Ok(binding.value(&text)?)
}

/// A value from where it is kept, and back again what was lent with it.
fn fetched(
    (store, screen): (&Store, &Screen),
    binding: &Binding,
    on: &Occasion<'_>,
) -> Result<Secret, Failure> {
    let (environment, dirs) = (context::environment(), context::dirs()?);
    let project = Project::find(&context::current_dir()?, dirs.home())
        .map_err(|error| Message::new(error.to_string()).could_not())?;
    let session = in_force::no_session()?;
    let sources = Sources {
        store: store.clone(),
        variable: &|name| environment.text(name).map(str::to_owned),
        home: dirs.home(),
        way_out: environment.way_out(),
        session: session.as_str(),
        project: &project.dir,
        clock: Arc::new(HostClock::utc()),
    };
    let backends = Backends::new(sources, std::slice::from_ref(binding));
    let fetched = backends.fetch(binding, on);
    for NotReturned { lease, why, .. } in backends.end() {
        let (lease, why) = (printable(&lease), printable(&why));
        screen.note(&format!("warning: `{lease}` could not be given back to the vault: {why}"));
    }
    match fetched {
        Ok(Fetched::Fixed(value) | Fetched::Lent(value)) => Ok(value),
        Err(error) => Err(Message::new(error.to_string()).could_not()),
    }
}

fn list(args: &SecretListArgs, store: &Store, screen: &Screen) -> Result<Done, Failure> {
    let all = store.list()?;
    if args.json {
        screen.json_lines(all.iter().map(as_json))?;
    } else if all.is_empty() {
        screen.note("no secret is kept");
        screen.hint("to keep one, run `ringfence secret add model --kind anthropic`");
    } else {
        let columns = screen.room();
        let head = ["name", "for", "in requests", "value", "in worlds"];
        let mut rows = vec![head.map(str::to_owned).to_vec()];
        rows.extend(all.iter().map(|it| {
            let fit = |text: String| text::fit(&text, columns / 5);
            let hosts = format!("{}{}", joined(&it.hosts), narrower(it));
            let slots = it.slots.iter().map(slot).collect::<Vec<_>>().join(", ");
            let value = match it.ttl_seconds {
                None => it.backend.clone(),
                Some(seconds) => {
                    format!("{}, for {}", it.backend, text::duration(u64::from(seconds) * 1000))
                }
            };
            let deliver = fit(joined(&it.deliver));
            vec![it.name.to_string(), fit(hosts), fit(slots), fit(value), deliver]
        }));
        screen.data(&text::table(&rows))?;
    }
    if !args.json {
        keys::note_all(screen)?;
    }
    Ok(Done::Yes)
}

/// One secret as `secret list --json` prints it.
fn as_json(it: &Binding) -> Value {
    json!({
        "schema": SCHEMA,
        "name": it.name,
        "for": it.hosts,
        "methods": it.methods,
        "paths": it.paths,
        "slots": it.slots.iter().map(slot).collect::<Vec<_>>(),
        "deliver": it.deliver.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "backend": it.backend,
        "ttl_seconds": it.ttl_seconds,
    })
}

/// Which methods and paths it is bound to, where not to all.
fn narrower(it: &Binding) -> String {
    let mut text = String::new();
    for list in [joined(&it.methods), joined(&it.paths)] {
        if !list.is_empty() {
            let _ = write!(text, "; {list}");
        }
    }
    text
}

fn slot(slot: &Slot) -> String {
    match slot {
        Slot::Header(it) if it.prefix.is_empty() => it.name.to_string(),
        Slot::Header(it) => format!("{}: {}", it.name, it.prefix.trim_end()),
        Slot::Query(name) => format!("?{name}="),
        Slot::Basic => "basic authentication".to_owned(),
        Slot::Aws => "signatures (AWS)".to_owned(),
    }
}

fn joined<T: ToString>(all: &[T]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn rotate(args: &SecretRotateArgs, store: &Store, screen: &Screen) -> Result<Done, Failure> {
    let binding = store.binding(&args.name)?;
    let elsewhere = match binding.backend.parse()? {
        Backend::Age => None,
        Backend::Environment(name) => Some(format!("${name}")),
        Backend::Vault(_)
        | Backend::VaultLease(_)
        | Backend::VaultToken(_)
        | Backend::Aws(_)
        | Backend::Keyring(_) => Some(binding.backend.clone()),
    };
    if let Some(place) = elsewhere {
        return Err(Message::new(format!("the value of `{}` is in {place}", args.name))
            .hint("change it there: each session that starts takes it as it is then")
            .could_not());
    }
    let value = value(&binding)?;
    store.rotate(&args.name, &value)?;
    if args.json {
        return changed(screen, "rotated", &as_json(&binding), &[]);
    }
    screen.note(&format!("replaced: the value of {}", args.name));
    screen.hint(KEPT);
    Ok(Done::Yes)
}

fn remove(args: &SecretRemoveArgs, store: &Store, screen: &Screen) -> Result<Done, Failure> {
    let binding = match store.binding(&args.name) {
        Ok(binding) => Some(binding),
        Err(error @ StoreError::Unknown(_)) => return Err(error.into()),
        // One that cannot be read can be forgotten all the same.
        Err(_) => None,
    };
    if needed::agreed(args, screen)? == Consent::Refused {
        screen.note(&format!("left as it is: {}", args.name));
        return Ok(Done::No);
    }
    store.remove(&args.name)?;
    let dirs = context::dirs()?;
    let text = GrantText::UseSecret(args.name.clone()).to_string();
    let mut left: Vec<Grant> =
        grants::list(&dirs)?.into_iter().filter(|grant| grant.text == text).collect();
    if args.revoke_grants && !left.is_empty() {
        for grant in left.drain(..) {
            grants::revoke(&dirs, &grant.id)?;
            screen.note(&format!("revoked: {} ({text}, {})", grant.id, grant.scope));
        }
        tell_sessions(&dirs, screen)?;
    }
    if args.json {
        let known = binding.map_or(Value::Null, |it| as_json(&it));
        return changed(screen, "removed", &known, &left);
    }
    screen.note(&format!("removed: {}", args.name));
    screen.hint(KEPT);
    for grant in &left {
        screen.warn(&format!(
            "the grant {} still names it ({}), and would hold for another secret of that name",
            grant.id, grant.scope
        ));
        screen.hint(&format!("to take it back, run `ringfence grants revoke {}`", grant.id));
    }
    Ok(Done::Yes)
}

/// What was done, for programs; `left` are the grants that still name it.
fn changed(screen: &Screen, done: &str, secret: &Value, left: &[Grant]) -> Result<Done, Failure> {
    let left: Vec<Value> = left.iter().map(super::grants::as_json).collect();
    screen.json(&json!({
        "schema": SCHEMA,
        "done": done,
        "secret": secret,
        "grants_left": left,
    }))?;
    Ok(Done::Yes)
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        let message = Message::new(error.to_string());
        let hint = match &error {
            StoreError::Unknown(_) => {
                Some("to see which there are, run `ringfence secret list`".to_owned())
            }
            StoreError::Exists(name) => {
                Some(format!("to replace its value, run `ringfence secret rotate {name}`"))
            }
            StoreError::Damaged { .. } | StoreError::Open { .. } => {
                Some("remove the files of that name, and add the secret again".to_owned())
            }
            StoreError::Io { .. } | StoreError::TooMany | StoreError::Value(_) => None,
        };
        hint.into_iter().fold(message, Message::hint).could_not()
    }
}

impl From<ValueError> for Failure {
    fn from(error: ValueError) -> Failure {
        Message::new(error.to_string()).could_not()
    }
}

impl From<BindingError> for Failure {
    fn from(error: BindingError) -> Failure {
        Message::new(error.to_string()).could_not()
    }
}
