//! How far the mock's session tokens go, in networks of their own:
//!
//! ```text
//!     container --- host --- metadata (the mock)
//! ```

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use anyhow::{Result, ensure};
use credpin_e2e::namespace::{Family, Namespace};
use credpin_e2e::process::Running;
use credpin_e2e::tools::Tools;
use tokio::io::{AsyncBufReadExt, BufReader};

struct World {
    tools: Tools,
    host: Namespace,
    container: Namespace,
    metadata: Namespace,
}

impl World {
    async fn build() -> Result<Self> {
        let tools = Tools::find()?;
        let host = Namespace::new(&tools).await?;
        let (container, metadata) = (host.beside().await?, host.beside().await?);
        for (interface, far, net) in [("veth-c", &container, 0), ("veth-m", &metadata, 2)] {
            host.wire(interface, far).await?;
            for (namespace, interface, last) in [(&host, interface, 1), (far, "eth0", 2)] {
                namespace
                    .ip(&format!("address add 10.9.{net}.{last}/24 dev {interface}"))
                    .await?;
                namespace
                    .ip(&format!(
                        "address add fd99:{net}::{last}/64 dev {interface} nodad"
                    ))
                    .await?;
            }
        }
        metadata
            .ip("address add 169.254.169.254/32 dev eth0")
            .await?;
        metadata
            .ip("address add fd00:ec2::254/128 dev eth0 nodad")
            .await?;
        for (from, way) in [(&host, "2::2"), (&container, "0::1")] {
            let (net, last) = way.split_once("::").unwrap();
            from.ip(&format!("route add 169.254.169.254 via 10.9.{net}.{last}"))
                .await?;
            from.ip(&format!("route add fd00:ec2::254 via fd99:{net}::{last}"))
                .await?;
        }
        metadata.ip("route add 10.9.0.0/24 via 10.9.2.1").await?;
        metadata.ip("route add fd99:0::/64 via fd99:2::1").await?;
        host.set("ipv4/ip_forward", "1").await?;
        host.set("ipv6/conf/all/forwarding", "1").await?;
        Ok(Self {
            tools,
            host,
            container,
            metadata,
        })
    }

    async fn mock(&self, hop_limit: &str) -> Result<Running> {
        let mock = self.tools.binary("credpin-mock-imds")?;
        let mock = mock.args(["--hostname", "::", "--port", "80", "--hop-limit", hop_limit]);
        let mut mock = self.metadata.inside(mock).spawn()?;
        let mut line = String::new();
        let (_stdin, stdout) = mock.pipes()?;
        BufReader::new(stdout).read_line(&mut line).await?;
        ensure!(line.contains("ready on"), "{line}{}", mock.complaint());
        Ok(mock)
    }

    /// The status of the answer to this request, with curl; 000 where none came.
    async fn ask(&self, from: &Namespace, family: Family, request: &[&str]) -> Result<String> {
        let curl = self.tools.system("curl", "curl")?;
        let options = ["-q", "-g", "-s", "-o", "/dev/null", "-w", "%{http_code}"];
        let (path, method) = request.split_last().unwrap();
        let url = format!("http://{}{path}", family.imds());
        let curl = curl.args(options).args(["--max-time", "3"]).args(method);
        Ok(from
            .client(curl.arg(url), family)
            .await?
            .finish()
            .await?
            .stdout)
    }
}

#[tokio::test]
async fn a_token_goes_as_far_as_the_hop_limit_and_the_rest_all_the_way() -> Result<()> {
    let ttl = "X-aws-ec2-metadata-token-ttl-seconds: 60";
    let put = ["-X", "PUT", "-H", ttl, "/latest/api/token"];
    let get = ["/latest/meta-data/instance-id"];
    let world = World::build().await?;
    for (hop_limit, for_container) in [("1", "000"), ("2", "200")] {
        let mut mock = world.mock(hop_limit).await?;
        for family in Family::ALL {
            let World {
                host, container, ..
            } = &world;
            let got = [
                world.ask(host, family, &put).await?,
                world.ask(container, family, &put).await?,
                world.ask(container, family, &get).await?,
            ];
            assert_eq!(
                got,
                ["200", for_container, "200"],
                "{family:?}, {hop_limit}"
            );
        }
        mock.terminate().await?;
    }
    Ok(())
}
