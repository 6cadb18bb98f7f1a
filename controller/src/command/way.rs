//! The way to each account of a cloud.

use credpin_core::{
    chain::Elsewhere,
    id::{AccessKeyId, AccountId},
};
use futures::{StreamExt, stream};

use super::{CommandError, chain, many::Chosen};
use crate::{
    account::{Account, SelectError, select},
    cloud::{Calls, Observation, Observe, dir::Dir, estate::estate},
    config::{CloudName, Config},
    organization::{Listing, Organization, OrganizationError, ParentId, in_file},
};

/// The way to each account.
pub(super) enum Way {
    Dir(Dir),
    #[cfg(feature = "aws")]
    Aws(Box<crate::cloud::aws::Aws>),
}

/// The accounts that there are to choose from.
#[derive(Default)]
pub(super) struct Accounts {
    /// In any order; none where there is just the one that the credentials, or the directory, are of.
    pub(super) accounts: Vec<Account>,
    /// What it took to know.
    pub(super) calls: Calls,
}

/// The accounts that there are to choose from.
pub(super) async fn accounts(config: &Config, cloud: &CloudName) -> Result<Accounts, CommandError> {
    match cloud {
        CloudName::Aws => {
            let mut all = match &config.organization {
                Some(organization) => of_organization(config, organization).await?,
                None => Accounts::default(),
            };
            // Later ones stand in the place of earlier ones.
            all.accounts.extend(config.accounts.iter().cloned());
            // None would mean the credentials' own account, which nobody named.
            if all.accounts.is_empty() && config.organization.is_some() {
                return Err(OrganizationError::NoAccount.into());
            }
            Ok(all)
        }
        CloudName::Dir(path) => {
            let folders = Dir::open(path)?.accounts()?;
            // The config may be the one of AWS, of which the directory holds one account.
            if folders.is_empty() {
                return Ok(Accounts::default());
            }
            let named = config.accounts.iter().map(|account| &account.id);
            let accounts = folders.iter().chain(named).cloned().map(Account::of);
            Ok(Accounts {
                accounts: accounts.collect(),
                calls: Calls::new(),
            })
        }
    }
}

/// Those that are `named`, without a question which there are: what is urgent must work while AWS Organizations
/// does not answer, or its file is away.
pub(super) fn by_name(
    config: &Config,
    organization: &Organization,
    named: &[AccountId],
) -> Result<Accounts, SelectError> {
    let mut all = organization.of(named.iter().cloned());
    all.extend(config.accounts.iter().cloned());
    Ok(Accounts {
        accounts: select(all, named, None)?,
        calls: Calls::new(),
    })
}

async fn of_organization(
    config: &Config,
    organization: &Organization,
) -> Result<Accounts, CommandError> {
    let (listed, calls) = match &organization.listed {
        Listing::Files(files) => {
            let files: Result<Vec<_>, _> = files.iter().map(|file| in_file(file)).collect();
            (files?.concat(), Calls::new())
        }
        Listing::Asked(parents) => ask(config, parents).await?,
    };
    Ok(Accounts {
        accounts: organization.of(listed),
        calls,
    })
}

#[cfg(feature = "aws")]
async fn ask(
    config: &Config,
    parents: &[ParentId],
) -> Result<(Vec<AccountId>, Calls), CommandError> {
    let aws = crate::cloud::aws::Aws::open(config.regions.clone()).await?;
    let listed = aws.organization(parents).await?;
    Ok((listed.into_iter().collect(), aws.calls()))
}

#[cfg(not(feature = "aws"))]
#[expect(clippy::unused_async, reason = "AWS wants to be waited for")]
async fn ask(_: &Config, _: &[ParentId]) -> Result<(Vec<AccountId>, Calls), CommandError> {
    Err(CommandError::NoAws)
}

/// What was seen of several accounts.
pub(super) struct Seen {
    /// Of each that could be come by.
    pub(super) accounts: Vec<Observation>,
    /// How many could not.
    pub(super) failed: usize,
}

/// What is seen of each account that is chosen. One that cannot be come by is told about and left out.
pub(super) async fn observe(
    config: &Config,
    cloud: &CloudName,
    chosen: &Chosen,
) -> Result<Seen, CommandError> {
    let accounts = accounts(config, cloud).await?.accounts;
    let way = Way::open(config, cloud.clone()).await?;
    if accounts.is_empty() {
        chosen.needs_none()?;
        return Ok(Seen {
            accounts: vec![way.observe().await],
            failed: 0,
        });
    }
    let accounts = select(accounts, &chosen.named, chosen.shard)?;
    let looks = accounts.iter().map(|account| way.observe_one(account));
    let looks = stream::iter(looks).buffered(config.concurrency.0);
    let looks: Vec<Result<Observation, CommandError>> = looks.collect().await;
    let seen = looks
        .into_iter()
        .zip(&accounts)
        .filter_map(|(look, account)| {
            let told = |error: &CommandError| {
                tracing::warn!("account {} is not looked at: {}", account.id, chain(error));
            };
            look.inspect_err(told).ok()
        });
    let seen: Vec<Observation> = seen.collect();
    Ok(Seen {
        failed: accounts.len() - seen.len(),
        accounts: seen,
    })
}

/// The same, for who can go on without: if a cloud is named. That it cannot be looked at costs a warning.
pub(super) async fn observed(config: &Config) -> Option<Vec<Observation>> {
    let cloud = config.cloud.as_ref()?;
    let told = |error: &CommandError| {
        tracing::warn!("home and away are not told: {}", chain(error));
    };
    let seen = observe(config, cloud, &Chosen::default()).await;
    Some(seen.inspect_err(told).ok()?.accounts)
}

/// Where sessions of roles of all these `accounts` come from, and what it took to know. Of one account at a time no more
/// than that is kept. One that cannot be looked at is told about: whom its roles may assume is held.
pub(super) async fn elsewhere(
    config: &Config,
    way: &Way,
    accounts: &[Account],
) -> (Elsewhere, Calls) {
    let looks = accounts.iter().map(|account| async move {
        let look = way.look(account).await;
        let told = |error: &CommandError| {
            let id = &account.id;
            tracing::warn!("callers in account {id} are not known: {}", chain(error));
        };
        let (seen, calls) = look.inspect_err(told).ok()?;
        let settings = config.settings.clone();
        let gather = move || {
            let estate = estate(&seen);
            (Elsewhere::of(&estate, &settings), estate.gaps)
        };
        // What comes of a bug is that nothing is known of that account.
        let (of_one, gaps) = tokio::task::spawn_blocking(gather).await.ok()?;
        for gap in gaps {
            tracing::warn!("callers in account {} are not known: {gap}", account.id);
        }
        Some((of_one, calls))
    });
    let looks = stream::iter(looks).buffered(config.concurrency.0);
    let gathered = (Elsewhere::default(), Calls::new());
    looks
        .fold(gathered, async |(mut elsewhere, mut all), look| {
            if let Some((of_one, calls)) = look {
                elsewhere.merge(of_one);
                for (call, number) in calls {
                    *all.entry(call).or_default() += number;
                }
            }
            (elsewhere, all)
        })
        .await
}

impl Way {
    /// Begins.
    #[cfg_attr(
        not(feature = "aws"),
        expect(
            unused_variables,
            clippy::unused_async,
            reason = "only AWS has regions to choose, and wants to be waited for"
        )
    )]
    pub(super) async fn open(config: &Config, cloud: CloudName) -> Result<Self, CommandError> {
        match cloud {
            CloudName::Dir(path) => Ok(Self::Dir(Dir::open(path)?)),
            #[cfg(feature = "aws")]
            CloudName::Aws => {
                let aws = crate::cloud::aws::Aws::open(config.regions.clone()).await?;
                Ok(Self::Aws(Box::new(aws)))
            }
            #[cfg(not(feature = "aws"))]
            CloudName::Aws => Err(CommandError::NoAws),
        }
    }

    async fn observe(&self) -> Observation {
        match self {
            Self::Dir(dir) => dir.observe().await,
            #[cfg(feature = "aws")]
            Self::Aws(aws) => aws.observe().await,
        }
    }

    /// The account that a key is of, where the cloud can tell.
    #[cfg_attr(
        not(feature = "aws"),
        expect(
            unused_variables,
            clippy::unused_async,
            reason = "only AWS knows of keys that are not in the account"
        )
    )]
    pub(super) async fn account_of_key(&self, key: &AccessKeyId) -> Option<AccountId> {
        match self {
            Self::Dir(_) => None,
            #[cfg(feature = "aws")]
            Self::Aws(aws) => aws.account_of_key(key).await,
        }
    }

    pub(super) async fn observe_one(&self, account: &Account) -> Result<Observation, CommandError> {
        Ok(self.look(account).await?.0)
    }

    /// The same, with what it took.
    async fn look(&self, account: &Account) -> Result<(Observation, Calls), CommandError> {
        Ok(match self {
            Self::Dir(dir) => {
                let seen = dir.in_account(&account.id)?.observe().await;
                (seen, Calls::new())
            }
            #[cfg(feature = "aws")]
            Self::Aws(aws) => {
                let aws = aws.in_account(account).await?;
                (aws.observe().await, aws.calls())
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    #[test]
    fn a_named_account_is_come_by_as_the_config_says_without_a_list() {
        let config = parse(
            "credpin.toml",
            r#"
            [[account]]
            id = "111111111111"
            role = "its-own"
            [organization]
            accounts = "missing.json"
            role = "credpin-controller"
            external-id = "of-credpin"
            except = ["333333333333"]
            "#,
        )
        .unwrap();
        let by_name = |ids: &[&str]| {
            let named: Vec<AccountId> = ids.iter().map(|id| id.parse().unwrap()).collect();
            by_name(&config, config.organization.as_ref().unwrap(), &named)
        };
        let accounts = by_name(&["222222222222", "111111111111"]).unwrap().accounts;
        let roles = accounts.iter().map(|account| {
            let role = account.role.as_ref().unwrap().to_string();
            (account.id.as_str(), role, account.external_id.as_deref())
        });
        assert_eq!(
            roles.collect::<Vec<_>>(),
            [
                ("111111111111", "its-own".to_owned(), None),
                (
                    "222222222222",
                    "credpin-controller".to_owned(),
                    Some("of-credpin")
                ),
            ]
        );
        assert!(matches!(
            by_name(&["333333333333"]),
            Err(SelectError::Unknown(_))
        ));
    }
}
