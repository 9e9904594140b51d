//! What the zone knows.

use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::time::Duration;

use hickory_proto::op::{Edns, ResponseCode};
use hickory_proto::rr::RecordType;
use rand::Rng;
use wharf_network::dns::{Forwarding, Outcome};

use crate::world::{Place, addresses, ip, question};

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
fn a_server_that_ended_is_followed_by_another_at_the_same_address() {
    let mut place = Place::new(Forwarding::Nothing);
    for _ in 0..5 {
        place.server = None;
        place.start();
        let answer = place.ask("web.", RecordType::A);
        assert_eq!(addresses(&answer), [ip("172.18.0.2")]);
    }
}

#[test]
fn a_container_may_itself_be_a_name_server() {
    let place = Place::new(Forwarding::Nothing);
    let own = place.socket("0.0.0.0:53");
    let listening = place.namespace.run(|| TcpListener::bind("0.0.0.0:53"));
    let _own_streams = listening.unwrap().unwrap();
    let answer = place.ask("web.", RecordType::A);
    assert_eq!(addresses(&answer), [ip("172.18.0.2")]);
    let over = place.ask_over_a_stream(&[question("web.", RecordType::A)]);
    assert_eq!(addresses(&over[0]), [ip("172.18.0.2")]);
    let client = place.socket("127.0.0.1:0");
    client
        .send_to(b"for the container", "127.0.0.1:53")
        .unwrap();
    let mut buffer = [0; 64];
    let (length, _) = own.recv_from(&mut buffer).unwrap();
    assert_eq!(&buffer[..length], b"for the container");
}

#[test]
fn types_that_a_container_has_none_of_are_empty_and_rubbish_is_answered_or_ignored() {
    let place = Place::new(Forwarding::Everything);
    for kind in [
        RecordType::MX,
        RecordType::TXT,
        RecordType::SRV,
        RecordType::HTTPS,
    ] {
        let answer = place.ask("web.", kind);
        assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
        assert!(answer.answers.is_empty());
    }
    assert_eq!(place.ask("web.", RecordType::ANY).answers.len(), 2);
    let socket = place.socket("127.0.0.1:0");
    socket.connect("127.0.0.11:53").unwrap();
    let mut rng = rand::rng();
    for length in 0..200 {
        let rubbish: Vec<u8> = (0..length).map(|_| rng.random()).collect();
        socket.send(&rubbish).unwrap();
    }
    assert_eq!(
        addresses(&place.ask("web.", RecordType::A)),
        [ip("172.18.0.2")]
    );
}

#[test]
fn a_stream_of_nonsense_ends_and_idle_ones_keep_nobody_out() {
    let place = Place::new(Forwarding::Nothing);
    let connect = || {
        let connected = place.namespace.run(|| TcpStream::connect("127.0.0.11:53"));
        connected.unwrap().unwrap()
    };
    let mut nonsense = connect();
    nonsense.write_all(&[0xff; 64]).unwrap();
    nonsense
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    // Ended, by whatever the kernel calls it.
    assert!(!matches!(nonsense.read(&mut [0; 8]), Ok(1..)));
    let idle: Vec<TcpStream> = (0..40).map(|_| connect()).collect();
    // As datagrams, at once; as a stream when an idle one has had its time.
    assert_eq!(
        addresses(&place.ask("web.", RecordType::A)),
        [ip("172.18.0.2")]
    );
    drop(idle);
    let over = place.ask_over_a_stream(&[question("web.", RecordType::A)]);
    assert_eq!(addresses(&over[0]), [ip("172.18.0.2")]);
}

#[test]
fn many_ask_at_once_and_each_gets_the_answer_to_its_own_question() {
    let place = Place::new(Forwarding::Nothing);
    std::thread::scope(|scope| {
        for n in 0..8 {
            let place = &place;
            scope.spawn(move || {
                let (name, address) = [("web.", "172.18.0.2"), ("four.", "172.18.0.4")][n % 2];
                for _ in 0..50 {
                    assert_eq!(addresses(&place.ask(name, RecordType::A)), [ip(address)]);
                }
            });
        }
    });
}
