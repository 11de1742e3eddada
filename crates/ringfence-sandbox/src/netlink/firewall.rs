//! The packet filter of a world, in nftables' own messages: all TCP to the net gate, DNS to its
//! server, the world's own localhost left alone, and nothing else.
//!
//! It makes the gate reachable and failures quick. It is no wall: what it would let through has
//! nowhere to go, for the network has no interface but the loopback.

use std::io;
use std::net::Ipv6Addr;

use super::{Batch, Line, NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE};

/// The port of DNS.
pub(crate) const DNS_PORT: u16 = 53;

const TABLE: &str = "ringfence";
/// The chain that changes where packets go.
const CAPTURE: &str = "capture";
/// The chain that drops what has not gone to the gate by then.
const CONFINE: &str = "confine";

/// `NFNL_MSG_BATCH_BEGIN`, `NFNL_MSG_BATCH_END`, `NFNL_SUBSYS_NFTABLES`.
const BATCH_BEGIN: u16 = 16;
const BATCH_END: u16 = 17;
const NFTABLES: u16 = 10;
const NEWTABLE: u16 = NFTABLES << 8;
const NEWCHAIN: u16 = NFTABLES << 8 | 3;
const NEWRULE: u16 = NFTABLES << 8 | 6;
/// `NFPROTO_UNSPEC`, `NFPROTO_INET`, `NFPROTO_IPV4`, `NFPROTO_IPV6`.
const UNSPECIFIED: u8 = 0;
const INET: u8 = 1;
const IPV4: u8 = 2;
const IPV6: u8 = 10;

const HOOK_OUTPUT: u32 = 3;
/// `NF_IP_PRI_NAT_DST`: before routing is decided anew. `NF_IP_PRI_FILTER`.
const PRIORITY_NAT: i32 = -100;
const PRIORITY_FILTER: i32 = 0;
/// `NF_DROP`, `NF_ACCEPT`.
const DROP: u32 = 0;
const ACCEPT: u32 = 1;

/// The first of the two kinds of place a value can be loaded into: the verdict, and register 1.
const VERDICT: u32 = 0;
const REGISTER: u32 = 1;
/// `NFT_META_L4PROTO`, `NFT_META_NFPROTO`.
const META_TRANSPORT: u32 = 16;
const META_FAMILY: u32 = 15;
/// `NFT_CT_STATE`, and its bits for packets of connections that are known, or belong to one.
const CT_STATE: u32 = 0;
const ESTABLISHED_RELATED: u32 = 0x6;
/// `NFT_CMP_EQ`, `NFT_CMP_NEQ`.
const EQUAL: u32 = 0;
const NOT_EQUAL: u32 = 1;
/// `NFT_PAYLOAD_NETWORK_HEADER`, `NFT_PAYLOAD_TRANSPORT_HEADER`.
const NETWORK: u32 = 1;
const TRANSPORT: u32 = 2;
/// `NF_NAT_RANGE_PROTO_SPECIFIED`.
const PORT_GIVEN: u32 = 2;

/// A part of a packet: header, offset and length.
type Field = (u32, u32, u32);
const PORT: Field = (TRANSPORT, 2, 2);
const FIRST_BYTE_V4: Field = (NETWORK, 16, 1);
const ADDRESS_V6: Field = (NETWORK, 24, 16);

/// 127.0.0.0/8 by its first byte.
const LOOPBACK_V4: u8 = 127;

impl Line {
    /// Sends all TCP of the namespace to `port` of its loopback, and all DNS to [`DNS_PORT`] there,
    /// DNS over TCP to `port` like the rest; drops everything else but what stays on 127.0.0.0/8
    /// and ::1.
    pub(crate) fn capture(&self, port: u16) -> io::Result<()> {
        let (batch, last) = rules(port);
        self.carry_out(&batch, last)
    }
}

/// The whole table, all or nothing; and the number of the message that is acknowledged.
fn rules(port: u16) -> (Batch, u32) {
    let mut batch = Batch::default();
    let tcp = [u8::try_from(libc::IPPROTO_TCP).unwrap_or_default()];
    let udp = [u8::try_from(libc::IPPROTO_UDP).unwrap_or_default()];
    let dns = DNS_PORT.to_be_bytes();
    let subsystem = NFTABLES.to_be_bytes();
    batch.message(BATCH_BEGIN, 0, &[UNSPECIFIED, 0, subsystem[0], subsystem[1]], |_| {});
    batch.message(NEWTABLE, NLM_F_CREATE, &[INET, 0, 0, 0], |batch| batch.text(1, TABLE));
    chain(&mut batch, (CAPTURE, "nat"), PRIORITY_NAT, ACCEPT);
    chain(&mut batch, (CONFINE, "filter"), PRIORITY_FILTER, DROP);
    rule(&mut batch, CAPTURE, 0, |batch| {
        meta_is(batch, META_TRANSPORT, &tcp);
        field_is(batch, PORT, &dns);
        redirect(batch, port);
    });
    rule(&mut batch, CAPTURE, 0, |batch| {
        meta_is(batch, META_TRANSPORT, &udp);
        field_is(batch, PORT, &dns);
        redirect(batch, DNS_PORT);
    });
    accept_own(&mut batch, CAPTURE, 0);
    rule(&mut batch, CAPTURE, 0, |batch| {
        meta_is(batch, META_TRANSPORT, &tcp);
        redirect(batch, port);
    });
    rule(&mut batch, CONFINE, 0, |batch| {
        known_connection(batch);
        accept(batch);
    });
    accept_own(&mut batch, CONFINE, NLM_F_ACK);
    let last = batch.sequence;
    batch.message(BATCH_END, 0, &[UNSPECIFIED, 0, subsystem[0], subsystem[1]], |_| {});
    (batch, last)
}

/// The world's own localhost stays as it is.
fn accept_own(batch: &mut Batch, chain: &str, flags: u16) {
    rule(batch, chain, 0, |batch| {
        meta_is(batch, META_FAMILY, &[IPV4]);
        field_is(batch, FIRST_BYTE_V4, &[LOOPBACK_V4]);
        accept(batch);
    });
    rule(batch, chain, flags, |batch| {
        meta_is(batch, META_FAMILY, &[IPV6]);
        field_is(batch, ADDRESS_V6, &Ipv6Addr::LOCALHOST.octets());
        accept(batch);
    });
}

fn chain(batch: &mut Batch, (name, kind): (&str, &str), priority: i32, policy: u32) {
    batch.message(NEWCHAIN, NLM_F_CREATE, &[INET, 0, 0, 0], |batch| {
        batch.text(1, TABLE);
        batch.text(3, name);
        batch.text(7, kind);
        batch.attribute(5, &policy.to_be_bytes());
        batch.nested(4, |batch| {
            batch.attribute(1, &HOOK_OUTPUT.to_be_bytes());
            batch.attribute(2, &priority.to_be_bytes());
        });
    });
}

fn rule(batch: &mut Batch, chain: &str, flags: u16, expressions: impl FnOnce(&mut Batch)) {
    let flags = NLM_F_CREATE | NLM_F_APPEND | flags;
    batch.message(NEWRULE, flags, &[INET, 0, 0, 0], |batch| {
        batch.text(1, TABLE);
        batch.text(2, chain);
        batch.nested(4, expressions);
    });
}

fn expression(batch: &mut Batch, name: &str, data: impl FnOnce(&mut Batch)) {
    batch.nested(1, |batch| {
        batch.text(1, name);
        batch.nested(2, data);
    });
}

/// Numbers as attributes, in the order and with the kinds given.
fn numbers(batch: &mut Batch, values: &[(u16, u32)]) {
    for (kind, value) in values {
        batch.attribute(*kind, &value.to_be_bytes());
    }
}

fn compare(batch: &mut Batch, how: u32, value: &[u8]) {
    expression(batch, "cmp", |batch| {
        numbers(batch, &[(1, REGISTER), (2, how)]);
        batch.nested(3, |batch| batch.attribute(1, value));
    });
}

fn meta_is(batch: &mut Batch, key: u32, value: &[u8]) {
    expression(batch, "meta", |batch| numbers(batch, &[(2, key), (1, REGISTER)]));
    compare(batch, EQUAL, value);
}

fn field_is(batch: &mut Batch, (base, offset, length): Field, value: &[u8]) {
    expression(batch, "payload", |batch| {
        numbers(batch, &[(1, REGISTER), (2, base), (3, offset), (4, length)]);
    });
    compare(batch, EQUAL, value);
}

fn known_connection(batch: &mut Batch) {
    expression(batch, "ct", |batch| numbers(batch, &[(2, CT_STATE), (1, REGISTER)]));
    // The state is a number of the machine's own byte order.
    expression(batch, "bitwise", |batch| {
        numbers(batch, &[(1, REGISTER), (2, REGISTER), (3, 4)]);
        batch.nested(4, |batch| batch.attribute(1, &ESTABLISHED_RELATED.to_ne_bytes()));
        batch.nested(5, |batch| batch.attribute(1, &[0; 4]));
    });
    compare(batch, NOT_EQUAL, &[0; 4]);
}

fn redirect(batch: &mut Batch, port: u16) {
    expression(batch, "immediate", |batch| {
        numbers(batch, &[(1, REGISTER)]);
        batch.nested(2, |batch| batch.attribute(1, &port.to_be_bytes()));
    });
    expression(batch, "redir", |batch| numbers(batch, &[(1, REGISTER), (3, PORT_GIVEN)]));
}

fn accept(batch: &mut Batch) {
    expression(batch, "immediate", |batch| {
        numbers(batch, &[(1, VERDICT)]);
        batch.nested(2, |batch| {
            batch.nested(2, |batch| batch.attribute(1, &ACCEPT.to_be_bytes()));
        });
    });
}
