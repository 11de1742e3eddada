//! Two sockets joined: bytes pass both ways untouched, a half-close passes too.
//!
//! All joined sockets of a thread share one buffer: a connection holds memory of its own only while
//! one side takes less than the other sends.

use std::cell::RefCell;
use std::io;

use rustix::io::Errno;
use rustix::net::Shutdown;
use tokio::net::TcpStream;

use super::awake;
use super::line::Counted;

/// Most bytes that are read at once.
const ROOM_BYTES: usize = 1024 * 1024;
/// After so many reads without a pause others have their turn.
const READS_MAX: usize = 16;

thread_local! {
    static ROOM: RefCell<Vec<u8>> = RefCell::new(vec![0; ROOM_BYTES]);
}

/// Passes bytes until both sides are done or one fails.
pub(super) async fn join(client: &TcpStream, server: &Counted) -> io::Result<()> {
    let up = pass(client, server.socket(), |count| server.note_sent(count));
    let down = pass(server.socket(), client, |count| server.note_received(count));
    tokio::try_join!(up, down).map(|_| ())
}

/// What came of one read.
enum Passed {
    /// All of it was written.
    All,
    /// This is left to be written.
    Left(Vec<u8>),
    /// There was nothing to read.
    Nothing,
    /// The sender has ended.
    End,
}

/// Passes bytes one way until their sender ends.
async fn pass(from: &TcpStream, to: &TcpStream, count: impl Fn(usize)) -> io::Result<()> {
    let mut reads: usize = 0;
    loop {
        from.readable().await?;
        match ROOM.with_borrow_mut(|room| once(from, to, (room, &count)))? {
            Passed::All => {}
            Passed::Left(left) => write(to, &left, &count).await?,
            Passed::Nothing => reads = 0,
            Passed::End => return end(to),
        }
        reads = reads.wrapping_add(1);
        if reads.is_multiple_of(READS_MAX) {
            tokio::task::yield_now().await;
        }
    }
}

/// Reads once, and writes what the other side takes at once.
fn once(
    from: &TcpStream,
    to: &TcpStream,
    (room, count): (&mut [u8], &impl Fn(usize)),
) -> io::Result<Passed> {
    let read = match from.try_read(room) {
        Ok(0) => return Ok(Passed::End),
        Ok(read) => read,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Passed::Nothing),
        Err(error) => return Err(error),
    };
    awake::beat();
    let mut left = room.get(..read).unwrap_or_default();
    while !left.is_empty() {
        match to.try_write(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                count(written);
                left = left.get(written..).unwrap_or_default();
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Ok(Passed::Left(left.to_vec()));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Passed::All)
}

/// Passes the sender's end on.
fn end(to: &TcpStream) -> io::Result<()> {
    match rustix::net::shutdown(to, Shutdown::Write) {
        // Its other side is gone already.
        Ok(()) | Err(Errno::NOTCONN) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Writes all of it, as fast as the other side takes it.
async fn write(to: &TcpStream, mut left: &[u8], count: impl Fn(usize)) -> io::Result<()> {
    while !left.is_empty() {
        to.writable().await?;
        match to.try_write(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                count(written);
                left = left.get(written..).unwrap_or_default();
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
