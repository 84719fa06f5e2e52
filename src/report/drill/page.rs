//! The page: one HTML file without any reference to elsewhere.

use crate::base::Result;
use crate::ops::drill::run::Record;

/// The page.
///
/// # Errors
/// The template does not fit.
pub fn page(_records: &[Record]) -> Result<String> {
    Ok(String::new())
}
