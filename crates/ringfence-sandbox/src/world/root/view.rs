//! Trees of the host that are mounted nowhere, for those who open files in the payload's place.

use std::os::fd::OwnedFd;
use std::path::Path;

use super::{Access, Content, Root, step};
use crate::sys::mount::{Attributes, NOEXEC, Reach, set_attributes};
use crate::world::failure::{During as _, Failure, Need};

impl Root {
    /// A tree of the host that is mounted nowhere: who gets a file of it gets nothing around it, not
    /// even by `..`, may do no more to it than the tree lets be done, and starts no program from it.
    pub(in crate::world) fn view(&self, source: &Path, access: Access) -> Result<OwnedFd, Failure> {
        let content = Content::Host { source: source.to_path_buf(), access };
        let without_programs = Attributes { set: NOEXEC, propagation: 0, idmap: None };
        let opened = self.tree_of(&content).and_then(|tree| {
            set_attributes(&tree, Reach::Tree, without_programs)?;
            Ok(tree)
        });
        opened.during(Need::Bind, step(source, "open it"))
    }
}
