//! Each account's state, where there are several: as if it were alone, in a folder of its own.

use std::sync::Arc;

use credpin_core::id::AccountId;
use credpin_ledger::RecordStore;
use object_store::prefix::PrefixStore;

/// The part of `store` that is the account's.
pub fn within(store: &RecordStore, account: &AccountId) -> RecordStore {
    let folder = format!("account={account}");
    RecordStore::over(Arc::new(PrefixStore::new(store.objects(), folder)))
}
