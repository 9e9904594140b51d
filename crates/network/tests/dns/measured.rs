//! What an answer costs. Not a test: `cargo test --release -p wharf-network --test dns -- --ignored
//! --nocapture measured`.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use hickory_proto::rr::RecordType;
use wharf_network::dns::Forwarding;

use crate::world::{Place, question};

/// How long each is measured.
const WHILE: Duration = Duration::from_secs(2);

/// Questions that one client has on its way.
const WINDOW: usize = 32;

/// Answers of a second to questions that are sent as fast as they are answered.
fn rate(socket: &UdpSocket, bytes: &[u8], window: usize) -> f64 {
    let mut buffer = [0; 512];
    let begun = Instant::now();
    let mut answered = 0_u32;
    for _ in 0..window {
        socket.send(bytes).unwrap();
    }
    while begun.elapsed() < WHILE {
        socket.recv(&mut buffer).unwrap();
        answered += 1;
        socket.send(bytes).unwrap();
    }
    f64::from(answered) / begun.elapsed().as_secs_f64()
}

#[test]
#[ignore = "a measurement"]
fn measured() {
    let place = Place::new(Forwarding::Everything);
    place.upstream(|_, _, _| {});
    let echo = place.socket("127.0.0.1:7");
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, client)) = echo.recv_from(&mut buffer) {
            echo.send_to(&buffer[..length], client).unwrap();
        }
    });
    let client = |to: &str| {
        let socket = place.socket("127.0.0.1:0");
        socket.connect(to).unwrap();
        socket
    };
    let bytes = question("web.", RecordType::A).to_vec().unwrap();
    let cached = question("example.org.", RecordType::A).to_vec().unwrap();
    for window in [1, WINDOW] {
        let echo = rate(&client("127.0.0.1:7"), &bytes, window);
        let zone = rate(&client("127.0.0.11:53"), &bytes, window);
        let cache = rate(&client("127.0.0.11:53"), &cached, window);
        println!("{window:2} at a time: echo {echo:.0}/s, zone {zone:.0}/s, cache {cache:.0}/s");
    }
    let begun = Instant::now();
    let forwarded = 500;
    for n in 0..forwarded {
        place.ask(&format!("{n}.example.org."), RecordType::A);
    }
    let each = begun.elapsed() / forwarded;
    println!("forwarded, one at a time: {each:?} each");
}
