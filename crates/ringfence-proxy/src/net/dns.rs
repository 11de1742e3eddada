//! The name server of a world: every name gets addresses that stand for it, and nothing is looked up.
//!
//! What a name is worth is decided when somebody connects to it, so that asking for a name tells
//! nobody anything.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, PTR};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use ringfence_core::Host;

use super::names::{Meaning, Names, Stands};

/// Largest question over UDP that is read, in bytes; what is cut off is malformed.
pub(super) const QUESTION_BYTES_MAX: usize = 4096;
/// How long a program may keep an answer, in seconds: it holds for the whole session.
const KEPT_SECONDS: u32 = 300;
/// What we say we take over UDP (RFC 9715, section 3).
const UDP_BYTES: u16 = 1232;
/// A DNS header, in bytes; what is shorter has no id to answer to.
const HEADER_BYTES: usize = 12;
/// The bit of the third byte that says that a message is an answer.
const IS_ANSWER: u8 = 0x80;

/// Which families of addresses lead anywhere in the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Families {
    /// IPv4 alone.
    V4,
    /// IPv4 and IPv6.
    Both,
}

/// The answer to a message; `None` where even a refusal would be wrong.
pub fn answer(question: &[u8], names: &Names, families: Families) -> Option<Vec<u8>> {
    let header = question.first_chunk::<HEADER_BYTES>()?;
    let [high, low, flags, ..] = *header;
    // An answer to an answer would go round for ever.
    if flags & IS_ANSWER != 0 {
        return None;
    }
    let id = u16::from_be_bytes([high, low]);
    let reply = match Message::from_vec(question) {
        Ok(asked) if asked.metadata.message_type == MessageType::Query => {
            respond(&asked, names, families)
        }
        Ok(_) => return None,
        Err(_) => Message::error_msg(id, OpCode::Query, ResponseCode::FormErr),
    };
    reply.to_vec().ok()
}

fn respond(asked: &Message, names: &Names, families: Families) -> Message {
    let meta = &asked.metadata;
    let mut reply = Message::response(meta.id, meta.op_code);
    reply.metadata.recursion_desired = meta.recursion_desired;
    reply.metadata.recursion_available = true;
    if let Some(theirs) = &asked.edns {
        let mut ours = Edns::new();
        ours.set_max_payload(UDP_BYTES).set_version(0);
        reply.set_edns(ours);
        if theirs.version() > 0 {
            reply.metadata.response_code = ResponseCode::BADVERS;
            return reply;
        }
    }
    reply.metadata.response_code = match (meta.op_code, asked.queries.as_slice()) {
        (OpCode::Query, [query]) => {
            reply.add_query(query.clone());
            match records(query, names, families) {
                Ok(records) => {
                    reply.add_answers(records);
                    ResponseCode::NoError
                }
                Err(code) => code,
            }
        }
        (OpCode::Query, _) => ResponseCode::FormErr,
        _ => ResponseCode::NotImp,
    };
    reply
}

/// What answers a question; an empty answer means that the name has nothing of this type.
fn records(query: &Query, names: &Names, families: Families) -> Result<Vec<Record>, ResponseCode> {
    if query.query_class() != DNSClass::IN {
        return Err(ResponseCode::Refused);
    }
    let name = query.name();
    let record = |data| Record::from_rdata(name.clone(), KEPT_SECONDS, data);
    if let Ok(net) = name.parse_arpa_name() {
        return reverse(net.addr(), query.query_type(), names)
            .map(|found| found.map(record).into_iter().collect());
    }
    // Not HTTPS and SVCB: they carry keys for hidden names and offers of QUIC.
    let wants = |kind| [kind, RecordType::ANY].contains(&query.query_type());
    let v6_leads = families == Families::Both;
    let stands = forward(name, names)?;
    let v4 = wants(RecordType::A).then(|| record(RData::A(A(stands.v4))));
    let v6 = (wants(RecordType::AAAA) && v6_leads).then(|| record(RData::AAAA(AAAA(stands.v6))));
    Ok(v4.into_iter().chain(v6).collect())
}

/// The addresses that stand for a name.
fn forward(name: &Name, names: &Names) -> Result<Stands, ResponseCode> {
    let host = Host::parse(&name.to_ascii()).map_err(|_| ResponseCode::NXDomain)?;
    match host {
        // RFC 6761, section 6.3.
        Host::Name(name) if name == "localhost" || name.ends_with(".localhost") => {
            Ok(Stands { v4: Ipv4Addr::LOCALHOST, v6: Ipv6Addr::LOCALHOST })
        }
        Host::Name(name) => names.addresses(&name).ok_or(ResponseCode::ServFail),
        // Programs take an address without asking; a name that looks like one is none.
        Host::Address(_) => Err(ResponseCode::NXDomain),
    }
}

/// The name an address stands for; nothing is known of any other address.
fn reverse(
    address: IpAddr,
    kind: RecordType,
    names: &Names,
) -> Result<Option<RData>, ResponseCode> {
    let name = match names.meaning(address) {
        Meaning::Name(name) => name,
        Meaning::Nothing | Meaning::Itself => return Err(ResponseCode::NXDomain),
    };
    let name = Name::from_ascii(format!("{name}.")).map_err(|_| ResponseCode::ServFail)?;
    Ok((kind == RecordType::PTR).then_some(RData::PTR(PTR(name))))
}

#[cfg(test)]
mod tests;
