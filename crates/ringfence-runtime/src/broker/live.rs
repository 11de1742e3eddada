//! What changes while a session runs: policy and grants are loaded anew, and the world follows.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::Thread;
use std::time::Duration;

use ringfence_core::{
    AbsolutePath, Access, Act, Action, Agent, Approved, Clock as _, Durability, Event, FilePlan,
    Gate, PathRule, Request, SessionId,
};
use ringfence_policy::grant::GrantText;
use ringfence_proxy::net::Ender;
use ringfence_sandbox::world::{self, Tier, World};

use super::mounted::{Mounted, Tree, newly_restricted};
use super::wider;
use crate::approvals::Approvals;
use crate::assemble::{Assembled, Inputs, assemble_again, with_grants};
use crate::clock::HostClock;
use crate::compose::Changes;
use crate::control::{self, Caller, Command, Reply, Status};
use crate::grants::{self, Grant};
use crate::in_force::InForce;
use crate::ports::PrivatePlaces;
use crate::protected::{self, PersonsFiles};
use crate::quarantine::OpenedTrees;
use crate::registration::Description;
use crate::state::StateDirs;
use crate::survivors::survivors;
use crate::tally::Tally;
use crate::wording::rule_place;

/// A running session as the control socket sees it.
pub(super) struct Live {
    pub(super) dirs: StateDirs,
    pub(super) cwd: PathBuf,
    pub(super) overrides: Vec<PathBuf>,
    pub(super) session: SessionId,
    pub(super) agent: Agent,
    pub(super) gate: Gate,
    pub(super) clock: Arc<HostClock>,
    pub(super) in_force: Arc<InForce>,
    pub(super) approvals: Arc<Approvals>,
    pub(super) tally: Arc<Tally>,
    pub(super) description: Description,
    /// Weak: its end must not wait for a caller.
    pub(super) world: Weak<World>,
    pub(super) private: Arc<PrivatePlaces>,
    pub(super) opened: OpenedTrees,
    pub(super) net: Ender,
    pub(super) changing: Mutex<Changing>,
}

/// What the world and the log have been told so far.
pub(super) struct Changing {
    pub(super) assembled: Assembled,
    pub(super) grants: BTreeMap<String, Grant>,
    pub(super) plan: FilePlan,
    /// The plan that the world was started with: what it shows stays.
    pub(super) start: FilePlan,
    pub(super) mounted: Mounted,
    /// The thread that revokes grants when their time is over.
    pub(super) timer: Option<Thread>,
}

impl Changing {
    /// What a world was started with.
    pub(super) fn from_start(assembled: &Assembled, plan: &FilePlan) -> Changing {
        Changing {
            assembled: assembled.clone(),
            grants: assembled
                .grants
                .iter()
                .map(|grant| (grant.id.clone(), grant.clone()))
                .collect(),
            plan: plan.clone(),
            start: plan.clone(),
            mounted: Mounted::default(),
            timer: None,
        }
    }
}

/// Why something is loaded anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Policy,
    Grants,
    Expiry,
}

impl Live {
    /// Does what a caller asks for.
    fn answer(&self, command: Command, caller: Option<Caller>) -> Reply {
        match command {
            Command::Questions => Reply::Questions(self.approvals.desk().waiting()),
            Command::Answer { question, said } => match caller {
                // A world holds what is governed here, and lets none of it call.
                Some(caller) => caller.answer(self.approvals.desk(), (question, said), None),
                None => Reply::Refused { why: "nobody has said it".to_owned(), hint: None },
            },
            Command::Status => Reply::Status(self.status()),
            Command::Reload => self.load_anew(Cause::Policy),
            Command::GrantsChanged => self.load_anew(Cause::Grants),
            Command::Checkpoint { name } => self.checkpoint(name.as_deref()),
            Command::Rollback { name } => self.roll_back(&name),
            Command::Kill => {
                self.gate.stop();
                if let Some(world) = self.world.upgrade() {
                    world.kill();
                }
                Reply::Done(vec![format!("session {} was ended", self.session)])
            }
        }
    }

    fn status(&self) -> Status {
        let (totals, waiting) = (self.tally.totals(), self.approvals.waiting());
        Status {
            description: self.description.clone(),
            permitted: totals.permitted,
            denied: totals.denied.saturating_sub(waiting),
            asked: totals.asked,
            waiting,
        }
    }

    /// Assembles policy and grants again; what is in force stays so unless all of it can be used.
    fn load_anew(&self, cause: Cause) -> Reply {
        let mut changing = self.changing();
        let Some(world) = self.world.upgrade() else {
            return Reply::Refused { why: "the session is ending".to_owned(), hint: None };
        };
        let inputs = Inputs {
            dirs: &self.dirs,
            cwd: &self.cwd,
            session: &self.session,
            overrides: &self.overrides,
            now_ms: self.clock.now_ms(),
        };
        let read = match cause {
            Cause::Policy => assemble_again,
            Cause::Grants | Cause::Expiry => with_grants,
        };
        let assembled = match read(inputs, &changing.assembled) {
            Ok(assembled) => assembled,
            Err(error) => return Reply::Refused { why: error.to_string(), hint: error.hint() },
        };
        match self.put_in_force(&mut changing, &world, cause, &assembled) {
            Ok(lines) => Reply::Done(lines),
            Err(error) => Reply::Refused { why: error.to_string(), hint: None },
        }
    }

    /// Records what comes into force before it does, and what is revoked after it was.
    fn put_in_force(
        &self,
        changing: &mut Changing,
        world: &World,
        cause: Cause,
        assembled: &Assembled,
    ) -> Result<Vec<String>, ringfence_core::RecordError> {
        let now: BTreeMap<String, Grant> =
            assembled.grants.iter().map(|grant| (grant.id.clone(), grant.clone())).collect();
        let is_new = |grant: &&Grant| !changing.grants.contains_key(&grant.id);
        let new: Vec<&Grant> = now.values().filter(is_new).collect();
        for grant in &new {
            self.gate.note(granted(grant), Durability::Before)?;
        }
        let mut lines = Vec::new();
        if cause == Cause::Policy {
            let policy = assembled.digests.clone();
            self.gate.note(Event::PolicyReloaded { policy }, Durability::Before)?;
            lines.push("the policy was loaded anew".to_owned());
        }
        self.opened.follow(&assembled.policy.file_plan(&self.agent));
        self.gate.reload(Arc::clone(&assembled.policy) as _);
        self.in_force.replace(assembled);
        let ended = self.net.end_unpermitted().into_iter();
        lines.extend(ended.map(|what| format!("ended: the connection to {what}")));
        let mut plan = assembled.policy.file_plan(&self.agent);
        let outcome = self.follow(world, changing, &mut plan);
        lines.extend(outcome.lines.iter().cloned());
        let opened = |path: &AbsolutePath, wanted| self.opens(&changing.start, path, wanted);
        lines.extend(new.iter().map(|grant| outcome.of_grant(grant, &plan, &opened)));
        if cause == Cause::Policy {
            let left = outcome.left_out.values();
            lines.extend(left.map(|why| format!("not in force in this session: {why}")));
        }
        let gone: Vec<Grant> = changing
            .grants
            .values()
            .filter(|grant| !now.contains_key(&grant.id))
            .cloned()
            .collect();
        for grant in &gone {
            lines.push(format!("revoked: {} ({})", grant.text, grant.id));
            lines.extend(outcome.survivors.iter().map(|held| format!("still held: {held}")));
            let by = if cause == Cause::Expiry { "expired" } else { grant.author.as_str() };
            let event = Event::Revoked {
                id: grant.id.clone(),
                by: by.to_owned(),
                survivors: outcome.survivors.clone(),
            };
            self.gate.note(event, Durability::Before)?;
        }
        changing.grants = now;
        (changing.plan, changing.assembled) = (plan, assembled.clone());
        if let Some(timer) = &changing.timer {
            timer.unpark();
        }
        Ok(lines)
    }

    /// Minds what was granted, and obeys whoever the line leads to, until the session ends.
    pub(super) fn obey(self: Arc<Live>, line: UnixListener) {
        self.watch_expiry();
        wider::offer(&self);
        control::serve(line, Arc::new(move |command, caller| self.serve(command, Some(caller))));
    }

    /// Does what a caller asks for, and goes on minding what it granted.
    pub(super) fn serve(self: &Arc<Live>, command: Command, caller: Option<Caller>) -> Reply {
        let reply = self.answer(command, caller);
        self.watch_expiry();
        reply
    }

    /// Revokes grants when their time is over, until the session ends; once there are some that
    /// end, a thread does.
    pub(super) fn watch_expiry(self: &Arc<Live>) {
        {
            let changing = self.changing();
            let none_ends = changing.grants.values().all(|grant| grant.expires.is_none());
            if changing.timer.is_some() || none_ends {
                return;
            }
        }
        let live = Arc::clone(self);
        let run = move || {
            while live.world.upgrade().is_some() {
                if live.has_expired() {
                    // A refusal leaves what is in force, and is tried again at the next look.
                    let _ = live.load_anew(Cause::Expiry);
                }
                std::thread::park_timeout(live.until_next_expiry());
            }
        };
        if let Ok(thread) = std::thread::Builder::new().name("expiry".to_owned()).spawn(run) {
            self.changing().timer = Some(thread.thread().clone());
        }
    }

    fn has_expired(&self) -> bool {
        grants::any_has_ended(self.changing().grants.values(), self.clock.now_ms())
    }

    fn until_next_expiry(&self) -> Duration {
        grants::until_next_end(self.changing().grants.values(), self.clock.now_ms())
    }

    /// Mounts what the new plan adds and unmounts what it no longer has.
    ///
    /// A tree in which the host runs something by itself is not mounted for writing: its protected
    /// places are made only by a session that starts with it. What is not mounted stays in `after`
    /// as it was before.
    fn follow(&self, world: &World, changing: &mut Changing, after: &mut FilePlan) -> Followed {
        let mut followed = Followed::default();
        let Changing { mounted, start, plan: before, .. } = changing;
        let leaving = mounted.take_stale(after, start);
        for tree in &leaving.trees {
            self.opened.uncover(tree.path.as_path());
            if let Err(why) = withdraw(world, tree, &leaving.revoked, &mut followed) {
                // It is still there: the next change of the plan tries again.
                mounted.add(&tree.path, tree.access);
                followed.lines.push(why);
            }
        }
        still_there(before, after, start, &mut followed);
        let restricted = after.clone();
        for rule in &mut after.rules {
            let have = start.access(&rule.path).0.max(mounted.access(&rule.path));
            if have >= rule.access || decided_when_opened(start, rule) {
                continue;
            }
            let tree = Tree { path: rule.path.clone(), access: rule.access };
            let mount = match newly_restricted(&tree, &restricted, start) {
                Some(place) => Err(forbidden_since(&place)),
                None => self.mount(world, &tree),
            };
            match mount {
                Ok(()) => mounted.add(&tree.path, tree.access),
                Err(why) => {
                    followed.left_out.insert(rule.path.clone(), why);
                    rule.access = have;
                }
            }
        }
        followed
    }

    /// Whether a file that has been asked about since the start is opened without a question now.
    fn opens(&self, start: &FilePlan, path: &AbsolutePath, wanted: Access) -> bool {
        let act = match wanted {
            Access::Hidden => return false,
            Access::Read => Act::Read(path.clone()),
            Access::Write => Act::Write(path.clone()),
        };
        let asked = start.asked(path).is_some_and(|asked| asked.acts.contains(&act.action()));
        let request = Request { agent: self.agent.clone(), act, process: None };
        asked && self.gate.still_permits(&request, &Approved::default())
    }

    /// Mounts one tree that the plan shows; the error says why it is not.
    fn mount(&self, world: &World, tree: &Tree) -> Result<(), String> {
        let path = tree.path.as_path();
        if !world.tier.has_mounts() {
            return Err(from_the_next_start(world.tier));
        }
        let wanted = match tree.access {
            Access::Hidden => return Ok(()),
            Access::Read => world::Access::Read,
            Access::Write if self.opened.changes() == Changes::Review => {
                return Err(under_review(path));
            }
            Access::Write => {
                if let Some(runs) = run_by_host(path, &PersonsFiles::of(&self.dirs)) {
                    return Err(run_outside(path, &runs));
                }
                self.opened.note(path);
                world::Access::Write
            }
        };
        self.private.mounted(path);
        world.mount(path, path, wanted).map_err(|error| error.to_string())
    }

    pub(super) fn changing(&self) -> MutexGuard<'_, Changing> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why nothing is shown to a world without mounts while it runs.
fn from_the_next_start(tier: Tier) -> String {
    format!("nothing is mounted in the tier `{tier}`, so that it holds from the next start on")
}

/// Whether what a rule allows was asked about when the world was started: it goes on being opened
/// outside, without the question.
fn decided_when_opened(start: &FilePlan, rule: &PathRule) -> bool {
    let acts = start.asked(&rule.path).map_or(&[][..], |asked| &asked.acts);
    match rule.access {
        Access::Hidden => false,
        Access::Read => acts.contains(&Action::FsRead),
        Access::Write => acts.contains(&Action::FsWrite) && acts.contains(&Action::FsDelete),
    }
}

/// The entry of a grant that comes into force.
pub(super) fn granted(grant: &Grant) -> Event {
    Event::Granted {
        id: grant.id.clone(),
        text: grant.text.clone(),
        scope: grant.scope.to_string(),
        by: grant.author.clone(),
    }
}

/// How the world followed a plan.
#[derive(Default)]
struct Followed {
    lines: Vec<String>,
    survivors: Vec<String>,
    /// What the plan has and the world could not be given, and why.
    left_out: BTreeMap<AbsolutePath, String>,
}

impl Followed {
    /// What became of a new grant, in one line; `plan` is what the world has now, and `opened` says
    /// whether a file is opened outside for it.
    fn of_grant(
        &self,
        grant: &Grant,
        plan: &FilePlan,
        opened: &dyn Fn(&AbsolutePath, Access) -> bool,
    ) -> String {
        let (text, id) = (&grant.text, &grant.id);
        let (path, wanted) = match GrantText::parse(text, &|_| None) {
            Ok(GrantText::Read(path)) => (path, Access::Read),
            Ok(GrantText::Write(path)) => (path, Access::Write),
            // Decided act by act: no mount is needed.
            Ok(
                GrantText::Connect(_)
                | GrantText::ConnectUnix(_)
                | GrantText::Request { .. }
                | GrantText::UseSecret(_)
                | GrantText::CallTool(_)
                | GrantText::Exec { .. },
            )
            | Err(_) => return format!("in force: {text} ({id})"),
        };
        if let Some(why) = self.left_out.get(&path) {
            return format!("not in force in this session: {text} ({id}): {why}");
        }
        match plan.access(&path) {
            // The mounts stay as they are: each file is opened when that was decided.
            (access, _) if access < wanted && opened(&path, wanted) => {
                format!("in force: {text} ({id})")
            }
            (access, Some(PathRule { because: Some(rule), .. })) if access < wanted => {
                let rule = rule_place(rule);
                format!("not in force in this session: {text} ({id}): by the rule {rule}")
            }
            (access, _) if access < wanted => {
                format!("not in force in this session: {text} ({id})")
            }
            _ => format!("in force: {text} ({id})"),
        }
    }
}

/// A place in the tree, or above it, that the host runs something from or that decides what it runs.
fn run_by_host(tree: &Path, persons: &PersonsFiles) -> Option<PathBuf> {
    // What cannot be resolved is looked at under the name it has.
    let tree = std::fs::canonicalize(tree).unwrap_or_else(|_| tree.to_owned());
    let listed = |path: &Path| {
        let is = |(name, _, _): &(&str, _, _)| path.file_name().is_some_and(|it| it == *name);
        path.ends_with(".git") || protected::IN_PROJECT.iter().any(is)
    };
    if let Some(above) = tree.ancestors().find(|it| listed(it) || protected::is_git_dir(it)) {
        return Some(above.to_owned());
    }
    let found = protected::survey(&tree);
    let places = protected::in_project(&tree, &[]).into_iter();
    let places = places.chain(protected::named_in_git(&tree.join(".git"), &tree, persons));
    let there =
        places.map(|place| place.path).filter(|path| std::fs::symlink_metadata(path).is_ok());
    let found_within = found.git_dirs.into_iter().chain(there).chain(found.runnable.into_keys());
    // A tree too large to look at all of may hold anything.
    found_within.into_iter().next().or_else(|| found.cut_short.then_some(tree))
}

fn run_outside(tree: &Path, runs: &Path) -> String {
    let (tree, runs) = (tree.display(), runs.display());
    format!(
        "the host runs or may run what is in `{runs}`, so that `{tree}` can only be written in a \
         session that starts with it; a grant with `--always` takes effect with the next session"
    )
}

/// An overlay is laid when a world is built: what is mounted later would be written on the host.
fn under_review(tree: &Path) -> String {
    let tree = tree.display();
    format!(
        "this session is under review, so that `{tree}` can only be written in a session that starts \
         with it; a grant with `--always` takes effect with the next session"
    )
}

fn forbidden_since(place: &AbsolutePath) -> String {
    format!(
        "a rule that is newer than this session restricts `{place}` in it; it takes effect with the \
         next session"
    )
}

/// Unmounts a tree; what processes hold of it is told where it is revoked.
fn withdraw(
    world: &World,
    tree: &Tree,
    revoked: &[Tree],
    followed: &mut Followed,
) -> Result<(), String> {
    let path = tree.path.as_path();
    let held = if revoked.contains(tree) { survivors(world.init_pid, path) } else { Vec::new() };
    world.unmount(path).map_err(|error| format!("not revoked in this session: {error}"))?;
    followed.survivors.extend(held);
    followed.survivors.sort();
    followed.survivors.dedup();
    Ok(())
}

/// Says what a plan takes away and the world shows until it ends.
fn still_there(before: &FilePlan, after: &FilePlan, start: &FilePlan, followed: &mut Followed) {
    let paths: BTreeSet<&AbsolutePath> =
        before.rules.iter().chain(&after.rules).map(|rule| &rule.path).collect();
    for path in paths {
        let now = after.access(path).0;
        let taken = now < before.access(path).0 && now < start.access(path).0;
        // What was not there could not be shown, so that nothing is left of it.
        if taken && std::fs::symlink_metadata(path.as_path()).is_ok() {
            followed.lines.push(format!(
                "`{path}` was there from the start and can be read until this session ends"
            ));
        }
    }
}
