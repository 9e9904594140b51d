//! `system df`, from maintained sizes.
