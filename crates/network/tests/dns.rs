//! The name server of a container, asked over real sockets in a namespace of the test's own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hickory_proto::op::{Edns, Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use wharf_network::Netns;
use wharf_network::dns::{
    Forwarding, Handle, Origin, Outcome, SandboxConfig, Server, Upstream, Zone,
};

/// Where the tests' upstream server listens, in the container's own namespace.
const UPSTREAM: &str = "127.0.0.1:5300";

struct Names;

impl Zone for Names {
    fn lookup(&self, name: &str) -> Option<Vec<IpAddr>> {
        match name {
            "web" => Some(vec![ip("172.18.0.2"), ip("fd00::2")]),
            "four" => Some(vec![ip("172.18.0.4")]),
            "many" => Some((1..=200).map(|n| IpAddr::from([172, 18, 1, n])).collect()),
            _ => None,
        }
    }

    fn reverse(&self, address: IpAddr) -> Option<String> {
        (address == ip("172.18.0.2")).then(|| "web.front".to_owned())
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A namespace with a server in it.
struct Place {
    namespace: Netns,
    runtime: tokio::runtime::Runtime,
    config: SandboxConfig,
    server: Option<Handle>,
}

impl Place {
    fn new(forwarding: Forwarding) -> Place {
        let namespace = Netns::create().unwrap();
        namespace.run(wharf_sys::loopback::up).unwrap().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let config = SandboxConfig {
            container: "box".to_owned(),
            upstreams: vec![Upstream {
                address: UPSTREAM.parse().unwrap(),
                origin: Origin::Container,
            }],
            forwarding,
            ..SandboxConfig::default()
        };
        let mut place = Place {
            namespace,
            runtime,
            config,
            server: None,
        };
        place.start();
        place
    }

    fn start(&mut self) {
        let zone = Arc::new(Names);
        let (namespace, runtime) = (&self.namespace, self.runtime.handle());
        let server = Server::start(namespace, self.config.clone(), zone, runtime).unwrap();
        self.server = Some(server);
    }

    fn socket(&self, address: &str) -> UdpSocket {
        let bound = self.namespace.run(|| UdpSocket::bind(address)).unwrap();
        let socket = bound.unwrap();
        let patience = Some(Duration::from_secs(20));
        socket.set_read_timeout(patience).unwrap();
        socket
    }

    fn ask_with(&self, question: &Message) -> Message {
        let socket = self.socket("127.0.0.1:0");
        socket.connect("127.0.0.11:53").unwrap();
        socket.send(&question.to_vec().unwrap()).unwrap();
        let mut buffer = [0; 65_535];
        let length = socket.recv(&mut buffer).unwrap();
        let answer = Message::from_vec(&buffer[..length]).unwrap();
        assert_eq!(answer.metadata.id, question.metadata.id);
        assert_eq!(answer.queries, question.queries);
        answer
    }

    fn ask(&self, name: &str, kind: RecordType) -> Message {
        self.ask_with(&question(name, kind))
    }

    fn ask_over_a_stream(&self, questions: &[Message]) -> Vec<Message> {
        let connected = self.namespace.run(|| TcpStream::connect("127.0.0.11:53"));
        let mut stream = connected.unwrap().unwrap();
        for question in questions {
            let bytes = question.to_vec().unwrap();
            let length = u16::try_from(bytes.len()).unwrap();
            stream.write_all(&length.to_be_bytes()).unwrap();
            stream.write_all(&bytes).unwrap();
        }
        questions
            .iter()
            .map(|_| {
                let mut length = [0; 2];
                stream.read_exact(&mut length).unwrap();
                let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
                stream.read_exact(&mut answer).unwrap();
                Message::from_vec(&answer).unwrap()
            })
            .collect()
    }

    /// An upstream server that answers everything with one address, after what `meddle` sends.
    fn upstream(&self, meddle: fn(&UdpSocket, &Message, SocketAddr)) -> Arc<AtomicUsize> {
        let socket = self.socket(UPSTREAM);
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok((length, client)) = socket.recv_from(&mut buffer) {
                count.fetch_add(1, Ordering::SeqCst);
                let question = Message::from_vec(&buffer[..length]).unwrap();
                meddle(&socket, &question, client);
                let bytes = answer(&question, "192.0.2.80").to_vec().unwrap();
                socket.send_to(&bytes, client).unwrap();
            }
        });
        asked
    }

    fn outcomes(&self) -> Vec<Outcome> {
        let newest = self.config.log.newest();
        newest.into_iter().map(|query| query.outcome).collect()
    }
}

fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

fn answer(question: &Message, address: &str) -> Message {
    let mut reply = question.clone();
    reply.metadata.message_type = MessageType::Response;
    let name = question.queries[0].name().clone();
    let data = RData::A(A(address.parse().unwrap()));
    reply.add_answer(Record::from_rdata(name, 300, data));
    reply
}

fn addresses(message: &Message) -> Vec<IpAddr> {
    let address = |record: &Record| record.data.ip_addr();
    message.answers.iter().filter_map(address).collect()
}

#[test]
fn names_of_the_containers_networks_are_answered_for_both_families_and_back() {
    let place = Place::new(Forwarding::Nothing);
    let four = place.ask("web.", RecordType::A);
    assert_eq!(addresses(&four), [ip("172.18.0.2")]);
    let six = place.ask("WEB.", RecordType::AAAA);
    assert_eq!(addresses(&six), [ip("fd00::2")]);
    let none = place.ask("four.", RecordType::AAAA);
    assert_eq!(none.metadata.response_code, ResponseCode::NoError);
    assert!(none.answers.is_empty());
    let back = place.ask("2.0.18.172.in-addr.arpa.", RecordType::PTR);
    assert_eq!(back.answers[0].data.to_string(), "web.front.");
    assert!(place.outcomes().iter().all(|it| *it == Outcome::Answered));
}

#[test]
fn what_is_too_long_for_a_datagram_comes_over_a_stream_and_several_at_a_time() {
    let place = Place::new(Forwarding::Nothing);
    let short = place.ask("many.", RecordType::A);
    assert!(short.metadata.truncation);
    let questions = [
        question("many.", RecordType::A),
        question("web.", RecordType::A),
    ];
    let answers = place.ask_over_a_stream(&questions);
    assert_eq!(addresses(&answers[0]).len(), 200);
    assert_eq!(addresses(&answers[1]), [ip("172.18.0.2")]);
    let mut large = question("many.", RecordType::A);
    let mut edns = Edns::new();
    edns.set_max_payload(4096);
    large.set_edns(edns);
    let whole = place.ask_with(&large);
    assert_eq!(addresses(&whole).len(), 200);
    assert!(whole.edns.is_some());
}

#[test]
fn the_addresses_of_a_name_take_turns() {
    let place = Place::new(Forwarding::Nothing);
    let question = [question("many.", RecordType::A)];
    let first = |_| addresses(&place.ask_over_a_stream(&question)[0])[0];
    let firsts: HashSet<IpAddr> = (0..20).map(first).collect();
    assert!(firsts.len() > 1);
}

#[test]
fn other_names_go_to_the_upstream_server_once_and_then_come_from_the_cache() {
    let place = Place::new(Forwarding::Everything);
    let asked = place.upstream(|_, _, _| {});
    for _ in 0..3 {
        let answer = place.ask("example.org.", RecordType::A);
        assert_eq!(addresses(&answer), [ip("192.0.2.80")]);
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    let upstreams = vec![UPSTREAM.parse().unwrap()];
    let outcomes = [
        Outcome::Forwarded { upstreams },
        Outcome::Cached,
        Outcome::Cached,
    ];
    assert_eq!(place.outcomes(), outcomes);
}

#[test]
fn forged_answers_are_passed_over() {
    let place = Place::new(Forwarding::Everything);
    place.upstream(|socket, question, client| {
        let mut number = answer(question, "6.6.6.6");
        number.metadata.id = number.metadata.id.wrapping_add(1);
        let mut name = answer(question, "6.6.6.6");
        name.queries[0].set_name(Name::from_ascii("example.com.").unwrap());
        let mut letters = answer(question, "6.6.6.6");
        letters.queries[0].set_name(Name::from_ascii("eXample.org.").unwrap());
        for forged in [number, name, letters] {
            socket.send_to(&forged.to_vec().unwrap(), client).unwrap();
        }
        socket.send_to(b"rubbish", client).unwrap();
    });
    let answer = place.ask("Example.org.", RecordType::A);
    assert_eq!(addresses(&answer), [ip("192.0.2.80")]);
}

#[test]
fn a_name_that_must_not_leave_does_not_and_the_log_proves_it() {
    let place = Place::new(Forwarding::Qualified);
    let asked = place.upstream(|_, _, _| {});
    let gone = place.ask("nosuchcontainer.", RecordType::A);
    assert_eq!(gone.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(asked.load(Ordering::SeqCst), 0);
    assert_eq!(place.outcomes(), [Outcome::Kept]);
    place.ask("example.org.", RecordType::A);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[test]
fn without_an_upstream_server_that_answers_the_client_is_told_so() {
    let place = Place::new(Forwarding::Everything);
    // Nobody listens there: the kernel says so at once.
    let answer = place.ask("example.org.", RecordType::A);
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
    assert!(matches!(place.outcomes()[..], [Outcome::Unanswered { .. }]));
}

#[test]
fn a_server_that_ended_leaves_its_port_to_the_next() {
    let mut place = Place::new(Forwarding::Nothing);
    for _ in 0..5 {
        place.server = None;
        // Its tasks end on another thread.
        let until = Instant::now() + Duration::from_secs(10);
        while let Err(error) = place
            .namespace
            .run(|| UdpSocket::bind("127.0.0.11:53"))
            .unwrap()
        {
            assert!(Instant::now() < until, "the port is never free: {error}");
            std::thread::yield_now();
        }
        place.start();
        let answer = place.ask("web.", RecordType::A);
        assert_eq!(addresses(&answer), [ip("172.18.0.2")]);
    }
}
