//! The caller of a session that runs in another process than its own.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Weak;

use ringfence_core::Gate;
use ringfence_sandbox::world::World;
use rustix::event::{PollFd, PollFlags, poll};

/// Ends a world as soon as anything is heard on the line to its caller, who has nothing more to say:
/// then the caller is gone, as a broker of its own would be.
pub(super) fn end_without(line: OwnedFd, gate: Gate, world: Weak<World>) -> io::Result<()> {
    let watch = move || {
        while let Err(rustix::io::Errno::INTR) =
            poll(&mut [PollFd::new(&line, PollFlags::IN)], None)
        {}
        gate.stop();
        if let Some(world) = world.upgrade() {
            world.kill();
        }
    };
    std::thread::Builder::new().name("caller".to_owned()).spawn(watch).map(drop)
}
