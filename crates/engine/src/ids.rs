//! Identifiers: 64 hexadecimal digits, as Docker has them.

use std::fmt::Write;

/// A new id. Its first twelve digits are never all decimal: people use them as host names, and
/// a host name that is a number is taken for an address.
pub(crate) fn generate() -> String {
    loop {
        let bytes: [u8; 32] = rand::random();
        let mut id = String::with_capacity(64);
        for byte in bytes {
            let _ = write!(id, "{byte:02x}");
        }
        if id.bytes().take(12).any(|digit| digit.is_ascii_alphabetic()) {
            return id;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_64_digits_and_its_short_form_no_number() {
        for _ in 0..100 {
            let id = generate();
            assert_eq!(id.len(), 64);
            assert!(id.bytes().all(|b| b.is_ascii_hexdigit()));
            assert!(id[..12].parse::<u64>().is_err());
        }
    }
}
