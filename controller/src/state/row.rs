//! A row of numbered objects, of which the highest counts. Whoever has something to say creates the next
//! number, which of several only one can (a conditional put; it needs no more than that of a store), and
//! removes those before it.

use credpin_ledger::{ObjectError, RecordStore};

use super::PREFIX;

/// The row in the folder of that name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row(pub(super) &'static str);

impl Row {
    /// The object of this number.
    pub(super) fn name(self, number: u64) -> String {
        format!("{PREFIX}/{}/{number:012}.json", self.0)
    }

    /// The numbers that are there, the highest last.
    pub(super) async fn numbers(self, store: &RecordStore) -> Result<Vec<u64>, ObjectError> {
        let names = store.names_in(&format!("{PREFIX}/{}", self.0)).await?;
        let mut numbers: Vec<u64> = names
            .iter()
            .filter_map(|name| name.strip_suffix(".json")?.parse().ok())
            .collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Adds the object of this number, and removes those before it. Whether it counts: if somebody else
    /// was faster it does not, and is not there.
    pub(super) async fn add(
        self,
        store: &RecordStore,
        number: u64,
        bytes: Vec<u8>,
    ) -> Result<bool, ObjectError> {
        if !store.create_object(&self.name(number), bytes).await? {
            return Ok(false);
        }
        // Its number may have been free again, because others came and went meanwhile.
        let numbers = self.numbers(store).await?;
        if numbers.last() != Some(&number) {
            store.delete_object(&self.name(number)).await?;
            return Ok(false);
        }
        for old in numbers.into_iter().filter(|old| *old < number) {
            store.delete_object(&self.name(old)).await?;
        }
        Ok(true)
    }
}
