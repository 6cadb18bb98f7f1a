//! Who is behind a bridge, for a proxy that sees processes (`identity.conf`).

use anyhow::{Context, Result};
use credpin_e2e::namespace::{Family, Namespace};
use credpin_e2e::process::Running;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::ChildStdin;

use crate::cgroup::Cgroup;
use crate::world::World;

/// Takes a credential over a connection from the port that it is told.
const CLIENT: &str = r#"
import http.client, sys
def ask(method, path, headers, port):
    c = http.client.HTTPConnection("169.254.169.254", 80, timeout=20, source_address=("10.9.0.2", port))
    c.request(method, path, headers=headers)
    text = c.getresponse().read().decode()
    c.close()
    return text
token = ask("PUT", "/latest/api/token", {"X-aws-ec2-metadata-token-ttl-seconds": "60"}, 0)
role = "/latest/meta-data/iam/security-credentials/example-role"
ask("GET", role, {"X-aws-ec2-metadata-token": token}, int(sys.argv[1]))
"#;

/// Has a connection between the same addresses and ports, in a network of its own.
const DOUBLE: &str = r#"
import socket, subprocess
for what in ["link set lo up", "address add 10.9.0.2/32 dev lo", "address add 169.254.169.254/32 dev lo"]:
    subprocess.run(["ip", *what.split()], check=True)
listener = socket.create_server(("169.254.169.254", 80))
double = socket.create_connection(("169.254.169.254", 80), source_address=("10.9.0.2", 40123))
print("connected", flush=True)
input()
"#;

/// Makes so many networks, each held by a process that ends with its stdin, and says so of each.
const CROWD: &str = r"
exec 3<&0
for n in $(seq 40); do unshare --net -- sh -c 'echo there; exec cat' <&3 & done
wait
";

/// The consumer on record for the credential that the container takes, as a process of `cgroup`. Each test
/// has a port of its own: the containers of two have the same address.
async fn consumer(world: &World, cgroup: Option<&Cgroup>, port: &str) -> Result<Value> {
    let client = world.tools.system("python3", "python3")?;
    let mut client = client.args(["-c", CLIENT, port]);
    if let Some(cgroup) = cgroup {
        client = client.in_cgroup(&cgroup.folder);
    }
    let client = world.container.client(client, Family::V4).await?;
    client.finish().await?.success()?;
    let ledger = world.ledger().await?;
    let newest = ledger.as_array().and_then(|all| all.first());
    Ok(newest.context("nothing is on record")?["consumer"].clone())
}

/// Runs until its stdin is dropped, in a network that it made in a user namespace of its own.
async fn double(world: &World, host: &Namespace) -> Result<(Running, ChildStdin)> {
    let program = world.tools.system("python3", "python3")?;
    let program = program.args(["-c", DOUBLE]);
    let program = program.in_own_user_namespace();
    let mut running = host.inside(program).spawn()?;
    let (stdin, stdout) = running.pipes()?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).await?;
    anyhow::ensure!(line == "connected\n", "{}", running.complaint());
    Ok((running, stdin))
}

/// Holds the networks until its stdin is dropped.
async fn crowd(world: &World) -> Result<(Running, ChildStdin)> {
    let bash = world.tools.system("bash", "bash")?.args(["-c", CROWD]);
    let mut running = world.host.inside(bash).spawn()?;
    let (stdin, stdout) = running.pipes()?;
    let mut lines = BufReader::new(stdout).lines();
    for _ in 0..40 {
        let line = lines.next_line().await?;
        anyhow::ensure!(line.as_deref() == Some("there"), "{}", running.complaint());
    }
    Ok((running, stdin))
}

#[tokio::test]
async fn a_bridged_container_is_known_by_its_process_among_many_networks() -> Result<()> {
    let mut world = World::build().await?;
    world.redirected("install").await?;
    world.restart_proxy_seeing().await?;
    // To look for its connection in each of them would take longer than there is.
    let _crowd = crowd(&world).await?;
    let seen = consumer(&world, None, "40121").await?;
    assert_eq!(seen["peer"], "10.9.0.2", "{seen}");
    assert_eq!(seen["uid"], 0, "{seen}");
    let exe = seen["exe"].as_str().context("an executable")?;
    assert!(exe.contains("python3"), "{seen}");
    Ok(())
}

#[tokio::test]
#[ignore = "makes a cgroup, which takes root: `make test` runs it where it is root"]
async fn a_bridged_container_is_known_by_its_cgroup() -> Result<()> {
    let cgroup = Cgroup::make(&format!("docker-{:064x}.scope", std::process::id()))?;
    let mut world = World::build().await?;
    world.redirected("install").await?;
    world.restart_proxy_seeing().await?;
    let seen = consumer(&world, Some(&cgroup), "40122").await?;
    let container = format!("docker:{:064x}", std::process::id());
    assert_eq!(seen["container"], container, "{seen}");
    Ok(())
}

#[tokio::test]
async fn nobody_hides_a_container_by_a_connection_like_its_own() -> Result<()> {
    let mut world = World::build().await?;
    world.redirected("install").await?;
    world.restart_proxy_seeing().await?;
    let _double = double(&world, &world.host).await?;
    let seen = consumer(&world, None, "40123").await?;
    assert_eq!(
        (&seen["peer"], &seen["uid"]),
        (&"10.9.0.2".into(), &0.into()),
        "{seen}"
    );
    Ok(())
}
