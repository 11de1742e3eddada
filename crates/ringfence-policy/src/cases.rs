//! Policy tests: a table of acts with the expected answer and the rule that gives it.

use std::collections::BTreeSet;

use ringfence_core::{
    AbsolutePath, Act, Action, Agent, ClockFact, CommandLine, Decide, Endpoint, EndpointError,
    Exec, Fact, Facts, FileIdentity, HttpError, HttpParts, HttpRequest, IdError, Meaning, Package,
    PathError, Request, Role, RuleRef, Ruling, Scheme, SecretUse, SessionId, SetName, ToolCall,
    ToolNameError, Verdict,
};
use serde::{Deserialize, Serialize};

use crate::Policy;
use crate::rule::Named;

/// Most cases in one file.
pub const CASES_MAX: usize = 10_000;

/// The agent of a case that names none.
const AGENT_DEFAULT: &str = "agent";

/// The time of a case that names none, a Monday.
const TIME_DEFAULT: &str = "2026-11-23T10:00";

/// What came of a file of cases.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CasesReport {
    /// Each case in the order of the file.
    pub results: Vec<CaseResult>,
    /// Rules with a written `@id` that no case hit.
    pub unhit: Vec<RuleRef>,
}

/// What came of one case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CaseResult {
    /// The case's name.
    pub name: String,
    /// What the policy answered.
    pub ruling: Ruling,
    /// What differs from what was expected; `None`: the case passed.
    pub wrong: Option<String>,
}

impl CasesReport {
    /// How many cases passed.
    pub fn passed(&self) -> usize {
        self.results.iter().filter(|result| result.wrong.is_none()).count()
    }

    /// How many cases failed.
    pub fn failed(&self) -> usize {
        self.results.len() - self.passed()
    }

    /// Whether every case passed and every named rule was hit.
    pub fn is_complete(&self) -> bool {
        self.failed() == 0 && self.unhit.is_empty()
    }
}

/// Why a file of cases could not be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CasesError {
    /// It is not TOML, or has a key or value that is not understood; the text has the place.
    #[error("the cases could not be read: {0}")]
    Toml(String),
    /// More than [`CASES_MAX`] cases.
    #[error("the file has {0} cases, more than {CASES_MAX}")]
    TooMany(usize),
    /// A case that makes no sense.
    #[error("case `{case}`: {why}")]
    Case {
        /// The case's name.
        case: String,
        /// What is wrong with it.
        why: CaseError,
    },
}

/// What is wrong with a case.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CaseError {
    /// Not an action.
    #[error("unknown action `{0}`")]
    Action(String),
    /// A path was refused.
    #[error(transparent)]
    Path(#[from] PathError),
    /// An endpoint was refused.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// A request was refused.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// A key that this action does not have.
    #[error("`{0}` belongs to `{1}` only")]
    OnlyOf(&'static str, Action),
    /// Neither `https` nor `http`.
    #[error("`{0}` is neither `https` nor `http`")]
    Scheme(String),
    /// A secret's name was refused.
    #[error(transparent)]
    Secret(#[from] IdError),
    /// A tool's name was refused.
    #[error(transparent)]
    Tool(#[from] ToolNameError),
    /// Not a time.
    #[error("`{0}` is not a time like `2026-11-23T10:00`")]
    Time(String),
    /// Not a day of the week.
    #[error("`{0}` is not a weekday from 1 (Monday) to 7")]
    Weekday(u8),
    /// The session's name was refused.
    #[error("`{0}` is not a session's name")]
    Session(String),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    case: Vec<Case>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    action: String,
    resource: String,
    argv: Option<Vec<String>>,
    cwd: Option<String>,
    /// Of a request: `GET` where none is written.
    method: Option<String>,
    /// Of a request, with its query.
    path: Option<String>,
    headers: Option<Vec<String>>,
    size: Option<u64>,
    scheme: Option<String>,
    /// Of a request: the release that it fetches.
    package: Option<Package>,
    /// Whom a secret is shown to.
    to: Option<Endpoint>,
    /// The arguments of a tool.
    args: Option<toml::Table>,
    /// What the arguments of a tool do: the classes of SQL in them.
    sql: Option<BTreeSet<String>>,
    /// The tables.
    tables: Option<BTreeSet<String>>,
    /// The programs.
    programs: Option<BTreeSet<String>>,
    /// The domains that mail is sent to.
    recipients: Option<BTreeSet<String>>,
    /// Whether some of it cannot be told.
    opaque: Option<bool>,
    #[serde(default)]
    approvals: BTreeSet<Role>,
    /// How many people approved; default: one, where there are approvals.
    people: Option<u32>,
    agent: Option<String>,
    time: Option<String>,
    weekday: Option<u8>,
    zone: Option<String>,
    session: Option<String>,
    expect: Expected,
    because: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Expected {
    Permit,
    Ask,
    Deny,
}

/// Runs the cases of a TOML text against a policy.
pub fn run(policy: &Policy, toml_text: &str) -> Result<CasesReport, CasesError> {
    let file: File = toml::from_str(toml_text)
        .map_err(|error| CasesError::Toml(error.to_string().trim_end().to_owned()))?;
    if file.case.len() > CASES_MAX {
        return Err(CasesError::TooMany(file.case.len()));
    }
    let mut hit: BTreeSet<(SetName, String)> = BTreeSet::new();
    let mut results = Vec::new();
    for case in &file.case {
        let wrong = |why| CasesError::Case { case: case.name.clone(), why };
        let request = request(case).map_err(wrong)?;
        let facts = facts(case).map_err(wrong)?;
        let ruling = policy.decide(&request, &facts);
        hit.extend(decided_by(&ruling).map(|rule| (rule.set, rule.id.clone())));
        let wrong = difference(case, &ruling);
        results.push(CaseResult { name: case.name.clone(), ruling, wrong });
    }
    Ok(CasesReport { results, unhit: unhit(policy, &hit) })
}

/// The rules behind a verdict. A permit that waits for approvals is not among those that decided: nothing
/// is permitted yet, and it is what came nearest.
fn decided_by(ruling: &Ruling) -> impl Iterator<Item = &RuleRef> {
    let asks = matches!(ruling.verdict, Verdict::Ask(_)) && ruling.grounds.rules.is_empty();
    let nearest = ruling.grounds.nearest.as_ref().filter(|_| asks);
    ruling.grounds.rules.iter().chain(nearest.map(|nearest| &nearest.rule))
}

fn unhit(policy: &Policy, hit: &BTreeSet<(SetName, String)>) -> Vec<RuleRef> {
    policy
        .sets()
        .flat_map(|set| &set.rules)
        .filter(|rule| rule.named == Named::ById)
        // What nobody wrote as a rule needs no case.
        .filter(|rule| !matches!(rule.place.set, SetName::BuiltIn | SetName::Grants))
        .filter(|rule| !hit.contains(&(rule.place.set, rule.place.id.clone())))
        .map(|rule| rule.place.clone())
        .collect()
}

fn difference(case: &Case, ruling: &Ruling) -> Option<String> {
    let (got, words) = match &ruling.verdict {
        Verdict::Permit => (Expected::Permit, "permit"),
        Verdict::Ask(_) => (Expected::Ask, "ask"),
        Verdict::Deny => (Expected::Deny, "deny"),
    };
    let ids: Vec<&str> = decided_by(ruling).map(|rule| rule.id.as_str()).collect();
    let because = match (&ruling.grounds.failure, ids.as_slice()) {
        (Some(failure), _) => format!(" because {failure}"),
        (None, []) => " because no permit matches".to_owned(),
        (None, ids) => format!(" because of `{}`", ids.join("`, `")),
    };
    if got != case.expect {
        let expected = match case.expect {
            Expected::Permit => "permit",
            Expected::Ask => "ask",
            Expected::Deny => "deny",
        };
        return Some(format!("expected {expected}, got {words}{because}"));
    }
    let named = case.because.as_deref()?;
    (!ids.contains(&named))
        .then(|| format!("expected {words} because of `{named}`, got it{because}"))
}

fn request(case: &Case) -> Result<Request, CaseError> {
    let action: Action = case.action.parse().map_err(CaseError::Action)?;
    // Requests and uses of secrets have both.
    let with_path = if action == Action::SecretUse { action } else { Action::NetRequest };
    let keys = [
        ("to", case.to.is_some(), Action::SecretUse),
        ("argv", case.argv.is_some(), Action::Exec),
        ("cwd", case.cwd.is_some(), Action::Exec),
        ("method", case.method.is_some(), with_path),
        ("path", case.path.is_some(), with_path),
        ("headers", case.headers.is_some(), Action::NetRequest),
        ("size", case.size.is_some(), Action::NetRequest),
        ("scheme", case.scheme.is_some(), Action::NetRequest),
        ("package", case.package.is_some(), Action::NetRequest),
        ("args", case.args.is_some(), Action::ToolCall),
        ("sql", case.sql.is_some(), Action::ToolCall),
        ("tables", case.tables.is_some(), Action::ToolCall),
        ("programs", case.programs.is_some(), Action::ToolCall),
        ("recipients", case.recipients.is_some(), Action::ToolCall),
        // A command line that is opaque says so itself.
        ("opaque", case.opaque.is_some(), Action::ToolCall),
    ];
    if let Some((key, _, of)) = keys.into_iter().find(|(_, is, of)| *is && *of != action) {
        return Err(CaseError::OnlyOf(key, of));
    }
    let act = match action {
        Action::Exec => Act::Exec(exec(case)?),
        Action::FsRead => Act::Read(AbsolutePath::parse(&case.resource)?),
        Action::FsWrite => Act::Write(AbsolutePath::parse(&case.resource)?),
        Action::FsDelete => Act::Delete(AbsolutePath::parse(&case.resource)?),
        Action::NetConnect if case.resource.starts_with('/') => {
            Act::ConnectUnix(AbsolutePath::parse(&case.resource)?)
        }
        Action::NetConnect => Act::Connect(case.resource.parse::<Endpoint>()?),
        Action::NetRequest => Act::Request(http(case)?),
        Action::SecretUse => Act::UseSecret(SecretUse {
            secret: case.resource.parse()?,
            endpoint: case.to.clone(),
            method: case.method.clone().unwrap_or_else(|| "GET".to_owned()),
            path: case.path.clone().unwrap_or_else(|| "/".to_owned()),
        }),
        Action::ToolCall => Act::CallTool(call(case)?),
    };
    let agent = case.agent.as_deref().unwrap_or(AGENT_DEFAULT);
    Ok(Request { agent: Agent(agent.to_owned()), act, process: None })
}

fn call(case: &Case) -> Result<ToolCall, CaseError> {
    let arguments = case.args.iter().flatten().map(|(name, value)| (name.clone(), fact(value)));
    let all = |of: &Option<BTreeSet<String>>| of.clone().unwrap_or_default();
    let meaning = Meaning {
        sql: all(&case.sql),
        tables: all(&case.tables),
        programs: all(&case.programs),
        recipients: all(&case.recipients),
        opaque: case.opaque.unwrap_or_default(),
        unknown: BTreeSet::new(),
    };
    // A case is about what the policy sees: there are no bytes.
    let (sha256, bytes) = (String::new(), 0);
    let (tool, arguments) = (case.resource.parse()?, arguments.collect());
    Ok(ToolCall {
        tool,
        arguments,
        meaning,
        sha256,
        bytes,
        trace: None,
        client: None,
        beside: Vec::new(),
    })
}

fn fact(value: &toml::Value) -> Fact {
    match value {
        toml::Value::Boolean(is) => Fact::Bool(*is),
        toml::Value::Integer(number) => Fact::Long(*number),
        toml::Value::Float(number) => Fact::decimal(*number),
        toml::Value::String(text) => Fact::Text(text.clone()),
        toml::Value::Datetime(time) => Fact::Text(time.to_string()),
        toml::Value::Array(all) => Fact::Set(all.iter().map(fact).collect()),
        toml::Value::Table(all) => {
            Fact::Record(all.iter().map(|(name, value)| (name.clone(), fact(value))).collect())
        }
    }
}

fn http(case: &Case) -> Result<HttpRequest, CaseError> {
    let scheme = case.scheme.as_deref().unwrap_or(Scheme::Https.as_str());
    let scheme = scheme.parse().map_err(CaseError::Scheme)?;
    let headers: Vec<&str> = case.headers.iter().flatten().map(String::as_str).collect();
    let parts = HttpParts {
        method: case.method.as_deref().unwrap_or("GET"),
        target: case.path.as_deref().unwrap_or("/"),
        headers: &headers,
        size: case.size,
    };
    let http = HttpRequest::new(case.resource.parse::<Endpoint>()?, scheme, parts)?;
    Ok(HttpRequest { package: case.package.clone(), ..http })
}

fn exec(case: &Case) -> Result<Exec, CaseError> {
    let program = AbsolutePath::parse(&case.resource)?;
    let name = program.file_name().to_owned();
    let argv = case.argv.clone().unwrap_or_else(|| vec![name.clone()]);
    let bytes: Vec<Vec<u8>> = argv.into_iter().map(String::into_bytes).collect();
    Ok(Exec {
        // A case is about names: no file is looked at.
        identity: FileIdentity { device: 0, inode: 0 },
        command_line: CommandLine::new(&name, &bytes),
        cwd: AbsolutePath::parse(case.cwd.as_deref().unwrap_or("/"))?,
        program,
    })
}

fn facts(case: &Case) -> Result<Facts, CaseError> {
    let session = case.session.as_deref().unwrap_or("stestcase");
    let session: SessionId = session.parse().map_err(|_| CaseError::Session(session.to_owned()))?;
    let mut clock = clock(case.time.as_deref().unwrap_or(TIME_DEFAULT))?;
    if let Some(zone) = &case.zone {
        clock.zone.clone_from(zone);
    }
    if let Some(weekday) = case.weekday {
        if !(1..=7).contains(&weekday) {
            return Err(CaseError::Weekday(weekday));
        }
        clock.weekday = weekday;
    }
    let approvals = case.approvals.clone();
    let approver_count = case.people.unwrap_or(u32::from(!approvals.is_empty()));
    Ok(Facts { session, clock, approvals, approver_count })
}

/// Reads `YYYY-MM-DDTHH:MM`.
fn clock(text: &str) -> Result<ClockFact, CaseError> {
    let wrong = || CaseError::Time(text.to_owned());
    let (date, time) = text.split_once('T').ok_or_else(wrong)?;
    let numbers = |text: &str, by: char| -> Option<Vec<u32>> {
        text.split(by).map(|part| part.parse().ok()).collect()
    };
    let (Some([year, month, day]), Some([hour, minute])) = (
        numbers(date, '-').as_deref().and_then(|parts| <[u32; 3]>::try_from(parts).ok()),
        numbers(time, ':').as_deref().and_then(|parts| <[u32; 2]>::try_from(parts).ok()),
    ) else {
        return Err(wrong());
    };
    let valid = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour < 24
        && minute < 60;
    if !valid {
        return Err(wrong());
    }
    let small = |number: u32| u8::try_from(number).map_err(|_| wrong());
    Ok(ClockFact {
        weekday: small(weekday(year, month, day))?,
        hour: small(hour)?,
        minute: small(minute)?,
        date: year * 10_000 + month * 100 + day,
        zone: "UTC".to_owned(),
    })
}

fn days_in(year: u32, month: u32) -> u32 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// 1 (Monday) to 7 (Sunday), by Zeller's congruence.
fn weekday(year: u32, month: u32, day: u32) -> u32 {
    let (year, month) = if month < 3 { (year - 1, month + 12) } else { (year, month) };
    let (century, of_century) = (year / 100, year % 100);
    let sum = day + 13 * (month + 1) / 5 + of_century + of_century / 4 + century / 4 + 5 * century;
    // The sum counts from Saturday as 0.
    (sum + 5) % 7 + 1
}
