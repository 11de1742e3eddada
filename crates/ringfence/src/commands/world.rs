//! `world verify`: every attack, outside where it works, and then in a world.

mod attack;
mod stage;

use std::fmt::Write as _;
use std::process::Stdio;

use ringfence_core::SetName;
use ringfence_runtime::assemble::{AssembleError, Assembled, Inputs, assemble};
use ringfence_runtime::broker::{Profile, Tier};
use ringfence_runtime::wording::printable;
use ringfence_sandbox::attacks::{self, Attack, Group, Leaves};
use serde::Serialize;

use super::{context, in_force};
use crate::cli::{WorldCommand, WorldVerifyArgs};
use crate::exit::{Done, Failure, Message};
use crate::render::text;
use crate::screen::{Screen, Stream, Tone};
use attack::{Tried, read_all};
use stage::{Run, Stage};

/// Version of the JSON.
const SCHEMA: u32 = 1;

/// The column at which it is said what an attack is.
const WHAT_AT: usize = 37;

/// What became of an attack in a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Outcome {
    /// It was refused.
    Held,
    /// It succeeded, although nothing permits it.
    Escaped,
    /// It succeeded, and the policy permits it.
    Permitted,
    /// It succeeded, and this tier is not said to hold it.
    Unheld,
    /// It does not work outside either, so that nothing is proven.
    Untried,
}

/// One attack, as `--json` prints it, one a line.
#[derive(Debug, Serialize)]
struct Verified {
    schema: u32,
    tier: &'static str,
    group: &'static str,
    attack: &'static str,
    what: &'static str,
    outcome: Outcome,
    /// How it failed inside; outside, where it was not tried.
    said: String,
}

pub(crate) fn world(command: WorldCommand, screen: &Screen) -> Result<Done, Failure> {
    match command {
        WorldCommand::Verify(args) => verify(&args, screen),
        WorldCommand::Attack(args) => attack::attack(&args, screen),
    }
}

fn verify(args: &WorldVerifyArgs, screen: &Screen) -> Result<Done, Failure> {
    let (policies, kind, image) = in_force_here(args, screen)?;
    let token = stage::token()?;
    screen.note("trying every attack in a world");
    let inside = played(&Stage::set_up(Run::Inside(kind.0, kind.1, image), &token, &policies)?)?;
    screen.note("trying every attack outside, where each should work");
    let outside = played(&Stage::set_up(Run::Outside, &token, &[])?)?;
    let all = attacks::all();
    let verified: Vec<Verified> =
        all.iter().map(|attack| compare(attack, kind, (&outside, &inside))).collect();
    if args.json {
        verified.iter().try_for_each(|line| screen.json(line))?;
    } else {
        screen.data(&as_text(&verified, kind, screen))?;
    }
    let escaped = verified.iter().any(|line| line.outcome == Outcome::Escaped);
    Ok(if escaped { Done::No } else { Done::Yes })
}

/// How a world is made: its tier, and its system calls.
type Kind = (Tier, Profile);

/// What worlds would be started with here: the texts of the policy, their kind and their image.
type InForce = (Vec<String>, Kind, Option<String>);

/// The texts of the policy that is in force here, none where there is none; and the kind of worlds
/// that would be started.
fn in_force_here(args: &WorldVerifyArgs, screen: &Screen) -> Result<InForce, Failure> {
    let inputs = Inputs {
        dirs: &context::dirs()?,
        cwd: &context::current_dir()?,
        session: &in_force::no_session()?,
        overrides: &args.policy,
        now_ms: context::now_ms(),
    };
    let Assembled { sources, settings, .. } = match assemble(inputs) {
        Ok(assembled) => assembled,
        Err(AssembleError::NoPolicy(_)) => {
            let kind = (args.tier.unwrap_or_default(), args.seccomp.unwrap_or_default());
            return Ok((Vec::new(), kind, args.image.clone()));
        }
        Err(error) => return Err(in_force::refused(error, screen)),
    };
    let is_meant = |set: &SetName| match set {
        SetName::User | SetName::Project | SetName::UntrustedProject | SetName::Override => true,
        // A session has the grants and the ceiling of its own, and lies in no project of another.
        SetName::OuterProject | SetName::Grants | SetName::System | SetName::BuiltIn => false,
    };
    let tier = settings.tier.chosen(args.tier);
    let tier = tier.map_err(|error| Message::new(error.to_string()).could_not())?;
    let profile = settings.seccomp.chosen(args.seccomp);
    let profile = profile.map_err(|error| Message::new(error.to_string()).could_not())?;
    let meant = sources.into_iter().filter(|it| is_meant(&it.set));
    let image = settings.container.chosen(args.image.as_deref());
    let image = image.map_err(|error| Message::new(error.to_string()).could_not())?;
    Ok((meant.map(|source| source.text).collect(), (tier, profile), image))
}

/// Plays all attacks on a stage of their own.
fn played(stage: &Stage) -> Result<Vec<Tried>, Failure> {
    let before = stage.prints();
    let output = stage.play().stderr(Stdio::piped()).output();
    let output =
        output.map_err(|error| Message::new(format!("cannot start: {error}")).could_not())?;
    let mut tried = read_all(&output.stdout);
    if tried.len() != attacks::all().len() {
        let said = String::from_utf8_lossy(&output.stderr);
        let message = Message::new("the attacks could not be tried to their end");
        let message = said.lines().take(10).map(printable).fold(message, Message::detail);
        return Err(message
            .hint("to see what this machine can enforce, run `ringfence doctor`")
            .could_not());
    }
    let after = stage.prints();
    let beats = stage.beats();
    for (attack, tried) in attacks::all().iter().zip(&mut tried) {
        tried.reached &= match attack.leaves {
            Leaves::Nothing => true,
            Leaves::File(file) => before.get(file) != after.get(file),
            Leaves::Beat(file) => beats.contains(file),
        };
    }
    for (name, tried) in attacks::all().iter().map(|it| it.name).zip(&mut tried) {
        tried.is_permitted = tried.reached && stage.permits(name);
    }
    Ok(tried)
}

fn compare(attack: &Attack, kind: Kind, (outside, inside): (&[Tried], &[Tried])) -> Verified {
    let of = |tried: &[Tried]| tried.iter().find(|it| it.attack == attack.name).cloned();
    let (outside, inside) = (of(outside).unwrap_or_default(), of(inside).unwrap_or_default());
    let (outcome, said) = match (outside.reached, inside.reached) {
        (_, true) if inside.is_permitted => (Outcome::Permitted, inside.said),
        (_, true) if is_beyond(kind, attack.name) => (Outcome::Unheld, inside.said),
        (_, true) => (Outcome::Escaped, inside.said),
        (true, false) => (Outcome::Held, inside.said),
        (false, false) => (Outcome::Untried, outside.said),
    };
    let (group, what) = (attack.group.name(), attack.what);
    let tier = kind.0.name();
    Verified { schema: SCHEMA, tier, group, attack: attack.name, what, outcome, said }
}

/// What the tier `landlock` does not hold by its nature: Landlock governs what is opened, and neither
/// names nor what is known of files.
const BEYOND_LANDLOCK: [&str; 5] = ["stat", "open-path", "read-link", "watch", "change-directory"];

/// What a profile is for, and so does not refuse.
fn is_opened(profile: Profile, attack: &str) -> bool {
    let opened: &[&str] = match profile {
        Profile::Default | Profile::Strict => &[],
        Profile::Build => &["trace", "read-memory"],
        Profile::Browser => &["user-namespace", "change-root"],
    };
    opened.contains(&attack)
}

/// Whether a kind of world is said not to hold this: `doctor` and the security model list it.
fn is_beyond((tier, profile): Kind, attack: &str) -> bool {
    let beyond_tier = match tier {
        Tier::Namespaces | Tier::Oci => false,
        Tier::Landlock => BEYOND_LANDLOCK.contains(&attack),
        // It holds nobody who does not want to be held: what is held is told, and nothing is promised.
        Tier::Preload | Tier::Ptrace => true,
    };
    beyond_tier || is_opened(profile, attack)
}

fn as_text(verified: &[Verified], (tier, profile): Kind, screen: &Screen) -> String {
    let paint = screen.paint(Stream::Out);
    let mut out = String::new();
    for group in [Group::Exec, Group::Files, Group::Network, Group::Kernel] {
        out.push_str(&paint.tone(Tone::Heading, group.name()));
        out.push('\n');
        for line in verified.iter().filter(|line| line.group == group.name()) {
            let (word, tone) = match line.outcome {
                Outcome::Held => ("held", Tone::Good),
                Outcome::Escaped => ("ESCAPED", Tone::Bad),
                Outcome::Permitted => ("permitted", Tone::Warning),
                Outcome::Unheld => ("not held", Tone::Warning),
                Outcome::Untried => ("untried", Tone::Quiet),
            };
            let word = paint.tone(tone, &format!("{word:<9}"));
            let said = match line.outcome {
                Outcome::Held | Outcome::Escaped => String::new(),
                Outcome::Permitted => " (your policy permits it)".to_owned(),
                Outcome::Unheld => {
                    let whose = if tier.is_advisory() {
                        "this tier is advisory".to_owned()
                    } else if is_opened(profile, line.attack) {
                        format!("the profile `{profile}` is for that")
                    } else {
                        "this tier cannot, as `ringfence doctor` says".to_owned()
                    };
                    format!(" ({whose})")
                }
                Outcome::Untried => format!(" (does not work outside: {})", printable(&line.said)),
            };
            let mut lines =
                text::fold(&format!("{}{said}", line.what), screen.room().saturating_sub(WHAT_AT))
                    .into_iter();
            let first = lines.next().unwrap_or_default();
            let _ = writeln!(out, "  {word} {:<24} {first}", line.attack);
            for line in lines {
                let _ = writeln!(out, "{:WHAT_AT$}{line}", "");
            }
        }
    }
    let count = |outcome| verified.iter().filter(|line| line.outcome == outcome).count();
    let (held, escaped) = (count(Outcome::Held), count(Outcome::Escaped));
    let (permitted, untried) = (count(Outcome::Permitted), count(Outcome::Untried));
    let unheld = match count(Outcome::Unheld) {
        0 => String::new(),
        count => format!("{count} beyond this kind of world, "),
    };
    let advisory = if tier.is_advisory() { " (advisory: nothing here is promised)" } else { "" };
    let total = format!(
        "{held} held, {escaped} escaped, {permitted} permitted by the policy, {unheld}{untried} untried, \
         in tier {tier}{advisory}, profile {profile}"
    );
    out + &text::fold_lines(&total, screen.room())
}
