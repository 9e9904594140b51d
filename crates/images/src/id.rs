//! Image IDs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use wharf_store::{DiffId, Digest, DigestError, Hasher};

/// The ID of an image: the digest of its configuration, as Docker has it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ImageId(pub Digest);

impl ImageId {
    /// The first twelve digits, as Docker shortens IDs.
    #[must_use]
    pub fn short(&self) -> String {
        let mut hex = self.0.hex();
        hex.truncate(12);
        hex
    }
}

impl fmt::Display for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for ImageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for ImageId {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<ImageId, DigestError> {
        text.parse().map(ImageId)
    }
}

/// The chain IDs of a stack of layers, bottom first: what identifies a layer together with all
/// that lies below it (OCI image specification, "Layer ChainID").
pub fn chain_ids<'a>(layers: impl IntoIterator<Item = &'a DiffId>) -> impl Iterator<Item = Digest> {
    layers
        .into_iter()
        .scan(None, |below: &mut Option<Digest>, diff_id| {
            let chain = match below {
                None => diff_id.0,
                Some(below) => {
                    let mut hasher = Hasher::new();
                    hasher.update(format!("{below} {diff_id}").as_bytes());
                    hasher.finish()
                }
            };
            *below = Some(chain);
            Some(chain)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_id_depends_on_every_layer_below() {
        let [a, b] = [b"a", b"b"].map(|bytes| DiffId(Digest::of(bytes)));
        let chain: Vec<Digest> = chain_ids(&[a, b]).collect();
        assert_eq!(chain[0], a.0);
        assert_eq!(chain[1], Digest::of(format!("{a} {b}").as_bytes()));
        assert_ne!(chain_ids(&[b, a]).last(), chain_ids(&[a, b]).last());
    }
}
