//! What a server says before its answer (RFC 9110, section 15.2: `103 Early Hints` and the like). Nobody is told of it, and
//! it has an end: a server could keep the gate reading for ever, and never answer.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::Request;
use tokio::sync::Notify;
use tokio::time::sleep;

/// Most of it before one answer. Servers say one or two; one that is at work for long says `102` every now and then.
pub(super) const EARLY_MAX: usize = 64;

/// How long the answer may take once something was said before it.
const ANSWER_WAIT: Duration = Duration::from_hours(1);

/// A server says things before its answer, and no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Endless {
    /// Too many.
    #[error("the server says more than {EARLY_MAX} things before its answer")]
    Many,
    /// For too long.
    #[error("the server said something before its answer, and did not answer for an hour")]
    Long,
}

/// What is said before the answer to one request of HTTP/1.
pub(super) struct Early(Arc<Said>);

#[derive(Default)]
struct Said {
    count: AtomicUsize,
    first: Notify,
    too_many: Notify,
}

impl Early {
    /// Counts it for a request that is about to be sent.
    pub(super) fn of<B>(request: &mut Request<B>) -> Early {
        let said = Arc::<Said>::default();
        let counts = Arc::clone(&said);
        hyper::ext::on_informational(request, move |_| counts.one_more());
        Early(said)
    }

    /// Waits for the answer; where this fails, the connection has to end.
    pub(super) async fn answer<T>(&self, answer: impl Future<Output = T>) -> Result<T, Endless> {
        self.answer_within(answer, ANSWER_WAIT).await
    }

    async fn answer_within<T>(
        &self,
        answer: impl Future<Output = T>,
        wait: Duration,
    ) -> Result<T, Endless> {
        let answer = pin!(answer);
        tokio::select! {
            biased;
            // It may have come in one piece with all that was said before it.
            answer = answer => if self.0.is_too_much() { Err(Endless::Many) } else { Ok(answer) },
            endless = self.0.endless(wait) => Err(endless),
        }
    }
}

impl Said {
    fn one_more(&self) {
        match self.count.fetch_add(1, Ordering::AcqRel) {
            0 => self.first.notify_one(),
            EARLY_MAX => self.too_many.notify_one(),
            _ => {}
        }
    }

    fn is_too_much(&self) -> bool {
        self.count.load(Ordering::Acquire) > EARLY_MAX
    }

    async fn endless(&self, wait: Duration) -> Endless {
        self.first.notified().await;
        tokio::select! {
            () = self.too_many.notified() => Endless::Many,
            () = sleep(wait) => Endless::Long,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use hyper::client::conn::http1;
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    fn after<T>(said: usize, answer: impl Future<Output = T>) -> Option<Result<T, Endless>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let early = Early(Arc::default());
        (0..said).for_each(|_| early.0.one_more());
        runtime.block_on(async {
            let answered = early.answer_within(answer, Duration::from_millis(20));
            tokio::time::timeout(Duration::from_millis(200), answered).await.ok()
        })
    }

    #[test]
    fn who_says_too_much_or_for_too_long_before_an_answer_is_not_waited_for() {
        assert_eq!(after(0, pending::<()>()), None, "who says nothing has its time");
        assert_eq!(after(1, pending::<()>()), Some(Err(Endless::Long)));
        assert_eq!(after(EARLY_MAX, pending::<()>()), Some(Err(Endless::Long)));
        assert_eq!(after(EARLY_MAX + 1, pending::<()>()), Some(Err(Endless::Many)));
        assert_eq!(after(EARLY_MAX * 10, pending::<()>()), Some(Err(Endless::Many)));
        assert_eq!(after(EARLY_MAX, ready(1)), Some(Ok(1)));
        assert_eq!(after(EARLY_MAX + 1, ready(1)), Some(Err(Endless::Many)));
    }

    /// What comes of a request to a server that says so much before its answer, and all of it at once.
    fn asked_at_once(said: usize) -> Result<u16, Endless> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (ours, mut server) = duplex(64 * 1024);
            let (mut sender, connection) = http1::handshake(TokioIo::new(ours)).await.unwrap();
            tokio::spawn(connection);
            let mut request = Request::get("/").body(String::new()).unwrap();
            let early = Early::of(&mut request);
            let answer = early.answer(sender.send_request(request));
            let serve = async {
                server.read_buf(&mut Vec::new()).await.unwrap();
                let all = "HTTP/1.1 103 Early Hints\r\n\r\n".repeat(said);
                let all = all + "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                server.write_all(all.as_bytes()).await.unwrap();
            };
            let (answer, ()) = tokio::join!(answer, serve);
            answer.map(|it| it.unwrap().status().as_u16())
        })
    }

    #[test]
    fn what_comes_at_once_with_its_answer_is_counted_as_well() {
        assert_eq!(asked_at_once(0), Ok(200));
        assert_eq!(asked_at_once(EARLY_MAX), Ok(200));
        assert_eq!(asked_at_once(EARLY_MAX + 1), Err(Endless::Many));
        assert_eq!(asked_at_once(EARLY_MAX * 4), Err(Endless::Many));
    }
}
