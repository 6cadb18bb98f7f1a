//! `credpin.toml`: what the operator decided, parsed without touching anything.
//!
//! Every mistake is found in one go and names its line, and an unknown key is a mistake: a
//! misspelt `hub-vpcs` would otherwise be a silent lock-out.

use std::{collections::BTreeSet, ffi::OsString, fmt, path::PathBuf, str::FromStr};

use credpin_core::{
    detect::Accept,
    id::{AccountId, RegionName},
    plan::MOST_POLICIES,
    settings::{
        ChainedRule, Glob, IdleAfter, Lists, Mode, Propagation, ReplayMaxAge, RoleRule, Scope,
        Settings, StatedEgress,
    },
};
use credpin_ledger::StoreUrl;
use thiserror::Error;
use toml_span::ErrorKind;

use crate::{
    account::{Account, RoleToAssume},
    organization::{Listing, Organization},
};

mod accept;
mod duration;
mod prefix;
mod table;

use accept::accept;
pub(crate) use duration::seconds;
use prefix::public_prefix;
use table::Table;

/// What the environment says to clients of S3: the variables that begin with `AWS_`.
pub(crate) fn variables() -> Vec<(String, String)> {
    let utf8 = |(name, value): (OsString, OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    let all = std::env::vars_os().filter_map(utf8);
    all.filter(|(name, _)| name.starts_with("AWS_")).collect()
}

/// The user's folder of what programs keep (XDG Base Directory Specification), if the environment
/// tells where it is.
pub(crate) fn state_home() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let absolute = |folder: &PathBuf| folder.is_absolute();
    let said = folder("XDG_STATE_HOME").filter(absolute);
    said.or_else(|| Some(folder("HOME").filter(absolute)?.join(".local/state")))
}

/// Customer managed policies that AWS allows an account at most (IAM User Guide, "IAM and STS
/// quotas").
const MOST_ACCOUNT_POLICIES: usize = 10_000;

/// More accounts at a time would hold as many accounts in memory, and wait on this machine's own calls.
const MOST_AT_A_TIME: usize = 64;

/// The file that is read where none is named.
pub const DEFAULT_PATH: &str = "credpin.toml";

/// What the file says. The default is the empty file, which is a safe one: all is observed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// What bears on plans.
    pub settings: Settings,
    /// `cloud`
    pub cloud: Option<CloudName>,
    /// `regions`
    pub regions: Regions,
    /// `records`
    pub records: Option<StoreUrl>,
    /// `state`
    pub state: Option<StoreUrl>,
    /// `[[account]]`; none where the credentials that there are say which it is.
    pub accounts: Vec<Account>,
    /// `[organization]`: more accounts, but for those that `accounts` has.
    pub organization: Option<Organization>,
    /// `follow-accounts`: callers of `[[chained]]` roles are looked for in all accounts of the job.
    pub follow_accounts: bool,
    /// `concurrency`
    pub concurrency: Concurrency,
    /// `publish-pins`
    pub publish_pins: bool,
    /// `controller-roles`: names of the roles that credpin runs as.
    pub controller_roles: Vec<Glob>,
    /// `[[accept]]`: findings that a person has accepted.
    pub accept: Vec<Accept>,
}

/// How many accounts are worked on at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Concurrency(pub usize);

impl Default for Concurrency {
    /// AWS counts calls by account, so it is not for AWS that these are few: each holds the whole of its
    /// account in memory.
    fn default() -> Self {
        Self(8)
    }
}

/// Which cloud: `aws` or `dir:PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CloudName {
    /// AWS, with the credentials of the environment.
    Aws,
    /// A directory of the AWS CLI's answers.
    Dir(PathBuf),
}

/// Which regions of AWS are looked at. A pin knows nothing of hosts anywhere else and locks them
/// out, so leaving any out is the operator's word that there are none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Regions {
    /// Every region that is enabled for the account.
    #[default]
    All,
    /// These.
    Only(Vec<RegionName>),
}

/// A text that names no cloud.
#[derive(Debug, Error)]
#[error("`{0}` is no cloud: write aws or dir:PATH")]
pub struct CloudNameError(String);

/// What is wrong with a config file, all of it.
#[derive(Debug, Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Mistakes(pub Vec<Mistake>);

/// One mistake in a config file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The file's name.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The key, as `egress.prefixes`; empty where the text is no TOML.
    pub key: String,
    /// What is wrong, and the way out.
    pub what: String,
}

impl Config {
    /// The same, where accounts are come by as a responder does. None where it names no other role for that.
    #[must_use]
    pub fn for_responder(mut self) -> Option<Self> {
        let of_accounts = self.accounts.iter().map(|account| &account.responder_role);
        let of_organization = self.organization.iter();
        let of_organization = of_organization.map(|organization| &organization.responder_role);
        if of_accounts.chain(of_organization).all(Option::is_none) {
            return None;
        }
        let accounts = self.accounts.into_iter();
        self.accounts = accounts.map(Account::for_responder).collect();
        if let Some(organization) = &mut self.organization
            && let Some(role) = organization.responder_role.take()
        {
            organization.role = role;
        }
        Some(self)
    }
}

/// Reads the text of the config file called `file`.
pub fn parse(file: &str, text: &str) -> Result<Config, Mistakes> {
    let mut mistakes = table::Mistakes::default();
    let config = match toml_span::parse(text) {
        Ok(value) => Table::root(value, &mut mistakes).map(config),
        Err(error) => {
            mistakes.add(error.span.start, "", no_toml(&error));
            None
        }
    };
    match config {
        Some(config) if mistakes.is_empty() => Ok(config),
        _ => Err(Mistakes(mistakes.place(file, text))),
    }
}

fn config(mut table: Table<'_, '_>) -> Config {
    let mut config = Config::default();
    let settings = &mut config.settings;
    settings.mode = table.parsed("mode", mode).unwrap_or_default();
    settings.hub_vpcs = table
        .list("hub-vpcs", |text| text.parse().map_err(said))
        .map(|vpcs| vpcs.into_iter().collect());
    settings.allow_launch_gap = table.boolean("allow-launch-gap").unwrap_or_default();
    settings.max_policies = table.number("max-policies", 1..=MOST_POLICIES);
    settings.policy_quota = table.number("policy-quota", 1..=MOST_ACCOUNT_POLICIES);
    settings.ipv6_lists = table.parsed("ipv6-lists", lists).unwrap_or_default();
    settings.private_ipv4_lists = table
        .parsed("private-ipv4-lists", lists)
        .unwrap_or_default();
    settings.allow_lossy = table.boolean("allow-lossy").unwrap_or_default();
    settings.pin_derived = table.boolean("pin-derived").unwrap_or_default();
    settings.self_defence = table.boolean("self-defence").unwrap_or_default();
    settings.exclude = table
        .list("exclude", |text| Ok(Glob::new(text)))
        .unwrap_or_default();
    settings.canary_share = table
        .parsed("canary-share", |text| text.parse().map_err(said))
        .unwrap_or_default();
    settings.replay_max_age = table
        .parsed("replay-max-age", |text| {
            seconds(text).map(ReplayMaxAge::of_seconds)
        })
        .unwrap_or_default();
    settings.idle_after = table
        .parsed("idle-after", |text| {
            seconds(text).map(IdleAfter::of_seconds)
        })
        .unwrap_or_default();
    settings.without_replay = table.boolean("without-replay").unwrap_or_default();
    settings.propagation = table
        .parsed("propagation", |text| {
            seconds(text).map(Propagation::of_seconds)
        })
        .unwrap_or_default();
    settings.max_narrowing = table
        .parsed("max-narrowing", |text| text.parse().map_err(said))
        .unwrap_or_default();
    settings.roles = table.tables("role", role);
    settings.chained = table.tables("chained", chained);
    settings.egress = table.tables("egress", egress);
    config.controller_roles = table
        .list("controller-roles", |text| Ok(Glob::new(text)))
        .unwrap_or_default();
    config.accept = table.tables("accept", accept);
    config.cloud = table.parsed("cloud", |text| text.parse().map_err(said));
    config.records = table.parsed("records", |text| text.parse().map_err(said));
    config.state = table.parsed("state", |text| text.parse().map_err(said));
    config.publish_pins = table.boolean("publish-pins").unwrap_or_default();
    config.regions = regions(&mut table).unwrap_or_default();
    config.accounts = table.tables("account", account);
    only_once(&config.accounts, &mut table);
    config.organization = table.table("organization", organization);
    config.follow_accounts = table.boolean("follow-accounts").unwrap_or_default();
    config.concurrency = table
        .number("concurrency", 1..=MOST_AT_A_TIME)
        .map(Concurrency)
        .unwrap_or_default();
    table.finish();
    config
}

fn regions(table: &mut Table<'_, '_>) -> Option<Regions> {
    table.parsed_or_list(
        "regions",
        |text| text.parse().map_err(said),
        |text| {
            (text == "all")
                .then_some(Regions::All)
                .ok_or_else(|| "write \"all\" or a list of names".into())
        },
        |names| match names[..] {
            [] => Err("names no region: leave it out to look at all of them".to_owned()),
            _ => Ok(Regions::Only(names)),
        },
    )
}

fn account(table: &mut Table<'_, '_>) -> Option<Account> {
    let id: Option<AccountId> = table.required("id", |text| text.parse().map_err(said));
    let role: Option<RoleToAssume> = table.parsed("role", |text| text.parse().map_err(said));
    let responder_role = table.parsed("responder-role", |text| text.parse().map_err(said));
    let external_id = table.parsed("external-id", external_id);
    let regions = regions(table);
    for (key, role) in [("role", &role), ("responder-role", &responder_role)] {
        let elsewhere = role.as_ref().and_then(RoleToAssume::account);
        if let (Some(id), Some(elsewhere)) = (&id, elsewhere)
            && *id != elsewhere
        {
            table.mistake(format!(
                "{key} is one of account {elsewhere}, and id is {id}"
            ));
        }
    }
    if external_id.is_some() && !table.named("role") && !table.named("responder-role") {
        table.mistake("external-id is for a role that is assumed: role is missing");
    }
    Some(Account {
        id: id?,
        role,
        responder_role,
        external_id,
        regions,
    })
}

fn organization(table: &mut Table<'_, '_>) -> Option<Organization> {
    let accounts = table.parsed_or_list(
        "accounts",
        |text| Ok(PathBuf::from(text)),
        |text| Ok(vec![PathBuf::from(text)]),
        Ok,
    );
    let parents = table.list("parents", |text| text.parse().map_err(said));
    if table.named("accounts") && table.named("parents") {
        table.mistake(
            "name one of the two: accounts (files), or parents (AWS Organizations is asked)",
        );
    }
    // Nothing named would be everything, or nothing at all.
    if parents.as_ref().is_some_and(Vec::is_empty) {
        table.mistake("parents is empty: name units or the root, or leave parents out to ask for all accounts");
    }
    if accounts.as_ref().is_some_and(Vec::is_empty) {
        table.mistake(
            "accounts is empty: name a file, or leave accounts out to ask AWS Organizations",
        );
    }
    let role = table.required("role", role_of_all);
    let responder_role = table.parsed("responder-role", role_of_all);
    let external_id = table.parsed("external-id", external_id);
    let except = table.list("except", |text| text.parse().map_err(said));
    let listed = if table.named("accounts") {
        Listing::Files(accounts?)
    } else {
        Listing::Asked(parents.unwrap_or_default())
    };
    Some(Organization {
        listed,
        role: role?,
        responder_role,
        external_id,
        except: except.unwrap_or_default().into_iter().collect(),
    })
}

/// A role that is in every account.
fn role_of_all(text: &str) -> Result<RoleToAssume, String> {
    let role: RoleToAssume = text.parse().map_err(said)?;
    match role.account() {
        None => Ok(role),
        Some(_) => Err("is one account's role: write the name that it has in all of them".into()),
    }
}

/// An account that is named twice would be worked on by one job twice at once.
fn only_once(accounts: &[Account], table: &mut Table<'_, '_>) {
    let mut seen = BTreeSet::new();
    for account in accounts {
        if !seen.insert(&account.id) {
            table.mistake(format!("account {} is named twice", account.id));
        }
    }
}

/// As STS takes it ("`AssumeRole`", STS API reference).
fn external_id(text: &str) -> Result<String, String> {
    let fits = (2..=1224).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@:/-".contains(&byte));
    if fits {
        Ok(text.to_owned())
    } else {
        Err("is no external id: 2 to 1224 letters, digits and _+=,.@:/-".to_owned())
    }
}

fn role(table: &mut Table<'_, '_>) -> Option<RoleRule> {
    let name = table.required("name", |text| match text {
        "" => Err("is empty, and no role is named so: write a name, or a pattern as web-*".into()),
        _ => Ok(Glob::new(text)),
    });
    let account = table.parsed("account", |text| text.parse().map_err(said));
    let mode = table.required("mode", mode);
    Some(RoleRule {
        name: name?,
        account,
        mode: mode?,
    })
}

fn chained(table: &mut Table<'_, '_>) -> Option<ChainedRule> {
    let role = role(table);
    let assumed_by = table.list("assumed-by", |text| match text {
        "" => Err("is empty, and no role is named so: write a name, or a pattern as web-*".into()),
        _ => Ok(Glob::new(text)),
    });
    let callers = table.list("callers", caller);
    let prefixes = table.list("prefixes", public_prefix);
    let vpcs = table.list("vpcs", |text| text.parse().map_err(said));
    if table.named("callers") && !table.named("prefixes") && !table.named("vpcs") {
        table.mistake(
            "callers are named and not where they call from: prefixes, vpcs or both are missing",
        );
    }
    Some(ChainedRule {
        role: role?,
        assumed_by: assumed_by.unwrap_or_default(),
        callers: callers.unwrap_or_default().into_iter().collect(),
        prefixes: prefixes.unwrap_or_default().into_iter().collect(),
        vpcs: vpcs.unwrap_or_default().into_iter().collect(),
    })
}

/// Somebody who may assume a role, as trust policies have him. Services call from addresses of AWS's own, and
/// some with the role's credentials beside those of who is served, so nobody can answer for one.
fn caller(text: &str) -> Result<String, String> {
    // A provider of identities that is named like a service.
    const COGNITO: &str = "cognito-identity.amazonaws.com";
    let mut ends = [".amazonaws.com", ".amazonaws.com.cn"].iter();
    let is_service = !text.starts_with("arn:") && ends.any(|end| text.ends_with(end));
    match text {
        "" => Err("is empty: write it as the trust policy does, an ARN most often".into()),
        _ if is_service && text != COGNITO => Err(format!(
            "`{text}` is a service, and where it calls from is not to be known: give it a role of its own"
        )),
        _ => Ok(text.to_owned()),
    }
}

fn egress(table: &mut Table<'_, '_>) -> Option<StatedEgress> {
    let vpc = table.parsed("vpc", |text| text.parse().map(Scope::Vpc).map_err(said));
    let subnet = table.parsed("subnet", |text| {
        text.parse().map(Scope::Subnet).map_err(said)
    });
    if table.named("vpc") == table.named("subnet") {
        table.mistake("name one of the two: vpc or subnet");
    }
    let prefixes = table.list("prefixes", public_prefix);
    if !table.named("prefixes") {
        table.mistake("prefixes are missing: the public ones that this traffic leaves from, or []");
    }
    Some(StatedEgress {
        scope: vpc.or(subnet)?,
        prefixes: prefixes?,
    })
}

fn mode(text: &str) -> Result<Mode, String> {
    match text {
        "observe" => Ok(Mode::Observe),
        "enforce" => Ok(Mode::Enforce),
        "canary" => Ok(Mode::Canary),
        other => Err(format!(
            "`{other}` is no mode: write observe, canary or enforce"
        )),
    }
}

fn lists(text: &str) -> Result<Lists, String> {
    match text {
        "addresses" => Ok(Lists::Addresses),
        "subnets" => Ok(Lists::Subnets),
        other => Err(format!(
            "lists have no `{other}`: write addresses or subnets"
        )),
    }
}

/// What is wrong with the text as TOML. The parser's words, with the way out where they lack it.
fn no_toml(error: &toml_span::Error) -> String {
    match error.kind {
        ErrorKind::UnterminatedString | ErrorKind::InvalidCharInString('\n' | '\r') => {
            "this text does not end: close it with a quote on the same line".to_owned()
        }
        _ => format!("not TOML: {error}"),
    }
}

fn said(error: impl fmt::Display) -> String {
    error.to_string()
}

impl FromStr for CloudName {
    type Err = CloudNameError;

    fn from_str(text: &str) -> Result<Self, CloudNameError> {
        match text.strip_prefix("dir:") {
            Some(path) if !path.is_empty() => Ok(Self::Dir(path.into())),
            None if text == "aws" => Ok(Self::Aws),
            _ => Err(CloudNameError(text.to_owned())),
        }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        f.write_str(&self.what)
    }
}

#[cfg(test)]
mod tests;
