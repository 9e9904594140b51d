//! How fast, how late and how lossy the packets are that leave by a link: queue disciplines.
//!
//! ```text
//!   netem (latency, jitter, loss)            root, if any of these is asked for
//!     └── tbf (rate, burst)                  below it, or the root alone
//! ```
//!
//! A link shapes what leaves it, so each end of a veth pair serves one direction: the container's
//! end what the container sends, the host's end what it is sent. The first could be undone by a
//! container that holds `CAP_NET_ADMIN`; by default none does.

use std::time::Duration;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::host;
use crate::link_error::{LinkError, Result};
use crate::netlink::kernel::{
    NLM_F_CREATE, NLM_F_REPLACE, RTM_DELQDISC, RTM_GETQDISC, RTM_NEWQDISC, TC_H_ROOT,
    TC_LINKLAYER_ETHERNET, TCA_KIND, TCA_NETEM_JITTER64, TCA_NETEM_LATENCY64, TCA_OPTIONS,
    TCA_TBF_BURST, TCA_TBF_PARMS, TCA_TBF_RATE64,
};
use crate::netlink::{Attributes, Message, Socket, nested};

/// What one direction is like.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Shaping {
    /// Bits per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<u64>,
    /// Bytes that may go at once after a silence; 20 ms of the rate if not said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
    /// How much later packets leave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latency: Option<Duration>,
    /// By how much that varies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter: Option<Duration>,
    /// Percent of the packets that are lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<f64>,
}

/// Handles of the two disciplines.
const NETEM: u32 = 1 << 16;
const NETEM_CLASS: u32 = (1 << 16) | 1;
const TBF: u32 = 2 << 16;

/// `struct tcmsg`, `tc_netem_qopt` and `tc_tbf_qopt`.
const TCMSG: usize = 20;
const NETEM_OPTIONS: usize = 24;
const TBF_OPTIONS: usize = 36;

/// The longest that a packet waits for its turn at the rate; then new ones are dropped.
const LONGEST_WAIT: Duration = Duration::from_millis(50);

/// Packets under way at once with a latency: as many as 10 Gbit/s of full ones has in 100 ms.
const NETEM_PACKETS: u32 = 100_000;

impl Shaping {
    fn is_nothing(&self) -> bool {
        *self
            == Shaping {
                burst: self.burst,
                ..Shaping::default()
            }
    }

    fn is_late(&self) -> bool {
        self.latency.is_some() || self.jitter.is_some() || self.loss.is_some()
    }

    fn check(&self, link: &str) -> Result<()> {
        let reason = if self.rate.is_some_and(|rate| rate < 8) {
            "a rate is 8 bits per second at least"
        } else if self.burst.is_some() && self.rate.is_none() {
            "a burst needs a rate"
        } else if self.loss.is_some_and(|loss| !(0.0..=100.0).contains(&loss)) {
            "loss is between 0 and 100 percent"
        } else if self.jitter.is_some() && self.latency.is_none() {
            "jitter needs a latency"
        } else if [self.latency, self.jitter]
            .into_iter()
            .flatten()
            .any(|time| time > LONGEST_LATENCY)
        {
            "latency and jitter are an hour at most"
        } else {
            return Ok(());
        };
        Err(LinkError::Impossible {
            link: link.to_owned(),
            reason: reason.to_owned(),
        })
    }
}

const LONGEST_LATENCY: Duration = Duration::from_secs(3600);

/// Shape what leaves by a link of the calling thread's namespace, from now on. Packets that wait
/// in what was before are dropped only if the kind changes.
pub fn set(link: &str, shaping: &Shaping) -> Result<()> {
    let mut socket = Socket::open()?;
    let found = host::existing(&mut socket, link)?;
    apply(&mut socket, link, found.index, found.mtu, shaping)
}

/// Shape nothing.
pub fn clear(link: &str) -> Result<()> {
    let mut socket = Socket::open()?;
    let found = host::existing(&mut socket, link)?;
    remove(&mut socket, link, found.index)
}

/// What the kernel does to packets that leave by a link.
pub fn show(link: &str) -> Result<Shaping> {
    let mut socket = Socket::open()?;
    let found = host::existing(&mut socket, link)?;
    let parts = disciplines(&mut socket, link, found.index)?;
    Ok(parts
        .into_iter()
        .fold(Shaping::default(), |so_far, (_, part)| Shaping {
            rate: part.rate.or(so_far.rate),
            burst: part.burst.or(so_far.burst),
            latency: part.latency.or(so_far.latency),
            jitter: part.jitter.or(so_far.jitter),
            loss: part.loss.or(so_far.loss),
        }))
}

pub(crate) fn apply(
    socket: &mut Socket,
    link: &str,
    index: u32,
    mtu: u32,
    shaping: &Shaping,
) -> Result<()> {
    shaping.check(link)?;
    if shaping.is_nothing() {
        return remove(socket, link, index);
    }
    let wanted: Vec<&str> = [
        (shaping.is_late(), "netem"),
        (shaping.rate.is_some(), "tbf"),
    ]
    .into_iter()
    .filter_map(|(wanted, kind)| wanted.then_some(kind))
    .collect();
    let before = disciplines(socket, link, index)?;
    let same = before
        .iter()
        .map(|(kind, _)| kind.as_str())
        .eq(wanted.iter().copied());
    // The same kinds are changed where they are, and keep what waits in them.
    if !same && !before.is_empty() {
        remove(socket, link, index)?;
    }
    let mut parent = TC_H_ROOT;
    if shaping.is_late() {
        let new = request(RTM_NEWQDISC, index, NETEM, parent, "netem")
            .attribute(nested(TCA_OPTIONS), &netem(shaping));
        put(socket, &new, link, "netem")?;
        parent = NETEM_CLASS;
    }
    if let Some(rate) = shaping.rate {
        let new = request(RTM_NEWQDISC, index, TBF, parent, "tbf")
            .nest(TCA_OPTIONS, &tbf(rate, shaping.burst, mtu));
        if let Err(error) = put(socket, &new, link, "tbf") {
            // Half of it would be neither what was nor what is asked for.
            let _ = remove(socket, link, index);
            return Err(error);
        }
    }
    Ok(())
}

fn request(kind: u16, index: u32, handle: u32, parent: u32, discipline: &str) -> Message {
    let options = if kind == RTM_NEWQDISC {
        NLM_F_CREATE | NLM_F_REPLACE
    } else {
        0
    };
    let mut fixed = [0; TCMSG];
    fixed[4..8].copy_from_slice(&index.to_ne_bytes());
    fixed[8..12].copy_from_slice(&handle.to_ne_bytes());
    fixed[12..16].copy_from_slice(&parent.to_ne_bytes());
    let message = Message::new(kind, options, &fixed);
    if discipline.is_empty() {
        message
    } else {
        message.text(TCA_KIND, discipline)
    }
}

fn put(socket: &mut Socket, new: &Message, link: &str, feature: &'static str) -> Result<()> {
    match socket.ask(new)? {
        Ok(_) => Ok(()),
        Err(refusal) if refusal.is(Errno::NOENT) => Err(LinkError::Unsupported {
            link: link.to_owned(),
            feature,
        }),
        Err(refusal) => Err(refusal.while_doing(format!("shaping traffic ({feature}) of"), link)),
    }
}

fn remove(socket: &mut Socket, link: &str, index: u32) -> Result<()> {
    match socket.ask(&request(RTM_DELQDISC, index, 0, TC_H_ROOT, ""))? {
        // The one that a link has by itself cannot be removed, and need not.
        Err(refusal) if !refusal.is(Errno::NOENT) && !refusal.is(Errno::INVAL) => {
            Err(refusal.while_doing("clearing the shaping of", link))
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

/// `struct tc_netem_qopt`, then attributes with what it is too small for.
fn netem(shaping: &Shaping) -> Vec<u8> {
    let mut options = [0; NETEM_OPTIONS];
    options[4..8].copy_from_slice(&NETEM_PACKETS.to_ne_bytes());
    options[8..12].copy_from_slice(&probability(shaping.loss.unwrap_or_default()).to_ne_bytes());
    let time = |time: Option<Duration>| {
        time.unwrap_or_default()
            .as_nanos()
            .try_into()
            .unwrap_or(i64::MAX)
    };
    let mut bytes = options.to_vec();
    let more = Message::attributes()
        .attribute(
            TCA_NETEM_LATENCY64,
            &i64::to_ne_bytes(time(shaping.latency)),
        )
        .attribute(TCA_NETEM_JITTER64, &i64::to_ne_bytes(time(shaping.jitter)));
    bytes.extend_from_slice(more.bytes());
    bytes
}

/// A share of 2^32 - 1.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between the two ends of u32"
)]
fn probability(percent: f64) -> u32 {
    (percent / 100.0 * f64::from(u32::MAX)).round() as u32
}

/// `struct tc_tbf_qopt` with the rate, the queue's length in bytes and the bucket's.
fn tbf(rate: u64, burst: Option<u32>, mtu: u32) -> Message {
    let bytes = rate / 8;
    // A packet that does not fit into the bucket never goes: the largest is a link's MTU and its
    // header, or, where segments are cut behind this, 64 KiB.
    let smallest = mtu.saturating_add(ETHERNET).max(SEGMENTS);
    let burst = burst
        .unwrap_or_else(|| u32::try_from(bytes / 50).unwrap_or(u32::MAX))
        .max(smallest);
    let waiting = u128::from(bytes) * LONGEST_WAIT.as_millis() / 1000;
    let limit = u32::try_from(waiting)
        .unwrap_or(u32::MAX)
        .saturating_add(burst);
    let mut options = [0; TBF_OPTIONS];
    // struct tc_ratespec: cell_log, linklayer, overhead, cell_align, mpu, rate.
    options[1] = TC_LINKLAYER_ETHERNET;
    options[8..12].copy_from_slice(&u32::try_from(bytes).unwrap_or(u32::MAX).to_ne_bytes());
    options[24..28].copy_from_slice(&limit.to_ne_bytes());
    Message::attributes()
        .attribute(TCA_TBF_PARMS, &options)
        .maybe(
            (bytes >= u64::from(u32::MAX)).then_some(bytes),
            |m, bytes| m.u64(TCA_TBF_RATE64, bytes),
        )
        .u32(TCA_TBF_BURST, burst)
}

const ETHERNET: u32 = 18;
const SEGMENTS: u32 = 65_536 + 18;

/// The disciplines of ours on a link, from the root down, with what each does.
fn disciplines(socket: &mut Socket, link: &str, index: u32) -> Result<Vec<(String, Shaping)>> {
    let all = request(RTM_GETQDISC, index, 0, 0, "");
    let mut found = socket
        .dump(&all, |body| read(body, index))?
        .map_err(|refusal| refusal.while_doing("listing the queues of", link))?;
    found.retain(|(handle, kind, _)| *handle != 0 && matches!(kind.as_str(), "netem" | "tbf"));
    found.sort_by_key(|(_, kind, _)| kind == "tbf");
    Ok(found
        .into_iter()
        .map(|(_, kind, shaping)| (kind, shaping))
        .collect())
}

/// One discipline: its handle, its kind, what it does.
fn read(body: &[u8], index: u32) -> Option<(u32, String, Shaping)> {
    let fixed: &[u8; TCMSG] = body.first_chunk()?;
    let number = |at: usize| {
        fixed
            .get(at..)?
            .first_chunk()
            .map(|bytes| u32::from_ne_bytes(*bytes))
    };
    if number(4)? != index {
        return None;
    }
    let attributes = Attributes::after(body, TCMSG);
    let kind = attributes.get(TCA_KIND)?.text();
    let options = attributes.get(TCA_OPTIONS);
    let shaping = match (kind.as_str(), options) {
        ("netem", Some(options)) => read_netem(options.value),
        ("tbf", Some(options)) => read_tbf(options.nested()),
        _ => Shaping::default(),
    };
    Some((number(8)?, kind, shaping))
}

/// What a netem discipline says of itself.
pub fn read_netem(options: &[u8]) -> Shaping {
    let loss = options
        .get(8..)
        .and_then(|rest| rest.first_chunk())
        .map(|bytes| f64::from(u32::from_ne_bytes(*bytes)) * 100.0 / f64::from(u32::MAX));
    let attributes = Attributes::after(options, NETEM_OPTIONS);
    let time = |kind| {
        let nanoseconds = attributes.get(kind)?.u64()?;
        (nanoseconds > 0).then(|| Duration::from_nanos(nanoseconds))
    };
    Shaping {
        latency: time(TCA_NETEM_LATENCY64),
        jitter: time(TCA_NETEM_JITTER64),
        // To a thousandth of a percent; finer is the kernel's rounding.
        loss: loss
            .filter(|loss| *loss > 0.0)
            .map(|loss| (loss * 1000.0).round() / 1000.0),
        ..Shaping::default()
    }
}

/// What a token bucket says of itself.
pub fn read_tbf(options: Attributes<'_>) -> Shaping {
    let parameters = options.get(TCA_TBF_PARMS);
    let field = |at: usize| {
        let bytes = parameters?.value.get(at..)?.first_chunk()?;
        Some(u32::from_ne_bytes(*bytes))
    };
    let bytes = options
        .get(TCA_TBF_RATE64)
        .and_then(crate::netlink::Attribute::u64)
        .or_else(|| field(8).map(u64::from));
    // The bucket is told in units of 64 ns at the rate.
    let burst = bytes.zip(field(28)).and_then(|(bytes, ticks)| {
        u32::try_from(u128::from(bytes) * u128::from(ticks) * 64 / 1_000_000_000).ok()
    });
    Shaping {
        rate: bytes.map(|bytes| bytes.saturating_mul(8)),
        burst,
        ..Shaping::default()
    }
}
