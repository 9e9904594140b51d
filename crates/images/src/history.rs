//! How an image came to be, step by step.

use jiff::Timestamp;

use crate::config::parse_time;
use crate::error::ImageError;
use crate::id::ImageId;
use crate::images::Images;

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryItem {
    /// The image as it was after the step, if it is still known.
    pub id: Option<ImageId>,
    /// When.
    pub created: Option<Timestamp>,
    /// The command or instruction.
    pub created_by: String,
    /// Names of the image as it was after the step.
    pub tags: Vec<String>,
    /// Bytes of the files in the layer it made.
    pub size: u64,
    /// What was said about it.
    pub comment: String,
}

impl Images {
    /// The steps that made an image, newest first.
    pub fn history(&self, id: &ImageId) -> Result<Vec<HistoryItem>, ImageError> {
        let image = self.get(id)?;
        let mut layers = image.layers.iter();
        let mut items = Vec::new();
        for step in &image.config.history {
            let size = if step.empty_layer {
                0
            } else {
                let too_many =
                    || ImageError::archive("too many non-empty layers in History section");
                layers.next().ok_or_else(too_many)?.size
            };
            items.push(HistoryItem {
                id: None,
                created: step.created.as_deref().and_then(parse_time),
                created_by: step.created_by.clone(),
                tags: Vec::new(),
                size,
                comment: step.comment.clone(),
            });
        }
        items.reverse();
        // The newest step made this image, the one before it its parent, and so on.
        let catalogue = self.catalogue();
        let mut made = Some(*id);
        for item in &mut items {
            let Some((id, record)) = made.and_then(|id| Some((id, catalogue.image(&id)?))) else {
                break;
            };
            item.id = Some(id);
            item.tags = catalogue
                .names_of(&id)
                .iter()
                .filter(|name| name.tag().is_some())
                .map(crate::reference::Reference::familiar)
                .collect();
            made = record.parent;
        }
        Ok(items)
    }
}
