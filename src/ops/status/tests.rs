//! Scenes and what is said of them.
