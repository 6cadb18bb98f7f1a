//! Writes CloudTrail's files: the incident, suspicions, or as much as is asked for.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};
use credpin_e2e::trail::{
    bulk::{Bulk, bulk},
    incident::incident,
    suspicion::suspicion,
};

/// Writes files as CloudTrail does, the same ones each time.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// A key that is stolen, a token that is kept, and what comes of both
    Incident {
        /// Where to
        folder: PathBuf,
    },
    /// Something for every rule of `credpin detect`
    Suspicion {
        /// Where to
        folder: PathBuf,
    },
    /// Calls of many instances, to measure with
    Bulk {
        /// Where to
        folder: PathBuf,
        /// How much, before compression
        #[arg(long, default_value_t = 256)]
        megabytes: usize,
        /// Over how many keys
        #[arg(long, default_value_t = 1000)]
        keys: usize,
        /// Another seed makes other files
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
}

fn main() -> Result<()> {
    match Arguments::parse().what {
        What::Incident { folder } => incident().write(&folder),
        What::Suspicion { folder } => suspicion().write(&folder),
        What::Bulk {
            folder,
            megabytes,
            keys,
            seed,
        } => {
            let bytes = megabytes * 1_000_000;
            bulk(&folder, Bulk { bytes, keys, seed })
        }
    }
}
