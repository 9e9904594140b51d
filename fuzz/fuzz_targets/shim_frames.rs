//! Any bytes on a shim's socket: frames with bounded payloads, requests and replies or errors.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_runtime::shim::proto::{self, DATA_MAX, HEADER, JSON_MAX, Kind, Reply, Request};

fuzz_target!(|data: &[u8]| {
    let mut rest = data;
    while let Ok(Some((kind, end))) = proto::parse(rest) {
        assert!(end >= HEADER && end <= rest.len());
        let payload = &rest[HEADER..end];
        let bound = if kind == Kind::Json {
            JSON_MAX
        } else {
            DATA_MAX
        };
        assert!(payload.len() <= bound);
        assert_eq!(proto::header(kind, payload.len()), rest[..HEADER]);
        if kind == Kind::Json {
            message(payload);
        }
        rest = &rest[end..];
    }
    // And without a frame around it, which a mutation seldom keeps whole.
    message(data);
});

fn message(payload: &[u8]) {
    if let Ok(request) = serde_json::from_slice::<Request>(payload) {
        same(&proto::json(&request).expect("it fits"), |payload| {
            let again: Request = serde_json::from_slice(payload).expect("our own JSON");
            proto::json(&again).expect("it fits")
        });
    }
    if let Ok(reply) = serde_json::from_slice::<Reply>(payload) {
        same(&proto::json(&reply).expect("it fits"), |payload| {
            let again: Reply = serde_json::from_slice(payload).expect("our own JSON");
            proto::json(&again).expect("it fits")
        });
    }
}

fn same(frame: &[u8], again: impl Fn(&[u8]) -> Vec<u8>) {
    let parsed = proto::parse(frame).expect("our own frame");
    assert_eq!(parsed, Some((Kind::Json, frame.len())));
    assert_eq!(again(&frame[HEADER..]), frame);
}
