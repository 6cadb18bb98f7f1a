//! The way to the metadata service: connections that are kept, one request at a time on each.

pub mod connection;
pub mod pool;
pub mod reply;
pub mod request;
