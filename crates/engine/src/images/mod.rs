//! Images, as the engine's doors see them.
