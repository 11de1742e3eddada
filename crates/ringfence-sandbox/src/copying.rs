//! Copying what is in a file: shared with the original where the file system can, and with its holes
//! where it has some.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::fd::AsFd;

use rustix::fs::{self, SeekFrom as At};
use rustix::io::Errno;

use crate::beneath::attributes;

/// Copies all of `from` into `to`, which is empty.
pub fn copy_data(mut from: &File, mut to: &File) -> io::Result<()> {
    if fs::ioctl_ficlone(to, from).is_ok() {
        return Ok(());
    }
    let length = from.metadata()?.len();
    let mut at = 0;
    while at < length {
        let (start, end) = match fs::seek(from, At::Data(at)) {
            Ok(start) => (start, fs::seek(from, At::Hole(start))?),
            // Nothing but a hole up to the end.
            Err(Errno::NXIO) => break,
            // A file system that does not tell where its holes are.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => (at, length),
            Err(error) => return Err(error.into()),
        };
        from.seek(SeekFrom::Start(start))?;
        to.seek(SeekFrom::Start(start))?;
        let wanted = end.saturating_sub(start);
        let copied = io::copy(&mut from.take(wanted), &mut to)?;
        if copied < wanted {
            // It has become shorter meanwhile.
            return to.set_len(start.saturating_add(copied));
        }
        at = end;
    }
    // What it ends with may be a hole.
    to.set_len(length)
}

/// Gives `to` those attributes of `from` (`user.*`) for which `as_named` has a name, and takes the
/// others that it knows away.
pub fn copy_attributes(
    from: impl AsFd,
    to: impl AsFd,
    as_named: impl Fn(&[u8]) -> Option<Vec<u8>>,
) -> io::Result<()> {
    let mut wanted: Vec<_> = attributes(from)?
        .into_iter()
        .filter_map(|(name, value)| Some((as_named(&name)?, value)))
        .collect();
    for (name, value) in attributes(&to)? {
        match wanted.iter().position(|(other, _)| *other == name) {
            Some(at) if wanted.get(at).is_some_and(|(_, other)| *other == value) => {
                wanted.swap_remove(at);
            }
            Some(_) => {}
            None => fs::fremovexattr(&to, name.as_slice())?,
        }
    }
    for (name, value) in wanted {
        fs::fsetxattr(&to, name.as_slice(), &value, fs::XattrFlags::empty())?;
    }
    Ok(())
}
