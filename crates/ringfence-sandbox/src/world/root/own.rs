//! What lies in a world's root without a mount of its own: directories and links.

use std::io;
use std::path::{Path, PathBuf};

use super::{DEVICE_LINKS, Root, step, supplied};
use crate::world::failure::{During as _, Failure, Need};
use crate::world::place::{Kind, relative};
use crate::world::{Access, WorldSpec};

impl Root {
    /// What exists in the root without a mount of its own.
    pub(super) fn lay_out(&mut self, spec: &WorldSpec) -> Result<(), Failure> {
        for dir in ["/dev/pts", "/proc"] {
            self.own_place(Path::new(dir), Kind::Dir)
                .during(Need::Mounts, step(Path::new(dir), "make it"))?;
        }
        for dir in &spec.grantable {
            let bound = self.plan.iter().any(|entry| dir.starts_with(&entry.target));
            if !bound {
                self.own_place(dir, Kind::Dir)
                    .during(Need::Bind, step(dir, "make a place for grants"))?;
            }
        }
        let devices = DEVICE_LINKS
            .iter()
            .map(|(name, says)| (Path::new("/dev").join(name), PathBuf::from(says)));
        for (link, says) in devices.chain(spec.base.links.iter().cloned()) {
            let parent = link.parent().unwrap_or(Path::new("/"));
            self.own_place(parent, Kind::Dir)
                .and_then(|()| self.link(&says, &link))
                .during(Need::Bind, step(&link, "make the link"))?;
        }
        Ok(())
    }

    /// Makes a link in a directory that was made for it; what an image has there stays.
    fn link(&self, says: &Path, link: &Path) -> io::Result<()> {
        match rustix::fs::symlinkat(says, self.ground.root(), relative(link)) {
            Err(rustix::io::Errno::EXIST) if self.skeleton.is_none() => Ok(()),
            result => Ok(result?),
        }
    }

    /// Places for grants that lie within private directories.
    pub(super) fn grantable_places(&mut self, spec: &WorldSpec) -> Result<(), Failure> {
        for dir in &spec.grantable {
            let above = self.plan.iter().rfind(|entry| dir.starts_with(&entry.target));
            let written = Some(Access::Write);
            if above.is_some_and(|entry| supplied(&entry.content) == written) {
                self.ground
                    .make(dir, Kind::Dir, &mut self.made)
                    .during(Need::Bind, step(dir, "make a place for grants"))?;
            }
        }
        Ok(())
    }

    /// Makes a place in the root's own file system.
    pub(super) fn own_place(&mut self, target: &Path, kind: Kind) -> io::Result<()> {
        match &mut self.skeleton {
            Some(skeleton) => Ok(skeleton.make(self.ground.root(), target, kind)?),
            None => self.ground.make(target, kind, &mut self.made).map(drop),
        }
    }
}
