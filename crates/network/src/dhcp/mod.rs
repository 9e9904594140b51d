//! A DHCP client (RFC 2131): an address for a macvlan link from whoever gives them out outside.
//!
//! ```text
//!   acquire:  DISCOVER -> OFFER -> REQUEST -> ACK       a Lease
//!   renew:    REQUEST (for what we have) -> ACK, or NAK: LeaseLost
//!   release:  RELEASE, not answered
//! ```
//!
//! Each call blocks, for [`Patience`] at most, and remembers nothing: the caller keeps the lease,
//! puts its address on the link, and comes back at [`Lease::renew_after`]. The answers are asked
//! for by broadcast and read past the IP layer, since the link has no address yet, and since the
//! container's own packet filter and `rp_filter` have no say in this.

mod client;
mod codec;

pub use client::{Client, DhcpError, Patience};
pub use codec::{Lease, Packet};
