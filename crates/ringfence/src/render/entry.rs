//! One entry of a log as one line.

use std::fmt::Write as _;

use ringfence_core::{
    Answer, Channel, ClientCame, Entry, Event, Exit, FileChange, FilesRead, Found, HttpUsage,
    LayerState, LayerStatus, NetUsage, OddMessage, Outcome, PolicyDigest, ReviewStep, Reviewed,
    TakenBack, ToolUsage, Treatment, Verdict,
};
use ringfence_runtime::wording::{self, printable};

use super::text;

/// What is said of a session in which nothing held a program that did not want to be held.
pub(super) const ADVISORY: &str = "advisory only: programs can pass it by";

/// The line of an entry, with its end: `   213  14:03:55  denied     connect to a.example:443`.
pub fn line(index: u64, entry: &Entry) -> String {
    let (what, rest) = words(&entry.event);
    let at = text::moment(entry.at_ms);
    format!("{index:>6}  {at}  {what:<10} {rest}\n")
}

/// What an entry says, without its place and time.
pub fn words_of(entry: &Entry) -> String {
    let (what, rest) = words(&entry.event);
    format!("{what}: {rest}")
}

fn words(event: &Event) -> (&'static str, String) {
    match event {
        Event::SessionOpened { .. } => ("opened", opened(event)),
        Event::Decided { .. } => decided(event),
        Event::Refused { process, syscall, why } => {
            let (syscall, why) = (printable(syscall), printable(why));
            ("refused", format!("{syscall} of process {}: {why}", process.pid))
        }
        Event::Arrived { port, peer } => {
            ("arrived", format!("{} connects to port {port} of the world", printable(peer)))
        }
        Event::FilesRead(read) => ("read", files_read(read)),
        Event::OddMessage(odd) => ("odd", odd_message(odd)),
        Event::ClientCame(ClientCame { client, said }) => {
            ("client", format!("{client} came in: {}", printable(said)))
        }
        Event::SecretMisused(misuse) => ("incident", wording::misuse(misuse)),
        Event::Lease(change) => ("lease", wording::lease(change)),
        Event::Finished { of, outcome } => ("finished", format!("{of}: {}", ended(outcome))),
        Event::Asked { of, needs, channel } => {
            let place = match channel {
                Channel::Terminal => "asked on the terminal",
                Channel::Elsewhere => "asked by `ringfence approve`",
                Channel::None => "nobody was asked: there is no terminal",
            };
            ("asked", format!("{of}: needs {}; {place}", wording::needs(needs)))
        }
        Event::Answered { of, answer, by } => {
            let by = if by.is_empty() { String::new() } else { format!(" by {}", printable(by)) };
            ("answered", format!("{of}: {}{by}", answered(*answer)))
        }
        Event::ProcessExited { pid, exit, usage, limit } => {
            let cpu = usage.cpu_time_ms.map_or_else(String::new, |ms| {
                let sampled = if usage.sampled { " (sampled)" } else { "" };
                format!(", {} of processor time{sampled}", text::duration(ms))
            });
            let limit = limit
                .as_ref()
                .map_or_else(String::new, |limit| format!(" for reaching `{}`", printable(limit)));
            ("exited", format!("process {pid}: {}{limit}{cpu}", exit_words(*exit)))
        }
        Event::Granted { id, text, scope, by } => {
            let (id, text) = (printable(id), printable(text));
            ("granted", format!("{id}: {text} ({scope}) by {}", printable(by)))
        }
        Event::Revoked { id, by, survivors } => ("revoked", revoked(id, by, survivors.len())),
        Event::PolicyReloaded { policy } => ("reloaded", files(policy)),
        Event::Quarantined { files } => {
            let names: Vec<String> = files.iter().map(|f| printable(f.as_str())).collect();
            ("held back", names.join(", "))
        }
        Event::TakenBack(back) => ("taken back", taken_back(back)),
        Event::Reviewed(review) => ("review", reviewed(review)),
        Event::LimitReached { limit, most, unseen: None } => {
            ("limit reached", format!("{limit} = {most}"))
        }
        Event::LimitReached { limit, most, unseen: Some(why) } => {
            ("limit not seen", format!("{limit} = {most}: {}", printable(why)))
        }
        Event::Covered { path } => ("covered again", printable(path.as_str())),
        Event::SessionClosed { summary } => {
            let exit = summary.exit_code;
            let acts = [summary.permitted, summary.denied, summary.asked, summary.failed];
            let acts = text::acts(acts);
            ("closed", format!("exit {exit}; {acts}, {}", changed(summary.files_changed)))
        }
        Event::LogOpened { session, .. } => ("log opened", session.to_string()),
        Event::LogClosed { session, size, .. } => ("log closed", format!("{session}: {size}")),
    }
}

/// How much of a world the kernel holds.
fn enforced(layers: &[LayerStatus]) -> String {
    let weak = layers.iter().filter(|layer| layer.state != LayerState::Enforced).count();
    match weak {
        _ if layers.iter().any(LayerStatus::is_advisory) => ADVISORY.to_owned(),
        _ if layers.is_empty() => "no world".to_owned(),
        0 => "every layer enforced".to_owned(),
        weak => format!("{} not fully enforced", text::count(weak, "layer", "layers")),
    }
}

/// How many files were opened to read, and which of them the policy keeps.
fn files_read(read: &FilesRead) -> String {
    let opened = text::count(read.files.len(), "file", "files");
    let denied = read.files.iter().filter(|file| file.result.is_denied());
    let denied: Vec<String> = denied.map(|file| printable(file.path.as_str())).collect();
    let denied = match denied.as_slice() {
        [] => String::new(),
        paths => format!("; denied: {}", paths.join(", ")),
    };
    let more = match read.unlisted {
        0 => String::new(),
        more => format!(", and {more} opens that are not listed"),
    };
    format!("process {} opened {opened}{more}{denied}", read.process.pid)
}

fn revoked(id: &str, by: &str, survivors: usize) -> String {
    let left = match survivors {
        0 => String::new(),
        count => format!("; {} it", text::count(count, "open use survives", "open uses survive")),
    };
    // Time is nobody.
    let by = if by == "expired" { by.to_owned() } else { format!("by {}", printable(by)) };
    format!("{} {by}{left}", printable(id))
}

fn changed(files: u64) -> String {
    let files = usize::try_from(files).unwrap_or(usize::MAX);
    text::count(files, "file changed", "files changed")
}

/// What became of changes that were kept aside, in one line.
fn reviewed(review: &Reviewed) -> String {
    let Reviewed { session, step, by, changes, left, name } = review;
    let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let words = match step {
        ReviewStep::Waiting => "waits for review",
        ReviewStep::Committing => "is about to be committed",
        ReviewStep::Committed => "was committed",
        ReviewStep::Undone => "was to be committed; all of it was undone",
        ReviewStep::Dropped => "was thrown away",
        ReviewStep::Shown => "was shown",
        ReviewStep::Checkpoint => "is in a checkpoint",
        ReviewStep::RollingBack => "is about to be taken back to a checkpoint",
        ReviewStep::RolledBack => "was taken back to a checkpoint",
    };
    let changes = text::count(count(*changes), "change", "changes");
    let left = match left {
        0 => String::new(),
        left => format!(", {} left", text::count(count(*left), "change", "changes")),
    };
    let by = by.as_deref().map_or_else(String::new, |by| format!(" by {}", printable(by)));
    let name = name.as_deref().map_or_else(String::new, |it| format!(" `{}`", printable(it)));
    format!("{changes} of {session}: {words}{name}{by}{left}")
}

/// What came of the changes in a copy of a git configuration, in one line.
pub(crate) fn taken_back(back: &TakenBack) -> String {
    let TakenBack { file, taken, left, error } = back;
    let listed = |what: &str, names: &[String]| match names {
        [] => String::new(),
        names => format!("; {what} {}", printable(&names.join(", "))),
    };
    let error = error.as_deref().map_or_else(String::new, |why| format!("; nothing: {why}"));
    let (over, behind) = (listed("taken over:", taken), listed("left in the world's copy:", left));
    format!("{}{}", printable(file), printable(&format!("{over}{behind}{error}")))
}

fn decided(event: &Event) -> (&'static str, String) {
    let Event::Decided { request, verdict, grounds, change, .. } = event else {
        return ("", String::new());
    };
    let act = wording::describe(&request.act);
    match verdict {
        Verdict::Permit => {
            let change = match change {
                None => "",
                Some(FileChange::Created) => " (new)",
                Some(FileChange::Modified) => " (changed)",
                Some(FileChange::Deleted) => " (removed)",
            };
            ("permitted", format!("{act}{change}"))
        }
        Verdict::Ask(needs) => ("ask", format!("{act}; needs {}", wording::needs(needs))),
        Verdict::Deny => ("denied", format!("{act}; {}", wording::rule_line(grounds))),
    }
}

/// A message of a client or a server that was not passed on as it came.
fn odd_message(odd: &OddMessage) -> String {
    let client = || odd.client.map_or_else(|| "the client".to_owned(), |it| format!("client {it}"));
    let who = odd.server.as_deref().map_or_else(client, printable);
    format!("{who}: {}{}", printable(&odd.what), found(&odd.found))
}

/// How an act ended, in words.
pub(super) fn ended(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done => "done".to_owned(),
        Outcome::Failed { error } => format!("failed: {}", printable(error)),
        Outcome::Connection(usage) => connection(usage),
        Outcome::Request(usage) => request(usage),
        Outcome::Mismatch { found } => {
            format!("stopped: what ran was {}", printable(found))
        }
        Outcome::Tool(usage) => tool(usage),
        Outcome::NotMade { why } => format!("not made: {}", printable(why)),
        Outcome::Unknown => "end not seen".to_owned(),
    }
}

fn tool(usage: &ToolUsage) -> String {
    let (received, ms) = (text::bytes(usage.bytes_received), usage.duration_ms);
    let error = usage.error.as_deref().map_or_else(String::new, |e| format!(": {}", printable(e)));
    let loops = usage
        .loops
        .as_deref()
        .map_or_else(String::new, |what| format!("; the agent was warned: {}", printable(what)));
    format!("received {received} in {ms} ms{error}{}{loops}", found(&usage.found))
}

/// `; redacted github-token (2 times); seen email`.
pub(super) fn found(all: &[Found]) -> String {
    let treatments = [
        (Treatment::Blocked, "not passed on for"),
        (Treatment::Redacted, "redacted"),
        (Treatment::Told, "seen"),
    ];
    let mut said = String::new();
    for (treatment, word) in treatments {
        let of_it = all.iter().filter(|found| found.treatment == treatment);
        let names: Vec<String> = of_it.map(found_words).collect();
        if !names.is_empty() {
            let _ = write!(said, "; {word} {}", names.join(", "));
        }
    }
    said
}

fn found_words(found: &Found) -> String {
    let times = if found.count == 1 { String::new() } else { format!(" ({} times)", found.count) };
    format!("{}{times}", printable(&found.rule))
}

fn connection(usage: &NetUsage) -> String {
    let (sent, received) = (text::bytes(usage.bytes_sent), text::bytes(usage.bytes_received));
    let error = usage.error.as_deref().map_or_else(String::new, |e| format!(": {}", printable(e)));
    format!("{} sent {sent}, received {received}{error}", usage.endpoint)
}

fn request(usage: &HttpUsage) -> String {
    let status = usage.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string());
    let (sent, received) = (text::bytes(usage.bytes_sent), text::bytes(usage.bytes_received));
    let error = usage.error.as_deref().map_or_else(String::new, |e| format!(": {}", printable(e)));
    let kept_back = match usage.kept_back.as_slice() {
        [] => String::new(),
        versions => format!(", kept back {}", printable(&versions.join(" "))),
    };
    let unlooked = usage
        .unlooked
        .as_deref()
        .map_or_else(String::new, |why| format!("; not looked through: {}", printable(why)));
    let found = found(&usage.found);
    format!("{status}, sent {sent}, received {received}{kept_back}{error}{found}{unlooked}")
}

fn opened(event: &Event) -> String {
    let Event::SessionOpened {
        session, agent, command, cwd, layers, warm, server, starts_in, ..
    } = event
    else {
        return String::new();
    };
    let agent_is = if *server { "server of tools" } else { "agent" };
    let enforced = enforced(layers);
    let (agent, command) = (printable(agent), printable(&command.join(" ")));
    let warm = if *warm { "; in a world that was kept ready" } else { "" };
    let starts = starts_in.as_ref();
    let starts = starts.map_or_else(String::new, |it| format!(", which it may not see, from {it}"));
    format!("{session}: {agent_is} `{agent}` runs `{command}` in {cwd}{starts}; {enforced}{warm}")
}

fn answered(answer: Answer) -> &'static str {
    match answer {
        Answer::Approved => "approved",
        Answer::Refused => "refused",
        Answer::Expired => "nobody answered in time",
        Answer::Invalid => "no valid answer",
        Answer::Granted => "granted meanwhile",
        Answer::NotAsked => "nobody was asked: something else of the same call is denied",
    }
}

/// How a process ended, in words.
fn exit_words(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("exit {code}"),
        Exit::Signal(signal) => format!("ended by signal {signal}"),
        Exit::Unknown => "end not seen".to_owned(),
    }
}

fn files(policy: &[PolicyDigest]) -> String {
    let names: Vec<String> = policy.iter().map(|digest| printable(&digest.file)).collect();
    names.join(", ")
}
