//! The tier `oci`: a world inside a container that podman or docker has made.
//!
//! The engine makes a container of an image, with nothing in it but a process that waits. From
//! there on it is the tier of namespaces, begun within the container's instead of the host's: the
//! mount helper enters them, lays the plan over the image's files where that tier lays it into an empty
//! root, and starts init. Nothing of the image runs before the payload, and nothing of it is trusted.
//! `docs/adr/0018-a-world-inside-a-container.md` says why.

mod engine;
mod enter;
mod keeper;
mod pause;

use std::fmt;
use std::str::FromStr;

pub(super) use enter::Inside;
pub(super) use keeper::run as keep;

/// Who makes containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Engine {
    /// podman, of root or of an ordinary user.
    #[default]
    Podman,
    /// docker: its daemon on this machine, asked by root, or one that runs as the user.
    Docker,
}

impl Engine {
    /// Every engine.
    pub const ALL: [Engine; 2] = [Engine::Podman, Engine::Docker];

    /// Its program, and what it is called in settings.
    pub fn name(self) -> &'static str {
        match self {
            Engine::Podman => "podman",
            Engine::Docker => "docker",
        }
    }

    /// What it says of itself; an error where it cannot be asked.
    pub fn version(self) -> std::io::Result<String> {
        engine::version(self)
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An engine that is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no engine `{0}`: there are `podman` and `docker`")]
pub struct NoSuchEngine(String);

impl FromStr for Engine {
    type Err = NoSuchEngine;

    fn from_str(text: &str) -> Result<Engine, NoSuchEngine> {
        let found = Engine::ALL.into_iter().find(|engine| engine.name() == text);
        found.ok_or_else(|| NoSuchEngine(text.to_owned()))
    }
}

/// The container that a world is made in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// Who makes it.
    pub engine: Engine,
    /// Of what, as the engine's storage has it: nothing is fetched.
    pub image: String,
    /// Which image that is, found when the world is begun.
    pub id: String,
    /// What it is called there.
    pub name: String,
}

impl Container {
    /// A container of `image`, called `name`.
    pub fn new(engine: Engine, image: &str, name: String) -> Container {
        Container { engine, image: image.to_owned(), id: String::new(), name }
    }

    /// Finds the image, in what the engine has.
    pub(super) fn find_image(&mut self) -> Result<(), super::WorldError> {
        self.id = engine::find_image(self.engine, &self.image)?;
        Ok(())
    }
}
