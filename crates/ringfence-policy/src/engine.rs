//! One request as Cedar sees it, and the evaluation of single rules: the only place that speaks to
//! Cedar's evaluator.
//!
//! Facts are built once as values. The one entity of a request has ALL its directories or domains
//! as direct parents, so that no hierarchy has to be walked or closed.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::{Arc, LazyLock};

use cedar_policy_core::ast::{
    Context, Eid, Entity, EntityType, EntityUID, EntityUIDEntry, Expr, Literal, Name, PartialValue,
    Request as CedarRequest, SlotEnv, Value, ValueKind,
};
use cedar_policy_core::entities::{Entities, NoEntitiesSchema, TCComputation};
use cedar_policy_core::evaluator::Evaluator;
use cedar_policy_core::extensions::Extensions;
use ringfence_core::{
    ARGV_TEXT_BYTES_MAX, AbsolutePath, Act, Action, Endpoint, Exec, Facts, HttpRequest, Package,
    Request, Role, SecretUse, ToolName,
};

use crate::kinds::{self, Kind};
use crate::tools;

use cedar_policy::pst::SmolStr;

/// Longest string given to a policy, in bytes: `like` is linear in it (12 us for 10,000 bytes).
pub const FACT_BYTES_MAX: usize = 64 * 1024;

/// A string of the request is too long to be decided about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} has {bytes} bytes, more than {FACT_BYTES_MAX}")]
pub(crate) struct Oversized {
    what: &'static str,
    bytes: usize,
}

/// A request and its facts in Cedar's own form.
pub(crate) struct Situation {
    principal: EntityUIDEntry,
    action: EntityUIDEntry,
    resource: EntityUIDEntry,
    entities: Entities,
    facts: BTreeMap<SmolStr, Value>,
    /// The connection that a request goes over, for sets that do not speak of requests.
    connection: Option<Box<Situation>>,
}

/// What a set decides about: rules on connections cover the requests over them, unless the set has
/// rules on those.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sees {
    /// The act itself.
    Act,
    /// The connection that a request goes over.
    Connection,
}

/// The connection that a request goes over, as a request of its own.
pub(crate) fn connection(request: &Request) -> Option<Request> {
    let Act::Request(http) = &request.act else { return None };
    let act = Act::Connect(http.endpoint.clone());
    Some(Request { agent: request.agent.clone(), act, process: request.process })
}

/// Roles that approved, and how many people they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Approved {
    pub(crate) roles: BTreeSet<Role>,
    pub(crate) people: u32,
}

impl Approved {
    /// Without any approval.
    pub(crate) fn nobody() -> Approved {
        Approved { roles: BTreeSet::new(), people: 0 }
    }
}

impl Situation {
    /// Makes the entities and the context of a request; approvals come in at each evaluation.
    pub(crate) fn new(
        (request, kind): (&Request, Kind),
        facts: &Facts,
    ) -> Result<Situation, Oversized> {
        check_lengths(request, facts)?;
        let connection = match connection(request) {
            Some(connection) => Some(Box::new(Situation::new((&connection, kind), facts)?)),
            None => None,
        };
        let values = context(&request.act, facts);
        Ok(Situation { connection, ..Situation::with((request, kind), values)? })
    }

    /// A situation in which only agent and resource are known.
    pub(crate) fn without_facts(of: (&Request, Kind)) -> Result<Situation, Oversized> {
        Situation::with(of, BTreeMap::new())
    }

    fn with(
        (request, kind): (&Request, Kind),
        facts: BTreeMap<SmolStr, Value>,
    ) -> Result<Situation, Oversized> {
        let agent = uid_of(&TYPES.agent, &request.agent.0);
        let resource = resource(&request.act);
        let uid = resource.uid().clone();
        let action = action(&request.act);
        let uid_of_action = action.uid().clone();
        // Whoever is of no kind lies in nothing but itself, and need not be told of.
        let of_kind = match kind {
            Kind::Agent => None,
            Kind::ToolServer => Some(uid_of(&TYPES.kind, kinds::TOOL_SERVER)),
        };
        let of_kind = of_kind
            .map(|kind| Arc::new(entity(agent.clone(), BTreeMap::new(), HashSet::from([kind]))));
        let entities = [Arc::new(resource), action].into_iter().chain(of_kind);
        Ok(Situation {
            principal: known(agent),
            action: known(uid_of_action),
            resource: known(uid),
            entities: Entities::new()
                .add_entities(
                    entities,
                    None::<&NoEntitiesSchema>,
                    // The parents are complete by construction; see `resource`.
                    TCComputation::AssumeAlreadyComputed,
                    Extensions::all_available(),
                )
                .map_err(|_| Oversized { what: "the resource", bytes: usize::MAX })?,
            facts,
            connection: None,
        })
    }

    /// The situation as a set sees it.
    pub(crate) fn seen(&self, by: Sees) -> &Situation {
        match (by, &self.connection) {
            (Sees::Connection, Some(connection)) => connection,
            (Sees::Connection, None) | (Sees::Act, _) => self,
        }
    }

    /// What this situation evaluates to, given approvals.
    pub(crate) fn evaluator(&self, approved: &Approved) -> Evaluator<'_> {
        Evaluator::new(self.request(approved), &self.entities, Extensions::all_available())
    }

    /// Cedar's own request and entities, for the reference decision by full scan.
    pub(crate) fn into_cedar(self, approved: &Approved) -> (CedarRequest, Entities) {
        (self.request(approved), self.entities)
    }

    fn request(&self, approved: &Approved) -> CedarRequest {
        let mut facts = self.facts.clone();
        let roles = approved.roles.iter().map(|role| Value::from(role.0.as_str()));
        facts.insert(SmolStr::new_static("approvals"), Value::set(roles, None));
        let people = Value::from(i64::from(approved.people));
        facts.insert(SmolStr::new_static("approver_count"), people);
        CedarRequest::new_unchecked(
            self.principal.clone(),
            self.action.clone(),
            self.resource.clone(),
            Some(Context::Value(Arc::new(facts))),
        )
    }
}

/// Whether a rule's condition (its scope included) holds; the error is Cedar's text.
pub(crate) fn holds(evaluator: &Evaluator<'_>, condition: &Expr) -> Result<bool, String> {
    static NO_SLOTS: LazyLock<SlotEnv> = LazyLock::new(SlotEnv::new);
    let value = evaluator.interpret(condition, &NO_SLOTS).map_err(|error| error.to_string())?;
    match value.value_kind() {
        ValueKind::Lit(Literal::Bool(holds)) => Ok(*holds),
        ValueKind::Lit(_)
        | ValueKind::Set(_)
        | ValueKind::Record(_)
        | ValueKind::ExtensionValue(_) => Err(format!("the condition is not a truth: {value}")),
    }
}

struct Types {
    action: EntityType,
    agent: EntityType,
    kind: EntityType,
    dir: EntityType,
    path: EntityType,
    program: EntityType,
    socket: EntityType,
    domain: EntityType,
    endpoint: EntityType,
    secret: EntityType,
    server: EntityType,
    tool: EntityType,
}

/// Makes what the first decision of a process would have to make, among it the patterns of Cedar's
/// extensions: a millisecond that somebody would wait for.
pub fn make_ready() {
    LazyLock::force(&ACTIONS);
    let _ = Extensions::all_available();
}

#[expect(clippy::expect_used, reason = "the names are constants of the schema, tested by its load")]
static TYPES: LazyLock<Types> = LazyLock::new(|| {
    let parse = |name: &str| {
        EntityType::from(name.parse::<Name>().expect("an entity type's name is an identifier"))
    };
    Types {
        action: parse("Action"),
        agent: parse("Agent"),
        kind: parse(kinds::TYPE),
        dir: parse("Dir"),
        path: parse("Path"),
        program: parse("Program"),
        socket: parse("Socket"),
        domain: parse("Domain"),
        endpoint: parse("Endpoint"),
        secret: parse("Secret"),
        server: parse("Server"),
        tool: parse("Tool"),
    }
});

/// The entities of all actions, each in its group.
static ACTIONS: LazyLock<Vec<(Action, Arc<Entity>)>> = LazyLock::new(|| {
    Action::ALL
        .into_iter()
        .map(|action| {
            let groups = group(action).map(|name| uid_of(&TYPES.action, name));
            let uid = uid_of(&TYPES.action, action.name());
            (action, Arc::new(entity(uid, BTreeMap::new(), groups.into_iter().collect())))
        })
        .collect()
});

/// The action of an act, in its group; each tool is one of its own.
fn action(act: &Act) -> Arc<Entity> {
    let known = ACTIONS.iter().find(|(action, _)| *action == act.action());
    match (act, known) {
        (Act::CallTool(call), _) => {
            let group = uid_of(&TYPES.action, Action::ToolCall.name());
            let uid = uid_of(&TYPES.action, call.tool.as_str());
            Arc::new(entity(uid, BTreeMap::new(), HashSet::from([group])))
        }
        (_, Some((_, entity))) => Arc::clone(entity),
        (_, None) => Arc::new(entity(uid_of(&TYPES.action, ""), BTreeMap::new(), HashSet::new())),
    }
}

/// The group an action belongs to in the schema.
pub(crate) fn group(action: Action) -> Option<&'static str> {
    match action {
        Action::Exec | Action::SecretUse => None,
        Action::FsRead | Action::FsWrite | Action::FsDelete => Some("fs"),
        Action::NetConnect | Action::NetRequest => Some("net"),
        Action::ToolCall => Some("tool.call"),
    }
}

fn uid_of(ty: &EntityType, id: &str) -> EntityUID {
    EntityUID::from_components(ty.clone(), Eid::new(id), None)
}

fn known(uid: EntityUID) -> EntityUIDEntry {
    EntityUIDEntry::Known { euid: Arc::new(uid), loc: None }
}

fn entity(
    uid: EntityUID,
    attributes: BTreeMap<SmolStr, PartialValue>,
    parents: HashSet<EntityUID>,
) -> Entity {
    Entity::new_with_attr_partial_value(uid, attributes, HashSet::new(), parents, [])
}

fn resource(act: &Act) -> Entity {
    match act {
        Act::Exec(exec) => file(&TYPES.program, &exec.program),
        Act::Read(path) | Act::Write(path) | Act::Delete(path) => file(&TYPES.path, path),
        Act::ConnectUnix(path) => file(&TYPES.socket, path),
        Act::Connect(to) => endpoint(to),
        Act::Request(http) => endpoint(&http.endpoint),
        Act::UseSecret(used) => {
            entity(uid_of(&TYPES.secret, used.secret.as_str()), BTreeMap::new(), HashSet::new())
        }
        Act::CallTool(call) => tool(&call.tool),
    }
}

fn file(ty: &EntityType, path: &AbsolutePath) -> Entity {
    let attributes = [("path", path.as_str()), ("name", path.file_name())]
        .map(|(key, value)| (SmolStr::new_static(key), PartialValue::Value(Value::from(value))));
    let parents = dirs_of(path.as_str()).map(|dir| uid_of(&TYPES.dir, dir)).collect();
    entity(uid_of(ty, path.as_str()), attributes.into(), parents)
}

fn endpoint(to: &Endpoint) -> Entity {
    let attributes = [
        (SmolStr::new_static("port"), Value::from(i64::from(to.port))),
        (SmolStr::new_static("host"), Value::from(to.host.to_string().as_str())),
    ]
    .map(|(key, value)| (key, PartialValue::Value(value)));
    let parents = to.domains().iter().map(|domain| uid_of(&TYPES.domain, domain)).collect();
    entity(uid_of(&TYPES.endpoint, &to.to_string()), attributes.into(), parents)
}

fn tool(tool: &ToolName) -> Entity {
    let attributes = [("name", tool.tool()), ("server", tool.server().as_str())]
        .map(|(key, value)| (SmolStr::new_static(key), PartialValue::Value(Value::from(value))));
    let server = uid_of(&TYPES.server, tool.server().as_str());
    entity(uid_of(&TYPES.tool, tool.as_str()), attributes.into(), HashSet::from([server]))
}

/// The path itself and all directories above it, nearest first, without allocating.
pub(crate) fn dirs_of(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| {
        let (head, tail) = path.rsplit_once('/')?;
        match (head, tail) {
            ("", "") => None,
            ("", _) => Some("/"),
            (head, _) => Some(head),
        }
    })
}

/// No string of a request may be so long that rules would take long over it.
pub(crate) fn check_lengths(request: &Request, facts: &Facts) -> Result<(), Oversized> {
    check_length("the agent's name", request.agent.0.len())?;
    check_length("the time zone", facts.clock.zone.len())?;
    if let Act::Exec(exec) = &request.act {
        let line = &exec.command_line;
        check_length("the command line", line.text.len())?;
        check_length("the flags", line.flags.iter().map(|flag| flag.len() + 1).sum())?;
    }
    if let Act::Request(http) = &request.act {
        check_length("the path", http.path.as_str().len())?;
        check_length("the query", http.query.as_str().len())?;
    }
    if let Act::UseSecret(used) = &request.act {
        check_length("the method", used.method.len())?;
        check_length("the path", used.path.len())?;
    }
    if let Act::CallTool(call) = &request.act {
        check_length("the arguments", usize::try_from(call.bytes).unwrap_or(usize::MAX))?;
    }
    Ok(())
}

fn context(act: &Act, facts: &Facts) -> BTreeMap<SmolStr, Value> {
    let clock = &facts.clock;
    let clock = Value::record(
        [
            ("weekday", Value::from(i64::from(clock.weekday))),
            ("hour", Value::from(i64::from(clock.hour))),
            ("minute", Value::from(i64::from(clock.minute))),
            ("date", Value::from(i64::from(clock.date))),
            ("zone", Value::from(clock.zone.as_str())),
        ],
        None,
    );
    let session = Value::from(facts.session.as_str());
    let mut values = BTreeMap::from([
        (SmolStr::new_static("clock"), clock),
        (SmolStr::new_static("session"), session),
    ]);
    match act {
        Act::Exec(exec) => exec_facts(exec, &mut values),
        Act::Request(http) => request_facts(http, &mut values),
        Act::UseSecret(used) => secret_facts(used, &mut values),
        Act::CallTool(call) => {
            values.insert(SmolStr::new_static(tools::ARGUMENTS), tools::record(&call.arguments));
            let more = tools::meaning(&call.meaning).into_iter();
            values.extend(more.map(|(name, value)| (SmolStr::new_static(name), value)));
        }
        Act::Read(_) | Act::Write(_) | Act::Delete(_) | Act::Connect(_) | Act::ConnectUnix(_) => {}
    }
    values
}

/// The facts that only requests have.
pub(crate) const REQUEST_FACTS: [&str; 9] =
    ["method", "path", "query", "query_names", "headers", "size", "findings", "scheme", PACKAGE];

/// The fact that only requests have that fetch a release from a registry.
pub(crate) const PACKAGE: &str = "package";

fn package_fact(package: &Package) -> Value {
    let fields = [
        ("ecosystem", Value::from(package.ecosystem.name())),
        ("name", Value::from(package.name.as_str())),
        ("version", Value::from(package.version.as_str())),
        ("age_hours", Value::from(i64::from(package.age_hours))),
    ];
    Value::record(fields, None)
}

fn request_facts(http: &HttpRequest, values: &mut BTreeMap<SmolStr, Value>) {
    let mut put = |key: &'static str, value: Value| {
        values.insert(SmolStr::new_static(key), value);
    };
    put("method", Value::from(http.method.as_str()));
    put("path", Value::from(http.path.as_str()));
    put("query", texts(&http.query.fields()));
    // A request that comes from a log has the names only.
    put("query_names", texts(&(&http.query.names() | &http.query_names)));
    put("headers", texts(&http.headers));
    if let Some(size) = http.size {
        put("size", Value::from(i64::try_from(size).unwrap_or(i64::MAX)));
    }
    put("findings", texts(&http.findings));
    put("scheme", Value::from(http.scheme.as_str()));
    if let Some(package) = &http.package {
        put(PACKAGE, package_fact(package));
    }
}

fn texts(all: &BTreeSet<String>) -> Value {
    Value::set(all.iter().map(|text| Value::from(text.as_str())), None)
}

fn secret_facts(used: &SecretUse, values: &mut BTreeMap<SmolStr, Value>) {
    let mut put = |key: &'static str, value: Value| {
        values.insert(SmolStr::new_static(key), value);
    };
    if let Some(endpoint) = &used.endpoint {
        put("host", Value::from(endpoint.host.to_string().as_str()));
        put("port", Value::from(i64::from(endpoint.port)));
    }
    put("method", Value::from(used.method.as_str()));
    put("path", Value::from(used.path.as_str()));
}

fn exec_facts(exec: &Exec, values: &mut BTreeMap<SmolStr, Value>) {
    let line = &exec.command_line;
    let mut put = |key: &'static str, value: Value| {
        values.insert(SmolStr::new_static(key), value);
    };
    put("argv", Value::from(line.text.as_str()));
    if let Some(subcommand) = &line.subcommand {
        // Longer than all of argv's text: the command line is `opaque` already.
        put("subcommand", Value::from(capped(subcommand)));
    }
    put("flags", Value::set(line.flags.iter().map(|flag| Value::from(flag.as_str())), None));
    put("cwd", Value::from(exec.cwd.as_str()));
    put("opaque", Value::from(line.opaque));
}

fn capped(text: &str) -> &str {
    let end = (0..=ARGV_TEXT_BYTES_MAX.min(text.len())).rev().find(|&at| text.is_char_boundary(at));
    end.and_then(|end| text.get(..end)).unwrap_or("")
}

fn check_length(what: &'static str, bytes: usize) -> Result<(), Oversized> {
    if bytes > FACT_BYTES_MAX {
        return Err(Oversized { what, bytes });
    }
    Ok(())
}
