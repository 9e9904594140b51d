//! `GET /containers/{id}/stats`

use hyper::StatusCode;

use crate::call::Call;
use crate::reply::{self, Outcome, Writer};
use crate::wire::stats::Stats;

/// A stream unless told otherwise; one sample, with the one before it or without.
pub(super) async fn stats(call: Call, id: &str) -> Outcome {
    if !call.query.flag_unless_absent("stream") {
        let one_shot = call.query.flag("one-shot") && call.version.at_least(41);
        let sample = call.engine().stats(id, one_shot).await?;
        return reply::ok(&Stats::of(sample, call.version));
    }
    let version = call.version;
    let mut samples = call.engine().stats_stream(id).await?;
    let body = reply::written(async move |writer: Writer| {
        loop {
            let sample = tokio::select! {
                sample = samples.recv() => sample,
                () = writer.gone() => return,
            };
            let Some(sample) = sample else { return };
            if writer.line(&Stats::of(sample, version)).await.is_err() {
                return;
            }
        }
    });
    Ok(reply::with_type(StatusCode::OK, reply::JSON, body))
}
