//! `decide`: one request on stdin, its verdict on stdout; makes neither permit nor entry.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;

use ringfence_core::{
    AbsolutePath, Act, Action, Agent, Clock as _, CommandLine, Decide as _, Endpoint, Exec, Facts,
    FileIdentity, HttpParts, HttpRequest, IdError, Meaning, Package, PathError, Request, Role,
    Ruling, Scheme, SecretUse, SessionId, ToolCall, ToolNameError, Verdict,
};
use ringfence_runtime::clock::HostClock;
use ringfence_runtime::settings::Settings;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{context, in_force};
use crate::cli::DecideArgs;
use crate::exit::{Done, Failure, Message};
use crate::screen::Screen;

/// Version of the verdict's JSON.
const SCHEMA: u32 = 1;
/// Largest request, in bytes: an argv of 1 MiB with quoting fits.
const REQUEST_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// A request as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    agent: String,
    action: String,
    resource: String,
    #[serde(default)]
    argv: Option<Vec<String>>,
    #[serde(default)]
    cwd: Option<String>,
    /// Of a request: `GET` where none is written.
    #[serde(default)]
    method: Option<String>,
    /// Of a request, with its query.
    #[serde(default)]
    path: Option<String>,
    #[serde(default)]
    headers: Option<Vec<String>>,
    #[serde(default)]
    size: Option<u64>,
    #[serde(default)]
    scheme: Option<String>,
    /// Of a request: the release that it fetches.
    #[serde(default)]
    package: Option<Package>,
    /// Whom a secret is shown to.
    #[serde(default)]
    to: Option<Endpoint>,
    /// The arguments of a tool.
    #[serde(default)]
    args: Option<Map<String, Value>>,
    /// What the arguments of a tool do, as their roles tell.
    #[serde(default)]
    meaning: Option<Meaning>,
    #[serde(default)]
    approvals: BTreeSet<Role>,
    /// Different people who approved; 1 when there are approvals and it is not said.
    #[serde(default)]
    approver_count: Option<u32>,
    #[serde(default)]
    session: Option<SessionId>,
}

pub(crate) fn decide(args: &DecideArgs, screen: &Screen) -> Result<Done, Failure> {
    let asked = read()?;
    let request = asked.request()?;
    let found = in_force::load(&args.policy, screen)?;
    let facts = asked.facts(&found.settings)?;
    let ruling = found.policy.decide(&request, &facts);
    screen.json(&verdict(&request, &ruling, found.policy.digest()))?;
    Ok(match ruling.verdict {
        Verdict::Permit => Done::Yes,
        Verdict::Deny => Done::No,
        Verdict::Ask(_) => Done::Ask,
    })
}

fn read() -> Result<Asked, Failure> {
    let mut text = String::new();
    let stdin = std::io::stdin().lock();
    stdin
        .take(REQUEST_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .map_err(|error| Message::new(format!("cannot read the request: {error}")).could_not())?;
    if text.len() as u64 > REQUEST_BYTES_MAX {
        return Err(wrong(&format!("it is larger than {REQUEST_BYTES_MAX} bytes")));
    }
    serde_json::from_str(&text).map_err(|error| wrong(&error.to_string()))
}

fn wrong(why: &str) -> Failure {
    Message::new(format!("the request on stdin is not understood: {why}"))
        .hint(
            "a request looks like {\"agent\": \"builder\", \"action\": \"net.connect\", \
            \"resource\": \"api.example.com:443\"}",
        )
        .could_not()
}

impl Asked {
    /// The request in its canonical form.
    fn request(&self) -> Result<Request, Failure> {
        let action: Action = self.action.parse().map_err(|_| {
            let names = Action::ALL.map(Action::name).join(", ");
            Message::new(format!("unknown action `{}`", self.action))
                .hint(format!("the actions are {names}"))
                .could_not()
        })?;
        if self.argv.is_some() && action != Action::Exec {
            return Err(wrong("`argv` belongs to the action exec"));
        }
        let of_request = self.headers.is_some()
            || self.size.is_some()
            || self.scheme.is_some()
            || self.package.is_some();
        if of_request && action != Action::NetRequest {
            let keys = "`headers`, `size`, `scheme` and `package`";
            return Err(wrong(&format!("{keys} belong to the action net.request")));
        }
        if self.to.is_some() && action != Action::SecretUse {
            return Err(wrong("`to` belongs to the action secret.use"));
        }
        if self.args.is_some() && action != Action::ToolCall {
            return Err(wrong("`args` belongs to the action tool.call"));
        }
        if self.meaning.is_some() && action != Action::ToolCall {
            return Err(wrong("`meaning` belongs to the action tool.call"));
        }
        let of_both = self.method.is_some() || self.path.is_some();
        if of_both && action != Action::NetRequest && action != Action::SecretUse {
            let keys = "`method` and `path`";
            return Err(wrong(&format!("{keys} belong to the actions net.request and secret.use")));
        }
        let act = match action {
            Action::Exec => Act::Exec(self.exec()?),
            Action::FsRead => Act::Read(path(&self.resource)?),
            Action::FsWrite => Act::Write(path(&self.resource)?),
            Action::FsDelete => Act::Delete(path(&self.resource)?),
            Action::NetConnect if self.resource.starts_with('/') => {
                Act::ConnectUnix(path(&self.resource)?)
            }
            Action::NetConnect => Act::Connect(endpoint(&self.resource)?),
            Action::NetRequest => Act::Request(self.http()?),
            Action::SecretUse => Act::UseSecret(self.secret_use()?),
            Action::ToolCall => Act::CallTool(self.call()?),
        };
        Ok(Request { agent: Agent(self.agent.clone()), act, process: None })
    }

    fn http(&self) -> Result<HttpRequest, Failure> {
        let scheme = self.scheme.as_deref().unwrap_or(Scheme::Https.as_str()).parse();
        let scheme =
            scheme.map_err(|text| wrong(&format!("`{text}` is neither `https` nor `http`")))?;
        let headers: Vec<&str> = self.headers.iter().flatten().map(String::as_str).collect();
        let parts = HttpParts {
            method: self.method.as_deref().unwrap_or("GET"),
            target: self.path.as_deref().unwrap_or("/"),
            headers: &headers,
            size: self.size,
        };
        let http = HttpRequest::new(endpoint(&self.resource)?, scheme, parts)
            .map_err(|error| wrong(&error.to_string()))?;
        Ok(HttpRequest { package: self.package.clone(), ..http })
    }

    fn call(&self) -> Result<ToolCall, Failure> {
        let tool =
            self.resource.parse().map_err(|error: ToolNameError| wrong(&error.to_string()))?;
        let call = ToolCall::new(tool, &self.args.clone().unwrap_or_default());
        Ok(call.meaning(self.meaning.clone().unwrap_or_default()))
    }

    fn secret_use(&self) -> Result<SecretUse, Failure> {
        let secret = self.resource.parse().map_err(|error: IdError| wrong(&error.to_string()))?;
        Ok(SecretUse {
            secret,
            endpoint: self.to.clone(),
            method: self.method.clone().unwrap_or_else(|| "GET".to_owned()),
            path: self.path.clone().unwrap_or_else(|| "/".to_owned()),
        })
    }

    fn exec(&self) -> Result<Exec, Failure> {
        let program = path(&self.resource)?;
        let cwd = match &self.cwd {
            Some(cwd) => path(cwd)?,
            None => path(&context::current_dir()?.to_string_lossy())?,
        };
        let argv: Vec<Vec<u8>> = match &self.argv {
            Some(argv) => argv.iter().map(|word| word.clone().into_bytes()).collect(),
            None => vec![program.file_name().as_bytes().to_vec()],
        };
        // A program that is not there is decided by its name alone.
        let identity = std::fs::metadata(program.as_path()).map_or(
            FileIdentity { device: 0, inode: 0 },
            |metadata| FileIdentity { device: metadata.dev(), inode: metadata.ino() },
        );
        let command_line = CommandLine::new(program.file_name(), &argv);
        Ok(Exec { program, identity, command_line, cwd })
    }

    fn facts(&self, settings: &Settings) -> Result<Facts, Failure> {
        let (clock, _) = HostClock::new(settings.time_zone.as_deref())
            .map_err(|error| Message::new(error.to_string()).could_not())?;
        let session = match &self.session {
            Some(session) => session.clone(),
            None => in_force::no_session()?,
        };
        let people = u32::from(!self.approvals.is_empty());
        Ok(Facts {
            session,
            clock: clock.fact(),
            approvals: self.approvals.clone(),
            approver_count: self.approver_count.unwrap_or(people),
        })
    }
}

fn path(text: &str) -> Result<AbsolutePath, Failure> {
    AbsolutePath::parse(text).map_err(|error: PathError| wrong(&error.to_string()))
}

fn endpoint(text: &str) -> Result<Endpoint, Failure> {
    text.parse().map_err(|error: ringfence_core::EndpointError| wrong(&error.to_string()))
}

/// A verdict with its grounds.
pub(crate) fn verdict(request: &Request, ruling: &Ruling, digest: &str) -> Value {
    let (word, needs) = match &ruling.verdict {
        Verdict::Permit => ("permit", None),
        Verdict::Ask(needs) => ("ask", Some(needs)),
        Verdict::Deny => ("deny", None),
    };
    let mut said = json!({
        "schema": SCHEMA,
        "verdict": word,
        "needs": needs,
        "agent": request.agent,
        "action": request.act.action(),
        "resource": request.act.resource(),
        "rules": ruling.grounds.rules,
        "nearest": ruling.grounds.nearest,
        "failure": ruling.grounds.failure,
        "policy_digest": digest,
    });
    let handling = &ruling.grounds.handling;
    if let Some(said) = said.as_object_mut().filter(|_| !handling.is_empty()) {
        said.insert("handling".to_owned(), json!(handling));
    }
    said
}
