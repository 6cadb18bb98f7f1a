//! The command line. A flag only says which setting it gives: what settings mean, and in which order
//! flags, environment and file decide, is the library's (`config.rs`, `launch.rs`).

use clap::{Args, Parser, Subcommand};
use credpin_mock_imds::IDENTITY_CERTIFICATE;
use credpin_mock_imds::config::Flag;
use credpin_mock_imds::describe::EXAMPLE;
use credpin_mock_imds::launch::Command;

const LAYERS: &str = "\
A flag goes before the environment, that before the config file: what is --port here is \
AEMM_SERVER_PORT there, and {\"server\": {\"port\": 1338}} in the file. A command's flag has the \
command in its name: --action of spot is AEMM_SPOT_ACTION and {\"spot\": {\"action\": \"stop\"}}.

Called ec2-metadata-mock, as by a symbolic link, it is --fidelity aemm: what amazon-ec2-metadata-mock \
serves, with its defaults, which are to listen on 0.0.0.0, to read $HOME/aemm-config.json, to give \
every notice, and that to two client addresses.";

/// A mock of the EC2 instance metadata service, for tests of what reads it.
///
/// Point AWS SDKs, the AWS CLI or cloud-init at it:
///
///     credpin-mock-imds &
///     export AWS_EC2_METADATA_SERVICE_ENDPOINT=http://127.0.0.1:1338
///
/// Its credentials have the shape of real ones, expire and rotate, and open nothing.
#[derive(Debug, Parser)]
#[command(version, verbatim_doc_comment, args_override_self = true, after_help = LAYERS)]
pub(crate) struct Arguments {
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    host: Hosts,
    #[command(flatten)]
    notices: Notices,
    #[command(subcommand)]
    command: Option<Mock>,
}

/// Flags that every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Server")]
struct Server {
    /// Name or address to listen on; empty is 0.0.0.0 [default: 127.0.0.1; like AEMM: 0.0.0.0].
    ///
    /// Only this machine reaches the default; a container wants 0.0.0.0. What a mock gives out is
    /// worthless, but a program that takes it for the real one might be led astray by it.
    #[arg(short = 'n', long, value_name = "HOST", global = true)]
    hostname: Option<String>,

    /// Port to listen on; 0 takes a free one [default: 1338].
    #[arg(short, long, global = true)]
    port: Option<String>,

    /// Whom to resemble where they differ: imds, or aemm for amazon-ec2-metadata-mock
    /// [default: imds, but by the name ec2-metadata-mock: aemm].
    #[arg(long, value_name = "imds|aemm", global = true)]
    fidelity: Option<String>,

    /// Require a session token: refuse requests of IMDSv1.
    #[arg(short = 'I', long, value_name = "true|false", global = true)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    imdsv2: Option<String>,

    /// JSON file of settings, as AEMM has it [default: none; like AEMM: $HOME/aemm-config.json].
    #[arg(short, long, value_name = "FILE", global = true)]
    config_file: Option<String>,

    /// Read the config file again whenever it changes.
    #[arg(short, long, value_name = "true|false", global = true)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    watch_config_file: Option<String>,

    /// Save all settings as they are in the end to $HOME/.ec2-metadata-mock/.aemm-config-used.json.
    #[arg(short, long, value_name = "true|false", global = true)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    save_config_to_file: Option<String>,

    /// Leave connections open for more requests, as AEMM does; the real service closes each after one
    /// answer.
    #[arg(long, value_name = "true|false", global = true)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    keep_alive: Option<String>,
}

/// What amazon-ec2-metadata-mock does not have.
#[derive(Debug, Args)]
#[command(next_help_heading = "Hosts and faults")]
struct Hosts {
    /// File that describes a host, or a fleet: TOML or JSON, as `credpin-mock-imds example` prints it.
    /// Flags go before what it says of the service.
    #[arg(long, value_name = "FILE", global = true)]
    host: Option<String>,

    /// How long credentials live, as 10m or 1h30m [default: 6h].
    #[arg(long, value_name = "TIME", global = true)]
    credential_lifetime: Option<String>,

    /// How often there are new ones, in whole seconds [default: five minutes before they expire].
    #[arg(long, value_name = "TIME", global = true)]
    rotate_every: Option<String>,

    /// How many hops the answer to a PUT for a session token goes, 1 to 64; EC2's default is 1
    /// [default: no limit].
    #[arg(long, value_name = "HOPS", global = true)]
    hop_limit: Option<String>,

    /// What goes wrong: PATH:FAULT[:p=PROBABILITY][:count=N], as /latest/meta-data/iam:503:p=0.2. Can
    /// be given several times, or with commas.
    ///
    /// PATH is where, with all below it; / is everywhere. FAULT is a status from 400 to 599,
    /// throttle=N (503 to all but N requests a second), delay=TIME, hang, close, reset, cut (half of
    /// the answer), garbage, skew=TIME (a clock that is wrong by that), expired or unparsable
    /// (credentials), no-role (an empty list).
    #[arg(long, value_name = "SPEC", global = true)]
    fault: Vec<String>,

    /// Make tokens, credentials and the chances of faults the same on every run.
    #[arg(long, value_name = "NUMBER", global = true)]
    seed: Option<String>,

    /// Where the admin API listens, which changes all of this and shows what was asked and issued:
    /// PORT, ADDRESS:PORT or unix:PATH [default: nowhere]. GET / there lists what it can do.
    #[arg(long, value_name = "ADDRESS", global = true)]
    admin: Option<String>,
}

/// When and to whom notices are given.
#[derive(Debug, Args)]
#[command(next_help_heading = "Notices")]
struct Notices {
    /// Seconds from the start to the Spot interruption notice and the scheduled event [default: 0].
    #[arg(short = 'd', long, value_name = "SECONDS", global = true)]
    #[arg(allow_negative_numbers = true)]
    mock_delay_sec: Option<String>,

    /// When these two appear, as 2020-01-07T01:03:47Z; goes before the delay.
    #[arg(long, value_name = "TIME", global = true)]
    mock_trigger_time: Option<String>,

    /// Of each kind of notice, only the first so many client addresses get to see it; a negative
    /// number is no limit [default: -1; like AEMM: 2].
    #[arg(short = 'x', long, value_name = "COUNT", global = true)]
    #[arg(allow_negative_numbers = true)]
    mock_ip_count: Option<String>,

    /// Seconds from the start to the rebalance recommendation [default: 0].
    #[arg(
        long,
        value_name = "SECONDS",
        global = true,
        allow_negative_numbers = true
    )]
    rebalance_delay_sec: Option<String>,

    /// When the rebalance recommendation appears; goes before the delay.
    #[arg(long, value_name = "TIME", global = true)]
    rebalance_trigger_time: Option<String>,

    /// Seconds from the start to the target lifecycle state Terminated [default: 0].
    #[arg(
        long,
        value_name = "SECONDS",
        global = true,
        allow_negative_numbers = true
    )]
    asg_termination_delay_sec: Option<String>,

    /// When the target lifecycle state becomes Terminated; goes before the delay.
    #[arg(long, value_name = "TIME", global = true)]
    asg_termination_trigger_time: Option<String>,
}

/// Without a command there are those notices that settings ask for; like AEMM, all of them.
#[derive(Debug, Subcommand)]
enum Mock {
    /// Give a Spot interruption notice and a rebalance recommendation, and no other notice.
    Spot(Spot),
    /// Give notice of a scheduled event, and no other.
    #[command(visible_aliases = ["se", "scheduledevents"])]
    Events(Events),
    /// Tell the target lifecycle state in the Auto Scaling group, and give no notice.
    #[command(visible_aliases = ["asg", "autoscaling"])]
    Asglifecycle,
    /// Print a description for --host with every key, commented.
    Example,
    /// Print the certificate that identity documents verify with. Its key is public: for tests only.
    Certificate,
}

#[derive(Debug, Args)]
struct Spot {
    /// What is going to happen: terminate, hibernate or stop [default: terminate].
    #[arg(short, long)]
    action: Option<String>,

    /// When it is, as 2020-01-07T01:03:47Z [default: two minutes after the request].
    #[arg(short, long)]
    time: Option<String>,

    /// When the rebalance recommendation was made [default: at the request].
    #[arg(short, long, value_name = "TIME")]
    rebalance_rec_time: Option<String>,
}

#[derive(Debug, Args)]
struct Events {
    /// What is going to happen: instance-reboot, system-reboot, system-maintenance,
    /// instance-retirement or instance-stop [default: system-reboot].
    #[arg(short = 'o', long)]
    code: Option<String>,

    /// How far it is: active, completed or canceled [default: active].
    #[arg(short = 't', long)]
    state: Option<String>,

    /// The earliest start, as 2020-01-07T01:03:47Z [default: the mock's start].
    #[arg(short = 'b', long, value_name = "TIME")]
    not_before: Option<String>,

    /// The latest end [default: seven days after the mock's start].
    #[arg(short = 'a', long, value_name = "TIME")]
    not_after: Option<String>,

    /// The latest start [default: nine days after the mock's start].
    #[arg(short = 'l', long, value_name = "TIME")]
    not_before_deadline: Option<String>,
}

/// A flag that may have been given: setting, long name, value.
type Given = (&'static str, &'static str, Option<String>);

impl Arguments {
    /// What is only to be printed.
    pub(crate) fn printed(&self) -> Option<&'static str> {
        match self.command {
            Some(Mock::Example) => Some(EXAMPLE),
            Some(Mock::Certificate) => Some(IDENTITY_CERTIFICATE),
            _ => None,
        }
    }

    /// Which notices to give, and what the flags say by setting.
    pub(crate) fn read(self) -> (Command, Vec<Flag>) {
        let (command, own) = match self.command {
            None | Some(Mock::Example | Mock::Certificate) => (Command::All, vec![]),
            Some(Mock::Spot(spot)) => (Command::Spot, spot.given()),
            Some(Mock::Events(events)) => (Command::Events, events.given()),
            Some(Mock::Asglifecycle) => (Command::AsgLifecycle, vec![]),
        };
        let all = self.server.given().into_iter();
        let all = all.chain(self.host.given()).chain(self.notices.given());
        let all = all.chain(own);
        let flags = all.filter_map(|(key, name, value)| {
            let value = value?;
            Some(Flag { key, name, value })
        });
        (command, flags.collect())
    }
}

impl Server {
    fn given(self) -> Vec<Given> {
        let same = |key, value| (key, key, value);
        vec![
            ("server.hostname", "hostname", self.hostname),
            ("server.port", "port", self.port),
            same("fidelity", self.fidelity),
            same("imdsv2", self.imdsv2),
            same("keep-alive", self.keep_alive),
            same("config-file", self.config_file),
            same("watch-config-file", self.watch_config_file),
            same("save-config-to-file", self.save_config_to_file),
        ]
    }
}

impl Hosts {
    fn given(self) -> Vec<Given> {
        let same = |key, value| (key, key, value);
        let faults = Some(self.fault.join(",")).filter(|faults| !faults.is_empty());
        vec![
            same("host", self.host),
            same("credential-lifetime", self.credential_lifetime),
            same("rotate-every", self.rotate_every),
            same("hop-limit", self.hop_limit),
            same("fault", faults),
            same("seed", self.seed),
            same("admin", self.admin),
        ]
    }
}

impl Notices {
    fn given(self) -> Vec<Given> {
        let same = |key, value| (key, key, value);
        vec![
            same("mock-delay-sec", self.mock_delay_sec),
            same("mock-trigger-time", self.mock_trigger_time),
            same("mock-ip-count", self.mock_ip_count),
            same("rebalance-delay-sec", self.rebalance_delay_sec),
            same("rebalance-trigger-time", self.rebalance_trigger_time),
            same("asg-termination-delay-sec", self.asg_termination_delay_sec),
            same(
                "asg-termination-trigger-time",
                self.asg_termination_trigger_time,
            ),
        ]
    }
}

impl Spot {
    fn given(self) -> Vec<Given> {
        vec![
            ("spot.action", "action", self.action),
            ("spot.time", "time", self.time),
            (
                "spot.rebalance-rec-time",
                "rebalance-rec-time",
                self.rebalance_rec_time,
            ),
        ]
    }
}

impl Events {
    fn given(self) -> Vec<Given> {
        vec![
            ("events.code", "code", self.code),
            ("events.state", "state", self.state),
            ("events.not-before", "not-before", self.not_before),
            ("events.not-after", "not-after", self.not_after),
            (
                "events.not-before-deadline",
                "not-before-deadline",
                self.not_before_deadline,
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn no_two_flags_are_the_same() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn flags_are_written_as_for_aemm() {
        let line = "mock spot -a stop -d 5 -x=-1 --mock-ip-count -2 -I -s=false -p 1 -p 2";
        let (command, flags) = Arguments::try_parse_from(line.split(' ')).unwrap().read();
        assert_eq!(command, Command::Spot);
        let given = |key| {
            let flag = flags.iter().find(|flag| flag.key == key);
            flag.map(|flag| flag.value.as_str())
        };
        assert_eq!(given("spot.action"), Some("stop"));
        assert_eq!(given("mock-delay-sec"), Some("5"));
        assert_eq!(given("mock-ip-count"), Some("-2"));
        assert_eq!(given("imdsv2"), Some("true"));
        assert_eq!(given("save-config-to-file"), Some("false"));
        assert_eq!(given("server.port"), Some("2"));
        assert_eq!(given("spot.time"), None);
    }

    #[test]
    fn every_fault_that_is_given_counts() {
        let line = "mock --fault /:cut --fault /a:hang,/b:503 --seed 7";
        let (_, flags) = Arguments::try_parse_from(line.split(' ')).unwrap().read();
        let fault = flags.iter().find(|flag| flag.key == "fault").unwrap();
        assert_eq!(fault.value, "/:cut,/a:hang,/b:503");
    }
}
