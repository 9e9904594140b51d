//! Names for containers that were given none: an adjective and somebody who did something
//! remarkable, as Docker has it.

use rand::seq::IndexedRandom;

const ADJECTIVES: [&str; 64] = [
    "able", "agile", "amber", "amused", "ardent", "awake", "balmy", "bold", "brave", "breezy",
    "bright", "calm", "candid", "cheerful", "clever", "cosmic", "cosy", "crisp", "curious",
    "daring", "deft", "dreamy", "eager", "earnest", "elated", "fair", "fervent", "festive",
    "frank", "gentle", "gifted", "glad", "happy", "hardy", "hopeful", "humble", "jolly", "keen",
    "kind", "lively", "lucid", "mellow", "merry", "modest", "nimble", "noble", "patient", "placid",
    "plucky", "polite", "proud", "quiet", "quick", "serene", "sharp", "stoic", "sunny", "sturdy",
    "tender", "tidy", "vivid", "warm", "wise", "zesty",
];

const PEOPLE: [&str; 80] = [
    "agnesi",
    "allen",
    "archimedes",
    "ardinghelli",
    "babbage",
    "banach",
    "bardeen",
    "bassi",
    "bell",
    "blackwell",
    "bohr",
    "boole",
    "booth",
    "bose",
    "brown",
    "burnell",
    "cannon",
    "carson",
    "cerf",
    "chandrasekhar",
    "chebyshev",
    "clarke",
    "colden",
    "cori",
    "cray",
    "curie",
    "darwin",
    "diffie",
    "dijkstra",
    "dirac",
    "easley",
    "einstein",
    "elion",
    "engelbart",
    "euclid",
    "euler",
    "faraday",
    "fermat",
    "fermi",
    "feynman",
    "franklin",
    "galileo",
    "galois",
    "gauss",
    "germain",
    "goldberg",
    "goodall",
    "haslett",
    "hawking",
    "heisenberg",
    "hellman",
    "hermann",
    "herschel",
    "hertz",
    "hodgkin",
    "hopper",
    "hypatia",
    "jackson",
    "johnson",
    "kepler",
    "khayyam",
    "knuth",
    "kowalevski",
    "lalande",
    "lamarr",
    "lamport",
    "leakey",
    "liskov",
    "lovelace",
    "maxwell",
    "mccarthy",
    "meitner",
    "mendel",
    "newton",
    "noether",
    "perlman",
    "ritchie",
    "shannon",
    "turing",
    "wozniak",
];

/// A name; from the second try on with a digit, so that a full house does not last.
pub(crate) fn generate(retry: usize) -> String {
    let mut rng = rand::rng();
    let adjective = ADJECTIVES.choose(&mut rng).unwrap_or(&"able");
    let person = PEOPLE.choose(&mut rng).unwrap_or(&"ritchie");
    if retry == 0 {
        return format!("{adjective}_{person}");
    }
    let digits: u32 =
        rand::random_range(0..10u32.saturating_pow(u32::try_from(retry.min(9)).unwrap_or(9)));
    format!("{adjective}_{person}{digits}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_two_words_and_a_retry_adds_digits() {
        let name = generate(0);
        assert_eq!(name.split('_').count(), 2);
        assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'));
        assert!(generate(1).ends_with(|c: char| c.is_ascii_digit()));
    }
}
