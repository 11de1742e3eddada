//! Secrets that stood in the settings of a client: kept where secrets are kept, and in no file of a server.

use std::collections::BTreeMap;

use ringfence_core::{Endpoint, SecretName, ServerName};
use ringfence_runtime::clients::{Described, Reference, Sensitive};
use ringfence_runtime::servers::Server;
use ringfence_runtime::state::StateDirs;
use ringfence_runtime::wording::printable;
use ringfence_secrets::binding::{Binding, Delivery, HostRule, Slot};
use ringfence_secrets::kinds::Kind;
use ringfence_secrets::sentinel::Shape;
use ringfence_secrets::store::{AGE, Store};

use super::add::Asks;
use super::proposed;
use crate::commands::context;
use crate::exit::{Failure, Message};
use crate::prompt;
use crate::screen::Screen;

/// What was kept for a server.
#[derive(Default)]
pub(super) struct Kept {
    /// Headers with what stands for secrets.
    pub(super) headers: BTreeMap<String, String>,
    bindings: Vec<Binding>,
}

/// What a server needs besides its tools.
#[derive(Debug, Clone, Default)]
pub(super) struct Uses {
    pub(super) secrets: Vec<SecretName>,
    pub(super) endpoints: Vec<Endpoint>,
}

/// Refuses a server whose headers name a secret that is not kept, before anything is written for it.
pub(super) fn has_secrets(server: &Server, dirs: &StateDirs) -> Result<(), Failure> {
    let named = proposed::secrets(server);
    if named.is_empty() {
        return Ok(());
    }
    // What cannot be listed is told where it is used.
    let Ok(kept) = Store::at(dirs.secrets()).list() else { return Ok(()) };
    match named.iter().find(|name| !kept.iter().any(|it| it.name == **name)) {
        None => Ok(()),
        Some(name) => {
            Err(Message::new(format!("there is no secret `{name}`, which a header names"))
                .hint(format!("to keep it, run `ringfence secret add {name} --for HOST`"))
                .could_not())
        }
    }
}

impl Kept {
    /// What rules have to permit, so that they can be used.
    pub(super) fn uses(&self) -> Uses {
        let secrets = self.bindings.iter().map(|it| it.name.clone()).collect();
        let hosts = self.bindings.iter().flat_map(|it| &it.hosts);
        let endpoint = |host: &HostRule| host.to_string().parse::<Endpoint>().ok();
        Uses { secrets, endpoints: hosts.filter_map(endpoint).collect() }
    }

    /// Takes it back: nothing uses it.
    pub(super) fn forget(&self, screen: &Screen) {
        let Ok(dirs) = context::dirs() else { return };
        let store = Store::at(dirs.secrets());
        for Binding { name, .. } in &self.bindings {
            match store.remove(name) {
                Ok(()) => screen.note(&format!("forgotten: the secret {name}")),
                Err(error) => screen.warn(&error.to_string()),
            }
        }
    }
}

/// Keeps the secrets of a server; nothing is kept where one of them cannot be.
pub(super) fn keep(
    server: &ServerName,
    described: &Described,
    asks: Asks,
    screen: &Screen,
) -> Result<Kept, Failure> {
    let store = Store::at(context::dirs()?.secrets());
    let mut kept = Kept::default();
    let done = keep_all((&store, server, described), (asks, screen), &mut kept);
    match done {
        Ok(()) => Ok(kept),
        Err(failure) => {
            kept.forget(screen);
            Err(failure)
        }
    }
}

fn keep_all(
    (store, server, described): (&Store, &ServerName, &Described),
    (asks, screen): (Asks, &Screen),
    kept: &mut Kept,
) -> Result<(), Failure> {
    let wrong = |why: String| Message::new(why).could_not();
    for (header, secret) in &described.secret_headers {
        let url = described.url.as_deref().unwrap_or_default();
        let host = ringfence_runtime::servers::endpoint_of(url).map_err(wrong)?;
        let mut binding = empty(free(store, server, header)?);
        binding.hosts = vec![host.to_string().parse()?];
        binding.slots = vec![Slot::header(&format!("{header}: {}", secret.prefix))?];
        put(store, &mut binding, secret)?;
        let stands = format!("${{secret:{}}}", binding.name);
        let value =
            if secret.prefix.is_empty() { stands } else { format!("{} {stands}", secret.prefix) };
        kept.headers.insert(header.clone(), value);
        told(&binding, screen);
        kept.bindings.push(binding);
    }
    for (variable, secret) in &described.secret_env {
        let place = Delivery::Env(variable.parse()?);
        // One that is kept already stands in that variable of every world that may use it.
        if store.list()?.iter().any(|it| it.deliver.contains(&place)) {
            screen.note(&format!("`{}` is kept already", printable(variable)));
            continue;
        }
        let mut binding = empty(free(store, server, variable)?);
        binding.deliver = vec![place.clone()];
        match kind_of(&place) {
            Some(kind) => kind.complete(&mut binding)?,
            None => ask_where(&mut binding, (server, variable), asks)?,
        }
        put(store, &mut binding, secret)?;
        told(&binding, screen);
        kept.bindings.push(binding);
    }
    Ok(())
}

/// The service whose programs look for their key in this variable.
fn kind_of(place: &Delivery) -> Option<Kind> {
    if let Delivery::Env(name) = place
        && name.to_string() == "GITHUB_PERSONAL_ACCESS_TOKEN"
    {
        return Some(Kind::GitHub);
    }
    Kind::ALL.into_iter().find(|kind| {
        let Ok(name) = "kind".parse() else { return false };
        let mut known = empty(name);
        kind.complete(&mut known).is_ok()
            && !known.hosts.is_empty()
            && known.deliver.contains(place)
    })
}

/// A secret is for a place; which, only the person knows.
fn ask_where(
    binding: &mut Binding,
    (server, variable): (&ServerName, &str),
    asks: Asks,
) -> Result<(), Failure> {
    let name = &binding.name;
    let flag = format!(
        "keep it first: `ringfence secret add {name} --for HOST --header authorization:Bearer --env {variable}`; it is found by that variable then"
    );
    let unknown = format!(
        "`{}` of `{server}` is a secret, and where it may go is not known",
        printable(variable)
    );
    if asks == Asks::Nothing {
        return Err(Message::new(unknown).hint(flag).could_not());
    }
    let question = "its host (as in `api.example.com`), or nothing to leave the server as it is: ";
    let mut asked = format!("{unknown}.\n{question}");
    let host = loop {
        let typed = prompt::answer(&asked, &flag)?;
        if typed.is_empty() {
            return Err(Message::new(format!("`{server}` is not taken over without it"))
                .hint(flag)
                .no());
        }
        let why = match (is_yes_or_no(&typed), typed.parse::<HostRule>()) {
            (false, Ok(host)) => break host,
            (true, _) => format!("`{}` is no host: what is asked for is a name", printable(&typed)),
            (false, Err(error)) => error.to_string(),
        };
        asked = format!("{why}.\n{question}");
    };
    binding.hosts = vec![host];
    binding.slots = vec![Slot::header("authorization: Bearer")?, Slot::header("x-api-key")?];
    Ok(())
}

/// Whether this is what somebody types who takes a question for one of yes and no.
fn is_yes_or_no(typed: &str) -> bool {
    matches!(typed.to_ascii_lowercase().as_str(), "y" | "yes" | "n" | "no")
}

fn put(store: &Store, binding: &mut Binding, secret: &Sensitive) -> Result<(), Failure> {
    match &secret.is {
        Reference::Value(value) => {
            let value = binding.value(value)?;
            binding.shape = binding.shape_of(&value);
            binding.check()?;
            store.add(binding, Some(&value))?;
        }
        Reference::Variable(variable) => {
            binding.backend = format!("env:{variable}");
            binding.check()?;
            store.add(binding, None)?;
        }
    }
    Ok(())
}

fn told(binding: &Binding, screen: &Screen) {
    let hosts: Vec<String> = binding.hosts.iter().map(ToString::to_string).collect();
    screen.note(&format!("kept: the secret {}, for {}", binding.name, hosts.join(", ")));
}

fn empty(name: SecretName) -> Binding {
    Binding {
        name,
        hosts: Vec::new(),
        methods: Vec::new(),
        paths: Vec::new(),
        slots: Vec::new(),
        deliver: Vec::new(),
        shape: Shape::unknown(),
        backend: AGE.to_owned(),
        ttl_seconds: None,
    }
}

/// A name that no secret has.
fn free(store: &Store, server: &ServerName, of: &str) -> Result<SecretName, Failure> {
    let plain = |letter: char| {
        if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '-' }
    };
    let of: String = of.chars().map(plain).collect();
    let words: Vec<&str> = of.split('-').filter(|word| !word.is_empty()).collect();
    let name: String = format!("{server}-{}", words.join("-")).chars().take(56).collect();
    let all = store.list()?;
    let names = std::iter::once(name.clone()).chain((2..100_u32).map(|it| format!("{name}-{it}")));
    let mut names = names.filter_map(|name| name.parse::<SecretName>().ok());
    names.find(|name| all.iter().all(|it| it.name != *name)).ok_or_else(|| {
        Message::new(format!("no name is left for a secret of `{server}`")).could_not()
    })
}
