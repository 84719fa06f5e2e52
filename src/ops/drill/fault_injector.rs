//! What breaks and mends machines from outside of them. A lab can; production cannot, and then drills that need it are refused.

use crate::base::Result;

/// Power and cables of the service's hosts. Blocking: called from a thread that may wait.
pub trait FaultInjector: Send + Sync {
    /// Takes the power of these hosts away, all at once.
    ///
    /// # Errors
    /// It did not work for one of them; it was tried for all.
    fn kill(&self, hosts: &[String]) -> Result<()>;
    /// Gives it back to all at once, and waits until each can be logged in to.
    ///
    /// # Errors
    /// It did not work for one of them; it was tried for all.
    fn start(&self, hosts: &[String]) -> Result<()>;
    /// Stops all processes of a host; its network answers on.
    ///
    /// # Errors
    /// It did not work.
    fn freeze(&self, host: &str) -> Result<()>;
    /// Lets them go on.
    ///
    /// # Errors
    /// It did not work.
    fn thaw(&self, host: &str) -> Result<()>;
    /// Cuts the cable between two hosts, or of one host with everyone.
    ///
    /// # Errors
    /// It did not work.
    fn cut(&self, host: &str, from: Option<&str>) -> Result<()>;
    /// Takes all cuts of a host back.
    ///
    /// # Errors
    /// It did not work.
    fn heal(&self, host: &str) -> Result<()>;
}
