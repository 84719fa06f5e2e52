//! Databases: one folder an engine. What is the same for all of them is decided here and in the flows above.
//!
//! Never names a host, an application or a load balancer.

pub mod postgresql;
