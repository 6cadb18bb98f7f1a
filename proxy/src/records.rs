//! The record store, opened as this host.

use credpin_ledger::{Access, Host, RecordStore, StoreError, StoreUrl};

/// Where it is, and with whose credentials it is asked.
#[derive(Clone)]
pub(crate) struct Records {
    pub(crate) url: StoreUrl,
    #[cfg(feature = "s3")]
    pub(crate) own: std::sync::Arc<crate::own_role::OwnRole>,
}

impl Records {
    /// Opens it. A directory can be a network's, which may hang: not on a thread of the runtime.
    pub(crate) async fn open(&self, home: &Host) -> Result<RecordStore, StoreError> {
        let (url, region) = (self.url.clone(), home.region.clone());
        #[cfg(feature = "s3")]
        let access = Access::Host {
            credentials: self.own.credentials(),
            region,
        };
        #[cfg(not(feature = "s3"))]
        let access = Access::Nobody { region };
        let opening = tokio::task::spawn_blocking(move || RecordStore::create(&url, &access));
        opening
            .await
            .unwrap_or_else(|ended| std::panic::resume_unwind(ended.into_panic()))
    }
}
