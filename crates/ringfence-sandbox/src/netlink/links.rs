//! The loopback interface, its addresses, and the routes through it, `rtnetlink(7)`.

use std::io;
use std::net::IpAddr;

use super::{Batch, Line, NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL};

const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const RTA_OIF: u16 = 4;
const RTA_PREFSRC: u16 = 7;

/// The loopback interface is the first of every network namespace.
const LOOPBACK: u32 = 1;
/// `IFF_UP`.
const UP: u32 = 1;
/// `IFA_F_NODAD`: nobody else is on this interface to have the address already.
const NO_DUPLICATES: u8 = 0x02;
/// `RT_TABLE_MAIN`, `RTPROT_BOOT`, `RT_SCOPE_UNIVERSE`.
const MAIN_ROUTE: [u8; 3] = [254, 3, 0];
/// `RTN_UNICAST`, `RTN_PROHIBIT`.
const UNICAST: u8 = 1;
const PROHIBIT: u8 = 8;

/// What becomes of what has no other way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Elsewhere {
    /// It goes through the loopback.
    Through,
    /// It is refused (`EACCES`).
    Refused,
}

impl Line {
    /// Brings `lo` up, with its own 127.0.0.1 and ::1.
    pub(crate) fn loopback_up(&self) -> io::Result<()> {
        let mut batch = Batch::default();
        batch.message(RTM_NEWLINK, NLM_F_ACK, &link_header(), |_| {});
        self.carry_out(&batch, batch.sequence)
    }

    /// Gives `lo` an address, and sends everything of its family that has no other way through it.
    pub(crate) fn everything_through_loopback(&self, address: IpAddr) -> io::Result<()> {
        let batch = address_and_default(address, Elsewhere::Through);
        self.carry_out(&batch, batch.sequence)
    }

    /// Gives `lo` an address, and refuses everything of its family that has no other way.
    pub(crate) fn nothing_leaves(&self, address: IpAddr) -> io::Result<()> {
        let batch = address_and_default(address, Elsewhere::Refused);
        self.carry_out(&batch, batch.sequence)
    }
}

fn address_and_default(address: IpAddr, elsewhere: Elsewhere) -> Batch {
    let (family, bits, bytes) = match address {
        IpAddr::V4(address) => (libc::AF_INET, 32, address.octets().to_vec()),
        IpAddr::V6(address) => (libc::AF_INET6, 128, address.octets().to_vec()),
    };
    let family = u8::try_from(family).unwrap_or_default();
    let mut batch = Batch::default();
    // struct ifaddrmsg: the address alone, so that no neighbours are taken for the world's own.
    let mut header = vec![family, bits, NO_DUPLICATES, 0];
    header.extend(LOOPBACK.to_ne_bytes());
    batch.message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &header, |batch| {
        batch.attribute(IFA_LOCAL, &bytes);
        batch.attribute(IFA_ADDRESS, &bytes);
    });
    // struct rtmsg: no destination is every destination.
    let mut header = vec![family, 0, 0, 0];
    header.extend(MAIN_ROUTE);
    header.push(match elsewhere {
        Elsewhere::Through => UNICAST,
        Elsewhere::Refused => PROHIBIT,
    });
    header.extend([0; 4]);
    batch.message(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, &header, |batch| {
        if elsewhere == Elsewhere::Through {
            batch.attribute(RTA_OIF, &LOOPBACK.to_ne_bytes());
            batch.attribute(RTA_PREFSRC, &bytes);
        }
    });
    batch
}

/// `struct ifinfomsg`.
fn link_header() -> Vec<u8> {
    let mut header = vec![0; 4];
    header.extend(LOOPBACK.to_ne_bytes());
    // The flags, and which of them are meant.
    header.extend(UP.to_ne_bytes());
    header.extend(UP.to_ne_bytes());
    header
}
