//! Skeleton: the proxy's engineer fills this.
