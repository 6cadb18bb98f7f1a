//! `credpin`, the binary, with a config of its own, on either cloud.

use std::{fs, path::Path};

use anyhow::Result;
use credpin_core::policy::Document;
use credpin_witness::note_directory;
use tempfile::TempDir;

use crate::{
    credentials::Credentials,
    process::{Finished, Launch, Running},
    tools::Tools,
};

/// The controller's job, ready to be run.
#[derive(Debug)]
pub struct Controller {
    tools: Tools,
    folder: TempDir,
}

/// Pins `web` and leaves the rest alone. moto has at once what is written to it.
pub const ENFORCE_WEB: &str =
    "without-replay = true\npropagation = \"0s\"\n[[role]]\nname = \"web\"\nmode = \"enforce\"\n";

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
        self.aws(arguments)?.endpoint(endpoint).finish().await
    }

    /// Runs it on `--cloud aws` with an endpoint for each service (`IAM`), and none for the others.
    pub async fn on_services(
        &self,
        endpoints: &[(&str, &str)],
        arguments: &[&str],
    ) -> Result<Finished> {
        let launch = endpoints
            .iter()
            .fold(self.aws(arguments)?, |launch, (service, url)| {
                launch.service_endpoint(service, url)
            });
        launch.finish().await
    }

    /// Starts it on `--cloud aws`, to be killed.
    pub fn start_on_aws(&self, endpoint: &str, arguments: &[&str]) -> Result<Running> {
        self.aws(arguments)?.endpoint(endpoint).spawn()
    }

    fn aws(&self, arguments: &[&str]) -> Result<Launch> {
        let regions = ["--region", "eu-west-1", "--region", "eu-central-1"];
        let launch = self.launch()?.args(["--cloud", "aws"]).args(regions);
        let launch = launch.args(arguments).region("eu-west-1");
        Ok(launch.credentials(&Credentials::of_moto()))
    }

    /// Runs it on a directory.
    pub async fn on_dir(&self, directory: &Path, arguments: &[&str]) -> Result<Finished> {
        let cloud = format!("dir:{}", directory.display());
        let launch = self.launch()?.args(["--cloud", &cloud]);
        let finished = launch.args(arguments).finish().await?;
        note_directory(directory, |text| Document::parse(text).is_ok());
        Ok(finished)
    }

    fn launch(&self) -> Result<Launch> {
        let config = self.folder.path().join("credpin.toml");
        Ok(self.tools.binary("credpin")?.arg("--config").arg(config))
    }
}
