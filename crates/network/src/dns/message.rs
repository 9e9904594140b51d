//! Questions read and answers written (RFC 1035, 2181, 6891).

use std::net::IpAddr;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, PTR};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

/// How long an answer of ours may be kept, in seconds, as dockerd says.
const TTL: u32 = 600;

/// The most that is sent in one datagram, whatever a client would take: larger ones are cut to
/// pieces on the way, or lost.
const DATAGRAM: u16 = 4096;

/// Length of a header.
const HEADER: usize = 12;

/// One question of a client.
#[derive(Debug, Clone)]
pub struct Question {
    message: Message,
    query: Query,
    name: String,
}

/// What makes two questions have the same answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    name: String,
    kind: u16,
    class: u16,
    flags: [bool; 4],
}

/// What a message is that is no question for us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// Nothing that could be answered.
    Ignored,
    /// This is the answer.
    Answered(Vec<u8>),
}

impl Question {
    /// Reads a message of a client.
    pub fn read(bytes: &[u8]) -> Result<Question, Unfit> {
        let Ok(mut message) = Message::from_vec(bytes) else {
            return Err(malformed(bytes));
        };
        if message.metadata.message_type != MessageType::Query {
            return Err(Unfit::Ignored);
        }
        if message.metadata.op_code != OpCode::Query {
            return Err(refused(&message, ResponseCode::NotImp));
        }
        if message.queries.len() != 1 {
            return Err(refused(&message, ResponseCode::FormErr));
        }
        if message.version() > 0 {
            return Err(refused(&message, ResponseCode::BADVERS));
        }
        let Some(query) = message.queries.pop() else {
            return Err(Unfit::Ignored);
        };
        let name = plain(query.name());
        Ok(Question {
            message,
            query,
            name,
        })
    }

    /// What is asked for, in small letters and without a dot at its end.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The type asked for, as it is written.
    #[must_use]
    pub fn kind(&self) -> String {
        self.query.query_type().to_string()
    }

    /// The address whose name is asked for.
    #[must_use]
    pub fn reversed(&self) -> Option<IpAddr> {
        if self.query.query_type() != RecordType::PTR {
            return None;
        }
        let net = self.query.name().parse_arpa_name().ok()?;
        (net.prefix_len() == net.max_prefix_len()).then(|| net.addr())
    }

    /// Whether it is a question for the internet, the only class there is.
    pub(super) fn is_internet(&self) -> bool {
        matches!(self.query.query_class(), DNSClass::IN | DNSClass::ANY)
    }

    /// What makes two questions have the same answer. Nothing if the answer is for this client only:
    /// options may say where it is, or who.
    pub(super) fn key(&self) -> Option<Key> {
        let edns = self.message.edns.as_ref();
        if edns.is_some_and(|edns| !edns.options().as_ref().is_empty()) {
            return None;
        }
        let flags = &self.message.metadata;
        Some(Key {
            name: self.name.clone(),
            kind: self.query.query_type().into(),
            class: self.query.query_class().into(),
            flags: [
                flags.recursion_desired,
                flags.checking_disabled,
                flags.authentic_data,
                self.is_secured(),
            ],
        })
    }

    fn is_secured(&self) -> bool {
        let edns = self.message.edns.as_ref();
        edns.is_some_and(|edns| edns.flags().dnssec_ok)
    }

    /// The question itself, for comparing: an upstream must give it back letter by letter.
    pub(super) fn asks(&self, query: &Query) -> bool {
        self.query.name().eq_case(query.name())
            && self.query.query_type() == query.query_type()
            && self.query.query_class() == query.query_class()
    }

    /// The most that the client said it takes in a datagram: nobody answers it with more.
    pub(super) fn announced(&self) -> usize {
        usize::from(self.message.max_payload())
    }

    /// The most that the client is sent in a datagram.
    fn datagram(&self) -> usize {
        usize::from(self.message.max_payload().min(DATAGRAM))
    }

    /// An answer with these addresses, as far as they are of the family asked for.
    #[must_use]
    pub fn addresses(&self, addresses: &[IpAddr]) -> Message {
        let kind = self.query.query_type();
        let mut reply = self.reply(ResponseCode::NoError);
        for address in addresses {
            let data = match (address, kind) {
                (IpAddr::V4(address), RecordType::A | RecordType::ANY) => RData::A(A(*address)),
                (IpAddr::V6(address), RecordType::AAAA | RecordType::ANY) => {
                    RData::AAAA(AAAA(*address))
                }
                _ => continue,
            };
            reply.add_answer(Record::from_rdata(self.query.name().clone(), TTL, data));
        }
        reply
    }

    /// An answer with the name of an address.
    pub(super) fn pointer(&self, name: &str) -> Message {
        let mut reply = self.reply(ResponseCode::NoError);
        if let Ok(mut target) = Name::from_utf8(name) {
            target.set_fqdn(true);
            let data = RData::PTR(PTR(target));
            reply.add_answer(Record::from_rdata(self.query.name().clone(), TTL, data));
        }
        reply
    }

    /// An answer without records.
    pub(super) fn reply(&self, code: ResponseCode) -> Message {
        let mut reply = reply_to(&self.message, code);
        reply.add_query(self.query.clone());
        reply
    }

    /// An answer that was given to somebody else, for this client.
    pub(super) fn adopt(&self, kept: &Message, age: u32) -> Message {
        let mut reply = kept.clone();
        reply.metadata.id = self.message.metadata.id;
        reply.queries = vec![self.query.clone()];
        reply.edns = self.message.edns.as_ref().map(|_| {
            let mut edns = edns();
            edns.set_dnssec_ok(self.is_secured());
            edns
        });
        for record in reply
            .answers
            .iter_mut()
            .chain(&mut reply.authorities)
            .chain(&mut reply.additionals)
        {
            record.ttl = record.ttl.saturating_sub(age);
        }
        reply
    }

    /// The bytes of an answer for a datagram: without its records if it is too long, so that the
    /// client asks again over a stream.
    #[must_use]
    pub fn datagram_of(&self, reply: &Message) -> Option<Vec<u8>> {
        let bytes = reply.to_vec().ok()?;
        if bytes.len() <= self.datagram() {
            return Some(bytes);
        }
        reply.truncate().to_vec().ok()
    }
}

/// Header fields as an answer has them.
fn reply_to(message: &Message, code: ResponseCode) -> Message {
    let mut reply = Message::response(message.metadata.id, message.metadata.op_code);
    reply.metadata.recursion_desired = message.metadata.recursion_desired;
    reply.metadata.recursion_available = true;
    reply.metadata.response_code = code;
    if message.edns.is_some() {
        reply.set_edns(edns());
    }
    reply
}

fn edns() -> Edns {
    let mut edns = Edns::new();
    edns.set_max_payload(DATAGRAM).set_version(0);
    edns
}

fn refused(message: &Message, code: ResponseCode) -> Unfit {
    let mut reply = reply_to(message, code);
    if let (Some(edns), ResponseCode::BADVERS) = (reply.edns.as_mut(), code) {
        edns.set_rcode_high(code.high());
    }
    reply.to_vec().map_or(Unfit::Ignored, Unfit::Answered)
}

/// To a question whose header can be read the answer is that the rest cannot.
fn malformed(bytes: &[u8]) -> Unfit {
    let Some(header) = bytes.get(..HEADER) else {
        return Unfit::Ignored;
    };
    // The bit that says "answer": two servers must never talk to each other for ever.
    if header[2] & 0x80 != 0 {
        return Unfit::Ignored;
    }
    let id = u16::from_be_bytes([header[0], header[1]]);
    let reply = Message::error_msg(id, OpCode::Query, ResponseCode::FormErr);
    reply.to_vec().map_or(Unfit::Ignored, Unfit::Answered)
}

fn plain(name: &Name) -> String {
    let mut text = name.to_ascii().to_ascii_lowercase();
    if text.ends_with('.') {
        text.pop();
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn asked(name: &str, kind: RecordType) -> Message {
        let mut message = Message::query();
        message.metadata.recursion_desired = true;
        message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
        message
    }

    fn question(name: &str, kind: RecordType) -> Question {
        Question::read(&asked(name, kind).to_vec().unwrap()).unwrap()
    }

    #[test]
    fn a_name_is_compared_without_case_and_answered_with_it() {
        let question = question("WeB.", RecordType::A);
        assert_eq!(question.name(), "web");
        let reply = question.addresses(&["10.0.0.2".parse().unwrap(), "fd00::2".parse().unwrap()]);
        assert_eq!(reply.answers.len(), 1);
        assert_eq!(reply.answers[0].name.to_ascii(), "WeB.");
        assert!(reply.metadata.recursion_available);
    }

    #[test]
    fn the_family_that_a_name_lacks_is_an_empty_answer_and_not_an_error() {
        let question = question("web.", RecordType::AAAA);
        let reply = question.addresses(&["10.0.0.2".parse().unwrap()]);
        assert_eq!(reply.metadata.response_code, ResponseCode::NoError);
        assert!(reply.answers.is_empty());
    }

    #[test]
    fn addresses_are_read_from_both_reverse_trees() {
        let four = question("2.0.17.172.in-addr.arpa.", RecordType::PTR);
        assert_eq!(four.reversed(), Some("172.17.0.2".parse().unwrap()));
        let six = "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa.";
        assert_eq!(
            question(six, RecordType::PTR).reversed(),
            Some("fd00::2".parse().unwrap())
        );
        for other in ["17.172.in-addr.arpa.", "web.", "x.in-addr.arpa."] {
            assert_eq!(question(other, RecordType::PTR).reversed(), None);
        }
    }

    #[test]
    fn an_answer_too_long_for_a_datagram_says_so_and_is_empty() {
        let question = question("many.", RecordType::A);
        let many: Vec<IpAddr> = (0..200).map(|n| IpAddr::from([10, 0, 0, n])).collect();
        let bytes = question.datagram_of(&question.addresses(&many)).unwrap();
        assert!(bytes.len() <= 512);
        let read = Message::from_vec(&bytes).unwrap();
        assert!(read.metadata.truncation);
        assert!(read.answers.is_empty());
    }

    #[test]
    fn what_is_no_question_is_refused_or_ignored() {
        assert!(matches!(Question::read(b"short"), Err(Unfit::Ignored)));
        let mut answer = asked("web.", RecordType::A);
        answer.metadata.message_type = MessageType::Response;
        assert!(matches!(
            Question::read(&answer.to_vec().unwrap()),
            Err(Unfit::Ignored)
        ));
        let code = |message: &Message| match Question::read(&message.to_vec().unwrap()) {
            Err(Unfit::Answered(bytes)) => {
                Message::from_vec(&bytes).unwrap().metadata.response_code
            }
            other => panic!("{other:?}"),
        };
        let mut two = asked("web.", RecordType::A);
        two.add_query(Query::query(Name::root(), RecordType::A));
        assert_eq!(code(&two), ResponseCode::FormErr);
        let mut update = asked("web.", RecordType::A);
        update.metadata.op_code = OpCode::Notify;
        assert_eq!(code(&update), ResponseCode::NotImp);
        let mut cut = asked("web.", RecordType::A).to_vec().unwrap();
        cut.truncate(14);
        let Err(Unfit::Answered(bytes)) = Question::read(&cut) else {
            panic!("a question cut short must be answered");
        };
        let read = Message::from_vec(&bytes).unwrap();
        assert_eq!(read.metadata.response_code, ResponseCode::FormErr);
    }
}
