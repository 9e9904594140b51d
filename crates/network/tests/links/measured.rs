//! What attaching and detaching cost. Run alone, in release mode:
//! `cargo test --release -p wharf-network --test links -- --ignored --nocapture measured`

use std::time::{Duration, Instant};

use std::os::fd::{AsFd, AsRawFd};

use wharf_network::netlink::{Message, Socket};
use wharf_network::{Netns, endpoint};

use crate::world::{endpoint_spec, in_a_world, with_bridge};

const ROUNDS: usize = 200;

fn told(what: &str, mut times: Vec<Duration>) {
    times.sort();
    println!(
        "{what}: median {:?}, least {:?}, most {:?}",
        times[times.len() / 2],
        times[0],
        times[times.len() - 1]
    );
}

#[test]
#[ignore = "a measurement"]
fn attach_and_detach_against_a_bare_pair() {
    in_a_world(|| {
        with_bridge();
        for addresses in [&["10.7.0.2/24"][..], &["10.7.0.2/24", "fd07::2/64"]] {
            let (mut attach, mut detach) = (Vec::new(), Vec::new());
            for _ in 0..ROUNDS {
                let container = Netns::create().unwrap();
                let spec = endpoint_spec("br0", "veth0", addresses);
                let start = Instant::now();
                endpoint::attach(&spec, &container).unwrap();
                attach.push(start.elapsed());
                let start = Instant::now();
                endpoint::detach(Some("veth0"), None, None).unwrap();
                detach.push(start.elapsed());
            }
            told(&format!("attach {addresses:?}"), attach);
            told(&format!("detach {addresses:?}"), detach);
        }
        let (mut make, mut delete) = (Vec::new(), Vec::new());
        let mut socket = Socket::open().unwrap();
        for _ in 0..ROUNDS {
            let container = Netns::create().unwrap();
            let start = Instant::now();
            socket.ask(&bare_pair(&container)).unwrap().unwrap();
            make.push(start.elapsed());
            let start = Instant::now();
            socket
                .ask(&Message::new(17, 0, &[0; 16]).text(3, "veth0"))
                .unwrap()
                .unwrap();
            delete.push(start.elapsed());
        }
        told(
            "the kernel's floor: a bare pair made, one end in a namespace",
            make,
        );
        told("the kernel's floor: a bare pair deleted", delete);
        let mut threads = Vec::new();
        let container = Netns::create().unwrap();
        for _ in 0..ROUNDS {
            let start = Instant::now();
            container.run(|| ()).unwrap();
            threads.push(start.elapsed());
        }
        told("a thread in a namespace and back", threads);
    });
}

/// `RTM_NEWLINK` of a veth pair: no bridge, no addresses, nobody up.
fn bare_pair(container: &Netns) -> Message {
    let peer = Message::new(0, 0, &[0; 16])
        .text(3, "eth0")
        .attribute(28, &container.as_fd().as_raw_fd().to_ne_bytes());
    let info = Message::attributes()
        .text(1, "veth")
        .nest(2, &Message::attributes().attribute(1, peer.body()));
    Message::new(16, 0x600, &[0; 16])
        .text(3, "veth0")
        .nest(18, &info)
}
