//! Traffic that is shaped. Where the kernel lacks a discipline, the error says which: the tests
//! hold either.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use wharf_network::shaping::{self, Shaping};
use wharf_network::{LinkError, Netns, endpoint};

use crate::world::{endpoint_spec, in_a_world, links_here, with_bridge};

fn rate(rate: u64) -> Shaping {
    Shaping {
        rate: Some(rate),
        ..Shaping::default()
    }
}

#[test]
fn a_rate_is_set_changed_shown_and_cleared_while_the_link_is_up() {
    in_a_world(|| {
        with_bridge();
        let container = Netns::create().unwrap();
        let mut spec = endpoint_spec("br0", "veth0", &["10.7.0.2/24"]);
        spec.incoming = Some(rate(8_000_000));
        spec.outgoing = Some(Shaping {
            burst: Some(200_000),
            ..rate(16_000_000_000_000)
        });
        endpoint::attach(&spec, &container).unwrap();
        assert_eq!(shaping::show("veth0").unwrap().rate, Some(8_000_000));
        let inside = container.run(|| shaping::show("eth0").unwrap()).unwrap();
        assert_eq!(inside.rate, Some(16_000_000_000_000));
        for bits in [1_000_000, 9_000_000_000, 8_000] {
            shaping::set("veth0", &rate(bits)).unwrap();
            assert_eq!(shaping::show("veth0").unwrap().rate, Some(bits));
        }
        let wide = Shaping {
            burst: Some(500_000),
            ..rate(8_000_000)
        };
        shaping::set("veth0", &wide).unwrap();
        let burst = shaping::show("veth0").unwrap().burst.unwrap();
        assert!(burst.abs_diff(500_000) < 1000, "{burst}");
        shaping::clear("veth0").unwrap();
        shaping::clear("veth0").unwrap();
        assert_eq!(shaping::show("veth0").unwrap(), Shaping::default());
        shaping::set("veth0", &Shaping::default()).unwrap();
    });
}

#[test]
fn a_megabyte_at_eight_megabits_takes_a_second_less_its_burst() {
    in_a_world(|| {
        with_bridge();
        let container = Netns::create().unwrap();
        let mut spec = endpoint_spec("br0", "veth0", &["10.7.0.2/24"]);
        spec.outgoing = Some(rate(8_000_000));
        endpoint::attach(&spec, &container).unwrap();
        let sink = UdpSocket::bind("10.7.0.1:7").unwrap();
        sink.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let source = container
            .run(|| UdpSocket::bind("10.7.0.2:0").unwrap())
            .unwrap();
        let start = Instant::now();
        let sending = std::thread::spawn(move || {
            for _ in 0..400 {
                // Blocks at the socket's buffer: what waits in the queue counts as its own.
                source.send_to(&[0; 1400], "10.7.0.1:7").ok();
            }
        });
        let mut bytes = 0;
        let mut last = start;
        while bytes < 300_000 {
            match sink.recv_from(&mut [0; 2000]) {
                Ok((length, _)) => (bytes, last) = (bytes + length, Instant::now()),
                Err(_) => break,
            }
        }
        sending.join().unwrap();
        let took = last.duration_since(start);
        // The burst of 64 KiB goes at once, the rest at 1 MB/s, however slow the machine.
        #[allow(clippy::cast_precision_loss)]
        let least = (bytes as f64 - 70_000.0) / 1_000_000.0;
        assert!(bytes > 100_000, "{bytes}");
        assert!(took.as_secs_f64() > least, "{bytes} bytes in {took:?}");
    });
}

#[test]
fn lateness_and_loss_are_set_or_the_kernel_has_no_netem_and_nothing_is_left() {
    in_a_world(|| {
        with_bridge();
        let container = Netns::create().unwrap();
        let mut spec = endpoint_spec("br0", "veth0", &["10.7.0.2/24"]);
        let bad = Shaping {
            latency: Some(Duration::from_millis(30)),
            jitter: Some(Duration::from_millis(5)),
            loss: Some(12.5),
            ..rate(8_000_000)
        };
        spec.incoming = Some(bad);
        match endpoint::attach(&spec, &container) {
            Ok(_) => {
                let shown = shaping::show("veth0").unwrap();
                assert_eq!(
                    Shaping {
                        burst: None,
                        ..shown
                    },
                    bad
                );
                let late = arrives_after(&container);
                assert!(late > Duration::from_millis(20), "{late:?}");
                // From both to the rate alone, and back.
                shaping::set("veth0", &rate(1_000_000)).unwrap();
                assert_eq!(shaping::show("veth0").unwrap().latency, None);
                shaping::set("veth0", &bad).unwrap();
                assert_eq!(shaping::show("veth0").unwrap().loss, bad.loss);
            }
            Err(LinkError::Unsupported { link, feature }) => {
                assert_eq!((link.as_str(), feature), ("veth0", "netem"));
                assert_eq!(links_here(), ["br0"]);
            }
            Err(other) => panic!("{other}"),
        }
    });
}

#[test]
fn shapes_that_cannot_be_are_refused_before_anything_changes() {
    in_a_world(|| {
        with_bridge();
        let cases = [
            Shaping {
                burst: Some(1),
                loss: Some(1.0),
                ..Shaping::default()
            },
            Shaping {
                loss: Some(101.0),
                ..Shaping::default()
            },
            Shaping {
                loss: Some(f64::NAN),
                ..Shaping::default()
            },
            Shaping {
                jitter: Some(Duration::from_millis(1)),
                ..Shaping::default()
            },
            Shaping {
                latency: Some(Duration::from_secs(4000)),
                ..Shaping::default()
            },
            rate(1),
        ];
        for case in cases {
            let error = shaping::set("br0", &case).unwrap_err();
            assert!(
                matches!(error, LinkError::Impossible { .. }),
                "{case:?}: {error}"
            );
        }
        assert_eq!(shaping::show("br0").unwrap(), Shaping::default());
        assert!(matches!(
            shaping::show("br9"),
            Err(LinkError::NoSuchLink { .. })
        ));
    });
}

/// How long a datagram from here to the container takes, of those that arrive.
fn arrives_after(container: &Netns) -> Duration {
    let receiver = container
        .run(|| UdpSocket::bind("10.7.0.2:7").unwrap())
        .unwrap();
    receiver
        .set_read_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    let sender = UdpSocket::bind("10.7.0.1:0").unwrap();
    for _ in 0..20 {
        let start = Instant::now();
        sender.send_to(b"hello", "10.7.0.2:7").unwrap();
        if receiver.recv_from(&mut [0; 16]).is_ok() {
            return start.elapsed();
        }
    }
    panic!("nothing arrives");
}
