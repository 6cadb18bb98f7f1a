//! The command line. A flag only says which setting it gives: what settings mean, and in which order
//! flags, environment and file decide, is the library's (`config.rs`).

use clap::{Args, Parser};
use credpin_mock_imds::config::Flag;

const LAYERS: &str = "\
A flag goes before the environment, that before the config file: what is --port here is \
AEMM_SERVER_PORT there, and {\"server\": {\"port\": 1338}} in the file.";

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
}

/// Flags that every command takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Server")]
struct Server {
    /// Name or address to listen on [default: 127.0.0.1].
    ///
    /// Only this machine reaches the default; a container wants 0.0.0.0. What a mock gives out is
    /// worthless, but a program that takes it for the real one might be led astray by it.
    #[arg(short = 'n', long, value_name = "HOST", global = true)]
    hostname: Option<String>,

    /// Port to listen on; 0 takes a free one [default: 1338].
    #[arg(short, long, global = true)]
    port: Option<String>,

    /// JSON file of settings.
    #[arg(short, long, value_name = "FILE", global = true)]
    config_file: Option<String>,

    /// Require a session token: refuse requests of IMDSv1.
    #[arg(short = 'I', long, value_name = "true|false", global = true)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    imdsv2: Option<String>,
}

impl Arguments {
    /// What the flags say, by setting.
    pub(crate) fn flags(self) -> Vec<Flag> {
        let Server {
            hostname,
            port,
            config_file,
            imdsv2,
        } = self.server;
        [
            ("server.hostname", "hostname", hostname),
            ("server.port", "port", port),
            ("config-file", "config-file", config_file),
            ("imdsv2", "imdsv2", imdsv2),
        ]
        .into_iter()
        .filter_map(|(key, name, value)| {
            Some(Flag {
                key,
                name,
                value: value?,
            })
        })
        .collect()
    }
}
