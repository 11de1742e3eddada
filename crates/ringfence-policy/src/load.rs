//! From Cedar text to checked rules; everything that is wrong is reported, not only the first.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, LazyLock};

use cedar_policy::{PolicySet, Schema, ValidationError, ValidationMode, Validator, pst};
use cedar_policy_core::{ast, est, parser};
use miette::{Diagnostic, NamedSource, SourceSpan};
use ringfence_core::{Role, RuleRef, SetName, ToolName};

use crate::checks;
use crate::handling;
use crate::problem::{Problem, ProblemSummary};
use crate::remembered::Reads;
use crate::requests::on_requests;
use crate::rule::{Effect, Named, Rule, actions_of};
use crate::shape;
use crate::tools;
use crate::validation;
use crate::{Options, Source, validation_key};

/// The committed Cedar schema.
pub const SCHEMA: &str = include_str!("../schema/ringfence.cedarschema");

/// Longest source, in bytes: 10,000 rules take about 2 MB.
pub const SOURCE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Most rules in one source.
pub const RULES_MAX: usize = 20_000;

/// Longest rule, in bytes; it also bounds how deeply a condition nests.
pub const RULE_BYTES_MAX: usize = 32 * 1024;

#[expect(clippy::expect_used, reason = "the schema is a constant; every test loads it")]
pub(crate) static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| {
    let (schema, _warnings) = Schema::from_cedarschema_str(&tools::schema(&[], &BTreeSet::new()))
        .expect("the committed schema parses");
    Validator::new(schema)
});

/// A source with what is needed to point into it.
pub(crate) struct Page {
    pub(crate) set: SetName,
    pub(crate) file: String,
    pub(crate) text: String,
    named: Arc<NamedSource<String>>,
    line_starts: Vec<usize>,
}

impl Page {
    fn new(source: Source) -> Page {
        let breaks = source.text.match_indices('\n').map(|(at, _)| at + 1);
        let line_starts = std::iter::once(0).chain(breaks).collect();
        Page {
            named: Arc::new(NamedSource::new(&source.file, source.text.clone())),
            set: source.set,
            file: source.file,
            text: source.text,
            line_starts,
        }
    }

    pub(crate) fn line(&self, offset: usize) -> u32 {
        let line = self.line_starts.partition_point(|&start| start <= offset);
        u32::try_from(line).unwrap_or(u32::MAX)
    }

    /// The line and the column, in characters, both from 1.
    fn position(&self, offset: usize) -> (u32, u32) {
        let offset = offset.min(self.text.len());
        let start = self.line_starts.iter().rev().find(|&&start| start <= offset);
        let before = self.text.get(start.copied().unwrap_or(0)..offset).unwrap_or("");
        (self.line(offset), u32::try_from(before.chars().count() + 1).unwrap_or(u32::MAX))
    }

    pub(crate) fn problem(
        &self,
        span: SourceSpan,
        message: impl Into<String>,
        hint: Option<String>,
    ) -> Problem {
        let (line, column) = self.position(span.offset());
        Problem {
            summary: ProblemSummary {
                file: self.file.clone(),
                line,
                column,
                message: message.into(),
                hint,
            },
            source: Arc::clone(&self.named),
            span,
        }
    }
}

/// A rule with its place in its source, while it is being checked.
pub(crate) struct Draft {
    pub(crate) rule: Rule,
    pub(crate) span: SourceSpan,
}

/// Parses and checks all sources; the rules of each set in the order of the sources.
pub(crate) fn load(sources: Vec<Source>, options: &Options) -> Result<Vec<Rule>, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut ids: HashMap<(SetName, String), String> = HashMap::new();
    let mut rules = Vec::new();
    for source in sources {
        let approves = source.approves.clone();
        let page = Page::new(source);
        let (drafts, mut wrong) = parse(&page, &approves, options);
        wrong.extend(duplicates(&page, &drafts, &mut ids));
        for draft in &drafts {
            wrong.extend(checks::rule(&page, draft));
        }
        wrong.extend(checks::dynamic_files(&page, &drafts, options.fs_dynamic));
        wrong.sort_by(|one, two| {
            let key = |problem: &Problem| (problem.span.offset(), problem.summary.message.clone());
            key(one).cmp(&key(two))
        });
        wrong.dedup_by(|later, earlier| later.summary == earlier.summary);
        problems.extend(wrong);
        rules.extend(drafts.into_iter().map(|draft| draft.rule));
    }
    if problems.is_empty() { Ok(rules) } else { Err(problems) }
}

/// A text that was read once: what evaluates each rule, and what shows how it was written.
struct Parsed {
    set: ast::PolicySet,
    written: HashMap<ast::PolicyID, est::Policy>,
}

/// The rules that could be read, and what is wrong with the text.
fn parse(page: &Page, approves: &[Role], options: &Options) -> (Vec<Draft>, Vec<Problem>) {
    let Parsed { set, mut written } = match read(page) {
        Ok(parsed) => parsed,
        Err(problems) => return (Vec::new(), problems),
    };
    let (mut problems, mut drafts) = (Vec::new(), Vec::new());
    for policy in set.policies() {
        match draft(page, policy, written.remove(policy.id()), approves) {
            Ok(draft) => drafts.push(draft),
            Err(problem) => problems.push(problem),
        }
    }
    drafts.sort_by_key(|draft| draft.span.offset());
    let trees = drafts.iter().map(|draft: &Draft| &draft.rule.tree);
    problems.extend(validate(page, options, &tools::unpinned(trees, &options.tools)));
    (drafts, problems)
}

fn validate(page: &Page, options: &Options, unpinned: &BTreeSet<ToolName>) -> Vec<Problem> {
    let is_known = || options.validated.contains(&validation_key(&page.text, &options.tools));
    if !options.validated.is_empty() && is_known() {
        return Vec::new();
    }
    let set = match cedar_set(page) {
        Ok(set) => set,
        Err(problems) => return problems,
    };
    let of_tools = match &*options.tools {
        [] if unpinned.is_empty() => None,
        tools => match Schema::from_cedarschema_str(&tools::schema(tools, unpinned)) {
            Ok((schema, _warnings)) => Some(Validator::new(schema)),
            Err(error) => {
                let message = format!("the tools that are pinned make no schema: {error}");
                return vec![page.problem((0, 0).into(), message, None)];
            }
        },
    };
    let validator = of_tools.as_ref().unwrap_or(&VALIDATOR);
    let validated = validator.validate(&set, ValidationMode::Strict);
    // A rule about tools that nobody has pinned is about no act, and is told of as such: `Policy::unpinned`.
    let is_about_none = |error: &&ValidationError| {
        let rule = set.policy(error.policy_id());
        let head = rule.map(cedar_policy::Policy::action_constraint);
        matches!(error, ValidationError::InvalidActionApplication(_))
            && head.is_some_and(|head| tools::is_about_none(&head, unpinned))
    };
    let problem = |error| validation::problem(page, (&set, &options.tools), error);
    validated.validation_errors().filter(|error| !is_about_none(error)).map(problem).collect()
}

/// The text as Cedar's own set, or what is wrong with it.
fn cedar_set(page: &Page) -> Result<PolicySet, Vec<Problem>> {
    page.text.parse().map_err(|errors: cedar_policy::ParseErrors| {
        errors.iter().map(|error| validation::parse_problem(page, error)).collect()
    })
}

fn read(page: &Page) -> Result<Parsed, Vec<Problem>> {
    let refuse = |message: String| Err(vec![page.problem((0, 0).into(), message, None)]);
    let bytes = page.text.len();
    if bytes > SOURCE_BYTES_MAX {
        return refuse(format!("the file has {bytes} bytes, more than {SOURCE_BYTES_MAX}"));
    }
    if let Err(excess) = shape::check(&page.text) {
        let hint = Some("split the rule into several".to_owned());
        return Err(vec![page.problem((excess.offset, 1).into(), excess.message, hint)]);
    }
    // Cedar's public set keeps each rule's text, and would read it again to show how it was written.
    let (written, set) = match parser::parse_policyset_to_ests_and_pset(&page.text) {
        Ok(parsed) => parsed,
        Err(errors) => {
            cedar_set(page)?;
            return refuse(errors.to_string());
        }
    };
    if let Some(template) = set.templates().next() {
        let hint = "name the agent or the resource in place of `?principal` or `?resource`";
        let span = template.loc().map_or(SourceSpan::from((0, 0)), |loc| loc.span);
        let message = "the rule has a slot, and nothing fills it";
        return Err(vec![page.problem(span, message, Some(hint.to_owned()))]);
    }
    if set.policies().count() > RULES_MAX {
        return refuse(format!("the file has more than {RULES_MAX} rules"));
    }
    Ok(Parsed { set, written })
}

fn draft(
    page: &Page,
    policy: &ast::Policy,
    written: Option<est::Policy>,
    approves: &[Role],
) -> Result<Draft, Problem> {
    let span = policy.loc().map_or(SourceSpan::from((0, 0)), |loc| loc.span);
    if span.len() > RULE_BYTES_MAX {
        let message = format!("the rule has {} bytes, more than {RULE_BYTES_MAX}", span.len());
        return Err(page.problem(span, message, Some("split it into several rules".to_owned())));
    }
    let unreadable = |why: String| page.problem(span, why, None);
    let written = written.ok_or_else(|| unreadable("the rule could not be read".to_owned()))?;
    let tree = pst::Template::try_from(written).map_err(|error| unreadable(error.to_string()))?;
    let annotations: BTreeMap<String, String> = policy
        .annotations()
        .map(|(key, value)| (key.to_string(), value.as_ref().to_owned()))
        .collect();
    let line = page.line(span.offset());
    let (id, named) = match annotations.get("id") {
        Some(id) => (id.clone(), Named::ById),
        None => (format!("{}:{line}", stem(&page.file)), Named::ByPlace),
    };
    let reason = annotations.get("reason").cloned();
    let condition = Arc::new(policy.condition());
    let text = page.text.get(span.offset()..span.offset() + span.len()).unwrap_or_default();
    let rule = Rule {
        place: RuleRef { set: page.set, file: page.file.clone(), line, id, reason },
        effect: match policy.effect() {
            ast::Effect::Permit => Effect::Permit,
            ast::Effect::Forbid => Effect::Forbid,
        },
        named,
        reads: Reads::of(&condition),
        condition,
        text: text.into(),
        actions: actions_of(&tree.action),
        approvable: checks::approvable(&tree),
        fallible: checks::fallible(&tree),
        on_requests: on_requests(&tree),
        tree,
        handling: handling::of(&annotations),
        annotations,
        approves: approves.to_vec(),
    };
    Ok(Draft { rule, span })
}

fn stem(file: &str) -> &str {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.strip_suffix(".cedar").unwrap_or(name)
}

fn duplicates(
    page: &Page,
    drafts: &[Draft],
    ids: &mut HashMap<(SetName, String), String>,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    // One file of many, each written without a look at the others.
    let whose = if page.set == SetName::OuterProject { page.file.as_str() } else { "" };
    for Draft { rule, span } in drafts {
        let (line, column) = page.position(span.offset());
        let place = format!("{}:{line}:{column}", rule.place.file);
        let id = &rule.place.id;
        let Some(first) = ids.insert((page.set, format!("{whose}{id}")), place) else { continue };
        let (message, hint) = match rule.named {
            Named::ById => (
                format!("the id `{id}` is that of the rule at {first} as well"),
                "give each rule an id of its own",
            ),
            // Without an `@id` the line is its name.
            Named::ByPlace => (
                format!(
                    "this rule has no `@id` and is called `{id}` by its line, as the one at {first} is"
                ),
                "write `@id(\"NAME\")` before one of them, or put each on a line of its own",
            ),
        };
        let at = checks::find(page, *span, "@id");
        problems.push(page.problem(at, message, Some(hint.to_owned())));
    }
    problems
}

/// The span, message and hint that Cedar gave to an error.
pub(crate) fn place_of(error: &dyn Diagnostic) -> SourceSpan {
    let label = error.labels().and_then(|mut labels| labels.next());
    label.map_or(SourceSpan::from((0, 0)), |label| *label.inner())
}
