//! What would become of a connection, asked before it is made.
//!
//! A captured connection is made by the time it arrives here, and can only be cut. Where the client
//! is asked about while it still connects, it can be refused in words that every program knows.

use std::net::SocketAddr;
use std::sync::Arc;

use ringfence_core::{Endpoint, Host, Process};

use super::names::Meaning;
use super::open::Port;

/// Ports of protocols that are neither HTTP nor TLS, and whose clients know no better word for *no*
/// than a refused connection. On any other port the client's first bytes are waited for, which may
/// be answered with the reason.
const REFUSED_PORTS: &[u16] = &[
    20, 21, 22, 23, 25, // ftp, ssh, telnet, smtp
    110, 111, 119, 135, 139, 143, 389, 445, 514,
    515, // pop3, rpc, nntp, smb, imap, ldap, syslog, lpd
    587, 631, 873, 1433, 1521, 1883, // submission, ipp, rsync, mssql, oracle, mqtt
    2049, 3306, 3389, 5432, 5672, 5900, // nfs, mysql, rdp, postgresql, amqp, vnc
    6379, 6667, 9042, 9092, 9418, 11211,
    27017, // redis, irc, cassandra, kafka, git, memcached, mongodb
];

/// Looks ahead for connections that are about to be made.
#[derive(Clone)]
pub struct Ahead(Arc<Port>);

/// What is known of a connection before it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prospect {
    /// It is to arrive: what it is worth is decided then.
    Arrives,
    /// The policy denies it as it stands: a decision can be had, and the client be told at once.
    Denied(Endpoint),
    /// No policy could speak of it, for this reason.
    Nowhere(String),
}

impl Ahead {
    pub(super) fn of(port: &Arc<Port>) -> Ahead {
        Ahead(Arc::clone(port))
    }

    /// Notes which process is about to connect the socket of this number (`SO_COOKIE`).
    pub fn comes_from(&self, cookie: u64, process: Process) {
        self.0.config.process.told(cookie, process);
    }

    /// What would become of a connection of the world's to this address. Nothing is recorded.
    pub fn look(&self, target: SocketAddr) -> Prospect {
        let host = match self.0.names.meaning(target.ip()) {
            Meaning::Name(name) => Host::Name(name.to_string()),
            Meaning::Itself => Host::Address(target.ip().to_canonical()),
            Meaning::Nothing => return Prospect::Nowhere(nothing(target.ip())),
        };
        let endpoint = Endpoint { host, port: target.port() };
        if REFUSED_PORTS.contains(&target.port()) && self.0.would_deny(endpoint.clone()) {
            return Prospect::Denied(endpoint);
        }
        Prospect::Arrives
    }
}

/// Why a synthetic address that nobody was given leads nowhere.
pub(super) fn nothing(address: std::net::IpAddr) -> String {
    format!("no name was ever given the address {address}")
}
