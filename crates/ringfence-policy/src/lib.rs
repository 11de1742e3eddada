//! Cedar text to checked sets, decisions, plans and explanations; pure: no I/O, no clock.
//!
//! The session policy is one set (user, project, override, grants, built in); the system's set is
//! a ceiling that must allow too. What decides is in conditions, never in annotations, and an
//! error while a rule is evaluated is a denial.

pub mod cases;
mod checks;
mod decide;
mod engine;
mod explain;
mod files;
mod formula;
pub mod grant;
mod handling;
mod index;
mod kinds;
mod lints;
mod load;
mod may_call;
mod nearest;
mod never;
mod overrule;
mod problem;
mod remembered;
mod report;
mod requests;
mod rule;
mod shape;
mod tools;
mod tree;
mod validation;

use std::collections::BTreeSet;
use std::sync::OnceLock;

use cedar_policy::PolicySet;
use ringfence_core::{PolicyDigest, Request, Role, ServerName, SetName, ToolShape};
use sha2::{Digest, Sha256};

pub use decide::{ASK_PEOPLE_MAX, ASK_ROLES_MAX, ASK_SET_MAX};
pub use engine::{FACT_BYTES_MAX, make_ready};
pub use explain::{Explanation, Remedy, SetAnswer, Unmet};
pub use files::Reach;
pub use lints::{Lint, LintKind};
pub use load::{RULE_BYTES_MAX, RULES_MAX, SCHEMA, SOURCE_BYTES_MAX};
pub use overrule::{Extent, Overrule};
pub use problem::{PolicyErrors, Problem, ProblemSummary, nearest_word};
pub use report::{ActPlan, Cost, PlanReport, PlannedRule};
pub use rule::Effect;
pub use shape::{NESTING_MAX, OPERATORS_MAX};
pub use tools::schema_text;

use index::Index;
use kinds::{Kind, Servers};
use nearest::Neighbours;
use remembered::Remembered;
use rule::Rule;

/// One text of a policy and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The set it belongs to.
    pub set: SetName,
    /// The file as shown to a person.
    pub file: String,
    /// Cedar text.
    pub text: String,
    /// Roles the author of a grant holds, which count as approvals for the acts it matches; empty
    /// elsewhere.
    pub approves: Vec<Role>,
}

/// What settings say about the policy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// The roles that can approve; at most [`ASK_ROLES_MAX`] are considered for a question.
    pub roles: Vec<Role>,
    /// Whether rules on files may depend on the state of things.
    pub fs_dynamic: FsDynamic,
    /// Texts, by their [`validation_key`], that were found valid before: they are parsed and
    /// checked as any other, but not held against the schema again.
    pub validated: BTreeSet<String>,
    /// The tools that are pinned, which rules may name.
    pub tools: Vec<ToolShape>,
    /// The agents that are servers of tools, in `AgentKind::"tool-server"`.
    pub servers: BTreeSet<ServerName>,
}

/// Whether rules on `fs` actions may look at the context.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FsDynamic {
    /// It is an error when the policy is loaded.
    #[default]
    Refused,
    /// They are decided act by act and never become part of the plan.
    Allowed,
}

/// A checked policy: decides, plans and explains.
#[derive(Debug)]
pub struct Policy {
    session: RuleSet,
    ceiling: Option<RuleSet>,
    roles: Vec<Role>,
    /// Remarks on permits that were dropped.
    untrusted: Vec<Lint>,
    digests: Vec<PolicyDigest>,
    digest: String,
    /// The tools that are pinned.
    tools: Vec<ToolShape>,
    servers: Servers,
    remembered: Remembered,
    exec_needs_verification: OnceLock<bool>,
}

/// Rules that are decided together.
#[derive(Debug)]
pub(crate) struct RuleSet {
    rules: Vec<Rule>,
    index: Index,
    neighbours: Neighbours,
    servers: Servers,
    /// Whether any rule has what passes over the network looked through.
    handles_net: bool,
    all: OnceLock<PolicySet>,
}

impl Policy {
    /// Parses and checks all sources; every problem is reported, not only the first.
    pub fn load(sources: Vec<Source>, options: &Options) -> Result<Policy, PolicyErrors> {
        let digests = sources.iter().map(source_digest).collect();
        let digest = whole_digest(&sources, options);
        let has_ceiling = sources.iter().any(|source| source.set == SetName::System);
        let rules = load::load(sources, options).map_err(PolicyErrors::new)?;
        let untrusted = Policy::untrusted(&rules);
        let (ceiling, session): (Vec<Rule>, Vec<Rule>) =
            rules.into_iter().filter(counts).partition(|rule| rule.place.set == SetName::System);
        let servers = Servers::new(&options.servers);
        Ok(Policy {
            session: RuleSet::new(session, &servers),
            ceiling: has_ceiling.then(|| RuleSet::new(ceiling, &servers)),
            roles: options.roles.iter().take(ASK_ROLES_MAX).cloned().collect(),
            untrusted,
            digests,
            digest,
            tools: options.tools.clone(),
            servers,
            remembered: Remembered::default(),
            exec_needs_verification: OnceLock::new(),
        })
    }

    /// The digest of each source, in the order they were given.
    pub fn digests(&self) -> Vec<PolicyDigest> {
        self.digests.clone()
    }

    /// A request, and what its agent is.
    pub(crate) fn of_kind<'a>(&self, request: &'a Request) -> (&'a Request, Kind) {
        (request, self.servers.kind(&request.agent.0))
    }

    /// All sets with their rules, the session's first.
    pub(crate) fn sets(&self) -> impl Iterator<Item = &RuleSet> {
        std::iter::once(&self.session).chain(&self.ceiling)
    }
}

impl RuleSet {
    fn new(rules: Vec<Rule>, servers: &Servers) -> RuleSet {
        RuleSet {
            servers: servers.clone(),
            index: Index::new(&rules),
            neighbours: Neighbours::new(&rules),
            handles_net: rules.iter().any(handling::is_on_net),
            all: OnceLock::new(),
            rules,
        }
    }

    /// All rules as Cedar's own set, made when first asked for.
    pub(crate) fn all(&self) -> &PolicySet {
        self.all.get_or_init(|| {
            let mut all = PolicySet::new();
            for (position, rule) in self.rules.iter().enumerate() {
                let id = cedar_policy::PolicyId::new(position.to_string());
                // It was read before, and positions are unique, so that nothing of this can fail.
                if let Ok(policy) = cedar_policy::Policy::parse(Some(id), &*rule.text) {
                    let _ = all.add(policy);
                }
            }
            all
        })
    }
}

/// Permits of a project that is not trusted, or only lies around, count for nothing; its forbids hold.
fn counts(rule: &Rule) -> bool {
    let is_heard = match rule.place.set {
        SetName::UntrustedProject | SetName::OuterProject => false,
        SetName::User
        | SetName::Project
        | SetName::Grants
        | SetName::Override
        | SetName::System
        | SetName::BuiltIn => true,
    };
    is_heard || rule.effect == Effect::Forbid
}

/// Names a text together with everything its validity depends on: the schema with the tools that are
/// pinned, and the validator.
pub fn validation_key(text: &str, tools: &[ToolShape]) -> String {
    let (mut hash, schema) = (Sha256::new(), tools::schema(tools, &BTreeSet::new()));
    for part in [cedar_policy::get_sdk_version().to_string().as_str(), &schema, text] {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hex(&hash.finalize())
}

fn source_digest(source: &Source) -> PolicyDigest {
    let sha256 = hex(&Sha256::digest(source.text.as_bytes()));
    PolicyDigest { set: source.set, file: source.file.clone(), sha256 }
}

/// Everything that decisions depend on: vocabulary, options, and each text with its set.
fn whole_digest(sources: &[Source], options: &Options) -> String {
    let mut hash = Sha256::new();
    let mut add = |part: &str| {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    };
    add(&tools::schema(&options.tools, &BTreeSet::new()));
    add(&format!("{:?} {:?}", options.roles, options.fs_dynamic));
    options.servers.iter().for_each(|server| add(server.as_str()));
    for source in sources {
        add(&format!("{:?} {:?}", source.set, source.approves));
        add(&source.text);
    }
    hex(&hash.finalize())
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
