//! wharf-images
