//! Whether a call may be made: its arguments by the schema that was pinned, then the policy on the call, and on
//! every file and host that an argument names.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ringfence_core::{
    Act, Agent, Denial, Durability, Event, Fact, Gate, Grounds, Process, Request, ToolCall,
    ToolName, Verdict,
};
use ringfence_policy::grant::GrantText;
use ringfence_policy::nearest_word;
use ringfence_proxy::mcp::frame::{Kind, Members, Message, string};
use ringfence_proxy::mcp::headers::repeated;
use ringfence_proxy::mcp::middle::{Call, Called, OddKind, qualified};
use ringfence_proxy::mcp::roles::RolePlan;
use serde_json::Value;

use super::ToolsRequest;
use super::kept_back::{Since, Untold};
use super::mismatch;
use super::needs::Whereabouts;
use crate::advice::{Advice, Lasts};
use crate::approvals::Approvals;
use crate::in_force::InForce;
use crate::servers::{METHODS, Pinned, Server, TOOLS_MAX, digest};
use crate::wording;

/// Decides the calls of one session.
#[derive(Clone)]
pub(super) struct Decider {
    pub(super) gate: Gate,
    pub(super) agent: Agent,
    pub(super) approvals: Arc<Approvals>,
    /// Who speaks for the agent; nobody where the session has no world.
    pub(super) process: Option<Process>,
    /// The number of the client, where the session has several.
    pub(super) client: Option<u32>,
    pub(super) servers: Arc<[Server]>,
    whereabouts: Whereabouts,
    lasts: Lasts,
    in_force: Arc<InForce>,
    /// The servers that there were when the talk began.
    served: Arc<[Server]>,
    /// Tools, as clients call them, of which no argument is for anything.
    plain: Arc<BTreeSet<String>>,
    /// Pinned tools whose definitions do not say in one way which arguments are repeated as headers, and why.
    unclear: Arc<BTreeMap<(usize, String), String>>,
    /// Tools of which their server says something else than was pinned.
    changed: Arc<Mutex<BTreeSet<(usize, String)>>>,
    /// Tools that a server says it has and that are not pinned.
    new: Arc<Mutex<BTreeSet<(usize, String)>>>,
    /// Of both what nobody has been told of yet.
    untold: Arc<Untold>,
}

impl Decider {
    pub(super) fn new(
        gate: &Gate,
        (agent, approvals, in_force): (Agent, Arc<Approvals>, Arc<InForce>),
        (servers, request): (Vec<Server>, &ToolsRequest),
    ) -> Decider {
        let (home, cwd) = (request.dirs.home().to_owned(), request.cwd.clone());
        let search = std::env::var_os("PATH").unwrap_or_default();
        let search = std::env::split_paths(&search).filter(|dir| dir.is_absolute()).collect();
        Decider {
            gate: gate.clone(),
            agent,
            approvals,
            process: None,
            client: None,
            plain: Arc::new(plain(&servers)),
            unclear: Arc::new(unclear(&servers)),
            servers: servers.into(),
            whereabouts: Whereabouts { home, cwd, search },
            lasts: request.lasts,
            served: in_force.served(),
            in_force,
            changed: Arc::default(),
            new: Arc::default(),
            untold: Arc::default(),
        }
    }

    /// Whether a tool is shown: what a server says of it is what a person has seen, and the agent may call it.
    pub(super) fn shows(&self, server: usize, name: &str, said: &Value) -> bool {
        let pinned = self.servers.get(server).and_then(|server| server.file.tools.get(name));
        let same = pinned.is_some_and(|pinned| digest(&pinned.definition) == digest(said));
        let (mut changed, tool) = (self.changed(), (server, name.to_owned()));
        if same {
            changed.remove(&tool);
        } else if pinned.is_some() {
            if changed.insert(tool) {
                self.untold.add((server, Since::Changed), name);
            }
        } else if !self.is_known_unusable((server, name), said) {
            let mut new = self.new.lock().unwrap_or_else(PoisonError::into_inner);
            if new.len() < TOOLS_MAX && new.insert(tool) {
                self.untold.add((server, Since::Unpinned), name);
            }
        }
        drop(changed);
        let of = self.servers.get(server);
        same && of.is_some_and(|server| headers_of(server, said).is_ok())
            && self.may_call(server, name)
    }

    /// Whether a tool is one that a person was told of as left out, and is still said to be that.
    fn is_known_unusable(&self, (server, name): (usize, &str), said: &Value) -> bool {
        let of = self.servers.get(server);
        of.is_some_and(|of| of.file.why_unusable(name, said).is_some())
    }

    /// Whether some call of it could be permitted as things are.
    fn may_call(&self, server: usize, tool: &str) -> bool {
        let name = self.servers.get(server).map(|server| ToolName::new(&server.name, tool));
        let policy = self.in_force.policy();
        let of = self.servers.get(server);
        let is_as_before = of.is_some_and(|of| self.outdated(of, Some(tool)).is_none());
        let name = name.and_then(Result::ok).filter(|_| is_as_before);
        name.is_some_and(|name| policy.may_call(&self.agent, &name, &self.gate.facts_now()))
    }

    /// Why what was there when the talk began is not called any more: a person took it away, or made it another, and the
    /// policy was loaded anew since.
    fn outdated(&self, server: &Server, tool: Option<&str>) -> Option<&'static str> {
        let now = self.in_force.served();
        let is_same = |it: &&Server| it.name == server.name;
        // One that is tried before it is added is none of them.
        if Arc::ptr_eq(&now, &self.served) || !self.served.iter().any(|it| is_same(&it)) {
            return None;
        }
        let Some(other) = now.iter().find(is_same) else {
            return Some("its server was removed since this client began");
        };
        let (of, is) = (&server.file, &other.file);
        if (&of.command, &of.url, &of.headers, &of.env)
            != (&is.command, &is.url, &is.headers, &is.env)
        {
            return Some("its server is another since this client began: begin anew");
        }
        let is_as_before = tool.is_none_or(|tool| of.tools.get(tool) == is.tools.get(tool));
        (!is_as_before)
            .then_some("what a person has looked at is another since this client began: begin anew")
    }

    /// Whether a client's message may name something that has to be looked up, as files are, which may lie far away.
    pub(super) fn looks_up(&self, message: &Message) -> bool {
        let Kind::Request { method, params: Some(params), .. } = message.kind() else {
            return true;
        };
        // Other methods are few, and name resources, which may be files.
        let members = Members::of(message.part(params)).filter(|_| method == "tools/call");
        let tool = members.as_ref().and_then(|all| string(all.get("name")?));
        !tool.is_some_and(|tool| self.plain.contains(&*tool))
    }

    /// Why a tool that is not pinned is not called.
    fn unpinned(&self, (number, server): (usize, &Server), tool: &str) -> String {
        let new = self.new.lock().unwrap_or_else(PoisonError::into_inner);
        if new.contains(&(number, tool.to_owned())) {
            return format!(
                "nobody has looked at this tool: `ringfence mcp inspect {} --diff` shows it to the person outside",
                server.name
            );
        }
        if let Some(known) = server.file.unusable.get(tool) {
            return format!("it was left out when its server was added: {}", known.why);
        }
        let known = server.file.tools.keys().map(String::as_str);
        let near = nearest_word(tool, known).map(|near| format!("; did you mean `{near}`?"));
        format!("its server has no such tool{}", near.unwrap_or_default())
    }

    /// What is kept back of these servers and nobody has been told of yet.
    pub(super) fn take_untold(&self, of: impl Fn(usize) -> bool) -> Vec<(usize, OddKind, String)> {
        let words = |((server, since), tools): ((usize, Since), BTreeSet<String>)| {
            let name = self.servers.get(server)?.name.as_str();
            Some((server, since.kind(), since.words(name, &tools)))
        };
        self.untold.take(of).into_iter().filter_map(words).collect()
    }

    fn changed(&self) -> MutexGuard<'_, BTreeSet<(usize, String)>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The call and what it needs, as the policy sees them; and its arguments with the paths that were decided
    /// about, where they are others.
    pub(super) fn act(
        &self,
        server: &Server,
        call: &Call,
    ) -> Result<(Act, Vec<Act>, Option<Value>), String> {
        let (Called::Tool(name) | Called::Method(name)) = &call.what;
        let client = self.client;
        let tool = ToolName::new(&server.name, name)
            .map_err(|error| self.refuse_call(call, error.to_string()))?;
        let wrong = |why: String| self.refuse(&tool, call, why);
        if let Some(why) = server.is_left_out() {
            return Err(wrong(format!("its server is left out: {why}")));
        }
        let called = if let Called::Tool(name) = &call.what { Some(name.as_str()) } else { None };
        if let Some(why) = self.outdated(server, called) {
            return Err(wrong(why.to_owned()));
        }
        let Called::Tool(name) = &call.what else {
            let uri = call.arguments.get("uri").and_then(Value::as_str);
            let needed = uri.map(|uri| self.whereabouts.of_resource(uri).map_err(wrong));
            let needed = needed.transpose()?.unwrap_or_default();
            return Ok((Act::CallTool(of_method(tool, name, call).by(client)), needed, None));
        };
        if !server.file.tools.contains_key(name) {
            return Err(wrong(self.unpinned((call.server, server), name)));
        }
        if self.changed().contains(&(call.server, name.clone())) {
            return Err(wrong(format!(
                "its server says something else of it than what a person has looked at: `ringfence mcp inspect {} --diff` \
                 shows it to the person outside",
                server.name
            )));
        }
        if let Some(why) = self.unclear.get(&(call.server, name.clone())) {
            return Err(wrong(why.clone()));
        }
        let (Some(schema), Some(roles)) = (server.schema(name), server.roles(name)) else {
            return Err(wrong("its arguments have no schema".to_owned()));
        };
        let wrong = |why: String| wrong(format!("the arguments: {why}"));
        let given = schema
            .facts(&call.arguments)
            .map_err(|why| wrong(mismatch::said(&why, schema, &call.arguments)))?;
        let (needs, sent) = self.whereabouts.look(roles, &call.arguments).map_err(wrong)?;
        let act_of = |facts| {
            let made = ToolCall::of(tool.clone(), facts, &call.arguments);
            Act::CallTool(
                made.meaning(needs.meaning.clone())
                    .in_trace(call.trace.clone())
                    .by(client)
                    .beside(call.beside.clone()),
            )
        };
        if sent == call.arguments {
            let act = act_of(given);
            return Ok((act, needs.acts, None));
        }
        // Rules see what the server sees.
        let facts = schema.facts(&sent).map_err(|why| wrong(why.to_string()))?;
        let act = act_of(facts);
        Ok((act, needs.acts, Some(sent)))
    }
}

/// Why a tool is not called that a person has looked at.
pub(super) const GONE: &str = "its server says that it does not have this tool any more";

/// Tools, as clients call them, that are called without anything being looked up.
fn plain(servers: &[Server]) -> BTreeSet<String> {
    let is_merged = servers.len() > 1;
    let of = |server: &Server| {
        let tools = server.file.tools.keys().filter(|tool| {
            let roles = server.roles(tool);
            roles.is_some_and(RolePlan::is_for_nothing)
        });
        let called = |tool: &String| {
            if is_merged { qualified(&server.name.to_string(), tool) } else { tool.clone() }
        };
        tools.map(called).collect::<Vec<_>>()
    };
    servers.iter().flat_map(of).collect()
}

/// Pinned tools that do not say in one way which of their arguments are repeated as headers, and why.
fn unclear(servers: &[Server]) -> BTreeMap<(usize, String), String> {
    let of = |(number, server): (usize, &Server)| {
        let why = |(name, pinned): (&String, &Pinned)| {
            let why = headers_of(server, &pinned.definition).err()?;
            Some(((number, name.clone()), why))
        };
        server.file.tools.iter().filter_map(why).collect::<Vec<_>>()
    };
    servers.iter().enumerate().flat_map(of).collect()
}

/// Whether a tool of a server behind an address says in one way which arguments are repeated as headers; one that does
/// not is neither shown nor called, MCP 2026-07-28 "Custom Headers from Tool Parameters".
fn headers_of(server: &Server, definition: &Value) -> Result<(), String> {
    if server.file.url.is_none() {
        return Ok(());
    }
    repeated(definition.get("inputSchema").unwrap_or(&Value::Null)).map(drop)
}

impl Decider {
    /// Who wants to do it.
    pub(super) fn request(&self, act: Act) -> Request {
        Request { agent: self.agent.clone(), act, process: self.process }
    }

    /// What is refused before any rule is asked is recorded as a denial like any other.
    fn refuse(&self, tool: &ToolName, call: &Call, why: String) -> String {
        let refused = ToolCall::of(tool.clone(), BTreeMap::new(), &call.arguments);
        let act = Act::CallTool(
            refused.in_trace(call.trace.clone()).by(self.client).beside(call.beside.clone()),
        );
        self.deny(self.request(act), why)
    }

    /// Refuses a call of a tool that a person has looked at and that is not there any more.
    pub(super) fn refuse_gone(&self, call: &Call) -> Option<String> {
        let Called::Tool(tool) = &call.what else {
            return None;
        };
        let is_pinned = self.servers.get(call.server)?.file.tools.contains_key(tool);
        is_pinned.then(|| self.refuse_call(call, GONE.to_owned()))
    }

    /// Refuses a call for what its agent did before.
    pub(super) fn refuse_call(&self, call: &Call, why: String) -> String {
        let (Called::Tool(name) | Called::Method(name)) = &call.what;
        let Some(Server { name: server, .. }) = self.servers.get(call.server) else {
            return why;
        };
        let tool = ToolName::new(server, name).unwrap_or_else(|_| ToolName::quoted(server, name));
        self.refuse(&tool, call, why)
    }

    /// Records a denial that no rule made; what the agent is told.
    pub(super) fn deny(&self, request: Request, why: String) -> String {
        let grounds = Grounds { failure: Some(why), ..Grounds::default() };
        let decided = Event::Decided {
            digest: request.act.digest(self.gate.policy_in_force().digest()),
            request: request.clone(),
            verdict: Verdict::Deny,
            grounds: grounds.clone(),
            approvals: Vec::new(),
            unobserved: true,
            change: None,
        };
        // Denied whether or not it could be recorded; a log that fails ends the session.
        let entry = self.gate.note(decided, Durability::Soon).ok();
        self.words(&Denial { request, grounds, entry })
    }

    /// A denial, with the smallest grant that would help, where one does.
    pub(super) fn words(&self, denial: &Denial) -> String {
        self.said(denial, self.grant_for(denial))
    }

    /// The smallest grant that would help against a denial.
    pub(super) fn grant_for(&self, denial: &Denial) -> Option<GrantText> {
        match denial.grounds.failure {
            // No grant makes up for it.
            Some(_) => None,
            None => self.in_force.smallest_grant(&denial.request, &self.gate.facts_now()),
        }
    }

    /// The same of what a rule asks about, and nobody has approved: a grant stands for that.
    pub(super) fn words_of_asked(&self, denial: &Denial) -> String {
        let grant = self.in_force.smallest_grant(&denial.request, &self.gate.facts_now());
        self.said(denial, grant)
    }

    pub(super) fn said(&self, denial: &Denial, grant: Option<GrantText>) -> String {
        let advice = grant.map(|grant| Advice::without_a_world(&grant, &self.whereabouts.home));
        wording::denial(denial, advice.as_ref(), self.lasts).trim_end().to_owned()
    }
}

/// What a server does besides tools, by its method; rules see what it names.
fn of_method(tool: ToolName, method: &str, call: &Call) -> ToolCall {
    let arguments = &call.arguments;
    let names = METHODS.iter().find(|(known, _)| *known == method).map_or(&[][..], |(_, it)| *it);
    let fact = |name: &&str| {
        let text = arguments.get(*name).and_then(Value::as_str).unwrap_or_default();
        ((*name).to_owned(), Fact::Text(text.to_owned()))
    };
    let made = ToolCall::of(tool, names.iter().map(fact).collect(), arguments);
    made.in_trace(call.trace.clone()).beside(call.beside.clone())
}
