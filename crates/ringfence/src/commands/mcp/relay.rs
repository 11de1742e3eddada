//! `mcp run` within a world: carries what is said between a client and the session that the world belongs to.

use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use ringfence_core::ServerName;
use ringfence_runtime::broker::tools::{Answered, TOOLS_SOCKET, TOOLS_VARIABLE, Wanted};
use ringfence_runtime::environment::Environment;
use ringfence_runtime::wording::printable;

use crate::exit::{Done, Failure, Message};

/// Bytes that are carried at a time.
const PIECE_BYTES: usize = 64 * 1024;

/// Where the session of this world listens, in a world. Some clients start their servers with next to nothing of
/// their environment; the socket is in its place all the same, and nowhere but in worlds.
pub(super) fn socket(environment: &Environment) -> Option<PathBuf> {
    let usual = Path::new(TOOLS_SOCKET);
    let is_there = || std::fs::metadata(usual).is_ok_and(|it| it.file_type().is_socket());
    environment.path(TOOLS_VARIABLE).or_else(|| is_there().then(|| usual.to_owned()))
}

/// Speaks for a client until either side ends. Nothing is decided here.
pub(super) fn run(socket: &Path, servers: Vec<ServerName>) -> Result<Done, Failure> {
    let failed = |error: io::Error| {
        Message::new(format!("the session cannot be reached at `{}`: {error}", socket.display()))
            .could_not()
    };
    let mut stream = UnixStream::connect(socket).map_err(failed)?;
    let wanted = serde_json::to_string(&Wanted { servers })
        .map_err(|error| failed(io::Error::other(error)))?;
    writeln!(stream, "{wanted}").map_err(failed)?;
    let mut from = BufReader::new(stream.try_clone().map_err(failed)?);
    let mut line = String::new();
    from.read_line(&mut line).map_err(failed)?;
    match serde_json::from_str(&line) {
        Ok(Answered::Served) => {}
        Ok(Answered::Refused(why)) => return Err(Message::new(printable(&why)).could_not()),
        Err(_) => {
            let why = "it gave an answer that is not understood, or too many talk already";
            return Err(failed(io::Error::other(why)));
        }
    }
    let to = stream.try_clone().map_err(failed)?;
    let carry_on = move || {
        let _ = carry(io::stdin(), &to);
        // What was asked before is still answered.
        let _ = to.shutdown(Shutdown::Write);
    };
    std::thread::Builder::new().name("from-client".to_owned()).spawn(carry_on).map_err(failed)?;
    // A client that reads no more has ended.
    let _ = carry(from, io::stdout());
    Ok(Done::Yes)
}

fn carry(mut from: impl Read, mut to: impl Write) -> io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        let read = match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        to.write_all(piece.get(..read).unwrap_or_default())?;
        to.flush()?;
    }
}
