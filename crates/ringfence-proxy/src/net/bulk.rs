//! Reading more at once than is asked for, where much comes: TLS asks for one record at a time, and
//! each time the kernel is asked costs more than the record.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;

/// How much is read ahead, in bytes; only while as much comes.
const AHEAD_BYTES: usize = 256 * 1024;
/// A read of this many bytes is of much: a record of TLS has 16 KiB (RFC 8446, section 5.1).
const MUCH_BYTES: usize = 16 * 1024;

/// What was read of a socket before it was asked for.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    read: Vec<u8>,
    /// How much of that is left to be given.
    left: std::ops::Range<usize>,
    much: bool,
}

impl Ahead {
    pub(super) fn poll_read(
        &mut self,
        (stream, context): (&mut TcpStream, &mut Context<'_>),
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left.is_empty() && self.much {
            ready!(self.fill(stream, context))?;
        } else if self.left.is_empty() {
            self.read = Vec::new();
            let before = into.filled().len();
            ready!(Pin::new(stream).poll_read(context, into))?;
            self.much = into.filled().len().saturating_sub(before) >= MUCH_BYTES;
            return Poll::Ready(Ok(()));
        }
        let given = self.left.len().min(into.remaining());
        let end = self.left.start.saturating_add(given);
        into.put_slice(self.read.get(self.left.start..end).unwrap_or_default());
        self.left.start = end;
        Poll::Ready(Ok(()))
    }

    /// Reads as much as there is room for; who waits for more holds no room meanwhile.
    fn fill(&mut self, stream: &TcpStream, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.read.clear();
        loop {
            if stream.poll_read_ready(context)?.is_pending() {
                self.read = Vec::new();
                return Poll::Pending;
            }
            self.read.reserve(AHEAD_BYTES);
            match stream.try_read_buf(&mut self.read) {
                Ok(count) => {
                    self.much = count >= MUCH_BYTES;
                    self.left = 0..count;
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}
