//! `GET /containers/{id}/stats`

use crate::call::Call;
use crate::error::ApiError;
use crate::reply::Outcome;

pub(super) async fn stats(call: Call, id: &str) -> Outcome {
    let _ = (call, id);
    Err(ApiError::missing("stats"))
}
