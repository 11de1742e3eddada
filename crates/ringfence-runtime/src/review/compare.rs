//! What of a session is as the host has it.

use std::ffi::OsStr;
use std::io::{self, Read as _};

use rustix::fs::Stat;

use super::What;
use super::looks::HEAD_BYTES;
use super::walk::{OF_OVERLAYS, what};
use ringfence_sandbox::beneath::{Dir, attributes};

/// Attributes, each with its value.
type Attributes = Vec<(Vec<u8>, Vec<u8>)>;

/// Whether two files say the same.
pub(super) fn same(
    (upper, new): (&Dir, &Stat),
    (host, old): (&Dir, &Stat),
    name: &OsStr,
) -> io::Result<bool> {
    match (what(new), what(old)) {
        (What::Link, What::Link) => Ok(upper.link(name)? == host.link(name)?),
        (What::File, What::File) if new.st_size == old.st_size => {
            same_bytes(upper.file(name)?, host.file(name)?)
        }
        (_, _) => Ok(false),
    }
}

fn same_bytes(one: impl io::Read, other: impl io::Read) -> io::Result<bool> {
    let (mut one, mut other) = (io::BufReader::new(one), io::BufReader::new(other));
    let (mut left, mut right) = (vec![0; HEAD_BYTES], vec![0; HEAD_BYTES]);
    loop {
        let (read, too) = (fill(&mut one, &mut left)?, fill(&mut other, &mut right)?);
        if left.get(..read) != right.get(..too) {
            return Ok(false);
        }
        if read == 0 {
            return Ok(true);
        }
    }
}

fn fill(from: &mut impl io::Read, into: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = into.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match from.read(rest)? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

/// The beginning of a file; a link says where it leads.
pub(super) fn head(dir: &Dir, name: &OsStr, what: What) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if what == What::File {
        dir.file(name)?.take(HEAD_BYTES as u64).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// The attributes of a file of the session's that are others than those of the host's, or new.
pub(super) fn other_attributes(
    (upper, new): (&Dir, &Stat),
    host: Option<&Dir>,
    name: &OsStr,
) -> io::Result<Vec<String>> {
    match what(new) {
        What::File => {
            let own = attributes(upper.file(name)?)?;
            // Of what nobody may read, none is known: then all of them are new.
            let there = host.and_then(|host| attributes(host.file(name).ok()?).ok());
            Ok(others(&own, &there.unwrap_or_default()))
        }
        What::Dir => {
            let name = name.as_ref();
            let own = upper.beneath(name)?.attributes()?;
            let there = host.and_then(|host| host.beneath(name).ok()?.attributes().ok());
            Ok(others(&own, &there.unwrap_or_default()))
        }
        What::Link | What::Other => Ok(Vec::new()),
    }
}

fn others(own: &Attributes, there: &Attributes) -> Vec<String> {
    let new = own.iter().filter(|it| !there.contains(it)).map(|(name, _)| name);
    let named = |wanted: &[u8]| own.iter().any(|(name, _)| name == wanted);
    let gone = there.iter().map(|(name, _)| name).filter(|name| !named(name));
    let ours = |name: &&Vec<u8>| !name.starts_with(OF_OVERLAYS);
    new.chain(gone).filter(ours).map(|name| String::from_utf8_lossy(name).into_owned()).collect()
}
