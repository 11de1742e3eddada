//! How long a decision takes, and how that compares with Cedar without our index.
//!
//! Prints a row a line: `what | must | aim | ratio of minima | ratio of medians | note`.
#![expect(clippy::print_stdout, reason = "a benchmark prints its rows")]

use std::collections::{BTreeSet, HashMap, HashSet};
use std::str::FromStr;
use std::time::Instant;

use cedar_policy::{
    Authorizer, Context, Entities, Entity, EntityUid, PolicySet, Request as CedarRequest,
    RestrictedExpression,
};
use ringfence_core::{
    Act, Agent, ClockFact, Decide, Endpoint, Facts, Request, SessionId, SetName, Verdict,
};
use ringfence_policy::{Options, Policy, Source};

/// Decisions that are counted on each side and size.
const ROUNDS: usize = 2_000;
/// The full scan at 10,000 policies takes tens of milliseconds: fewer are enough.
const SCANS: usize = 200;

/// Four permits and a forbid in five, each for a host of its own, each with a condition.
fn text(count: usize) -> String {
    let rule = |number: usize| {
        let effect = if number % 5 == 4 { "forbid" } else { "permit" };
        format!(
            "@id(\"r{number}\") {effect} (principal, action == Action::\"net.connect\", \
             resource in Domain::\"host{number}.example.com\") \
             when {{ context.clock.hour >= 0 && context.session like \"s*\" }};\n"
        )
    };
    (0..count).map(rule).collect()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let sizes = [10, 1_000, 10_000];
    let policies: Result<Vec<Policy>, _> = sizes.iter().map(|size| load(*size)).collect();
    let policies = policies?;
    let (request, facts) = (request(7)?, facts());
    let mut times: Vec<Vec<f64>> = sizes.iter().map(|_| Vec::new()).collect();
    // In turn, so that a drift of the machine meets all sizes alike.
    for _ in 0..ROUNDS {
        for (policy, times) in policies.iter().zip(&mut times) {
            assert_eq!(policy.decide(&request, &facts).verdict, Verdict::Permit);
            times.push(time(|| drop(policy.decide(&request, &facts))));
        }
    }
    for times in &mut times {
        times.sort_by(f64::total_cmp);
    }
    let minima: Vec<f64> = times.iter().filter_map(|times| times.first().copied()).collect();
    let medians: Vec<f64> = times.iter().map(|times| median(times)).collect();
    let note = |(size, median): (&usize, &f64)| format!("{size}: p50 {median:.1} us");
    let notes: Vec<String> = sizes.iter().zip(&medians).map(note).collect();
    let spread = |all: &[f64]| {
        all.iter().copied().fold(0.0, f64::max) / all.iter().copied().fold(f64::MAX, f64::min)
    };
    println!(
        "decision at 10 / 1,000 / 10,000 policies, slowest against fastest | 1.5x | p50 10 us | \
         {} | {} | {}",
        spread(&minima),
        spread(&medians),
        notes.join(", ")
    );
    against_cedar()
}

fn against_cedar() -> Result<(), Box<dyn std::error::Error>> {
    let policy = load(1_000)?;
    let all = PolicySet::from_str(&text(1_000))?;
    let (request, facts) = (request(7)?, facts());
    // In turn, so that a drift of the machine meets both alike.
    let (mut ours, mut cedar) = (Vec::new(), Vec::new());
    for _ in 0..SCANS {
        ours.push(time(|| drop(policy.decide(&request, &facts))));
        cedar.push(time(|| scan(&all)));
    }
    ours.sort_by(f64::total_cmp);
    cedar.sort_by(f64::total_cmp);
    let first = |times: &[f64]| times.first().copied().unwrap_or(f64::NAN);
    println!(
        "cedar without an index against ours, at 1,000 policies | 30x | 60x | {} | {} | \
         p50 {:.0} us against {:.1} us",
        first(&cedar) / first(&ours),
        median(&cedar) / median(&ours),
        median(&cedar),
        median(&ours)
    );
    Ok(())
}

fn load(count: usize) -> Result<Policy, Box<dyn std::error::Error>> {
    let source = Source {
        set: SetName::User,
        file: "bench.cedar".to_owned(),
        text: text(count),
        approves: Vec::new(),
    };
    Ok(Policy::load(vec![source], &Options::default())?)
}

fn request(host: usize) -> Result<Request, Box<dyn std::error::Error>> {
    let endpoint: Endpoint = format!("host{host}.example.com:443").parse()?;
    let agent = Agent("bench".to_owned());
    Ok(Request { agent, act: Act::Connect(endpoint), process: None })
}

fn facts() -> Facts {
    let clock =
        ClockFact { weekday: 1, hour: 9, minute: 30, date: 20_261_123, zone: "UTC".to_owned() };
    Facts {
        session: SessionId::from_random([3; 8]),
        clock,
        approvals: BTreeSet::new(),
        approver_count: 0,
    }
}

/// The same decision by Cedar alone: the same entities and context, every policy looked at.
fn scan(all: &PolicySet) {
    let uid = |text: &str| EntityUid::from_str(text);
    let decided = (|| -> Result<bool, Box<dyn std::error::Error>> {
        let resource = uid("Endpoint::\"host7.example.com:443\"")?;
        let domains = ["host7.example.com", "example.com", "com"];
        let parents: Result<HashSet<EntityUid>, _> =
            domains.iter().map(|name| uid(&format!("Domain::\"{name}\""))).collect();
        let attributes = HashMap::from([
            ("port".to_owned(), RestrictedExpression::new_long(443)),
            ("host".to_owned(), RestrictedExpression::new_string("host7.example.com".to_owned())),
        ]);
        let entity = Entity::new(resource.clone(), attributes, parents?)?;
        let entities = Entities::from_entities([entity], None)?;
        let clock = RestrictedExpression::new_record([
            ("weekday".to_owned(), RestrictedExpression::new_long(1)),
            ("hour".to_owned(), RestrictedExpression::new_long(9)),
            ("minute".to_owned(), RestrictedExpression::new_long(30)),
            ("date".to_owned(), RestrictedExpression::new_long(20_261_123)),
            ("zone".to_owned(), RestrictedExpression::new_string("UTC".to_owned())),
        ])?;
        let session = RestrictedExpression::new_string("sddddddd".to_owned());
        let context = Context::from_pairs([
            ("clock".to_owned(), clock),
            ("approvals".to_owned(), RestrictedExpression::new_set([])),
            ("approver_count".to_owned(), RestrictedExpression::new_long(0)),
            ("session".to_owned(), session),
        ])?;
        let (agent, action) = (uid("Agent::\"bench\"")?, uid("Action::\"net.connect\"")?);
        let request = CedarRequest::new(agent, action, resource, context, None)?;
        let answer = Authorizer::new().is_authorized(&request, all, &entities);
        Ok(answer.decision() == cedar_policy::Decision::Allow)
    })();
    assert!(matches!(decided, Ok(true)), "the scan must permit too: {decided:?}");
}

fn time(act: impl FnOnce()) -> f64 {
    let begun = Instant::now();
    act();
    begun.elapsed().as_secs_f64() * 1e6
}

fn median(times: &[f64]) -> f64 {
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}
