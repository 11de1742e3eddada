//! What of a talk is noted in the log besides decisions.

use std::borrow::Cow;

use ringfence_core::{ClientCame, Durability, Event, Found, OddMessage};
use ringfence_proxy::mcp::middle::{Odd, OddKind};

use super::super::started::Aside;
use super::{ENDED_EARLY, Serving};
use crate::notice::Notice;
use crate::wording::printable;

/// Most of what a peer says that an entry of the log repeats, in characters.
pub(in super::super) const ODD_CHARS_MAX: usize = 512;

impl Serving {
    /// Records the ends of calls whose answers the client has.
    pub(super) fn record_ends(&mut self) {
        for (permitted, how, seen) in self.ended.drain(..) {
            permitted.end(how, seen);
        }
    }

    /// Records it, and says it: clients keep what is said here, for whoever looks why something does not work.
    pub(super) fn odd(&self, odd: &Odd, found: Vec<Found>, tell: &mut dyn FnMut(&Notice)) {
        let server = odd.server.and_then(|number| self.names.get(number));
        let rules: Vec<&str> = found.iter().map(|found| found.rule.as_str()).collect();
        let rules = rules.join(", ");
        let more = if rules.is_empty() { rules } else { format!(": {rules}") };
        let client = self.decider.client.map_or_else(String::new, |it| format!(" {it}"));
        let who = server.cloned().unwrap_or_else(|| format!("the client{client}"));
        if let Some(what) = self.told(odd) {
            tell(&Notice::new(format!("mcp: {who}: {}{more}", printable(&what))));
        }
        let message = OddMessage {
            server: server.cloned(),
            client: self.decider.client,
            kind: odd.kind.name().to_owned(),
            what: odd.what.chars().take(ODD_CHARS_MAX).collect(),
            found,
        };
        // A log that fails ends the session.
        let _ = self.decider.gate.note(Event::OddMessage(message), Durability::Soon);
    }

    /// What the person is told of it, for whom a cause that was printed once is not printed again: by what a server printed
    /// itself before it ended, or in the answer to whoever tries it.
    fn told<'a>(&self, odd: &'a Odd) -> Option<Cow<'a, str>> {
        let printed = (odd.kind == OddKind::NoBeginning).then_some(self.aside);
        match (printed, odd.what.split_once(ENDED_EARLY)) {
            (Some(Aside::Held), _) => None,
            (Some(Aside::Passed), Some((before, said))) if !said.is_empty() => {
                Some(format!("{before}{ENDED_EARLY}; what it printed last stands above").into())
            }
            (Some(Aside::Passed) | None, _) => Some((&*odd.what).into()),
        }
    }

    /// Says which tools are kept back, once the list that says so has come whole.
    pub(super) fn tell_kept_back(&mut self, tell: &mut dyn FnMut(&Notice)) {
        for (server, kind, what) in self.decider.take_untold(|it| !self.middle.is_listing(it)) {
            for effect in self.middle.noted(server, kind, what) {
                self.see_to(effect, tell);
            }
        }
    }

    /// Records who the client says that it is, once it has, where there are several.
    pub(super) fn introduce(&mut self) {
        let Some(client) = self.decider.client.filter(|_| !self.is_introduced) else { return };
        let Some(said) = self.middle.client_says() else { return };
        let said = said.chars().take(ODD_CHARS_MAX).collect();
        let came = Event::ClientCame(ClientCame { client, said });
        let _ = self.decider.gate.note(came, Durability::Soon);
        self.is_introduced = true;
    }
}
