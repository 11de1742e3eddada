//! What forbids a grant although a person made it: a forbid is stronger than every permit.

use std::collections::BTreeMap;

use cedar_policy::pst::{Expr, Var};
use ringfence_core::{
    AbsolutePath, Act, Action, Agent, CommandLine, Exec, Facts, FileIdentity, HttpRequest, Meaning,
    Request, RuleRef, SecretUse, ToolCall,
};

use crate::Policy;
use crate::decide::Answer;
use crate::engine::Situation;
use crate::grant::{GrantText, Paths};
use crate::rule::{Effect, Rule, Scope};
use crate::tree::{body, context_attribute, mentions_context, walk};

/// A forbid that a grant runs into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overrule {
    /// The forbid.
    pub rule: RuleRef,
    /// How much of the grant it leaves without effect.
    pub extent: Extent,
}

/// How much of a grant is without effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extent {
    /// All of it, always.
    Whole,
    /// What lies in another place, or only as things are at the moment.
    Part,
}

impl Policy {
    /// The forbids that a grant runs into, those that leave nothing of it first. The policy must
    /// have been loaded with the grant, which may be the approval that a forbid waits for.
    pub fn overrules(&self, grant: &GrantText, facts: &Facts) -> Vec<Overrule> {
        let request = Request { agent: Agent(String::new()), act: sample(grant), process: None };
        let Ok(situation) = Situation::new(self.of_kind(&request), facts) else {
            return Vec::new();
        };
        let (answers, _) = self.answers(&self.candidates(&request), &situation, facts);
        let none = Answer::default();
        let answered = [&answers.session, answers.ceiling.as_ref().unwrap_or(&none)];
        let mut found = Vec::new();
        for (set, answer) in self.sets().zip(answered) {
            for (position, rule) in set.rules.iter().enumerate() {
                let extent = if answer.forbids.contains(&position) {
                    if holds_always(rule, grant) { Extent::Whole } else { Extent::Part }
                } else if lies_beneath(rule, grant) {
                    Extent::Part
                } else {
                    continue;
                };
                found.push(Overrule { rule: rule.place.clone(), extent });
            }
        }
        found.sort_by_key(|overrule| overrule.extent);
        found
    }
}

/// The act that a grant is for, where it is for more than one the plainest.
fn sample(grant: &GrantText) -> Act {
    match grant {
        GrantText::Read(path) => Act::Read(path.clone()),
        GrantText::Write(path) => Act::Write(path.clone()),
        GrantText::Connect(endpoint) => Act::Connect(endpoint.clone()),
        GrantText::ConnectUnix(path) => Act::ConnectUnix(path.clone()),
        GrantText::Request { method, to, path: Paths::One(path) | Paths::Beneath(path) } => {
            Act::Request(HttpRequest::at(to.clone(), method.clone(), path.clone()))
        }
        GrantText::UseSecret(name) => Act::UseSecret(SecretUse {
            secret: name.clone(),
            endpoint: None,
            method: String::new(),
            path: String::new(),
        }),
        GrantText::CallTool(tool) => Act::CallTool(ToolCall {
            tool: tool.clone(),
            arguments: BTreeMap::new(),
            meaning: Meaning::default(),
            sha256: String::new(),
            bytes: 0,
            trace: None,
            client: None,
            beside: Vec::new(),
        }),
        GrantText::Exec { program, subcommand } => {
            let words = std::iter::once(program.as_str()).chain(subcommand.as_deref());
            let argv: Vec<Vec<u8>> = words.map(|word| word.as_bytes().to_vec()).collect();
            Act::Exec(Exec {
                program: program.clone(),
                identity: FileIdentity { device: 0, inode: 0 },
                command_line: CommandLine::new(program.file_name(), &argv),
                cwd: AbsolutePath::root(),
            })
        }
    }
}

/// Whether a forbid that matches now does so at any time: it asks for nothing that changes from
/// one act that the grant is for to another.
fn holds_always(rule: &Rule, grant: &GrantText) -> bool {
    // A grant of a directory is for all that lies in it; every other is for one thing alone.
    let many = matches!(grant, GrantText::Read(_) | GrantText::Write(_));
    rule.tree.clauses().iter().map(body).all(|expr| {
        let (mut varies, mut at_subcommand) = (false, false);
        walk(expr, &mut |part| {
            varies |= matches!(part, Expr::Var(Var::Principal));
            varies |= many && matches!(part, Expr::Var(Var::Resource));
            match context_attribute(part) {
                Some("subcommand" | "method") => at_subcommand = true,
                Some(_) => varies = true,
                None => {}
            }
        });
        !varies && (at_subcommand || !mentions_context(expr))
    })
}

/// Whether a forbid is for a place within the directory that is granted.
fn lies_beneath(rule: &Rule, grant: &GrantText) -> bool {
    let (path, action) = match grant {
        GrantText::Read(path) => (path, Action::FsRead),
        GrantText::Write(path) => (path, Action::FsWrite),
        GrantText::Connect(_)
        | GrantText::ConnectUnix(_)
        | GrantText::Request { .. }
        | GrantText::UseSecret(_)
        | GrantText::CallTool(_)
        | GrantText::Exec { .. } => return false,
    };
    let (Scope::Within(uid) | Scope::Exactly(uid)) = rule.scope() else { return false };
    let place = AbsolutePath::parse(uid.eid.as_str());
    rule.effect == Effect::Forbid
        && rule.applies_to(action)
        && place.is_ok_and(|place| place != *path && place.is_within(path))
}
