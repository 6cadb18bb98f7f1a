//! The redirect, loaded by nft and tried with real packets in network namespaces of its own.

use serde_json::{Value, json};

use crate::{at, output, program, text};

/// What each party got, as `python/redirect.py` tells.
fn tried() -> Value {
    program("nft", "nftables");
    program("ip", "iproute2");
    program("python3", "python3");
    let mut unshare = program("unshare", "util-linux");
    if !rustix::process::geteuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    let script = at("tests/e2e/python/redirect.py");
    unshare
        .args(["--net", "--mount", "python3"])
        .arg(script)
        .arg(at("deploy/nftables/credpin.nft"));
    serde_json::from_str(&output(&mut unshare)).unwrap()
}

#[test]
fn everybodys_requests_go_through_the_proxy_and_nobody_gets_past_it() {
    let got = tried();
    let listed = got["listed"].as_str().unwrap();
    for address in ["169.254.169.254", "fd00:ec2::254"] {
        assert!(listed.contains(address), "{listed}");
    }
    for family in ["ipv4", "ipv6"] {
        let expected = json!({
            "host": "proxy",
            "container": "proxy",
            "pod": "refused",
            "proxy": "metadata",
            "host, the proxy's port": "proxy",
            // A forged Host header would make any machine look like a client.
            "container, the proxy's port": "nothing",
            "pod, the proxy's port": "nothing",
            "container, a datagram": "echo",
            // And it is the table that does all this.
            "container, without the table": "metadata",
        });
        assert_eq!(got[family], expected, "{family}");
    }
}

#[test]
fn the_redirect_leads_to_where_the_proxy_listens() {
    let [listen] = credpin_proxy::Config::default().listen[..] else {
        panic!("the proxy listens in one place by default");
    };
    let define = format!("define proxy_port = {}\n", listen.port());
    assert!(
        text("deploy/nftables/credpin.nft").contains(&define),
        "{define}"
    );
}
