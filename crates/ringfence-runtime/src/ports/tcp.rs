//! Connections of TCP, before they are made: what the net gate would only cut is refused here, in the
//! word that every program knows.
//!
//! This is for the program's sake, and no wall: whatever goes on is decided by the net gate.

use std::sync::Arc;

use ringfence_core::{Act, Checked, Durability};
use ringfence_proxy::net::ahead::Prospect;
use ringfence_sandbox::notify::{Attempt, TcpConnect, Unresolvable};

use super::Ports;

/// `ECONNREFUSED`.
const ECONNREFUSED: i32 = 111;

/// Refuses a connection that the policy denies; any other goes on.
pub(super) fn answer(ports: &Arc<Ports>, attempt: Attempt, connect: TcpConnect) {
    // Before it arrives: the net gate need not look for the process then.
    if let Some(cookie) = connect.cookie {
        ports.ahead.comes_from(cookie, ports.process(&attempt));
    }
    match ports.ahead.look(connect.target) {
        Prospect::Arrives => attempt.carry_on(),
        Prospect::Nowhere(why) => {
            let what = Unresolvable { syscall: "connect", why, errno: ECONNREFUSED };
            // Denied whether or not it could be recorded; a log that fails ends the session.
            let _ = ports.gate.note(ports.refused(&attempt, &what), Durability::Soon);
            attempt.write_stderr(&super::unresolvable(&what));
            attempt.deny(ECONNREFUSED);
        }
        Prospect::Denied(endpoint) => {
            let request = ports.request(&attempt, Act::Connect(endpoint));
            match ports.gate.check(request) {
                Checked::Deny(denial) => ports.refuse_with(attempt, &denial, ECONNREFUSED),
                // The policy has changed in between: what arrives is decided once more.
                Checked::Permit(_) | Checked::Ask(_) => attempt.carry_on(),
            }
        }
    }
}
