//! `credpin`, the binary, with a config of its own, on either cloud.

use std::{fs, path::Path};

use anyhow::Result;
use tempfile::TempDir;

use crate::{
    credentials::Credentials,
    process::{Finished, Launch},
    tools::Tools,
};

/// The controller's job, ready to be run.
#[derive(Debug)]
pub struct Controller {
    tools: Tools,
    folder: TempDir,
}

/// Pins `web` and leaves the rest alone.
pub const ENFORCE_WEB: &str = "[[role]]\nname = \"web\"\nmode = \"enforce\"\n";

impl Controller {
    /// With this text as its `credpin.toml`.
    pub fn new(tools: &Tools, config: &str) -> Result<Self> {
        let folder = TempDir::new()?;
        fs::write(folder.path().join("credpin.toml"), config)?;
        Ok(Self {
            tools: tools.clone(),
            folder,
        })
    }

    /// Runs it on `--cloud aws`, with AWS at `endpoint`, in the estate's regions.
    pub async fn on_aws(&self, endpoint: &str, arguments: &[&str]) -> Result<Finished> {
        let launch = self.launch()?.args(["--cloud", "aws"]);
        let regions = ["--region", "eu-west-1", "--region", "eu-central-1"];
        let launch = launch.args(regions).args(arguments);
        launch
            .endpoint(endpoint)
            .credentials(&Credentials::of_moto())
            .region("eu-west-1")
            .finish()
            .await
    }

    /// Runs it on a directory.
    pub async fn on_dir(&self, directory: &Path, arguments: &[&str]) -> Result<Finished> {
        let cloud = format!("dir:{}", directory.display());
        self.launch()?
            .args(["--cloud", &cloud])
            .args(arguments)
            .finish()
            .await
    }

    fn launch(&self) -> Result<Launch> {
        let config = self.folder.path().join("credpin.toml");
        Ok(self.tools.binary("credpin")?.arg("--config").arg(config))
    }
}
