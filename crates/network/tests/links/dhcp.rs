//! The DHCP client, before a server that the test is: on a bridge, the client on a macvlan link.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use wharf_network::Netns;
use wharf_network::dhcp::{Client, DhcpError, Patience};
use wharf_network::endpoint::{self, EndpointSpec, Kind, MacvlanMode};

use crate::world::{endpoint_spec, in_a_world, net, with_bridge};

const QUICK: Patience = Patience {
    total: Duration::from_secs(5),
    first: Duration::from_millis(300),
};

/// What a test's server does with one request: the type of the answer and the address in it.
type Answers = fn(request: u8, number: usize) -> Option<(u8, Ipv4Addr)>;

const DISCOVER: u8 = 1;
const OFFER: u8 = 2;
const REQUEST: u8 = 3;
const ACK: u8 = 5;
const NAK: u8 = 6;
const RELEASE: u8 = 7;

const GIVEN: Ipv4Addr = Ipv4Addr::new(10, 7, 0, 77);

/// A world with a server and a client on a macvlan link of the bridge.
fn with_server(answers: Answers, work: impl FnOnce(&Netns, mpsc::Receiver<u8>) + Send) {
    in_a_world(|| {
        with_bridge();
        // In a container: what is on a parent by macvlan never reaches the parent's own host.
        let home = Netns::create().unwrap();
        endpoint::attach(&endpoint_spec("br0", "veth0", &["10.7.0.5/24"]), &home).unwrap();
        let socket = home.run(|| UdpSocket::bind("0.0.0.0:67").unwrap()).unwrap();
        socket.set_broadcast(true).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(100)))
            .unwrap();
        let (heard, hears) = mpsc::channel();
        let (stop, stopped) = mpsc::channel::<()>();
        let server = thread::spawn(move || {
            let mut number = 0;
            let mut buffer = [0; 2000];
            while stopped.try_recv() != Err(mpsc::TryRecvError::Disconnected) {
                let Ok((length, _)) = socket.recv_from(&mut buffer) else {
                    continue;
                };
                let request = &buffer[..length];
                let kind = request[242];
                heard.send(kind).ok();
                if let Some((answer, address)) = answers(kind, number) {
                    let reply = reply(request, answer, address);
                    // Noise first: of somebody else's exchange, and cut short.
                    let mut other = reply.clone();
                    other[4] ^= 1;
                    for packet in [&other[..], &reply[..100], &reply[..]] {
                        socket.send_to(packet, "255.255.255.255:68").unwrap();
                    }
                }
                number += 1;
            }
        });
        let container = Netns::create().unwrap();
        let spec = EndpointSpec {
            kind: Kind::Macvlan {
                parent: "br0".to_owned(),
                mode: MacvlanMode::Bridge,
            },
            ..endpoint_spec("", "", &[])
        };
        endpoint::attach(&spec, &container).unwrap();
        work(&container, hears);
        drop(stop);
        server.join().unwrap();
    });
}

fn reply(request: &[u8], kind: u8, address: Ipv4Addr) -> Vec<u8> {
    let mut reply = request[..240].to_vec();
    reply[0] = 2;
    reply[16..20].copy_from_slice(&address.octets());
    reply.extend_from_slice(&[53, 1, kind, 54, 4, 10, 7, 0, 1, 1, 4, 255, 255, 255, 0, 0]);
    reply.extend_from_slice(&[3, 4, 10, 7, 0, 1, 6, 8, 10, 7, 0, 1, 9, 9, 9, 9]);
    reply.extend_from_slice(&[
        51, 4, 0, 0, 0, 120, 15, 4, b'a', b'.', b'b', 0, 26, 2, 5, 0x78,
    ]);
    reply.push(255);
    reply
}

#[test]
fn an_address_is_offered_taken_renewed_and_given_back() {
    let answers: Answers = |request, _| match request {
        DISCOVER => Some((OFFER, GIVEN)),
        REQUEST => Some((ACK, GIVEN)),
        _ => None,
    };
    with_server(answers, |container, heard| {
        let client = Client::open(container, "eth0", Some("web"), QUICK).unwrap();
        let lease = client.acquire(None).unwrap();
        assert_eq!(ipnet::IpNet::V4(lease.address), net("10.7.0.77/24"));
        assert_eq!(lease.router, Some(Ipv4Addr::new(10, 7, 0, 1)));
        assert_eq!(
            lease.dns,
            [Ipv4Addr::new(10, 7, 0, 1), Ipv4Addr::new(9, 9, 9, 9)]
        );
        assert_eq!(
            (lease.domain.as_deref(), lease.mtu),
            (Some("a.b"), Some(1400))
        );
        assert_eq!(lease.duration, Duration::from_secs(120));
        assert_eq!(lease.renew_after, Duration::from_secs(60));
        assert_eq!(lease.rebind_after, Duration::from_secs(105));
        assert_eq!(client.renew(&lease).unwrap(), lease);
        client.release(&lease).unwrap();
        let wait = Duration::from_secs(5);
        let said: Vec<u8> = (0..4).map(|_| heard.recv_timeout(wait).unwrap()).collect();
        assert_eq!(said, [DISCOVER, REQUEST, REQUEST, RELEASE]);
    });
}

#[test]
fn silence_and_lost_packets_are_asked_through_and_a_late_no_begins_anew() {
    let answers: Answers = |_, number| match number {
        0 => None,
        1 => Some((OFFER, GIVEN)),
        2 => Some((NAK, Ipv4Addr::UNSPECIFIED)),
        3 => Some((OFFER, Ipv4Addr::new(10, 7, 0, 78))),
        4 => Some((ACK, Ipv4Addr::new(10, 7, 0, 78))),
        _ => Some((NAK, Ipv4Addr::UNSPECIFIED)),
    };
    with_server(answers, |container, _heard| {
        let client = Client::open(container, "eth0", None, QUICK).unwrap();
        let lease = client.acquire(Some(GIVEN)).unwrap();
        assert_eq!(ipnet::IpNet::V4(lease.address), net("10.7.0.78/24"));
        let error = client.renew(&lease).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the DHCP server 10.7.0.1 no longer gives 10.7.0.78 to eth0"
        );
    });
}

#[test]
fn where_nobody_answers_the_wait_ends_and_says_on_which_link() {
    with_server(
        |_, _| None,
        |container, _heard| {
            let patience = Patience {
                total: Duration::from_millis(500),
                first: Duration::from_millis(100),
            };
            let client = Client::open(container, "eth0", None, patience).unwrap();
            let error = client.acquire(None).unwrap_err();
            assert!(
                matches!(&error, DhcpError::Silence { link, .. } if link == "eth0"),
                "{error}"
            );
            let error = Client::open(container, "eth9", None, patience).unwrap_err();
            assert_eq!(error.to_string(), "no such link: eth9");
        },
    );
}

#[test]
fn busybox_s_server_is_understood_and_understands() {
    in_a_world(|| {
        with_bridge();
        let home = Netns::create().unwrap();
        endpoint::attach(&endpoint_spec("br0", "veth0", &["10.7.0.5/24"]), &home).unwrap();
        let place = tempfile::tempdir().unwrap();
        let leases = place.path().join("leases");
        std::fs::write(&leases, "").unwrap();
        let settings = place.path().join("udhcpd.conf");
        let text = format!(
            "start 10.7.0.100\nend 10.7.0.120\ninterface eth0\nlease_file {}\npidfile {}\n\
             option subnet 255.255.255.0\noption router 10.7.0.5\noption dns 10.7.0.5\n\
             option lease 600\noption domain example.net\n",
            leases.display(),
            place.path().join("pid").display(),
        );
        std::fs::write(&settings, text).unwrap();
        #[allow(
            clippy::disallowed_methods,
            reason = "a server that somebody else wrote"
        )]
        let mut server = home
            .run(|| {
                let mut command = std::process::Command::new("busybox");
                command
                    .args(["udhcpd", "-f", "-I", "10.7.0.5"])
                    .arg(&settings);
                command.stderr(std::process::Stdio::null()).spawn().unwrap()
            })
            .unwrap();
        let container = Netns::create().unwrap();
        let spec = EndpointSpec {
            kind: Kind::Macvlan {
                parent: "br0".to_owned(),
                mode: MacvlanMode::Bridge,
            },
            ..endpoint_spec("", "", &[])
        };
        endpoint::attach(&spec, &container).unwrap();
        let client = Client::open(&container, "eth0", Some("web"), QUICK).unwrap();
        let asked = client.acquire(Some(Ipv4Addr::new(10, 7, 0, 111)));
        let renewed = asked.as_ref().ok().map(|lease| client.renew(lease));
        let released = asked.as_ref().ok().map(|lease| client.release(lease));
        server.kill().unwrap();
        server.wait().unwrap();
        let lease = asked.unwrap();
        assert_eq!(ipnet::IpNet::V4(lease.address), net("10.7.0.111/24"));
        assert_eq!(lease.router, Some(Ipv4Addr::new(10, 7, 0, 5)));
        assert_eq!(lease.domain.as_deref(), Some("example.net"));
        assert_eq!(lease.duration, Duration::from_secs(600));
        assert_eq!(renewed.unwrap().unwrap(), lease);
        released.unwrap().unwrap();
        // What it gave works at once.
        let routes = lease
            .router
            .map(|router| endpoint::Route::default_by(router.into()));
        let routes: Vec<_> = routes.into_iter().collect();
        endpoint::add_to(&container, "eth0", &[lease.address.into()], &routes).unwrap();
        assert!(crate::world::reaches(
            &container,
            Ipv4Addr::new(10, 7, 0, 5).into(),
            &home
        ));
    });
}
