//! The members of an archive, by their names within it.

use std::collections::HashMap;

use wharf_store::{Blobs, Digest, Layer};

use crate::error::ImageError;

/// Links that lead on to links.
const MAX_LINKS: usize = 16;

/// What a member turned out to be.
#[derive(Debug)]
pub(super) enum Content {
    /// A layer, by now in the store.
    Layer(LoadedLayer),
    /// Something small, in memory.
    Document(Vec<u8>),
    /// Something larger that is no layer, by now a blob.
    Blob(Digest),
    /// It looked like a layer and could not be read as one. That matters only if it is needed.
    Broken(String),
}

/// A layer that came with an archive.
#[derive(Debug)]
pub(super) struct LoadedLayer {
    pub(super) layer: Layer,
    /// Digest and length of the member itself; those of the layer if it was not compressed.
    pub(super) member: (Digest, u64),
}

#[derive(Debug)]
enum Member {
    Content(Content),
    /// The name of another member.
    Link(String),
}

/// All members of an archive.
#[derive(Debug, Default)]
pub(super) struct Members(HashMap<String, Member>);

impl Members {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    pub(super) fn insert(&mut self, name: String, content: Content) -> Result<(), ImageError> {
        self.add(name, Member::Content(content))
    }

    pub(super) fn insert_link(&mut self, name: String, target: String) -> Result<(), ImageError> {
        self.add(name, Member::Link(target))
    }

    /// Two members of one name are two archives in one: readers would disagree on which counts.
    fn add(&mut self, name: String, member: Member) -> Result<(), ImageError> {
        if self.0.contains_key(&name) {
            return Err(ImageError::archive(format!(
                "the archive has two members named {name:?}"
            )));
        }
        self.0.insert(name, member);
        Ok(())
    }

    /// The names of members, in order.
    pub(super) fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.0.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    /// The member of that name, links followed; `None` if there is none.
    pub(super) fn find(&self, name: &str) -> Result<Option<&Content>, ImageError> {
        let mut name = normalise(name.as_bytes())?;
        for _ in 0..MAX_LINKS {
            match self.0.get(&name) {
                None => return Ok(None),
                Some(Member::Content(content)) => return Ok(Some(content)),
                Some(Member::Link(target)) => name.clone_from(target),
            }
        }
        Err(ImageError::archive(format!(
            "{name}: too many links in the archive"
        )))
    }

    /// The layer of that name.
    pub(super) fn layer(&self, name: &str) -> Result<Option<&LoadedLayer>, ImageError> {
        match self.find(name)? {
            None => Ok(None),
            Some(Content::Layer(layer)) => Ok(Some(layer)),
            Some(Content::Broken(reason)) => Err(ImageError::archive(format!("{name}: {reason}"))),
            Some(Content::Document(_) | Content::Blob(_)) => {
                Err(ImageError::archive(format!("{name} is not a layer")))
            }
        }
    }

    /// The bytes of that name, at most `limit`.
    pub(super) fn document(
        &self,
        name: &str,
        limit: u64,
        blobs: &Blobs,
    ) -> Result<Option<Vec<u8>>, ImageError> {
        match self.find(name)? {
            None => Ok(None),
            Some(Content::Document(bytes)) if bytes.len() as u64 > limit => {
                Err(ImageError::TooLarge {
                    what: name.to_owned(),
                    limit,
                })
            }
            Some(Content::Document(bytes)) => Ok(Some(bytes.clone())),
            Some(Content::Blob(digest)) => match blobs.size(digest)? {
                Some(size) if size > limit => Err(ImageError::TooLarge {
                    what: name.to_owned(),
                    limit,
                }),
                _ => Ok(Some(blobs.read(digest, limit)?)),
            },
            Some(Content::Layer(_) | Content::Broken(_)) => Err(ImageError::archive(format!(
                "{name} is a layer where a document is expected"
            ))),
        }
    }
}

/// The name of a blob in an OCI layout.
pub(super) fn blob_name(digest: &Digest) -> String {
    format!("blobs/sha256/{}", digest.hex())
}

/// The digest that a member's name claims its content has.
pub(super) fn claimed_digest(name: &str) -> Option<Digest> {
    Digest::from_hex(name.strip_prefix("blobs/sha256/")?).ok()
}

/// A member's name without `.` and double slashes. One that leaves the archive is refused, and
/// one that is not text names nothing that a document could mean.
pub(super) fn normalise(name: &[u8]) -> Result<String, ImageError> {
    relative_to("", name)
}

/// Where a symbolic link in the directory of `member` leads.
pub(super) fn link_target(member: &str, target: &[u8]) -> Result<String, ImageError> {
    let directory = member
        .rsplit_once('/')
        .map_or("", |(directory, _)| directory);
    relative_to(directory, target)
}

fn relative_to(directory: &str, name: &[u8]) -> Result<String, ImageError> {
    let text = String::from_utf8_lossy(name);
    let absolute = text.starts_with('/');
    let mut parts: Vec<&str> = if absolute {
        Vec::new()
    } else {
        directory.split('/').collect()
    };
    parts.retain(|part| !part.is_empty());
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                if parts.pop().is_none() {
                    return Err(ImageError::archive(format!(
                        "{text:?} leads out of the archive"
                    )));
                }
            }
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_normalised_and_cannot_leave_the_archive() {
        assert_eq!(normalise(b"./a//b/./c/").unwrap(), "a/b/c");
        assert_eq!(normalise(b"/a").unwrap(), "a");
        assert_eq!(
            link_target("x/layer.tar", b"../y/layer.tar").unwrap(),
            "y/layer.tar"
        );
        assert_eq!(link_target("x/layer.tar", b"/y").unwrap(), "y");
        assert!(normalise(b"../../etc/passwd").is_err());
        assert!(normalise(b"a/../../b").is_err());
        assert!(link_target("x/y", b"../../z").is_err());
    }

    #[test]
    fn links_are_followed_a_bounded_number_of_times() {
        let mut members = Members::default();
        members
            .insert("a".into(), Content::Document(b"x".to_vec()))
            .unwrap();
        members.insert_link("b".into(), "a".into()).unwrap();
        members.insert_link("c".into(), "b".into()).unwrap();
        members.insert_link("loop".into(), "loop".into()).unwrap();
        members
            .insert_link("dangling".into(), "nowhere".into())
            .unwrap();
        assert!(matches!(
            members.find("./c"),
            Ok(Some(Content::Document(_)))
        ));
        assert!(matches!(members.find("dangling"), Ok(None)));
        assert!(members.find("loop").is_err());
        assert!(members.insert_link("a".into(), "b".into()).is_err());
    }
}
