//! Ethernet addresses.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac(pub [u8; 6]);

/// A text that is not an Ethernet address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("address {0}: invalid MAC address")]
pub struct MacError(pub String);

/// First octet: given by whom it may concern, not by a maker.
const LOCAL: u8 = 0b10;
/// First octet: meant for many.
const GROUP: u8 = 0b01;

impl Mac {
    /// A random address out of those that no maker gives.
    pub fn random_local() -> Mac {
        let mut octets: [u8; 6] = rand::random();
        octets[0] = (octets[0] | LOCAL) & !GROUP;
        Mac(octets)
    }

    /// The address that Docker's older versions gave to the owner of an IPv4 address: 02:42 and
    /// the four octets of that.
    pub fn of_ipv4(address: Ipv4Addr) -> Mac {
        let [a, b, c, d] = address.octets();
        Mac([0x02, 0x42, a, b, c, d])
    }

    /// Whether a link can have it: neither a group's nor all zeroes.
    pub fn is_usable(self) -> bool {
        self.0[0] & GROUP == 0 && self.0 != [0; 6]
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Mac {
    type Err = MacError;

    /// The forms of 48 bits that Go's `net.ParseMAC` takes: `02:42:ac:11:00:02`, the same with
    /// hyphens, `0242.ac11.0002`.
    fn from_str(text: &str) -> Result<Mac, MacError> {
        let digits = match text.as_bytes() {
            [_, _, separator @ (b':' | b'-'), ..] if text.len() == 17 => {
                groups(text, *separator, 2)
            }
            [_, _, _, _, b'.', ..] if text.len() == 14 => groups(text, b'.', 4),
            _ => None,
        };
        digits.map(Mac).ok_or_else(|| MacError(text.to_owned()))
    }
}

/// Hexadecimal digits in groups of `width`, one separator between.
fn groups(text: &str, separator: u8, width: usize) -> Option<[u8; 6]> {
    let mut nibbles = [0u8; 12];
    let mut filled = 0;
    for (at, byte) in text.bytes().enumerate() {
        if at % (width + 1) == width {
            if byte != separator {
                return None;
            }
            continue;
        }
        *nibbles.get_mut(filled)? = u8::try_from(char::from(byte).to_digit(16)?).ok()?;
        filled += 1;
    }
    let mut octets = [0u8; 6];
    for (octet, pair) in octets.iter_mut().zip(nibbles.chunks_exact(2)) {
        *octet = pair[0] << 4 | pair[1];
    }
    (filled == nibbles.len()).then_some(octets)
}

impl TryFrom<String> for Mac {
    type Error = MacError;

    fn try_from(text: String) -> Result<Mac, MacError> {
        text.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> String {
        mac.to_string()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    #[test]
    fn every_form_that_docker_takes_is_read() {
        let mac = Mac([0x02, 0x42, 0xac, 0x11, 0, 2]);
        for text in ["02:42:ac:11:00:02", "02-42-AC-11-00-02", "0242.ac11.0002"] {
            assert_eq!(text.parse(), Ok(mac), "{text}");
        }
        assert_eq!(mac.to_string(), "02:42:ac:11:00:02");
        assert_eq!(Mac::of_ipv4(Ipv4Addr::new(172, 17, 0, 2)), mac);
    }

    #[test]
    fn what_is_no_address_is_refused_by_its_text() {
        for text in [
            "",
            "02:42",
            "02:42:ac:11:00:0g",
            "02:42-ac:11:00:02",
            "02:42:ac:11:00:02:03",
            "0242ac110002",
            "02:42:ac:11:00:é",
        ] {
            assert_eq!(text.parse::<Mac>(), Err(MacError(text.to_owned())));
        }
    }

    #[test]
    fn random_addresses_are_local_ones_of_one_owner() {
        for _ in 0..100 {
            let mac = Mac::random_local();
            assert_eq!(mac.0[0] & (LOCAL | GROUP), LOCAL);
            assert!(mac.is_usable());
        }
        assert!(!Mac([0xff; 6]).is_usable());
        assert!(!Mac([0; 6]).is_usable());
    }
}
