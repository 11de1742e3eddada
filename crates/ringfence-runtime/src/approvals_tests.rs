use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ringfence_core::Process;
use ringfence_sandbox::notify::Members;
use rustix::process::Signal;

use super::{Still, end, program};

fn sleeper() -> Child {
    let mut sleep = Command::new("sleep");
    sleep.arg("600").stdin(Stdio::null()).spawn().unwrap()
}

fn number(child: &Child) -> i32 {
    i32::try_from(child.id()).unwrap()
}

fn process(child: &Child) -> Process {
    Process { pid: number(child), parent: None }
}

fn stop(mut child: Child) -> Option<i32> {
    let _ = child.kill();
    child.wait().unwrap().signal()
}

/// The signal that ended a child that was to be ended.
fn ended(mut child: Child) -> Option<i32> {
    let until = Instant::now() + Duration::from_mins(1);
    while Instant::now() < until {
        if let Some(status) = child.try_wait().unwrap() {
            return status.signal();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    stop(child)
}

fn ours() -> Members {
    Members::below(i32::try_from(std::process::id()).unwrap())
}

#[test]
fn what_waits_in_the_world_is_ended() {
    let child = sleeper();
    end(Some(process(&child)), Some(&|| true), ours());
    assert_eq!(ended(child), Some(Signal::TERM.as_raw()));
}

#[test]
fn a_process_outside_the_world_is_not_ended_although_it_has_the_number_that_was_noted() {
    let (world, victim) = (sleeper(), sleeper());
    end(Some(process(&victim)), Some(&|| true), Members::below(number(&world)));
    // A process that nobody has ended dies of what ends it here.
    assert_eq!(
        (stop(victim), stop(world)),
        (Some(Signal::KILL.as_raw()), Some(Signal::KILL.as_raw()))
    );
}

#[test]
fn nothing_is_ended_that_does_not_wait_or_of_which_nobody_knows() {
    let no: Still<'_> = &|| false;
    for still in [Some(no), None] {
        let child = sleeper();
        end(Some(process(&child)), still, ours());
        assert_eq!(stop(child), Some(Signal::KILL.as_raw()));
    }
    end(None, Some(&|| true), ours());
    // What holds the world together is none of those that ask.
    let world = sleeper();
    end(Some(process(&world)), Some(&|| true), Members::below(number(&world)));
    assert_eq!(stop(world), Some(Signal::KILL.as_raw()));
}

#[test]
fn only_a_program_of_the_world_is_named() {
    let (world, child) = (sleeper(), sleeper());
    let named = |world| program(Some(process(&child)), world);
    assert!(named(ours()).is_some());
    assert_eq!(named(Members::below(number(&world))), None);
    assert_eq!(program(Some(Process { pid: 1, parent: None }), ours()), None);
    stop(world);
    stop(child);
}
