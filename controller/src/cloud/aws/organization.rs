//! The accounts of AWS Organizations. Only its management account, and those that it lets, may ask.

use std::collections::BTreeSet;

use aws_sdk_organizations::{Client, types::Account};
use credpin_core::id::AccountId;

use super::Aws;
use crate::organization::{OrganizationError, ParentId};

/// The most that Organizations gives at once.
const PAGE: i32 = 20;

impl Aws {
    /// Those accounts of the organisation that are open; with `parents` those that are in one of them, or in
    /// a unit below it. All of them or none: who is not listed is not looked after.
    pub async fn organization(
        &self,
        parents: &[ParentId],
    ) -> Result<BTreeSet<AccountId>, OrganizationError> {
        let config = aws_sdk_organizations::config::Builder::from(&self.config)
            .interceptor(self.counter.clone());
        let client = Client::from_conf(config.build());
        let mut listed = Vec::new();
        if parents.is_empty() {
            list(&client, &mut listed)
                .await
                .map_err(failed("ListAccounts"))?;
        }
        let mut parents: Vec<String> = parents.iter().map(ToString::to_string).collect();
        while let Some(parent) = parents.pop() {
            list_in(&client, &parent, &mut listed)
                .await
                .map_err(failed("ListAccountsForParent"))?;
            units_in(&client, &parent, &mut parents)
                .await
                .map_err(failed("ListOrganizationalUnitsForParent"))?;
        }
        let open = listed.iter().filter(|account| is_open(account));
        let ids = open.map(|account| account.id().unwrap_or_default().parse());
        let ids: Result<BTreeSet<AccountId>, _> = ids.collect();
        ids.map_err(|error| failed("ListAccounts")(error.to_string()))
    }
}

async fn list(client: &Client, listed: &mut Vec<Account>) -> Result<(), String> {
    let call = client.list_accounts().max_results(PAGE);
    pages!(call, |page| listed
        .extend(page.accounts.unwrap_or_default()))
}

async fn list_in(client: &Client, parent: &str, listed: &mut Vec<Account>) -> Result<(), String> {
    let call = client.list_accounts_for_parent().parent_id(parent);
    let call = call.max_results(PAGE);
    pages!(call, |page| listed
        .extend(page.accounts.unwrap_or_default()))
}

async fn units_in(client: &Client, parent: &str, units: &mut Vec<String>) -> Result<(), String> {
    let call = client.list_organizational_units_for_parent();
    let call = call.parent_id(parent).max_results(PAGE);
    pages!(call, |page| {
        let below = page.organizational_units.unwrap_or_default();
        units.extend(below.into_iter().filter_map(|unit| unit.id));
    })
}

fn failed(call: &'static str) -> impl Fn(String) -> OrganizationError {
    move |why| OrganizationError::NotListed { call, why }
}

/// Until 2026 `Status` says it, then `State` beside it ("Account", Organizations API reference).
fn is_open(account: &Account) -> bool {
    let status = account
        .status()
        .map(aws_sdk_organizations::types::AccountStatus::as_str);
    let state = account
        .state()
        .map(aws_sdk_organizations::types::AccountState::as_str);
    state.or(status).is_none_or(|said| said == "ACTIVE")
}
