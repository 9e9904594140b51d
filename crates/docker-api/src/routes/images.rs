//! Images.

use hyper::Method;

use crate::call::Call;
use crate::error::ApiError;
use crate::reply::Outcome;

pub(super) async fn route(call: Call, method: Method, segments: &[&str]) -> Outcome {
    let _ = (call, method, segments);
    Err(ApiError::missing("images"))
}

pub(super) async fn commit(call: Call) -> Outcome {
    let _ = call;
    Err(ApiError::missing("commit"))
}

pub(super) async fn df(call: Call) -> Outcome {
    let _ = call;
    Err(ApiError::missing("df"))
}
