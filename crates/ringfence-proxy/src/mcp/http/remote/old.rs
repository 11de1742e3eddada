//! HTTP+SSE of 2024-11-05: one stream on which everything comes, and an address that messages are posted to.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::super::sse::{Event, Events};
use super::asking::Listening;
use super::outgoing::Outgoing;
use super::refusal::status;
use super::{Form, Session, TAKEN_SECONDS_MAX, Word, form};
use crate::net::Coming;

impl Session {
    /// Begins with a server that took no POST, as `refused` says; what reads its stream from then on.
    pub(super) async fn begin_old(
        self: &Arc<Session>,
        hello: &Outgoing,
        refused: &str,
    ) -> Result<Listening, String> {
        let wait = Duration::from_secs(TAKEN_SECONDS_MAX);
        let response = self.get(None).await.map_err(|why| format!("{refused}; {why}"))?;
        if !response.status().is_success() || form(&response) != Form::Events {
            // What it said first is about what it was sent.
            return Err(refused.to_owned());
        }
        let (mut events, mut coming) = (Events::default(), response.into_body());
        let first = timeout(wait, first(&mut coming, &mut events)).await;
        let (named, mut rest) =
            first.map_err(|_| "the server's stream says nothing".to_owned())??;
        if named.kind != "endpoint" {
            return Err("the server's stream does not begin with the address to post to".to_owned());
        }
        let url = self.server.url.join(named.data.trim())?;
        self.state().old = Some(url);
        let taken = timeout(wait, self.post(hello)).await;
        let response = taken.map_err(|_| "the server takes no message".to_owned())??;
        if !response.status().is_success() {
            return Err(status(response).await);
        }
        drop(response);
        let session = Arc::clone(self);
        Ok(Box::pin(async move {
            let mut unended = session.server.turns.unended();
            loop {
                for event in rest {
                    if event.kind == "message"
                        && !session.say(Word::Line(event.data.into_bytes())).await
                    {
                        return;
                    }
                }
                rest = match coming.next().await {
                    Some(Ok(piece)) => {
                        session.server.turns.moved(piece.len()).await;
                        match events.push(&piece) {
                            Ok(more) if unended.are(events.unended()).is_ok() => more,
                            Ok(_) | Err(_) => break,
                        }
                    }
                    Some(Err(_)) | None => break,
                };
            }
            // Without it no answer comes any more.
            session.say(Word::End).await;
        }))
    }
}

/// The first event of a stream, and those that came with it.
async fn first(coming: &mut Coming, events: &mut Events) -> Result<(Event, Vec<Event>), String> {
    while let Some(piece) = coming.next().await {
        let mut all = events.push(&piece?).map_err(|error| error.to_string())?.into_iter();
        if let Some(first) = all.next() {
            return Ok((first, all.collect()));
        }
    }
    Err("the server's stream ended before it said anything".to_owned())
}
