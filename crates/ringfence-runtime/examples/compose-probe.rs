//! Composes and starts one world for the policy in force, and answers every notified act as the
//! policy does, without a log or questions: for tests of the composition, which have threads.
//!
//! `compose-probe --init PROFILE` and `compose-probe -- COMMAND...` in a project, with `HOME` and
//! the like set; the latter prints how the run left the host as one JSON object to standard error.
#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::too_many_lines,
    reason = "a tool of the tests"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use ringfence_core::{
    AbsolutePath, Act, Agent, Clock as _, Decide as _, Exit, Facts, FileChange, Request, Verdict,
};
use ringfence_policy::Policy;
use ringfence_runtime::assemble::{Inputs, assemble};
use ringfence_runtime::clock::HostClock;
use ringfence_runtime::compose::{RunRequest, Unseen, compose};
use ringfence_runtime::environment::Environment;
use ringfence_runtime::init::{Existing, InitRequest, init};
use ringfence_runtime::state::StateDirs;
use ringfence_sandbox::notify::{Attempted, Listener};
use ringfence_sandbox::world::{NotifyClasses, Stdio, start};

struct Answers {
    policy: Arc<Policy>,
    facts: Facts,
    agent: Agent,
    private: Vec<PathBuf>,
    bound: Vec<PathBuf>,
}

fn main() {
    let environment: Environment = std::env::vars_os().collect();
    let dirs = StateDirs::locate(&environment).unwrap().with_system_dir("/nonexistent".into());
    dirs.create().unwrap();
    let cwd = std::env::current_dir().unwrap();
    let mut words = std::env::args().skip(1);
    if words.next().as_deref() == Some("--init") {
        let profile = Some(words.next().unwrap().parse().unwrap());
        let existing = Existing::Replace;
        let request =
            InitRequest { dir: &cwd, profile, environment: &environment, existing, now_ms: 1 };
        eprintln!("{:?}", init(&request, &dirs).unwrap());
        return;
    }
    let (clock, _) = HostClock::new(Some("UTC")).unwrap();
    let mut random = [0; 8];
    getrandom::fill(&mut random).unwrap();
    let session = ringfence_core::SessionId::from_random(random);
    std::fs::create_dir_all(dirs.session(&session)).unwrap();
    let inputs = Inputs { dirs: &dirs, cwd: &cwd, session: &session, overrides: &[], now_ms: 1 };
    let assembled = assemble(inputs).unwrap();
    let argv: Vec<_> = std::env::args_os().skip_while(|word| word != "--").skip(1).collect();
    let agent = Agent("probe".to_owned());
    let request = RunRequest {
        unseen: Unseen::Refused,
        session: session.clone(),
        agent: agent.clone(),
        argv,
        cwd,
        environment,
        stdio: Stdio::Inherit,
        tier: ringfence_sandbox::world::Tier::default(),
        seccomp: ringfence_sandbox::seccomp::Profile::default(),
        notify: NotifyClasses::ALL,
        authority: String::new(),
        stand_ins: Vec::new(),
        withheld: Vec::new(),
        own_env: BTreeMap::new(),
        changes: ringfence_runtime::compose::Changes::Host,
        module: None,
        library: None,
        tools: None,
    };
    let composed = compose(&assembled, &dirs, &request)
        .and_then(|(composition, believed)| believed.write().map(|()| composition));
    let composition = match composed {
        Ok(composition) => composition,
        Err(error) => {
            eprintln!("error: {error}\nhint: {}", error.hint().unwrap_or_default());
            std::process::exit(125);
        }
    };
    let bound = composition.spec.binds.iter().map(|bind| bind.target.clone()).collect();
    let facts =
        Facts { session, clock: clock.fact(), approvals: BTreeSet::new(), approver_count: 0 };
    let answers = Answers {
        policy: assembled.policy,
        facts,
        agent,
        private: composition.private.dirs.clone(),
        bound,
    };
    let mut world = match start(composition.spec.clone()) {
        Ok(world) => world,
        Err(error) => {
            eprintln!("error: {error}");
            std::process::exit(125);
        }
    };
    let confinement = std::mem::take(&mut world.confinement);
    let listener = Listener::new(world.notify.take().unwrap(), None, vec![], confinement).unwrap();
    std::thread::spawn(move || {
        while let Ok(Some(attempt)) = listener.next() {
            if answers.permit(&attempt.kind) {
                let _ = attempt.allow();
            } else {
                let _ = attempt.deny(13);
            }
        }
    });
    let ended = world.wait(&mut |_| ()).unwrap();
    drop(world);
    composition.scratch_is_done();
    let mut notices = assembled.notices;
    notices.extend(composition.notices);
    let finished = composition.after.finish();
    eprintln!("{}", serde_json::json!({ "before": notices, "after": finished }));
    std::process::exit(match ended.exit {
        Exit::Code(code) => code,
        Exit::Signal(signal) => 128 + signal,
        Exit::Unknown => 125,
    });
}

impl Answers {
    fn permit(&self, kind: &Attempted) -> bool {
        match kind {
            Attempted::Exec(_) => true,
            Attempted::File(file) => file
                .acts
                .iter()
                .all(|(change, path)| self.is_private(path) || self.decide(*change, path)),
            Attempted::Tcp(_) | Attempted::Unix(_) | Attempted::Unresolvable(_) => false,
        }
    }

    fn is_private(&self, path: &AbsolutePath) -> bool {
        let bound = path
            .as_path()
            .ancestors()
            .find(|above| self.private.iter().chain(&self.bound).any(|dir| dir == above));
        bound.is_some_and(|dir| self.private.iter().any(|private| private == dir))
    }

    fn decide(&self, change: FileChange, path: &AbsolutePath) -> bool {
        let act = match change {
            FileChange::Deleted => Act::Delete(path.clone()),
            FileChange::Created | FileChange::Modified => Act::Write(path.clone()),
        };
        let request = Request { agent: self.agent.clone(), act, process: None };
        let permitted = self.policy.decide(&request, &self.facts).verdict == Verdict::Permit;
        if !permitted {
            eprintln!("denied: {change:?} {path}");
        }
        permitted
    }
}
