//! Memory of the program's: strings and lists that it passed, and pages of our own.

use core::ffi::CStr;
use std::ptr;

use libc::{c_char, c_int};

use crate::raw::{self, Register as _};

/// A string that the program passed; a null pointer is none.
pub(crate) fn string<'a>(text: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: what the program passes for a string is one, or its own call would have failed as well.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_bytes())
}

/// The pointers before the null pointer that ends a list; a null pointer is an empty list.
pub(crate) fn list<'a>(first: *const *const c_char) -> &'a [*const c_char] {
    if first.is_null() {
        return &[];
    }
    let mut length = 0;
    // SAFETY: lists of arguments and of variables end with a null pointer (execve(2)), and no element
    // behind it is read.
    unsafe {
        while !(*first.add(length)).is_null() {
            length += 1;
        }
        std::slice::from_raw_parts(first, length)
    }
}

/// Pages of our own, given back when dropped. Not the heap's: who asks may be a signal handler, or a child
/// of `vfork` with its parent's memory.
pub(crate) struct Pages {
    start: *mut u8,
    bytes: usize,
}

impl Pages {
    /// As many bytes as this, all zero; `None` where there is no memory.
    pub(crate) fn new(bytes: usize) -> Option<Pages> {
        let (access, kind) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        let none: c_int = -1;
        let args = [0, bytes.register(), access.register(), kind.register(), none.register(), 0];
        let start = raw::call(libc::SYS_mmap, args);
        let start = usize::try_from(start).ok()?;
        Some(Pages { start: ptr::with_exposed_provenance_mut(start), bytes })
    }

    /// All of them.
    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the kernel mapped these bytes for us alone, and they stay until the drop.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.bytes) }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        let _ =
            raw::call(libc::SYS_munmap, raw::args([self.start.register(), self.bytes.register()]));
    }
}

/// A list of pointers in pages of our own, with the null pointer behind it.
pub(crate) struct List {
    pages: Pages,
    length: usize,
}

impl List {
    /// An empty one with room for `most`.
    pub(crate) fn with_room(most: usize) -> Option<List> {
        let bytes = most.checked_add(1)?.checked_mul(size_of::<usize>())?;
        Some(List { pages: Pages::new(bytes)?, length: 0 })
    }

    /// Adds one; beyond the room nothing is added.
    pub(crate) fn push(&mut self, pointer: *const c_char) {
        let at = self.length;
        let (slots, _) = self.pages.bytes().as_chunks_mut::<{ size_of::<usize>() }>();
        // The last one stays null.
        if at + 1 < slots.len()
            && let Some(slot) = slots.get_mut(at)
        {
            *slot = pointer.expose_provenance().to_ne_bytes();
            self.length += 1;
        }
    }

    /// As C takes it.
    pub(crate) fn first(&mut self) -> *const *const c_char {
        self.pages.bytes().as_ptr().cast()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_ends_with_a_null_pointer_however_much_is_added() {
        let mut made = List::with_room(2).unwrap();
        for text in [c"one", c"two", c"three"] {
            made.push(text.as_ptr());
        }
        let read: Vec<_> = list(made.first()).iter().filter_map(|it| string(*it)).collect();
        assert_eq!(read, [b"one".as_slice(), b"two"]);
        assert!(list(ptr::null()).is_empty());
        assert_eq!(string(ptr::null()), None);
    }
}
