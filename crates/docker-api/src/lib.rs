//! The Docker Engine API, 1.24 to 1.56: a door that translates requests to the engine's commands
//! and its snapshots to answers. It holds no rules and no state of its own.
//!
//! ```text
//!  listen      unix, tcp, tls, inherited       who comes in
//!  server      bounded accept loops            how many
//!  connection  sniff -> hyper or hijack        what they speak
//!  call        one request, taken apart
//!  routes      path -> handler                 what they want
//!    request   bodies, filters, queries  ->  the domain's commands
//!    wire      the domain's snapshots    ->  JSON as Go prints it
//!  hijack, websocket, frame                    bytes of attached streams
//! ```
//!
//! Three kinds of type are kept apart: what is on the wire (`request`, `wire`), what the engine
//! means (`wharf_engine::model`), and what it stores, which this crate never sees. Differences
//! between versions of the API live where a request enters (`request`) or an answer leaves
//! (`wire`), never behind.
//!
//! Bounds: 4096 clients at a time, 16 MiB of JSON per request, a head within five minutes; streams
//! hold back their source when a client is slow, and end when it leaves.

mod call;
mod connection;
mod door;
mod error;
mod frame;
mod hijack;
mod listen;
mod reply;
mod request;
mod routes;
mod server;
mod sniff;
mod time;
mod version;
mod websocket;
mod wire;

pub use door::{Daemon, Live};
pub use listen::{Address, Group, ListenError, Listener, Tls, TlsFiles};
pub use server::Server;
pub use version::ApiVersion;
