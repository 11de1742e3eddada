//! Strings and arrays out of the memory of a waiting thread.

use super::tracee::{Call, Trouble};
use crate::sys::notify as sys;

/// Longest path the kernel takes, in bytes, its closing NUL included (`PATH_MAX`).
const PATH_BYTES_MAX: usize = 4096;

/// Most bytes of arguments that are read, each with its NUL: the kernel's own limit with the usual
/// stack of 8 MiB is a quarter of that, environment included (`execve(2)`).
pub(super) const ARGV_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Longest single argument the kernel takes, in bytes (`MAX_ARG_STRLEN`).
const ARGUMENT_BYTES_MAX: usize = 128 * 1024;

/// Most arguments that are read.
const ARGUMENTS_MAX: usize = ARGV_BYTES_MAX / 8;

/// How much of each argument is read at first; most are shorter.
const PIECE_BYTES: usize = 128;

/// How many pieces are read at once (`UIO_MAXIOV` is 1024).
const PIECES_MAX: usize = 512;

/// How much is read at first where a path and an array of arguments begin.
const WINDOW_BYTES: usize = 512;

const PAGE_BYTES: u64 = 4096;

/// Memory that was read already: what lies there need not be read again.
#[derive(Debug, Default)]
pub(super) struct Window {
    at: u64,
    bytes: Vec<u8>,
}

impl Window {
    /// The string at an address, if it begins and ends in here.
    fn string(&self, address: u64) -> Option<&[u8]> {
        let start = usize::try_from(address.checked_sub(self.at)?).ok()?;
        let rest = self.bytes.get(start..)?;
        rest.get(..rest.iter().position(|byte| *byte == 0)?)
    }

    /// The pointers from here to the first null pointer, if it is in here.
    fn pointers(&self) -> Option<Vec<u64>> {
        let all = self.bytes.as_chunks::<8>().0.iter().map(|bytes| u64::from_ne_bytes(*bytes));
        let before_null: Vec<u64> = all.clone().take_while(|pointer| *pointer != 0).collect();
        (before_null.len() < all.len()).then_some(before_null)
    }
}

impl Call<'_> {
    /// The beginnings of a path and of an array of arguments, with one system call; empty where
    /// nothing can be read.
    pub(super) fn windows(&self, path: u64, array: u64) -> [Window; 2] {
        let length = |at| to_page_end(at, WINDOW_BYTES);
        let mut bytes = vec![0; length(path) + length(array)];
        let pieces = [(path, length(path)), (array, length(array))];
        let got = sys::read_memory(self.tid(), &pieces, &mut bytes).unwrap_or(0);
        bytes.truncate(got);
        let second = bytes.split_off(length(path).min(got));
        [Window { at: path, bytes }, Window { at: array, bytes: second }]
    }

    /// [`Call::path`] of what may have been read already.
    pub(super) fn path_in(&self, windows: &[Window], address: u64) -> Result<Vec<u8>, Trouble> {
        match windows.iter().find_map(|window| window.string(address)) {
            Some(text) => Ok(text.to_vec()),
            None => self.path(address),
        }
    }

    /// A path argument, without its NUL.
    pub(super) fn path(&self, address: u64) -> Result<Vec<u8>, Trouble> {
        self.string(address, PATH_BYTES_MAX, libc::ENAMETOOLONG)
    }

    /// `length` bytes, as a socket address is given.
    pub(super) fn bytes(&self, address: u64, length: usize) -> Result<Vec<u8>, Trouble> {
        let mut bytes = vec![0; length];
        let got = sys::read_piece(self.tid(), address, &mut bytes).map_err(|e| trouble(&e))?;
        self.check_waiting()?;
        if got == length { Ok(bytes) } else { Err(Trouble::Errno(libc::EFAULT)) }
    }

    /// An array of arguments that ends with a null pointer, and may have been read already.
    pub(super) fn arguments(
        &self,
        windows: &[Window],
        address: u64,
    ) -> Result<Vec<Vec<u8>>, Trouble> {
        let known = windows.iter().find(|window| window.at == address).and_then(Window::pointers);
        let pointers = match known {
            _ if address == 0 => Vec::new(),
            Some(pointers) => pointers,
            None => self.pointers(address)?,
        };
        let mut arguments = Vec::with_capacity(pointers.len());
        let mut bytes_left = ARGV_BYTES_MAX;
        for batch in pointers.chunks(PIECES_MAX) {
            let known: Option<Vec<&[u8]>> = batch
                .iter()
                .map(|at| windows.iter().find_map(|window| window.string(*at)))
                .collect();
            match known {
                Some(known) => {
                    for text in known {
                        bytes_left = less(bytes_left, text)?;
                        arguments.push(text.to_vec());
                    }
                }
                None => self.read_batch(batch, &mut arguments, &mut bytes_left)?,
            }
        }
        Ok(arguments)
    }

    /// Reads the arguments of one batch, most of them with a single system call.
    fn read_batch(
        &self,
        batch: &[u64],
        arguments: &mut Vec<Vec<u8>>,
        bytes_left: &mut usize,
    ) -> Result<(), Trouble> {
        let pieces: Vec<(u64, usize)> =
            batch.iter().map(|&at| (at, to_page_end(at, PIECE_BYTES))).collect();
        let mut buffer = vec![0; pieces.iter().map(|(_, length)| length).sum()];
        // A page that is not there ends the copy; whoever lies behind it is read alone, and fails
        // alone.
        let got = sys::read_memory(self.tid(), &pieces, &mut buffer).unwrap_or(0);
        let mut rest = buffer.get(..got).unwrap_or_default();
        for &(address, length) in &pieces {
            let (piece, behind) = rest.split_at_checked(length).unwrap_or((&[], &[]));
            rest = behind;
            let argument = match piece.iter().position(|byte| *byte == 0) {
                Some(end) => piece.get(..end).unwrap_or_default().to_vec(),
                None => self.string(address, ARGUMENT_BYTES_MAX, libc::E2BIG)?,
            };
            *bytes_left = less(*bytes_left, &argument)?;
            arguments.push(argument);
        }
        Ok(())
    }

    fn pointers(&self, address: u64) -> Result<Vec<u64>, Trouble> {
        let mut pointers = Vec::new();
        let mut at = address;
        let mut chunk = [0; 512];
        loop {
            // At least one pointer, also when it lies across the end of the page.
            let length = to_page_end(at, chunk.len()).max(8) & !7;
            let into = chunk.get_mut(..length).unwrap_or_default();
            let got = sys::read_piece(self.tid(), at, into).map_err(|e| trouble(&e))?;
            if got < 8 {
                return Err(Trouble::Errno(libc::EFAULT));
            }
            for bytes in into.get(..got & !7).unwrap_or_default().as_chunks::<8>().0 {
                match u64::from_ne_bytes(*bytes) {
                    0 => return Ok(pointers),
                    pointer => pointers.push(pointer),
                }
            }
            if pointers.len() > ARGUMENTS_MAX {
                return Err(Trouble::unresolvable("too many arguments", libc::E2BIG));
            }
            at = at.wrapping_add(u64::try_from(got & !7).unwrap_or(0));
        }
    }

    /// A string of fewer than `bytes_max` bytes; a longer one is answered with `too_long`.
    fn string(&self, address: u64, bytes_max: usize, too_long: i32) -> Result<Vec<u8>, Trouble> {
        let mut text: Vec<u8> = Vec::new();
        let mut chunk = [0; 4096];
        let mut at = address;
        let mut want = 256;
        while text.len() < bytes_max {
            let length = to_page_end(at, want);
            want = chunk.len();
            let into = chunk.get_mut(..length).unwrap_or_default();
            let got = sys::read_piece(self.tid(), at, into).map_err(|e| trouble(&e))?;
            let piece = into.get(..got).unwrap_or_default();
            if let Some(end) = piece.iter().position(|byte| *byte == 0) {
                text.extend_from_slice(piece.get(..end).unwrap_or_default());
                let fits = text.len() < bytes_max;
                return if fits { Ok(text) } else { Err(Trouble::Errno(too_long)) };
            }
            if got == 0 {
                return Err(Trouble::Errno(libc::EFAULT));
            }
            text.extend_from_slice(piece);
            at = at.wrapping_add(u64::try_from(got).unwrap_or(0));
        }
        Err(Trouble::Errno(too_long))
    }
}

/// How many bytes of arguments may follow this one.
fn less(bytes_left: usize, argument: &[u8]) -> Result<usize, Trouble> {
    bytes_left
        .checked_sub(argument.len() + 1)
        .ok_or_else(|| Trouble::unresolvable("too many arguments", libc::E2BIG))
}

/// At most `length` bytes, ending with the page: the next one may not be there.
fn to_page_end(address: u64, length: usize) -> usize {
    let left = usize::try_from(PAGE_BYTES - address % PAGE_BYTES).unwrap_or(length);
    left.min(length)
}

fn trouble(error: &std::io::Error) -> Trouble {
    match error.raw_os_error() {
        Some(libc::EFAULT) => Trouble::Errno(libc::EFAULT),
        Some(libc::ESRCH) => Trouble::Gone,
        _ => Trouble::unresolvable(format!("its memory cannot be read: {error}"), libc::EACCES),
    }
}

#[cfg(test)]
mod tests {
    use super::Window;

    /// At 100: `sh`, a NUL, `-c`, a NUL, and the beginning of something.
    fn window() -> Window {
        Window { at: 100, bytes: b"sh\0-c\0begin".to_vec() }
    }

    #[test]
    fn a_string_is_known_only_if_it_begins_and_ends_in_what_was_read() {
        assert_eq!(window().string(100), Some(b"sh".as_slice()));
        assert_eq!(window().string(101), Some(b"h".as_slice()));
        assert_eq!(window().string(102), Some(b"".as_slice()));
        assert_eq!(window().string(103), Some(b"-c".as_slice()));
        for outside in [0, 99, 106, 110, 111, 112, u64::MAX] {
            assert_eq!(window().string(outside), None, "{outside}");
        }
    }

    #[test]
    fn pointers_are_known_only_with_the_null_pointer_behind_them() {
        let of = |pointers: &[u64], more: usize| {
            let mut bytes: Vec<u8> = pointers.iter().flat_map(|it| it.to_ne_bytes()).collect();
            bytes.extend(vec![0; more]);
            Window { at: 8, bytes }.pointers()
        };
        assert_eq!(of(&[7, 9, 0, 5], 0), Some(vec![7, 9]));
        assert_eq!(of(&[0], 0), Some(vec![]));
        assert_eq!(of(&[7, 9], 0), None);
        assert_eq!(of(&[7, 9], 7), None, "half a pointer is none");
        assert_eq!(of(&[], 3), None);
        assert_eq!(of(&[7], 8), Some(vec![7]));
    }
}
