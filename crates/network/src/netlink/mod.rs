//! rtnetlink: how the kernel is told about links, addresses, routes and queues, and asked.
//!
//! ```text
//! Message ----> Socket ----> kernel        a request: header, fixed part, attributes
//! Attributes <- Socket <---- kernel        an answer, read where it lies
//!               Refusal                    errno and the kernel's own sentence (extended ack)
//! ```
//!
//! Written here rather than taken from `netlink-packet-route`, for three reasons. That parses every
//! attribute of an answer into a tree and refuses the whole when one of them is longer than the
//! version it knows, as each second kernel's is; here what is not asked for is not read. It has no
//! words for queue disciplines, so half would be bytes anyway. And a start of a container is five
//! messages: they go out together in one system call, and the answers are read without a copy.
//!
//! A socket stays in the namespace it was opened in, whichever thread uses it.

mod attributes;
pub(crate) mod kernel;
mod message;
mod objects;
mod socket;

pub use attributes::{Attribute, Attributes};
pub use message::Message;
pub(crate) use message::nested;
pub use objects::{AddressEntry, LinkEntry, RouteEntry};
pub(crate) use objects::{
    address_message, link_header, link_message, loopback_message, route_message, routes_message,
};
pub use socket::{Frame, Frames, Outcome, Refusal, Socket};
