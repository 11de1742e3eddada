//! The addresses a world sees in place of names: each stands for one name, for the whole session.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Most names of one session. Beyond, a name gets no address: an address is never taken back, for
/// a program may have kept it.
pub const NAMES_MAX: usize = 65_536;

/// Where synthetic addresses begin: the block for benchmarks (RFC 2544), which no network uses.
const BLOCK_V4: u32 = u32::from_be_bytes([198, 18, 0, 0]);
/// Its prefix length.
const LENGTH_V4: u32 = 15;
/// A unique local prefix (RFC 4193), spelt "ring".
const BLOCK_V6: u128 = 0xfd00_7269_6e67 << 80;
/// Its prefix length.
const LENGTH_V6: u32 = 64;
/// The number of the first name: 0 is the block, 1 the world itself.
const FIRST: u32 = 2;

/// The names that were asked for, and their addresses.
#[derive(Debug, Default)]
pub struct Names {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    numbers: HashMap<Arc<str>, u32>,
    /// In the order of their numbers, the first of which is [`FIRST`].
    names: Vec<Arc<str>>,
}

/// The two addresses of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stands {
    /// The IPv4 address.
    pub v4: Ipv4Addr,
    /// The IPv6 address.
    pub v6: Ipv6Addr,
}

/// What an address stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Meaning {
    /// This name.
    Name(Arc<str>),
    /// Nothing: it is one of ours, and nobody was given it.
    Nothing,
    /// Itself: it is none of ours.
    Itself,
}

impl Names {
    /// The addresses of a canonical name; `None` when there are [`NAMES_MAX`] others.
    pub fn addresses(&self, name: &str) -> Option<Stands> {
        let mut table = self.table();
        if let Some(number) = table.numbers.get(name) {
            return Some(stands(*number));
        }
        let count = table.names.len();
        if count >= NAMES_MAX {
            return None;
        }
        let number = FIRST.checked_add(u32::try_from(count).ok()?)?;
        let name: Arc<str> = name.into();
        table.names.push(Arc::clone(&name));
        table.numbers.insert(name, number);
        Some(stands(number))
    }

    /// What an address stands for.
    pub fn meaning(&self, address: IpAddr) -> Meaning {
        let Some(number) = number(address.to_canonical()) else { return Meaning::Itself };
        let at = number.checked_sub(u128::from(FIRST)).and_then(|at| usize::try_from(at).ok());
        let table = self.table();
        let name = at.and_then(|at| table.names.get(at));
        name.map_or(Meaning::Nothing, |name| Meaning::Name(Arc::clone(name)))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn stands(number: u32) -> Stands {
    Stands {
        v4: Ipv4Addr::from(BLOCK_V4 | number),
        v6: Ipv6Addr::from(BLOCK_V6 | u128::from(number)),
    }
}

/// The number of an address of ours.
fn number(address: IpAddr) -> Option<u128> {
    match address {
        IpAddr::V4(address) => {
            let within = u32::from(address) ^ BLOCK_V4;
            within.leading_zeros().ge(&LENGTH_V4).then_some(u128::from(within))
        }
        IpAddr::V6(address) => {
            let within = u128::from(address) ^ BLOCK_V6;
            within.leading_zeros().ge(&LENGTH_V6).then_some(within)
        }
    }
}

#[cfg(test)]
mod tests;
