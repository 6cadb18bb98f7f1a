//! Which of several accounts a command is about, where nobody says.

use credpin_core::{
    footprint,
    id::{AccessKeyId, AccountId, InstanceId},
};
use futures::{StreamExt, stream};

use super::{Command, chain, kept, many::Many};
use crate::{account::Account, cli, cloud::estate::estate, revoke::Target};

impl Many {
    /// The account that `command` is about: by an ARN, by AWS's word whose a key is, by what a host
    /// recorded, or because the instance is there. None where nothing tells.
    pub(super) async fn whose(&self, command: &Command, accounts: &[Account]) -> Option<AccountId> {
        if let Some(account) = command.account() {
            return Some(account.clone());
        }
        match command {
            Command::Explain(asked) => {
                let recorded = self.recorded(|_, instance| instance == asked.instance.as_str());
                match recorded.await {
                    Some(account) => Some(account),
                    None => self.account_with(&asked.instance, accounts).await,
                }
            }
            Command::Revoke(asked) => self.whose_credential(asked).await,
            _ => None,
        }
    }

    async fn whose_credential(&self, asked: &cli::Revoke) -> Option<AccountId> {
        match asked.target()? {
            // A host can forge a record, and not AWS's word.
            Target::Key(key) => match self.account_of_key(key).await {
                Some(account) => Some(account),
                None => self.recorded(|known, _| known == key.as_str()).await,
            },
            Target::Instance(_, instance) => {
                self.recorded(|_, known| known == instance.as_str()).await
            }
            _ => None,
        }
    }

    /// The account that hosts recorded something in, if it is one: keys and instances are of one account,
    /// and a forged record must not make another one of it.
    async fn recorded(&self, is_it: impl Fn(&str, &str) -> bool) -> Option<AccountId> {
        let records = kept::records(&self.config, self.now).await;
        let mut of_it = records
            .iter()
            .filter(|record| is_it(&record.access_key_id, &record.host.instance_id))
            .map(|record| record.host.account.as_str());
        let account = of_it.next()?;
        if of_it.any(|other| other != account) {
            return None;
        }
        account.parse().ok()
    }

    /// Looks at every account for an instance.
    async fn account_with(&self, instance: &InstanceId, accounts: &[Account]) -> Option<AccountId> {
        let looks = accounts.iter().map(|account| async move {
            let seen = self.way.observe_one(account).await;
            let seen = seen.inspect_err(|error| {
                tracing::warn!("account {} is not looked at: {}", account.id, chain(error));
            });
            let hosts = footprint::hosts(&estate(&seen.ok()?), &self.config.settings);
            let is_there = hosts.iter().any(|host| host.instance == *instance);
            is_there.then(|| account.id.clone())
        });
        let looks = stream::iter(looks).buffered(self.config.concurrency.0);
        let found = looks.filter_map(|account| async { account });
        Box::pin(found).next().await
    }

    /// What AWS says whose a key is. A directory cloud cannot tell.
    async fn account_of_key(&self, key: &AccessKeyId) -> Option<AccountId> {
        self.way.account_of_key(key).await
    }
}
