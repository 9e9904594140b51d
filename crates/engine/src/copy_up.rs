//! What an image has at a path, copied into the empty volume that covers it.

use std::path::Path;

use wharf_sys::rooted::Root;

use crate::Result;

/// Stands here until it is written.
pub(crate) fn copy_up(_image: &Root, _path: &str, _volume: &Path) -> Result<()> {
    Ok(())
}
