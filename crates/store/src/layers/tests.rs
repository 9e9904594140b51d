//! What a layer shows is what `tar -x` makes, in both forms; and nothing else is left anywhere.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod compare;
mod hostile;
mod keeping;
mod random;
mod stacked;
mod support;
