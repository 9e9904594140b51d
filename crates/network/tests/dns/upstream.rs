//! What others are asked.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::A;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use wharf_network::Netns;
use wharf_network::dns::{Forwarding, Origin, Outcome, Upstream};

use crate::world::{Place, UPSTREAM, addresses, answer, ip, question};

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

/// An upstream server that does this with each question.
fn server(
    place: &Place,
    address: &str,
    act: impl Fn(&UdpSocket, &[u8], SocketAddr) + Send + 'static,
) {
    let socket = place.socket(address);
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, client)) = socket.recv_from(&mut buffer) {
            act(&socket, &buffer[..length], client);
        }
    });
}

fn at(address: &str) -> Upstream {
    Upstream {
        address: address.parse().unwrap(),
        origin: Origin::Container,
    }
}

#[test]
fn a_server_that_is_silent_or_cannot_say_is_followed_by_the_next_and_both_are_in_the_log() {
    let mut place = Place::new(Forwarding::Everything);
    let upstreams = ["127.0.0.1:5301", "127.0.0.1:5302", UPSTREAM];
    place.config.upstreams = upstreams.map(at).to_vec();
    place.start();
    server(&place, upstreams[0], |_, _, _| {});
    server(&place, upstreams[1], |socket, bytes, client| {
        let mut failed = Message::from_vec(bytes).unwrap().into_response();
        failed.metadata.response_code = ResponseCode::ServFail;
        socket.send_to(&failed.to_vec().unwrap(), client).unwrap();
    });
    place.upstream(|_, _, _| {});
    let got = place.ask("example.org.", RecordType::A);
    assert_eq!(addresses(&got), [ip("192.0.2.80")]);
    let told = upstreams.map(|address| address.parse().unwrap()).to_vec();
    assert_eq!(place.outcomes(), [Outcome::Forwarded { upstreams: told }]);
}

#[test]
fn what_no_datagram_holds_is_asked_for_again_over_a_stream() {
    let place = Place::new(Forwarding::Everything);
    server(&place, UPSTREAM, |socket, bytes, client| {
        let mut cut = Message::from_vec(bytes).unwrap().into_response();
        cut.metadata.truncation = true;
        socket.send_to(&cut.to_vec().unwrap(), client).unwrap();
    });
    let listening = place.namespace.run(|| TcpListener::bind(UPSTREAM));
    let listener = listening.unwrap().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut bytes).unwrap();
        let asked = Message::from_vec(&bytes).unwrap();
        let mut whole = answer(&asked, "192.0.2.1");
        for last in 2..=200 {
            let name = asked.queries[0].name().clone();
            let data = RData::A(A([192, 0, 2, last].into()));
            whole.add_answer(Record::from_rdata(name, 60, data));
        }
        let bytes = whole.to_vec().unwrap();
        let length = u16::try_from(bytes.len()).unwrap();
        stream.write_all(&length.to_be_bytes()).unwrap();
        stream.write_all(&bytes).unwrap();
    });
    assert!(place.ask("large.test.", RecordType::A).metadata.truncation);
    let whole = place.ask_over_a_stream(&[question("large.test.", RecordType::A)]);
    assert_eq!(addresses(&whole[0]).len(), 200);
    // From now on it is known.
    let again = place.ask_over_a_stream(&[question("large.test.", RecordType::A)]);
    assert_eq!(addresses(&again[0]).len(), 200);
    assert_eq!(place.outcomes().last(), Some(&Outcome::Cached));
}

#[test]
fn records_that_are_not_understood_here_arrive_as_they_were_sent() {
    let place = Place::new(Forwarding::Everything);
    // An address of three bytes: no sound record, and none of our business.
    const ODD: &[u8] = b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x03abc";
    server(&place, UPSTREAM, |socket, bytes, client| {
        let mut reply = bytes.to_vec();
        reply[2] |= 0x80;
        reply[7] = 1;
        reply.extend_from_slice(ODD);
        socket.send_to(&reply, client).unwrap();
    });
    let socket = place.socket("127.0.0.1:0");
    socket.connect("127.0.0.11:53").unwrap();
    let asked = question("odd.test.", RecordType::A).to_vec().unwrap();
    socket.send(&asked).unwrap();
    let mut buffer = [0; 512];
    let length = socket.recv(&mut buffer).unwrap();
    assert_eq!(buffer[..2], asked[..2]);
    assert!(buffer[..length].ends_with(ODD));
}

#[test]
fn a_flood_of_questions_has_a_bound_and_names_of_containers_are_still_answered() {
    let place = Place::new(Forwarding::Everything);
    server(&place, UPSTREAM, |_, _, _| {});
    let flood = place.socket("127.0.0.1:0");
    flood.connect("127.0.0.11:53").unwrap();
    let mut refused = 0;
    flood
        .set_read_timeout(Some(Duration::from_millis(1)))
        .unwrap();
    let begun = Instant::now();
    for n in 0..3000_u32 {
        let asked = question(&format!("{n}.test."), RecordType::A);
        flood.send(&asked.to_vec().unwrap()).unwrap();
        let mut buffer = [0; 512];
        if n % 8 == 0 && flood.recv(&mut buffer).is_ok() {
            refused += 1;
        }
        if refused > 100 || begun.elapsed() > Duration::from_secs(3) {
            break;
        }
    }
    let four = place.ask("four.", RecordType::A);
    assert_eq!(addresses(&four), [ip("172.18.0.4")]);
    let outcomes = place.outcomes();
    assert!(outcomes.contains(&Outcome::Overload), "{}", outcomes.len());
}

#[test]
fn a_question_that_the_end_of_its_server_cuts_short_is_in_the_log() {
    let mut place = Place::new(Forwarding::Everything);
    let (told, heard) = std::sync::mpsc::channel();
    server(&place, UPSTREAM, move |_, _, _| told.send(()).unwrap());
    let socket = place.socket("127.0.0.1:0");
    socket.connect("127.0.0.11:53").unwrap();
    let asked = question("secret.test.", RecordType::A);
    socket.send(&asked.to_vec().unwrap()).unwrap();
    heard.recv_timeout(Duration::from_secs(20)).unwrap();
    place.server = None;
    let until = Instant::now() + Duration::from_secs(20);
    while place.config.log.newest().is_empty() {
        assert!(Instant::now() < until, "nothing is logged");
        std::thread::yield_now();
    }
    let upstreams = vec![UPSTREAM.parse().unwrap()];
    assert_eq!(place.outcomes(), [Outcome::Unanswered { upstreams }]);
}

#[test]
fn a_server_on_the_host_s_loopback_is_asked_from_the_host() {
    // The runtime's threads are the daemon's; here they live in a namespace that stands for the host.
    let host = Netns::create().unwrap();
    host.run(wharf_sys::loopback::up).unwrap().unwrap();
    let mut place = host.run(|| Place::new(Forwarding::Everything)).unwrap();
    let (container, asked) = (
        place.namespace.try_clone().unwrap(),
        place.upstream(|_, _, _| {}),
    );
    place.namespace = host;
    let asked_on_the_host = place.upstream(|_, _, _| {});
    place.namespace = container;
    for (origin, name) in [
        (Origin::Host, "one.test."),
        (Origin::Container, "two.test."),
    ] {
        place.config.upstreams[0].origin = origin;
        place.start();
        place.ask(name, RecordType::A);
    }
    let count = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);
    assert_eq!((count(&asked_on_the_host), count(&asked)), (1, 1));
}

#[test]
fn a_server_never_asks_itself() {
    let mut place = Place::new(Forwarding::Everything);
    place.config.upstreams = vec![at("127.0.0.11:53")];
    place.start();
    let answer = place.ask("example.org.", RecordType::A);
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
    assert_eq!(place.outcomes(), [Outcome::Kept]);
}
