//! Where captured connections were meant to go, told by who led them here in place of the kernel.
//!
//! What is told is no more than what a program asked for: the gate decides about it, and dials
//! exactly that. A connection that nobody was told of is for the gate itself, and refused.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most connections that are told of and have not come; more and all are forgotten, and those that
/// come are refused. There are not many more ports than that.
const CLAIMS_MAX: usize = 65_536;

/// Connections that are about to come, by where from.
#[derive(Debug, Default)]
pub struct Claims {
    meant: Mutex<HashMap<SocketAddr, SocketAddr>>,
}

impl Claims {
    /// A connection comes from there, and was meant for `target`; to be said before it is made.
    pub fn say(&self, client: SocketAddr, target: SocketAddr) {
        let mut meant = self.lock();
        if meant.len() >= CLAIMS_MAX {
            meant.clear();
        }
        meant.insert(plain(client), target);
    }

    /// It does not come.
    pub fn withdraw(&self, client: SocketAddr) {
        self.lock().remove(&plain(client));
    }

    /// Where a connection was meant to go that has come from there; said once.
    pub(super) fn take(&self, client: SocketAddr) -> Option<SocketAddr> {
        self.lock().remove(&plain(client))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SocketAddr, SocketAddr>> {
        self.meant.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An address as both sides of a connection write it.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

#[cfg(test)]
mod tests {
    use super::{CLAIMS_MAX, Claims};

    #[test]
    fn a_claim_holds_for_one_connection_from_there() {
        let claims = Claims::default();
        let (client, target) = ("127.0.0.1:40000", "198.18.0.2:443");
        claims.say(client.parse().unwrap(), target.parse().unwrap());
        assert_eq!(claims.take("127.0.0.1:40001".parse().unwrap()), None);
        assert_eq!(claims.take("127.0.0.2:40000".parse().unwrap()), None);
        let mapped = "[::ffff:127.0.0.1]:40000".parse().unwrap();
        assert_eq!(claims.take(mapped), Some(target.parse().unwrap()));
        assert_eq!(claims.take(client.parse().unwrap()), None);
    }

    #[test]
    fn the_last_word_counts_and_can_be_taken_back() {
        let claims = Claims::default();
        let client = "[::1]:40000".parse().unwrap();
        claims.say(client, "[2001:db8::1]:1".parse().unwrap());
        claims.say(client, "[2001:db8::1]:2".parse().unwrap());
        assert_eq!(claims.take(client), Some("[2001:db8::1]:2".parse().unwrap()));
        claims.say(client, "[2001:db8::1]:3".parse().unwrap());
        claims.withdraw(client);
        assert_eq!(claims.take(client), None);
    }

    #[test]
    fn what_never_comes_is_not_kept_for_ever() {
        let claims = Claims::default();
        let target = "192.0.2.1:80".parse().unwrap();
        let client = |number: usize| {
            let port = u16::try_from(number % 65_536).unwrap();
            let host = u8::try_from(number / 65_536).unwrap();
            std::net::SocketAddr::from(([127, 0, 0, host], port))
        };
        for number in 0..=CLAIMS_MAX {
            claims.say(client(number), target);
        }
        assert_eq!(claims.take(client(0)), None);
        assert_eq!(claims.take(client(CLAIMS_MAX)), Some(target));
    }
}
