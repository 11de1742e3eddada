//! Who a session does not outlive: a caller in another process, or the process that started this one.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Weak;

use ringfence_core::Gate;
use ringfence_sandbox::world::World;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Pid, PidfdFlags, getppid, pidfd_open};

use super::RunError;

/// A descriptor on which the end of the process that started this one is heard of.
pub(super) fn starter(pid: Option<u32>) -> Result<Option<OwnedFd>, RunError> {
    let Some(pid) = pid else { return Ok(None) };
    let gone = || io::Error::other("whoever asked for the session is gone");
    let open = || {
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(gone)?;
        let starter = pidfd_open(pid, PidfdFlags::empty())?;
        // Asked afterwards: the number may be another process's by now.
        if getppid() == Some(pid) { Ok(starter) } else { Err(gone()) }
    };
    open().map(Some).map_err(RunError::step("watch who asked for the session"))
}

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
