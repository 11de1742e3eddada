//! A world's specification as bytes: the processes that build a world are started before it is
//! known what it is to be, and are told by a file in memory.
//!
//! Both sides are the same program at the same moment, so there is no version; what does not
//! decode is an error all the same.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use rustix::fs::{MemfdFlags, fstat, memfd_create};

use super::{
    Access, Bind, Container, Engine, Hooks, IdMap, Identity, NotifyClasses, Overlay, PrivateFile,
    Programs, Require, ResourceLimits, Stdio, Switch, TerminalSize, WorldSpec,
};
use crate::base::Base;
use crate::seccomp::Profile;

/// Largest specification, in bytes: arguments and environment of an exec are at most 6 MiB.
const SPEC_BYTES_MAX: u64 = 64 << 20;

/// Writes a specification into a file in memory.
pub(super) fn send(spec: &WorldSpec) -> io::Result<OwnedFd> {
    let mut bytes = Vec::new();
    spec.put(&mut bytes);
    let mut file = File::from(memfd_create("ringfence-world", MemfdFlags::CLOEXEC)?);
    file.write_all(&bytes)?;
    Ok(file.into())
}

/// Reads it; several processes may.
pub(super) fn receive(memory: impl AsFd) -> io::Result<WorldSpec> {
    let length = u64::try_from(fstat(memory.as_fd())?.st_size).unwrap_or(u64::MAX);
    let length = usize::try_from(length.min(SPEC_BYTES_MAX)).unwrap_or_default();
    let mut bytes = vec![0; length];
    File::from(memory.as_fd().try_clone_to_owned()?).read_exact_at(&mut bytes, 0)?;
    let mut rest = bytes.as_slice();
    let spec = WorldSpec::take(&mut rest).filter(|_| rest.is_empty());
    spec.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

/// What can be told to another process.
trait Wire: Sized {
    fn put(&self, out: &mut Vec<u8>);
    fn take(from: &mut &[u8]) -> Option<Self>;
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Wire for $number {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend(self.to_le_bytes());
            }

            fn take(from: &mut &[u8]) -> Option<Self> {
                let (bytes, rest) = from.split_first_chunk()?;
                *from = rest;
                Some(Self::from_le_bytes(*bytes))
            }
        }
    )*};
}

/// Field by field, in the order of this list.
macro_rules! structs {
    ($($name:ident { $($field:ident),* })*) => {$(
        impl Wire for $name {
            fn put(&self, out: &mut Vec<u8>) {
                let $name { $($field),* } = self;
                $($field.put(out);)*
            }

            fn take(from: &mut &[u8]) -> Option<Self> {
                Some($name { $($field: Wire::take(from)?),* })
            }
        }
    )*};
}

numbers!(u8, u16, u32, u64);

structs! {
    WorldSpec {
        base, binds, overlays, masks, hidden, grantable, files, dirs, env, cwd, argv, identity, idmap, stdio,
        notify, seccomp, limits, programs, landlock, inward, proxy_port, container, hooks, scratch
    }
    Container { engine, image, id, name }
    Hooks { library, line }
    Base { binds, links, files, dirs }
    Bind { source, target, access }
    Overlay { lower, upper, work }
    PrivateFile { target, bytes, mode }
    Identity { uid, gid }
    TerminalSize { rows, cols }
    NotifyClasses { exec, write, connect, read, ask }
    ResourceLimits { open_files, processes, file_bytes }
}

/// Most bytes at a time; a length beyond it is none of ours.
fn take_bytes<'a>(from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(u64::take(from)?).ok()?;
    let (bytes, rest) = from.split_at_checked(length)?;
    *from = rest;
    Some(bytes)
}

fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    (bytes.len() as u64).put(out);
    out.extend(bytes);
}

impl Wire for OsString {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(self.as_bytes(), out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        Some(OsString::from_vec(take_bytes(from)?.to_vec()))
    }
}

impl Wire for PathBuf {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(self.as_os_str().as_bytes(), out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        OsString::take(from).map(PathBuf::from)
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u64).put(out);
        for each in self {
            each.put(out);
        }
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        // Each takes one byte at least: nothing is made for a length that cannot be.
        let length = usize::try_from(u64::take(from)?).ok().filter(|it| *it <= from.len())?;
        (0..length).map(|_| T::take(from)).collect()
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            None => 0_u8.put(out),
            Some(value) => {
                1_u8.put(out);
                value.put(out);
            }
        }
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        match u8::take(from)? {
            0 => Some(None),
            1 => T::take(from).map(Some),
            _ => None,
        }
    }
}

impl<A: Wire, B: Wire> Wire for (A, B) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        Some((A::take(from)?, B::take(from)?))
    }
}

impl Wire for String {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(self.as_bytes(), out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        String::from_utf8(take_bytes(from)?.to_vec()).ok()
    }
}

impl Wire for Engine {
    fn put(&self, out: &mut Vec<u8>) {
        self.name().to_owned().put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        String::take(from)?.parse().ok()
    }
}

impl Wire for Access {
    fn put(&self, out: &mut Vec<u8>) {
        self.to_byte().put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        Access::from_byte(u8::take(from)?)
    }
}

impl Wire for Switch {
    fn put(&self, out: &mut Vec<u8>) {
        u8::from(*self == Switch::On).put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        match u8::take(from)? {
            0 => Some(Switch::Off),
            1 => Some(Switch::On),
            _ => None,
        }
    }
}

impl Wire for Profile {
    fn put(&self, out: &mut Vec<u8>) {
        OsString::from(self.name()).put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        OsString::take(from)?.to_str()?.parse().ok()
    }
}

impl Wire for Programs {
    fn put(&self, out: &mut Vec<u8>) {
        u8::from(*self == Programs::NotWhereWritten).put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        match u8::take(from)? {
            0 => Some(Programs::Anywhere),
            1 => Some(Programs::NotWhereWritten),
            _ => None,
        }
    }
}

impl Wire for Require {
    fn put(&self, out: &mut Vec<u8>) {
        u8::from(*self == Require::Full).put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        match u8::take(from)? {
            0 => Some(Require::Partial),
            1 => Some(Require::Full),
            _ => None,
        }
    }
}

impl Wire for IdMap {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            IdMap::None => None,
            IdMap::Owner { uid, gid } => Some((*uid, *gid)),
        }
        .put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let owner: Option<(u32, u32)> = Wire::take(from)?;
        Some(owner.map_or(IdMap::None, |(uid, gid)| IdMap::Owner { uid, gid }))
    }
}

impl Wire for Stdio {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Stdio::Inherit => None,
            Stdio::Pty(size) => Some(*size),
        }
        .put(out);
    }

    fn take(from: &mut &[u8]) -> Option<Self> {
        let size: Option<TerminalSize> = Wire::take(from)?;
        Some(size.map_or(Stdio::Inherit, Stdio::Pty))
    }
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
