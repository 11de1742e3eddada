//! One request and its answer, which may come by a stream that is taken up again; and the stream for all else.

use std::sync::Arc;
use std::time::Duration;

use hyper::header::HeaderValue;
use hyper::{Response, StatusCode};
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::super::super::frame::{Answer, Frame, INTERNAL_ERROR, Id, Kind, Members, Message};
use super::super::super::frame::{error_answer, string};
use super::super::super::oauth::told;
use super::super::sse::{Event, Events};
use super::super::turns::{LIGHT_BYTES_MAX, Unended};
use super::outgoing::Outgoing;
use super::refusal::status;
use super::{ANSWER_BYTES_MAX, Asks, Form, REQUEST_SECONDS_MAX, SESSION, SESSION_BYTES_MAX};
use super::{Session, Word, form};
use crate::net::{Coming, header};

/// How often in a row a stream is taken up again from which nothing comes.
const RESUMES_MAX: u32 = 100;

/// How often in a row the stream for all else is asked for in vain.
const LISTEN_TRIES_MAX: u32 = 5;

/// How long is waited until a server is asked again, where it does not say, in milliseconds.
const RETRY_MS: u64 = 1_000;
/// How long at least, whatever it says.
const RETRY_MS_MIN: u64 = 250;

/// How long is waited for the end of a stream that has brought its answer, in milliseconds.
const REST_MS_MAX: u64 = 100;

/// What runs for as long as a session does.
pub(super) type Listening = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

/// Why reading a stream stopped.
enum Stopped {
    /// The answer has come.
    Answered(Message),
    /// The stream is over; why, for a person, and whether anything came.
    Over(String, Came),
    /// Nobody listens any more.
    Unheard,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Came {
    Something,
    Nothing,
}

impl Session {
    /// Sends a request and says its answer, or why there is none; what has to run from then on, if anything.
    pub(super) async fn request(
        self: &Arc<Session>,
        outgoing: Outgoing,
        id: Id,
        asks: Asks,
    ) -> Option<Listening> {
        let asking = self.ask(&outgoing, &id, asks);
        let asked = timeout(Duration::from_secs(REQUEST_SECONDS_MAX), asking).await;
        match asked.unwrap_or_else(|_| Err("the server took too long".to_owned())) {
            Ok(listening) => listening,
            Err(why) => {
                let answer = error_answer(Some(&id), INTERNAL_ERROR, &why);
                self.say(Word::Line(answer.into_bytes())).await;
                None
            }
        }
    }

    async fn ask(
        self: &Arc<Session>,
        outgoing: &Outgoing,
        id: &Id,
        asks: Asks,
    ) -> Result<Option<Listening>, String> {
        let before = self.state().id.clone();
        let response = self.post(outgoing).await?;
        let code = response.status();
        let login = matches!(code, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
        if asks == Asks::ToBegin && code.is_client_error() && !login {
            let refused = status(response).await;
            return self.begin_old(outgoing, &refused).await.map(Some);
        }
        if asks == Asks::Anything && code == StatusCode::NOT_FOUND && before.is_some() {
            if self.forget(before.as_ref()) {
                self.say(Word::Forgot(Some(Box::new(outgoing.message.clone())))).await;
                return Ok(None);
            }
            return Err("the server has forgotten the session that this was asked in".to_owned());
        }
        if self.state().old.is_some() && code.is_success() {
            // The answer comes by the stream.
            let _ = response.into_body().whole(ANSWER_BYTES_MAX).await;
            return Ok(None);
        }
        if asks == Asks::ToBegin && code.is_success() {
            self.named(&response)?;
        }
        let answer = match (code.is_success(), form(&response)) {
            (true, Form::Events) => self.answer_by_events(response, (id, asks)).await?,
            (_, Form::Json) => self.answer_at_once(response, (id, asks)).await?,
            (true, Form::Other) | (false, Form::Events | Form::Other) => {
                return Err(status(response).await);
            }
        };
        if let Some(answer) = answer.filter(|_| asks == Asks::ToBegin) {
            self.agreed(&answer);
        }
        Ok(None)
    }

    /// Takes note of what the server calls the session.
    fn named(&self, response: &Response<Coming>) -> Result<(), String> {
        if !response.headers().contains_key(SESSION) {
            return Ok(());
        }
        let name = header(response.headers(), SESSION);
        let visible = |name: &&str| {
            name.len() <= SESSION_BYTES_MAX && name.bytes().all(|byte| byte.is_ascii_graphic())
        };
        let name = name.filter(visible).and_then(|name| HeaderValue::from_str(name).ok());
        let mut name = name.ok_or("the server calls the session what no session is called")?;
        name.set_sensitive(true);
        self.state().id = Some(name);
        Ok(())
    }

    /// Takes note of the revision that was agreed on.
    fn agreed(&self, answer: &Message) {
        let Kind::Response { answer: Answer::Result(at), .. } = answer.kind() else { return };
        let members = Members::of(answer.part(at));
        let revision = members.as_ref().and_then(|all| string(all.get("protocolVersion")?));
        let revision = revision.and_then(|text| HeaderValue::from_str(&text).ok());
        self.state().revision = revision;
    }

    /// An answer that is the body; it is given back where it says how a session goes on.
    async fn answer_at_once(
        &self,
        response: Response<Coming>,
        (id, asks): (&Id, Asks),
    ) -> Result<Option<Message>, String> {
        let code = response.status();
        let mut unread = self.server.turns.unended();
        let body = whole(response.into_body(), &mut unread).await?;
        let refused = |said: &[u8]| {
            format!("the server answers {code}: {}", told(&String::from_utf8_lossy(said)))
        };
        let frame = match self.server.turns.read(body).await.ok_or("the session is over")? {
            Ok(frame) => frame,
            Err((body, _)) if !code.is_success() => return Err(refused(&body)),
            Err((body, error)) => {
                let by_lines = self.answer_by_lines(body, id).await;
                return by_lines.map(Some).ok_or_else(|| format!("the server's answer: {error}"));
            }
        };
        let answer = match &frame {
            Frame::One(message) => Some(message).filter(|message| answers(message, id)),
            Frame::Batch(all) => all.iter().find(|message| answers(message, id)),
        };
        if let Some(answer) = answer {
            let answer = (asks == Asks::ToBegin).then(|| answer.clone());
            self.say(Word::Frame(frame)).await;
            return Ok(answer);
        }
        if code.is_success() {
            return Err("the server answered with something else than the answer".to_owned());
        }
        // It could not tell which request it refuses: there is this one only.
        let answer = match &frame {
            Frame::One(message) => named_so(message, id),
            Frame::Batch(all) => all.iter().find_map(|message| named_so(message, id)),
        };
        let answer = answer.ok_or_else(|| match &frame {
            Frame::One(message) => refused(message.text().as_bytes()),
            Frame::Batch(_) => refused(b"[several messages]"),
        })?;
        self.say(Word::Frame(Frame::One(answer.clone()))).await;
        Ok(Some(answer))
    }

    /// An answer that comes as lines with what the server tells before it: no form of the specification, but that of
    /// the server that its conformance suite has.
    async fn answer_by_lines(&self, body: Vec<u8>, id: &Id) -> Option<Message> {
        let all = if body.len() > LIGHT_BYTES_MAX {
            spawn_blocking(move || lines(&body)).await.ok()??
        } else {
            lines(&body)?
        };
        let answer = all.iter().find(|message| answers(message, id)).cloned()?;
        for message in all {
            self.say(Word::Frame(Frame::One(message))).await;
        }
        Some(answer)
    }

    /// An answer that comes by a stream; a stream that breaks off is taken up again where the server lets that be.
    async fn answer_by_events(
        &self,
        response: Response<Coming>,
        (id, asks): (&Id, Asks),
    ) -> Result<Option<Message>, String> {
        let (mut events, mut coming) = (Events::default(), response.into_body());
        let mut in_vain = 0_u32;
        loop {
            let why = match self.read_events(&mut coming, &mut events, Some(id)).await {
                Stopped::Answered(answer) => {
                    // Where the stream ends now, the next request goes over the same connection.
                    let _ = timeout(Duration::from_millis(REST_MS_MAX), coming.next()).await;
                    return Ok(Some(answer));
                }
                Stopped::Unheard => return Ok(None),
                Stopped::Over(why, Came::Something) => {
                    in_vain = 0;
                    why
                }
                Stopped::Over(why, Came::Nothing) => why,
            };
            in_vain = in_vain.saturating_add(1);
            let resumable = asks != Asks::Alone && in_vain < RESUMES_MAX;
            let Some(last) = events.last_id().map(str::to_owned).filter(|_| resumable) else {
                return Err(why);
            };
            let least = Duration::from_millis(RETRY_MS_MIN);
            sleep(events.retry().unwrap_or(Duration::from_millis(RETRY_MS)).max(least)).await;
            let response = self.get(Some(&last)).await?;
            if !response.status().is_success() || form(&response) != Form::Events {
                let refused = status(response).await;
                return Err(format!("{why}, and cannot be taken up again: {refused}"));
            }
            (events, coming) = (Events::after(Some(last)), response.into_body());
        }
    }

    /// Says what a stream brings, until the answer to `id` is among it or the stream ends.
    async fn read_events(
        &self,
        coming: &mut Coming,
        events: &mut Events,
        id: Option<&Id>,
    ) -> Stopped {
        let (mut came, mut unended) = (Came::Nothing, self.server.turns.unended());
        loop {
            let piece = match coming.next().await {
                Some(Ok(piece)) => piece,
                Some(Err(why)) => return Stopped::Over(why, came),
                None => {
                    let why = "the server's stream ended before it brought the answer";
                    return Stopped::Over(why.to_owned(), came);
                }
            };
            let all = match events.push(&piece) {
                Ok(all) => all,
                Err(error) => return Stopped::Over(error.to_string(), came),
            };
            if let Err(error) = unended.are(events.unended()) {
                return Stopped::Over(error.to_string(), came);
            }
            self.server.turns.moved(piece.len()).await;
            for event in all {
                came = Came::Something;
                match self.say_event(event, id).await {
                    Said::Answer(answer) => return Stopped::Answered(answer),
                    Said::Other => {}
                    Said::Nothing => return Stopped::Unheard,
                }
            }
        }
    }

    /// Says the message of an event.
    async fn say_event(&self, event: Event, id: Option<&Id>) -> Said {
        if event.kind != "message" || event.data.trim().is_empty() {
            return Said::Other;
        }
        let frame = match self.server.turns.read(event.data.into_bytes()).await {
            Some(Ok(frame)) => frame,
            Some(Err((line, _))) => {
                // Who hears it says what is wrong with it.
                let said = self.say(Word::Line(line)).await;
                return if said { Said::Other } else { Said::Nothing };
            }
            None => return Said::Nothing,
        };
        let answer = id.and_then(|id| match &frame {
            Frame::One(message) => answers(message, id).then(|| message.clone()),
            Frame::Batch(all) => all.iter().find(|message| answers(message, id)).cloned(),
        });
        if !self.say(Word::Frame(frame)).await {
            return Said::Nothing;
        }
        answer.map_or(Said::Other, Said::Answer)
    }

    /// Listens to what the server says unasked, for as long as it lets us.
    pub(super) async fn listen(self: Arc<Session>) {
        let (mut last, mut in_vain) = (None::<String>, 0_u32);
        let mut wait = Duration::from_millis(RETRY_MS);
        let session = self.state().id.clone();
        // Another session is listened to by somebody else.
        while in_vain < LISTEN_TRIES_MAX && self.state().id == session {
            in_vain = in_vain.saturating_add(1);
            match self.get(last.as_deref()).await {
                Ok(response) if response.status().is_client_error() => return,
                Ok(response)
                    if response.status().is_success() && form(&response) == Form::Events =>
                {
                    let mut events = Events::after(last.take());
                    let mut coming = response.into_body();
                    match self.read_events(&mut coming, &mut events, None).await {
                        Stopped::Unheard | Stopped::Answered(_) => return,
                        Stopped::Over(_, Came::Something) => in_vain = 0,
                        Stopped::Over(_, Came::Nothing) => {}
                    }
                    last = events.last_id().map(str::to_owned);
                    let least = Duration::from_millis(RETRY_MS_MIN);
                    wait = events.retry().unwrap_or(wait).max(least);
                }
                Ok(_) | Err(_) => {}
            }
            sleep(wait.saturating_mul(in_vain.max(1))).await;
        }
    }
}

/// What became of an event.
enum Said {
    /// It was said, and is the answer.
    Answer(Message),
    /// It was said, or is for nobody.
    Other,
    /// Nobody listens any more.
    Nothing,
}

/// The whole of an answer, of which so much is kept until it is said.
async fn whole(mut body: Coming, unread: &mut Unended<'_>) -> Result<Vec<u8>, String> {
    let mut whole = Vec::new();
    while let Some(piece) = body.next().await {
        let piece = piece?;
        let bytes = whole.len().saturating_add(piece.len());
        if bytes > ANSWER_BYTES_MAX {
            return Err(format!("the answer has more than {ANSWER_BYTES_MAX} bytes"));
        }
        unread.are(bytes).map_err(|error| error.to_string())?;
        whole.extend_from_slice(&piece);
    }
    Ok(whole)
}

fn answers(message: &Message, id: &Id) -> bool {
    matches!(message.kind(), Kind::Response { id: Some(its), .. } if its == id)
}

/// The messages of a text that has one in each line.
fn lines(text: &[u8]) -> Option<Vec<Message>> {
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let one = |line: &[u8]| match Frame::parse(line.trim_ascii().to_vec()) {
        Ok(Frame::One(message)) => Some(message),
        Ok(Frame::Batch(_)) | Err(_) => None,
    };
    lines.map(one).collect()
}

/// An error that does not say to what, as the answer to this.
fn named_so(message: &Message, id: &Id) -> Option<Message> {
    let Kind::Response { id: None, id_at, answer: Answer::Error(_) } = message.kind() else {
        return None;
    };
    match Frame::parse(message.with(vec![(id_at.clone(), id.json())]).into_bytes()) {
        Ok(Frame::One(answer)) => Some(answer),
        Ok(Frame::Batch(_)) | Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::lines;

    #[test]
    fn lines_are_messages_or_nothing_is() {
        let (told, answer) =
            (r#"{"jsonrpc":"2.0","method":"a/b"}"#, r#"{"jsonrpc":"2.0","id":1,"result":{}}"#);
        let found = |text: &str| {
            let all = lines(text.as_bytes())?;
            Some(all.iter().map(|message| message.text().to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(found(&format!("{told}\r\n\n{answer}\n")).unwrap(), [told, answer]);
        for bad in [format!("{told}\n{{"), format!("{told}{answer}"), format!("[{told}]\n{answer}")]
        {
            assert_eq!(found(&bad), None, "{bad}");
        }
    }
}
