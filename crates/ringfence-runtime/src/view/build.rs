//! The one pass over a session's entries that makes a [`SessionView`].

mod spans;

use std::collections::{BTreeMap, HashMap};

use ringfence_core::{
    Act, Answer, Entry, Event, FileChange, FilesRead, Grounds, HttpRequest, LayerState,
    LayerStatus, Outcome, Request, ReviewStep, Reviewed, SecretUse, TakenBack, ToolCall, Trace,
    Verdict,
};

use super::{
    ArrivalView, AskedAct, CallView, ConnectionView, DeniedAct, EndpointView, FailedAct, FsChanges,
    GrantChange, LeaseView, MisusedSecret, NetworkActivity, ReachedLimit, RefusedCall, RequestView,
    SecretView, SessionView, State, TakenBackView, VIEW_SCHEMA,
};
use crate::{otel, wording};

/// See [`super::view`].
pub(super) fn build<I: IntoIterator<Item = (u64, Entry)>>(entries: I) -> SessionView {
    let mut builder = Builder::default();
    builder.view.schema = VIEW_SCHEMA;
    for (index, entry) in entries {
        builder.take(index, entry);
    }
    builder.settle_changes();
    builder.view.questions.retain(|it| it.answer != Some(Answer::NotAsked));
    builder.view.denials.sort_by_key(|it| it.entry);
    let has_no_world = builder.has_no_world;
    let view = &mut builder.view;
    let is_on_host =
        view.layers.iter().any(|it| it.layer == "mounts" && it.state == LayerState::Off);
    view.advisory = view.layers.iter().any(LayerStatus::is_advisory);
    view.reads = match view.trace {
        Trace::Off if has_no_world => {
            "the session has no world: it is calls of tools, and what their servers did is in \
             sessions of their own"
        }
        Trace::Off if is_on_host => {
            "reads are bounded by the plan and make no entry; \
             a path that may not be read is refused in the world"
        }
        Trace::Off => {
            "reads are bounded by the plan and make no entry; \
             a path that may not be read does not exist in the world"
        }
        Trace::Files | Trace::Full => {
            "reads are bounded by the plan, and files opened to read are recorded, each once for \
             each process; that a path was only asked about (stat, readlink) is not seen"
        }
    };
    for activity in view.spans.iter_mut().map(|span| &mut span.network_activity) {
        activity.add_up();
    }
    view.unattributed.network_activity.add_up();
    let spans = view.spans.iter().map(|span| &span.network_activity);
    view.endpoints =
        EndpointView::sums(spans.chain([&view.unattributed.network_activity]), &view.denials);
    builder.view
}

/// Where an act is attributed: a position in `spans`, or nobody.
type At = Option<usize>;

/// What a decided act waits for.
enum Pending {
    /// An exec that made this span, and the span that was current in its process before.
    Exec { span: At, before: At },
    /// A connection: its span and its position there.
    Connection { span: At, position: usize },
    /// A connection into the world, by its position.
    Arrival(usize),
    /// A request: the same.
    Request { span: At, position: usize },
    /// A call of a tool, by its position.
    Call(usize),
    /// A use of a secret, by the secret's position.
    Secret(usize),
}

/// A permitted change of a file, which is one unless it is seen to fail.
struct Change {
    index: u64,
    at_ms: u64,
    span: At,
    act: Act,
    kind: FileChange,
}

#[derive(Default)]
struct Builder {
    view: SessionView,
    /// The entry that is taken.
    index: u64,
    /// The current span of each living process.
    current: HashMap<i32, usize>,
    /// Permitted acts without an outcome so far, by the index of their decision.
    pending: HashMap<u64, Pending>,
    /// Permitted changes of files, in order of their decision.
    changes: Vec<Change>,
    /// Why acts failed that nothing waits for, by the index of their decision.
    failed: HashMap<u64, String>,
    /// Questions by the index of their decision.
    questions: BTreeMap<u64, usize>,
    /// The grounds of those that were not put so far.
    grounds: BTreeMap<u64, Grounds>,
    /// Whether nothing was enforced, for there was nothing to run.
    has_no_world: bool,
}

impl Builder {
    fn opened(&mut self, event: Event, at_ms: u64) {
        let Event::SessionOpened { session, agent, command, cwd, .. } = &event else { return };
        let view = &mut self.view;
        view.trace_id = Some(otel::trace_id(session));
        view.otel_span_id = Some(otel::session_span_id(session));
        (view.session, view.started_ms) = (Some(session.clone()), Some(at_ms));
        (view.agent, view.command, view.cwd) = (agent.clone(), command.clone(), Some(cwd.clone()));
        let Event::SessionOpened { policy, layers, trace, server, plan_sha256, .. } = event else {
            return;
        };
        let is_of_tools = view.command.get(1).is_some_and(|word| word == "mcp");
        self.has_no_world = is_of_tools && plan_sha256.is_empty() && layers.is_empty();
        (view.policy, view.layers, view.trace, view.server) = (policy, layers, trace, server);
    }

    fn take(&mut self, index: u64, entry: Entry) {
        let at_ms = entry.at_ms;
        (self.index, self.view.last_ms) = (index, Some(at_ms));
        match entry.event {
            event @ Event::SessionOpened { .. } => self.opened(event, at_ms),
            Event::Decided { request, verdict, grounds, change, .. } => {
                self.decided(Decision { index, at_ms, request, grounds, change }, verdict);
            }
            Event::Refused { process, syscall, why } => {
                let span = self.span_of(Some(process), at_ms);
                self.view.refused.push(RefusedCall { entry: index, at_ms, span, syscall, why });
            }
            Event::FilesRead(read) => self.read(read, at_ms),
            Event::Arrived { port, peer } => {
                self.pending.insert(index, Pending::Arrival(self.view.arrivals.len()));
                let connection = ConnectionView::begun((index, at_ms), format!("localhost:{port}"));
                self.view.arrivals.push(ArrivalView { entry: index, at_ms, peer, connection });
            }
            Event::SecretMisused(what) => {
                let span = self.span_of(what.process, at_ms);
                self.view.misused.push(MisusedSecret { entry: index, at_ms, span, what });
            }
            Event::Lease(change) => self.lent(LeaseView { entry: index, at_ms, change }),
            Event::Finished { of, outcome } => self.finished(of, outcome, at_ms),
            Event::Asked { of, channel, .. } => {
                self.grounds.remove(&of);
                if let Some(question) = self.question(of) {
                    question.channel = Some(channel);
                }
            }
            Event::Answered { of, answer, by } => {
                if answer == Answer::NotAsked {
                    self.not_asked(of);
                } else if let Some(question) = self.question(of) {
                    question.answer = Some(answer);
                    question.by = Some(by).filter(|name| !name.is_empty());
                }
            }
            Event::ProcessExited { pid, exit, usage, limit } => {
                self.exited(pid, (exit, limit), usage, at_ms);
            }
            Event::Granted { id, text, scope, by } => {
                let granted = Some((text, scope));
                self.granted_or_revoked((index, id, by), granted, Vec::new());
            }
            Event::Revoked { id, by, survivors } => {
                self.granted_or_revoked((index, id, by), None, survivors);
            }
            Event::Quarantined { files } => self.view.quarantined.extend(files),
            Event::TakenBack(what) => self.taken_back(index, what),
            Event::LimitReached { limit, most, unseen } => {
                self.view.limit_reached = Some(ReachedLimit { entry: index, limit, most, unseen });
            }
            Event::Covered { path } => self.covered(path),
            Event::SessionClosed { summary } => {
                (self.view.ended_ms, self.view.state) = (Some(at_ms), State::Ended);
                self.view.summary = Some(summary);
            }
            Event::Reviewed(review) => self.reviewed(&review),
            Event::PolicyReloaded { .. }
            | Event::OddMessage(_)
            | Event::ClientCame(_)
            | Event::LogOpened { .. }
            | Event::LogClosed { .. } => {}
        }
    }

    fn covered(&mut self, path: ringfence_core::AbsolutePath) {
        if !self.view.covered_again.contains(&path) {
            self.view.covered_again.push(path);
        }
    }

    fn taken_back(&mut self, entry: u64, what: TakenBack) {
        self.view.taken_back.push(TakenBackView { entry, what });
    }

    fn reviewed(&mut self, review: &Reviewed) {
        if review.step == ReviewStep::Waiting {
            self.view.review = Some(review.changes);
        }
    }

    fn granted_or_revoked(
        &mut self,
        (entry, id, by): (u64, String, String),
        granted: Option<(String, String)>,
        survivors: Vec<String>,
    ) {
        let change = if granted.is_some() { "granted" } else { "revoked" };
        let (text, scope) = granted.unzip();
        self.view.grants.push(GrantChange { entry, id, change, text, scope, by, survivors });
    }

    /// What became of it last is what is shown.
    fn lent(&mut self, lease: LeaseView) {
        let same = |it: &&mut LeaseView| it.change.lease == lease.change.lease;
        match self.view.leases.iter_mut().find(same) {
            Some(known) => *known = lease,
            None => self.view.leases.push(lease),
        }
    }

    fn decided(&mut self, decision: Decision, verdict: Verdict) {
        match verdict {
            Verdict::Permit => self.permitted(decision),
            Verdict::Ask(needs) => {
                let Decision { index, at_ms, request, grounds, .. } = decision;
                let span = self.acting(request.process, at_ms);
                self.questions.insert(index, self.view.questions.len());
                self.grounds.insert(index, grounds.clone());
                self.view.questions.push(AskedAct {
                    entry: index,
                    at_ms,
                    span: self.name_of(span),
                    action: request.act.action(),
                    resource: request.act.resource(),
                    act: wording::describe(&request.act),
                    rule: wording::asked_by(&grounds),
                    needs,
                    channel: None,
                    answer: None,
                    by: None,
                });
            }
            Verdict::Deny => {
                let Decision { index, at_ms, request, grounds, .. } = decision;
                let span = self.acting(request.process, at_ms);
                self.view.denials.push(DeniedAct {
                    entry: index,
                    at_ms,
                    span: self.name_of(span),
                    action: request.act.action(),
                    resource: request.act.resource(),
                    act: wording::describe(&request.act),
                    rule: wording::rule_line(&grounds),
                    grounds,
                });
            }
        }
    }

    fn permitted(&mut self, decision: Decision) {
        let Decision { index, at_ms, request, change, .. } = decision;
        let Request { act, process, .. } = request;
        match act {
            Act::Exec(exec) => self.started(index, at_ms, exec, process),
            // A read makes an entry only where it is decided act by act; it changes nothing.
            Act::Read(_) => {}
            Act::CallTool(call) => {
                let span = self.acting(process, at_ms);
                self.calling((index, at_ms), &call, span);
            }
            Act::Write(_) | Act::Delete(_) => {
                // What an argument of a tool names is decided before anybody opens it, and may never be: what the
                // server does to it is in the server's own session.
                let Some(kind) = change else { return };
                let span = self.acting(process, at_ms);
                self.changes.push(Change { index, at_ms, span, act, kind });
            }
            Act::Connect(endpoint) => {
                let span = self.acting(process, at_ms);
                self.connecting((index, at_ms), endpoint.to_string(), span);
            }
            Act::ConnectUnix(path) => {
                let span = self.acting(process, at_ms);
                self.connecting((index, at_ms), path.to_string(), span);
            }
            Act::Request(http) => {
                let span = self.acting(process, at_ms);
                self.requesting((index, at_ms), http, span);
            }
            Act::UseSecret(used) => self.secret_used(index, used),
        }
    }

    fn secret_used(&mut self, entry: u64, used: SecretUse) {
        let SecretUse { secret, endpoint, .. } = used;
        let endpoint = endpoint.map(|endpoint| endpoint.to_string());
        let same = |it: &SecretView| it.secret == secret && it.endpoint == endpoint;
        let position = self.view.secrets.iter().position(same).unwrap_or_else(|| {
            let (uses, failed, error) = (0, 0, None);
            self.view.secrets.push(SecretView { secret, endpoint, uses, failed, error, entry });
            self.view.secrets.len() - 1
        });
        if let Some(used) = self.view.secrets.get_mut(position) {
            used.uses += 1;
        }
        self.pending.insert(entry, Pending::Secret(position));
    }

    fn connecting(&mut self, (index, at_ms): (u64, u64), endpoint: String, span: At) {
        let connections = &mut self.network(span).connections;
        let position = connections.len();
        connections.push(ConnectionView::begun((index, at_ms), endpoint));
        self.pending.insert(index, Pending::Connection { span, position });
    }

    fn calling(&mut self, (index, at_ms): (u64, u64), call: &ToolCall, span: At) {
        self.pending.insert(index, Pending::Call(self.view.calls.len()));
        self.view.calls.push(CallView {
            entry: index,
            at_ms,
            span: self.name_of(span),
            tool: call.tool.to_string(),
            bytes_sent: call.bytes,
            bytes_received: None,
            duration_ms: None,
            error: None,
            not_made: None,
            found: Vec::new(),
            otel_span_id: self.view.session.as_ref().map(|it| otel::span_id(it, index)),
            trace: call.trace.clone(),
        });
    }

    fn requesting(&mut self, (index, at_ms): (u64, u64), http: HttpRequest, span: At) {
        let requests = &mut self.network(span).requests;
        let position = requests.len();
        requests.push(RequestView {
            endpoint: http.endpoint.to_string(),
            at_ms,
            url: http.url(),
            method: http.method,
            query_names: http.query_names,
            findings: http.findings,
            status: None,
            refused: None,
            bytes_sent: None,
            bytes_received: None,
            duration_ms: None,
            error: None,
            package: http.package,
            kept_back: Vec::new(),
            found: Vec::new(),
            unlooked: None,
            entry: index,
        });
        self.pending.insert(index, Pending::Request { span, position });
    }

    fn finished(&mut self, of: u64, outcome: Outcome, at_ms: u64) {
        match self.pending.remove(&of) {
            Some(Pending::Exec { span: Some(span), before }) => {
                self.exec_ended(span, before, outcome, at_ms);
            }
            Some(Pending::Exec { span: None, .. }) => {}
            None => {
                if let Outcome::Failed { error } = outcome {
                    self.failed.insert(of, error);
                }
            }
            Some(Pending::Call(position)) => {
                if let Some(call) = self.view.calls.get_mut(position) {
                    call.end(outcome);
                }
            }
            Some(Pending::Arrival(position)) => {
                if let Some(arrival) = self.view.arrivals.get_mut(position) {
                    arrival.connection.end(outcome);
                }
            }
            Some(Pending::Secret(position)) => {
                if let (Some(used), Outcome::Failed { error }) =
                    (self.view.secrets.get_mut(position), outcome)
                {
                    used.uses = used.uses.saturating_sub(1);
                    used.failed += 1;
                    used.error = Some(error);
                }
            }
            Some(Pending::Connection { span, position }) => {
                if let Some(connection) = self.network(span).connections.get_mut(position) {
                    connection.end(outcome);
                }
            }
            Some(Pending::Request { span, position }) => {
                if let Some(request) = self.network(span).requests.get_mut(position) {
                    request.end(outcome);
                }
            }
        }
    }

    /// Tells the changes that came about from those that failed.
    fn settle_changes(&mut self) {
        for Change { index, at_ms, span, act, kind } in std::mem::take(&mut self.changes) {
            let Some(error) = self.failed.remove(&index) else {
                if let Act::Write(path) | Act::Delete(path) = act {
                    self.changes_of(span).add(kind, path);
                }
                continue;
            };
            let span = self.name_of(span);
            let (action, resource) = (act.action(), act.resource());
            let act = wording::describe(&act);
            let failed = FailedAct { entry: index, at_ms, span, action, resource, act, error };
            self.view.failed.push(failed);
        }
    }

    fn read(&mut self, read: FilesRead, at_ms: u64) {
        let span = self.acting(Some(read.process), at_ms);
        if let Some(span) = span.and_then(|at| self.view.spans.get_mut(at)) {
            span.file_reads.add(read.files, read.unlisted);
        }
    }

    fn changes_of(&mut self, span: At) -> &mut FsChanges {
        match span.and_then(|at| self.view.spans.get_mut(at)) {
            Some(span) => &mut span.fs_changes,
            None => &mut self.view.unattributed.fs_changes,
        }
    }

    fn network(&mut self, span: At) -> &mut NetworkActivity {
        match span.and_then(|at| self.view.spans.get_mut(at)) {
            Some(span) => &mut span.network_activity,
            None => &mut self.view.unattributed.network_activity,
        }
    }

    /// What nobody was asked about, for something else of the same call is denied, is denied with it.
    fn not_asked(&mut self, of: u64) {
        let Some(grounds) = self.grounds.remove(&of) else { return };
        let Some(question) = self.question(of) else { return };
        question.answer = Some(Answer::NotAsked);
        let AskedAct { entry, at_ms, span, action, resource, act, rule, .. } = question.clone();
        let rule = format!("{rule}; nobody was asked: something else of the same call is denied");
        let denied = DeniedAct { entry, at_ms, span, action, resource, act, rule, grounds };
        self.view.denials.push(denied);
    }

    fn question(&mut self, of: u64) -> Option<&mut AskedAct> {
        let position = *self.questions.get(&of)?;
        self.view.questions.get_mut(position)
    }
}

/// One `Decided` entry, without its verdict.
struct Decision {
    index: u64,
    at_ms: u64,
    request: Request,
    grounds: Grounds,
    change: Option<FileChange>,
}
