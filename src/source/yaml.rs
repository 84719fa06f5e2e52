//! Reads YAML into [`Node`]s. The only file that names the parser.

use super::{Node, SourceFile};
use crate::base::Result;
use std::sync::Arc;

/// Reads one document; an empty file is `Null`.
///
/// # Errors
/// Syntax errors, duplicate keys, undefined aliases: with file, line and column.
pub fn parse(file: &Arc<SourceFile>) -> Result<Node> {
    let _ = file;
    Err(crate::base::Diagnostic::new(
        "the YAML reader is not built yet",
    ))
}

/// Reads all documents of a file.
///
/// # Errors
/// As [`parse`].
pub fn parse_all(file: &Arc<SourceFile>) -> Result<Vec<Node>> {
    parse(file).map(|node| vec![node])
}
