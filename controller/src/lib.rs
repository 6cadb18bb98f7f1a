//! Skeleton.
pub mod cloud;
