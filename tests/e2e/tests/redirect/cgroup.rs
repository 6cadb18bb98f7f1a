//! Who has the proxy's user and not its cgroup: root in a container of the host's network.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use credpin_e2e::namespace::Family;

use crate::world::{Answered, PROXY, World};

/// A cgroup two levels deep, as the shipped units' slice has it and containers have theirs. Gone when this
/// is.
pub(crate) struct Cgroup {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
}

impl Cgroup {
    pub(crate) fn make(name: &str) -> Result<Self> {
        let mounts = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(Path::new);
        let mut mounts = mounts.into_iter();
        let mount = mounts.find(|mount| mount.join("cgroup.controllers").exists());
        let mount = mount.context("cgroups of version 2 are not mounted at /sys/fs/cgroup")?;
        let kind = name.split('-').next().unwrap_or(name);
        let name = format!("credpin-test-{}-{kind}/{name}", std::process::id());
        let folder = mount.join(&name);
        fs::create_dir_all(&folder).with_context(|| {
            format!(
                "cannot make the cgroup {}: run this as root",
                folder.display()
            )
        })?;
        Ok(Self { name, folder })
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Of whom a process lives yet it stays, and so does its parent.
        let _ = fs::remove_dir(&self.folder);
        let _ = self.folder.parent().map(fs::remove_dir);
    }
}

#[tokio::test]
#[ignore = "makes a cgroup, which takes root: `make test` runs it where it is root"]
async fn the_proxys_user_passes_in_the_proxys_cgroup_only() -> Result<()> {
    let cgroup = Cgroup::make("proxy")?;
    let mut world = World::build().await?;
    // Until it is loaded anew, its user is enough.
    world.redirected("install").await?;
    assert_eq!(
        world.ask_as_proxy(None, Family::V4).await?,
        Answered::Metadata
    );

    world.set_proxy_cgroup(&cgroup.name)?;
    world.restart_proxy_in(&cgroup.folder).await?;
    let said = world.redirected("install").await?;
    assert_eq!(said, "", "nothing to warn of");
    for family in Family::ALL {
        let inside = world.ask_as_proxy(Some(&cgroup.folder), family).await?;
        assert_eq!(inside, Answered::Metadata, "{family:?}");
        let outside = world.ask_as_proxy(None, family).await?;
        assert_eq!(
            outside,
            Answered::Proxy,
            "{family:?}: served like everybody"
        );
        // It is the proxy that is let through, with what is on record.
        world.take(&world.host, family).await?;
    }
    let shown = world.redirect("show").await?;
    assert!(shown.status.success(), "{}", shown.stderr);
    let told = format!("only user {PROXY} passes it");
    assert!(shown.stderr.contains(&told), "{}", shown.stderr);

    // Nor does it pass where there is no redirect to send it back.
    world.redirected("install --proxy-down").await?;
    let inside = world.ask_as_proxy(Some(&cgroup.folder), Family::V4).await?;
    let outside = world.ask_as_proxy(None, Family::V4).await?;
    assert_eq!((inside, outside), (Answered::Metadata, Answered::Refused));
    world.stop_proxy().await.context("at the end")
}

#[tokio::test]
async fn a_cgroup_that_is_not_there_is_told_and_the_user_is_enough() -> Result<()> {
    let world = World::build().await?;
    world.set_proxy_cgroup("credpin-test-nowhere")?;
    let said = world.redirected("install").await?;
    let told = "not told by its cgroup credpin-test-nowhere (`proxy-cgroup`): it is not there";
    assert!(said.contains(told), "{said}");
    assert_eq!(
        world.ask_as_proxy(None, Family::V4).await?,
        Answered::Metadata
    );
    let shown = world.redirect("show").await?;
    assert!(shown.status.success(), "{}", shown.stderr);
    assert!(shown.stderr.contains("whoever is user"), "{}", shown.stderr);
    Ok(())
}
