//! The command line. Names are fixed: users' scripts hold them.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueHint};
use clap_complete::Shell;
use credpin_core::{
    cut::On,
    id::{AccountId, InstanceId, RegionName, RoleName},
    lineage::Target,
    position::Position,
    settings::{Glob, MaxNarrowing, Settings},
    shard::Shard,
};
use credpin_ledger::StoreUrl;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    account::OfAccount,
    cloudtrail::Source,
    config::{self, CloudName},
    inventory, revoke,
};

/// Keeps EC2 role credentials where they were issued.
///
/// credpin works out where the tokens of each role may be used from, writes that into IAM as a
/// policy that denies everything else, and keeps it true as the fleet changes. Out of the box it
/// only observes: nothing is written until the config says `mode = "enforce"` for a role.
#[derive(Debug, Parser)]
#[command(name = "credpin", version, max_term_width = 100)]
#[command(after_help = "\
Exit codes: 0 nothing (left) to do, 1 error, 2 the plan has changes, 3 something is held or was not \
seen, 4 some accounts failed and the others did not, 64 bad usage.
Each flag beats its environment variable, which beats the config file.")]
pub struct Cli {
    /// What holds for every command.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What holds for every command.
#[derive(Debug, Args)]
pub struct Common {
    /// The config file [default: ./credpin.toml, if there is one]
    #[arg(long, global = true, env = "CREDPIN_CONFIG", value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
    /// Which cloud: `aws`, or `dir:PATH` for a directory of what the AWS CLI prints [default: aws]
    #[arg(long, global = true, env = "CREDPIN_CLOUD", value_name = "CLOUD")]
    pub cloud: Option<CloudName>,
    /// Where hosts ship their records: `file:///dir` or `s3://bucket/prefix`
    #[arg(long, global = true, env = "CREDPIN_RECORDS", value_name = "URL")]
    pub records: Option<StoreUrl>,
    /// Where the controller keeps the lock of runs and what the last run found: `file:///dir` or
    /// `s3://bucket/prefix`, which hosts must not be able to write
    #[arg(long, global = true, env = "CREDPIN_STATE", value_name = "URL")]
    pub state: Option<StoreUrl>,
    /// A region to look at; can be given several times. Name every region that has hosts: a pin
    /// locks out those that it does not know [default: all that are enabled for the account]
    #[arg(
        long,
        global = true,
        env = "CREDPIN_REGIONS",
        value_name = "REGION",
        value_delimiter = ','
    )]
    pub region: Vec<RegionName>,
    /// Look at every region that is enabled for the account, whatever else names some
    #[arg(long, global = true)]
    pub all_regions: bool,
    /// An account, of those that the config or a directory cloud has; can be given several times
    /// [default: all of them]
    #[arg(
        long,
        global = true,
        env = "CREDPIN_ACCOUNTS",
        value_name = "ID",
        value_delimiter = ','
    )]
    pub account: Vec<AccountId>,
    /// Only the accounts of job I of N (I from 0): each account is one job's, whatever others there are
    #[arg(long, global = true, env = "CREDPIN_SHARD", value_name = "I/N")]
    pub shard: Option<Shard>,
    /// Assume `responder-role` of the config in each account, where it names one, not `role`; `revoke` does
    /// so unasked
    #[arg(long, global = true, env = "CREDPIN_AS_RESPONDER")]
    pub as_responder: bool,
    /// Tell on stderr what is being done
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

/// What is allowed once, by a person who has looked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(default)]
pub struct Once {
    /// How much of a role's addresses may go in this run, in percent [default: `max-narrowing` of the
    /// config, or 30]
    #[arg(long, value_name = "PERCENT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_narrowing: Option<MaxNarrowing>,
    /// Write over what somebody else made of our policies; the plan shows what that is
    #[arg(long)]
    pub take_over: bool,
    /// Enforce roles for the first time without a replay of their calls
    #[arg(long)]
    pub without_replay: bool,
}

impl Once {
    /// Puts it over what the config says.
    pub fn over(&self, settings: &mut Settings) {
        if let Some(share) = self.max_narrowing {
            settings.max_narrowing = share;
        }
        settings.take_over |= self.take_over;
        settings.without_replay |= self.without_replay;
    }
}

impl Revoke {
    /// What is to be taken back.
    pub fn target(&self) -> Option<&revoke::Target> {
        Some(&self.stolen.as_ref()?.target)
    }

    /// The account that an ARN names.
    pub fn account(&self) -> Option<&AccountId> {
        self.stolen.as_ref()?.account.as_ref()
    }
}

impl Command {
    /// The account that an ARN of its arguments names.
    pub fn account(&self) -> Option<&AccountId> {
        match self {
            Command::Explain(asked) => asked.role.account.as_ref(),
            Command::Revoke(asked) => asked.account(),
            _ => None,
        }
    }

    /// What holds for this run only.
    pub fn once(&self) -> Option<&Once> {
        match self {
            Command::Plan { once, .. }
            | Command::Apply { once, .. }
            | Command::Run { once, .. } => Some(once),
            _ => None,
        }
    }
}

/// What `revoke` is to do.
#[derive(Clone, Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub struct Revoke {
    /// What is stolen
    #[arg(
        value_name = "KEY|ARN|role/ROLE[/SESSION]|user/NAME",
        required_unless_present_any = ["undo", "list"]
    )]
    pub stolen: Option<revoke::Named>,
    /// Deny the instance its later tokens too, until the cut is undone
    #[arg(long)]
    pub isolate: bool,
    /// Who assumed the role, and shall not again until this is undone
    #[arg(long, value_name = "user/NAME|role/ROLE", value_parser = revoke::parse_on)]
    pub assumed_by: Option<On>,
    /// Whose the key is, by CloudTrail's files (a directory, or `s3://bucket/prefix`); no host need
    /// have recorded it
    #[arg(long, value_name = "DIR|URL", value_hint = ValueHint::DirPath, requires = "stolen")]
    pub cloudtrail: Option<Source>,
    /// All that came of the key too, and what it came of: parents first, until no more turns up
    #[arg(long, requires = "cloudtrail", conflicts_with = "assumed_by")]
    pub lineage: bool,
    /// Go on until CloudTrail can show no late key any more
    #[arg(long, requires_all = ["lineage", "apply"])]
    pub watch: bool,
    /// How long IAM gets to carry a cut out, before what lies below it is cut
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = config::seconds)]
    pub wait: u64,
    /// Do it
    #[arg(long)]
    pub apply: bool,
    /// Do not ask
    #[arg(long, requires = "apply")]
    pub yes: bool,
    /// Take a cut off
    #[arg(long, value_name = "ID", conflicts_with_all = ["stolen", "list", "apply"])]
    pub undo: Option<String>,
    /// Show the cuts that there are
    #[arg(long, conflicts_with_all = ["stolen", "apply"])]
    pub list: bool,
    /// For machines
    #[arg(long)]
    pub json: bool,
}

/// What `explain` is asked.
#[derive(Clone, Debug, Args)]
pub struct Explain {
    /// The role: its name, or its ARN
    #[arg(long)]
    pub role: OfAccount,
    /// The instance that the token was delivered to, or that assumed the role, where the config opts that in
    #[arg(long)]
    pub instance: InstanceId,
    /// Where it is used: an address of the internet (198.51.100.9), or an address in the VPC of
    /// an endpoint (vpc-0abc/10.0.1.5)
    #[arg(long, value_name = "ADDRESS|VPC/ADDRESS")]
    pub from: Position,
    /// The call
    #[arg(long, default_value = "s3:GetObject")]
    pub action: String,
    /// For machines
    #[arg(long)]
    pub json: bool,
}

/// What `detect` is to do.
#[derive(Clone, Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub struct Detect {
    /// CloudTrail's files: a directory, or `s3://bucket/prefix`; in any layout, of any number of
    /// accounts and regions, an organisation's too
    #[arg(long, value_name = "DIR|URL", value_hint = ValueHint::DirPath, required_unless_present = "rules")]
    pub cloudtrail: Option<Source>,
    /// What was over before this is history: it is read as far as it bears on the rest, and not told
    #[arg(long, value_name = "TIME")]
    pub since: Option<Timestamp>,
    /// Tell what no earlier run with --new told, and keep in `state` what was
    #[arg(long, requires = "cloudtrail")]
    pub new: bool,
    /// For machines: a line of JSON for each finding, and one for the whole
    #[arg(long)]
    pub json: bool,
    /// For machines: a line of JSON for each finding, as a Detection Finding of OCSF
    #[arg(long, conflicts_with_all = ["json", "rules"])]
    pub ocsf: bool,
    /// Show the rules
    #[arg(long, conflicts_with_all = ["cloudtrail", "since"])]
    pub rules: bool,
}

/// Which tokens `tokens` shows, and where it keeps them.
#[derive(Clone, Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a flag of the command line"
)]
pub struct Tokens {
    /// Of roles of this name, or pattern (web-*); can be given several times
    #[arg(long, value_name = "PATTERN")]
    pub role: Vec<Glob>,
    /// Of this instance, or of those that the pattern fits; can be given several times
    #[arg(long, value_name = "PATTERN")]
    pub instance: Vec<Glob>,
    /// Those that are good now
    #[arg(long)]
    pub live: bool,
    /// Those whose role has no pin in force, or is not known to have one
    #[arg(long)]
    pub unpinned: bool,
    /// Those that were handed out by IMDSv1
    #[arg(long)]
    pub imdsv1: bool,
    /// CloudTrail's files, a directory or `s3://bucket/prefix`: tells when and from where each token was
    /// last used, and finds those that no host recorded
    #[arg(long, value_name = "DIR|URL", value_hint = ValueHint::DirPath)]
    pub cloudtrail: Option<Source>,
    /// A plan that `credpin plan --json` or `--out` wrote: tells which roles are pinned [default: what the last run
    /// left in `state`]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub plan: Option<PathBuf>,
    /// The file that the inventory is kept in [default: tokens.redb in `state`, if that is a directory,
    /// else credpin/tokens.redb in $XDG_STATE_HOME or ~/.local/state]
    #[expect(clippy::doc_markdown, reason = "help is read in a terminal")]
    #[arg(long, env = "CREDPIN_DATABASE", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub database: Option<PathBuf>,
    /// Throw the file away and make it anew, from the records
    #[arg(long)]
    pub rebuild: bool,
    /// How long tokens are kept after they expired; 36h at least
    #[arg(long, value_name = "TIME", default_value = "48h", value_parser = inventory::parse_keep)]
    pub keep: SignedDuration,
    /// For machines
    #[arg(long)]
    pub json: bool,
}

/// The subcommands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Look at the account and say what was seen
    ///
    /// With --out the view is written as a directory cloud, in the AWS CLI's own shapes, so that it
    /// can be planned on without AWS. The same directory comes of a shell loop:
    ///
    ///   aws ec2 describe-subnets --region eu-west-1 > PATH/eu-west-1/describe-subnets.json
    ///
    /// and so for describe-route-tables, describe-nat-gateways, describe-vpcs, describe-vpc-endpoints
    /// and describe-addresses in every region;
    ///
    ///   aws ec2 describe-instances --include-managed-resources --region eu-west-1 > PATH/eu-west-1/describe-instances.json
    ///
    /// and so for describe-network-interfaces (without the flag, accounts can hide instances that AWS
    /// services manage, and their pins would lock them out; an AWS CLI that does not know it is too
    /// old for this); and
    ///
    ///   aws iam get-account-authorization-details --filter Role LocalManagedPolicy > PATH/iam/get-account-authorization-details.json
    #[command(verbatim_doc_comment)]
    #[expect(clippy::doc_markdown, reason = "help is read in a terminal")]
    Observe {
        /// Write the view to this directory
        #[arg(long, value_name = "PATH", value_hint = ValueHint::DirPath)]
        out: Option<PathBuf>,
    },
    /// Say what would be done, and do nothing
    Plan {
        /// What holds for this run only
        #[command(flatten)]
        once: Once,
        /// Write the plan to this file too, as JSON: to be read, and carried out with `credpin apply FILE`
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        out: Option<PathBuf>,
        /// For machines
        #[arg(long)]
        json: bool,
        /// Instead of a plan a graph for Graphviz: which roles can be assumed with the tokens of which, where
        /// no pin follows
        #[arg(long, conflicts_with_all = ["json", "out"])]
        dot: bool,
    },
    /// Plan, ask, and do it
    ///
    /// With a FILE nobody is asked: what it has was read. The account is looked at again, and where it calls
    /// for anything else by now, nothing is done, and it is said which role has changed.
    Apply {
        /// A plan that `credpin plan --out` wrote, of today: these steps and no others
        #[arg(
            value_name = "FILE",
            value_hint = ValueHint::FilePath,
            conflicts_with_all = ["max_narrowing", "take_over", "without_replay"]
        )]
        file: Option<PathBuf>,
        /// What holds for this run only
        #[command(flatten)]
        once: Once,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// The scheduled job: observe, plan, apply, read back, report; asks nobody
    Run {
        /// What holds for this run only
        #[command(flatten)]
        once: Once,
        /// Print what was done for machines, and no plan
        #[arg(long)]
        json: bool,
        /// Write what is pinned and what is open to this file, as OpenMetrics: for the textfile
        /// collector of a node exporter, which wants a name that ends in .prom
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        metrics: Option<PathBuf>,
    },
    /// One line a role: what is pinned, what is open
    ///
    /// Where the config names a `state`, as the last run left it, at once.
    Status {
        /// Look at the account, whatever the last run kept
        #[arg(long)]
        fresh: bool,
        /// Write the same to this file, as OpenMetrics
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        metrics: Option<PathBuf>,
        /// For machines
        #[arg(long)]
        json: bool,
    },
    /// Say whether a call would be denied, and by which statement
    Explain(Explain),
    /// Take pins off at once; the next run leaves them off
    ///
    /// Needs IAM alone, so it works with EC2 down: marks each policy as released, then detaches it.
    Release {
        /// The roles
        #[arg(
            value_name = "ROLE",
            required_unless_present = "all",
            conflicts_with = "all"
        )]
        roles: Vec<RoleName>,
        /// Every role that has a pin
        #[arg(long)]
        all: bool,
        /// Go back to the previous document instead, if it still holds
        #[arg(long, conflicts_with = "undo")]
        previous: bool,
        /// Let runs put the pin back
        #[arg(long)]
        undo: bool,
    },
    /// Say where a key came from, and every key that came of it
    ///
    /// Reads CloudTrail alone: no proxy, no pin and no account are needed. What a key's holder made of
    /// it (sessions, assumed roles, further keys, across accounts) is shown as a tree, from the first
    /// key that is known. With a cloud (--cloud, or `cloud` in the config) the uses of an instance's
    /// token are told apart: home, or away.
    ///
    /// Exit codes: 0 found, 1 not in the trail or an error, 3 found but not all of the trail could be
    /// read, 64 bad usage.
    Trace {
        /// An access key id (AKIA…, ASIA…), an instance (i-…), or the ARN of a user, role or session
        #[arg(value_name = "KEY|ARN|INSTANCE")]
        target: Target,
        /// Which trail is read.
        #[command(flatten)]
        trail: TrailArgs,
        /// For machines: everything that is known of each key
        #[arg(long, conflicts_with_all = ["dot", "html"])]
        json: bool,
        /// A graph for Graphviz
        #[arg(long, conflicts_with = "html")]
        dot: bool,
        /// Write a page with the tree and a timeline to this file
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        html: Option<PathBuf>,
    },
    /// Run history against the pins that a plan calls for: which real calls would be denied
    ///
    /// CloudTrail holds no condition keys. What can be derived from a record is decided as IAM would;
    /// what cannot is unknown, and calls that the trail does not record (data events) are unseen:
    /// neither counts as passing. Without --plan the account is looked at, and its roles' pins are
    /// replayed whether or not they are enforced. Where the config names `state`, what it found of each
    /// role that has calls in the trail is kept there: a role's first pin wants a replay.
    ///
    /// Exit codes: 0 nothing would be denied and all is known, 1 error, 2 nothing would be denied but
    /// something is unknown, unseen or unread, 3 something would be denied, 64 bad usage.
    Replay {
        /// Which trail is read.
        #[command(flatten)]
        trail: TrailArgs,
        /// A plan that `credpin plan --json` or `--out` wrote. Give --cloud with it where calls come by VPC
        /// endpoints: a plan does not say whose those are
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        plan: Option<PathBuf>,
        /// For machines
        #[arg(long)]
        json: bool,
    },
    /// Sort what pins in force denied: a stolen token, another host, a stale pin, a service's call
    ///
    /// Exit codes: 0 nothing was denied, 1 error, 2 something was denied (or not all could be read), 3
    /// a token was used by somebody else, 64 bad usage.
    Triage {
        /// Which trail is read.
        #[command(flatten)]
        trail: TrailArgs,
        /// For machines
        #[arg(long)]
        json: bool,
    },
    /// Find in CloudTrail what somebody should look at: stolen tokens, changed pins, and what leads there
    ///
    /// Each finding has an id that stays the same, says which events show it, and what to do next. With a
    /// cloud (--cloud, or `cloud` in the config) uses of an instance's token are told apart: home, or away;
    /// and the roles' trust policies are looked at. With records (--records) tokens that no ledger knows are
    /// found. What could not be decided is said. What is not to be told is written down: `accept` in the
    /// config, with an owner and an end.
    ///
    /// As a scheduled job: --new, with `state` in the config. It reads on from where the last one ended and
    /// tells each finding once.
    ///
    /// Exit codes: 0 nothing found (with --new: nothing new), 1 error, 2 something found, 3 nothing found but
    /// not all of the trail could be read, 64 bad usage.
    Detect(Detect),
    /// List every temporary token that hosts were given: whose, until when, who asked, pinned or not
    ///
    /// AWS has no such list. Made of the records that hosts ship (--records), and of CloudTrail if it is
    /// named: either is enough. Only what is new is read; what was found is kept in one local file. Numbers
    /// that are missing among a host's records are told.
    ///
    /// Exit codes: 0 listed, 1 error, 3 listed, and records are missing or could not be read, 64 bad
    /// usage.
    Tokens(Tokens),
    /// Take a stolen credential back, by the smallest cut that ends it
    ///
    /// AWS takes no temporary credential back. What ends one is a policy on the principal that it was
    /// made for, which denies what was issued before a time. Says first what would be done and who
    /// else is hit; --apply does it. Each cut ends by itself where nothing is left that it denies, and
    /// is taken off exactly with --undo.
    ///
    ///   credpin revoke ASIA…              a token that a host recorded: that host's session only
    ///   credpin revoke role/web/i-0abc    the tokens of role web that EC2 delivered to i-0abc
    ///   credpin revoke role/ci/deploy     sessions of role ci named deploy (role/ci: all of them);
    ///                                     with --assumed-by user/alice nor can she assume it again
    ///   credpin revoke user/alice         her temporary tokens (GetSessionToken, GetFederationToken);
    ///                                     her long-lived keys stay
    ///   credpin revoke AKIA…              a long-lived key: made inactive, not deleted
    ///
    /// With --cloudtrail, CloudTrail tells whose a key is and how it was made, and the cut is that of
    /// its kind; what lives on beside is listed. With --lineage all of it is ended: the key that it
    /// began with, then, once IAM has had --wait to carry that out, what this made, and so on; the trail
    /// is read again until a round finds no new key. It may be stopped at any time: said again, it
    /// goes on.
    ///
    ///   credpin revoke ASIA… --cloudtrail s3://trail/AWSLogs
    ///   credpin revoke ASIA… --cloudtrail s3://trail/AWSLogs --lineage --watch --apply
    ///
    /// Exit codes: 0 done (with --lineage: over, and no late key can turn up), 1 error, 2 something
    /// would be done, 3 (--lineage) a late key may turn up, a key cannot be cut, or not all of the
    /// trail could be read, 64 bad usage.
    #[command(verbatim_doc_comment)]
    #[expect(clippy::doc_markdown, reason = "help is read in a terminal")]
    Revoke(Revoke),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Which trail is read.
#[derive(Clone, Debug, Args)]
pub struct TrailArgs {
    /// CloudTrail's files: a directory, or `s3://bucket/prefix`; in any layout, of any number of
    /// accounts and regions, an organisation's too
    #[arg(long, value_name = "DIR|URL", value_hint = ValueHint::DirPath)]
    pub cloudtrail: Source,
}
