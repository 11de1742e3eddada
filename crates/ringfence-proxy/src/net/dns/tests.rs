use proptest::prelude::*;

use super::*;

fn question(name: &str, kind: RecordType) -> Vec<u8> {
    let mut message = Message::new(77, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message.to_vec().unwrap()
}

fn asked(names: &Names, families: Families, question: &[u8]) -> Message {
    let answer = answer(question, names, families).unwrap();
    let message = Message::from_vec(&answer).unwrap();
    assert_eq!(message.metadata.message_type, MessageType::Response);
    message
}

fn data(names: &Names, name: &str, kind: RecordType) -> (ResponseCode, Vec<String>) {
    let message = asked(names, Families::Both, &question(name, kind));
    assert_eq!(message.metadata.id, 77);
    let data = message.answers.iter().map(|record| record.data.to_string()).collect();
    (message.metadata.response_code, data)
}

#[test]
fn a_name_gets_addresses_and_an_address_its_name() {
    let names = Names::default();
    let none = ResponseCode::NoError;
    let (_, v4) = data(&names, "A.Example.", RecordType::A);
    let (_, v6) = data(&names, "a.example.", RecordType::AAAA);
    assert_eq!(
        (v4.as_slice(), v6.as_slice()),
        (&["198.18.0.2".to_owned()][..], &["fd00:7269:6e67::2".to_owned()][..])
    );
    let reverse = "2.0.18.198.in-addr.arpa.";
    assert_eq!(data(&names, reverse, RecordType::PTR), (none, vec!["a.example.".to_owned()]));
    let unknown = data(&names, "3.0.18.198.in-addr.arpa.", RecordType::PTR);
    assert_eq!(unknown, (ResponseCode::NXDomain, Vec::new()));
    let reverse = "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.7.6.e.6.9.6.2.7.0.0.d.f.ip6.arpa.";
    assert_eq!(data(&names, reverse, RecordType::PTR), (none, vec!["a.example.".to_owned()]));
}

#[test]
fn the_case_of_a_question_comes_back_as_it_was() {
    let names = Names::default();
    let message = asked(&names, Families::Both, &question("A.ExAmPlE.", RecordType::A));
    assert_eq!(message.queries[0].name().to_ascii(), "A.ExAmPlE.");
    assert_eq!(message.answers[0].name.to_ascii(), "A.ExAmPlE.");
}

#[test]
fn other_types_have_no_answer_so_that_nothing_hides_a_name() {
    let names = Names::default();
    for kind in [RecordType::HTTPS, RecordType::SVCB, RecordType::TXT, RecordType::MX] {
        assert_eq!(data(&names, "a.example.", kind), (ResponseCode::NoError, Vec::new()));
    }
}

#[test]
fn without_ipv6_there_are_no_addresses_of_it() {
    let message = asked(&Names::default(), Families::V4, &question("a.b.", RecordType::AAAA));
    assert_eq!(message.metadata.response_code, ResponseCode::NoError);
    assert!(message.answers.is_empty());
}

#[test]
fn what_is_no_name_does_not_exist() {
    let names = Names::default();
    for name in ["1.2.3.4.", "0x7f.1.", "a\\.b.example.", "."] {
        assert_eq!(
            data(&names, name, RecordType::A),
            (ResponseCode::NXDomain, Vec::new()),
            "{name}"
        );
    }
    assert_eq!(data(&names, "x.localhost.", RecordType::A).1, ["127.0.0.1"]);
}

#[test]
fn a_malformed_question_is_told_so_and_an_answer_is_not_answered() {
    let names = Names::default();
    let good = question("a.example.", RecordType::A);
    let mut cut = good.clone();
    cut.truncate(good.len() - 3);
    let message = asked(&names, Families::Both, &cut);
    assert_eq!((message.metadata.id, message.metadata.response_code), (77, ResponseCode::FormErr));
    // A name that points to itself.
    let mut looping = good[..12].to_vec();
    looping.extend([0xc0, 12, 0, 1, 0, 1]);
    let message = asked(&names, Families::Both, &looping);
    assert_eq!(message.metadata.response_code, ResponseCode::FormErr);
    let mut answered = good.clone();
    answered[2] |= IS_ANSWER;
    assert_eq!(answer(&answered, &names, Families::Both), None);
    assert_eq!(answer(&good[..11], &names, Families::Both), None);
}

#[test]
fn only_one_question_of_the_internet_is_answered() {
    let names = Names::default();
    let mut two = Message::new(1, MessageType::Query, OpCode::Query);
    for name in ["a.example.", "b.example."] {
        two.add_query(Query::query(Name::from_ascii(name).unwrap(), RecordType::A));
    }
    let message = asked(&names, Families::Both, &two.to_vec().unwrap());
    assert_eq!(message.metadata.response_code, ResponseCode::FormErr);
    let mut chaos = Query::query(Name::from_ascii("version.bind.").unwrap(), RecordType::TXT);
    chaos.set_query_class(DNSClass::CH);
    let mut message = Message::new(1, MessageType::Query, OpCode::Query);
    message.add_query(chaos);
    let message = asked(&names, Families::Both, &message.to_vec().unwrap());
    assert_eq!(message.metadata.response_code, ResponseCode::Refused);
    let update = Message::new(1, MessageType::Query, OpCode::Update);
    let message = asked(&names, Families::Both, &update.to_vec().unwrap());
    assert_eq!(message.metadata.response_code, ResponseCode::NotImp);
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let names = Names::default();
        let _ = answer(&bytes, &names, Families::Both);
        let query = [&[0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0], bytes.as_slice()].concat();
        let _ = answer(&query, &names, Families::Both);
    }
}
