use super::*;

fn rules(listen: &[&str]) -> Result<Ruleset, RulesetError> {
    let config = Config {
        listen: listen.iter().map(|text| text.parse().unwrap()).collect(),
        ..Config::default()
    };
    Ruleset::of(&config)
}

/// Where own processes' and containers' requests go: over IPv4, over IPv6.
fn ports(listen: &[&str]) -> [Option<u16>; 4] {
    let rules = rules(listen).unwrap();
    let to = |ways: &[(IpAddr, u16)], imds: IpAddr| {
        let mut ways = ways.iter().filter(|(address, _)| *address == imds);
        ways.next().map(|(_, port)| *port)
    };
    let [v4, v6] = IMDS;
    [
        to(&rules.own, v4),
        to(&rules.own, v6),
        to(&rules.bridged, v4),
        to(&rules.bridged, v6),
    ]
}

#[test]
fn each_request_goes_to_a_socket_that_takes_it() {
    for (listen, expected) in [
        (&["127.0.0.1:1"][..], [Some(1), None, None, None]),
        (&["[::1]:2"], [None, Some(2), None, None]),
        (&["127.0.0.1:1", "[::1]:2"], [Some(1), Some(2), None, None]),
        (&["0.0.0.0:3"], [Some(3), None, Some(3), None]),
        (&["[::]:4"], [Some(4); 4]),
        (
            &["127.0.0.1:1", "[::]:4"],
            [Some(1), Some(4), Some(4), Some(4)],
        ),
        (
            &["127.0.0.1:1", "172.17.0.1:5"],
            [Some(1), None, Some(5), None],
        ),
        (&["[::1]:2", "[fd99::1]:6"], [None, Some(2), None, Some(6)]),
        (&["[::ffff:127.0.0.1]:7"], [Some(7), None, None, None]),
    ] {
        assert_eq!(ports(listen), expected, "{listen:?}");
    }
}

#[test]
fn what_cannot_be_redirected_to_is_told() {
    assert_eq!(rules(&["127.0.0.1:0"]), Err(RulesetError::NoPort));
    // 127.0.0.2 is the loopback's, and not where a redirect leads.
    for listen in ["172.17.0.1:5", "127.0.0.2:5", "[fd99::1]:5"] {
        assert_eq!(rules(&[listen]), Err(RulesetError::NoLoopback), "{listen}");
    }
}

#[test]
fn the_default_serves_this_hosts_processes_and_refuses_all_others() {
    let text = Ruleset::of(&Config::default()).unwrap().text(Mode::Through);
    let rules: Vec<_> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .collect();
    let expected = r#"
        table inet credpin
        delete table inet credpin
        table inet credpin {
        chain own {
        type nat hook output priority -100; policy accept;
        meta skuid "credpin-proxy" accept
        ip daddr 169.254.169.254 tcp dport 80 redirect to :9337
        }
        chain past_own {
        type filter hook output priority 0; policy accept;
        meta skuid != "credpin-proxy" ip daddr 169.254.169.254 tcp dport 80 reject with tcp reset
        meta skuid != "credpin-proxy" ip6 daddr fd00:ec2::254 tcp dport 80 reject with tcp reset
        }
        chain past_passing {
        type filter hook forward priority 0; policy accept;
        ip daddr 169.254.169.254 tcp dport 80 reject with tcp reset
        ip6 daddr fd00:ec2::254 tcp dport 80 reject with tcp reset
        }
        chain port {
        type filter hook input priority 0; policy accept;
        tcp dport { 9337 } iif != "lo" jump from_elsewhere
        }
        chain from_elsewhere {
        ct status dnat ct original ip daddr 169.254.169.254 accept
        ct status dnat ct original ip6 daddr fd00:ec2::254 accept
        drop
        }
        }"#;
    let expected: Vec<_> = expected.lines().map(str::trim).skip(1).collect();
    assert_eq!(rules, expected);
}

#[test]
fn who_is_the_proxys_user_outside_of_its_cgroup_is_like_everybody() {
    let by_user = rules(&["127.0.0.1:1"]).unwrap();
    assert!(by_user.passes().to_string().contains("whoever is user"));
    let rules = by_user.within(Cgroup::there_is("a/b"));
    assert!(rules.passes().to_string().starts_with("only user"));
    let pass = "meta skuid \"credpin-proxy\" socket cgroupv2 level 2 \"a/b\" accept";
    for (mode, passes) in Mode::ALL.into_iter().zip([2, 1, 0]) {
        let text = rules.text(mode);
        assert_eq!(text.matches(pass).count(), passes, "{text}");
        assert_eq!(text.matches("accept\n").count() - 2, passes, "{text}");
    }
    let text = rules.text(Mode::Through);
    let (_, past_own) = text.split_once("chain past_own {").unwrap();
    let refusal = "meta skuid \"credpin-proxy\" ip daddr 169.254.169.254 tcp dport 80 reject";
    assert!(past_own.find(pass) < past_own.find(refusal), "{past_own}");
}

#[test]
fn a_proxy_that_is_down_is_seen_in_its_table() {
    let rules = rules(&["[::]:9337"]).unwrap();
    for mode in Mode::ALL {
        let text = rules.text(mode);
        let through = mode == Mode::Through;
        assert_eq!(is_down(&text), !through, "{text}");
        assert_eq!(text.contains("redirect to"), through, "{text}");
        let bypass = mode == Mode::Down(OnProxyDown::Bypass);
        assert_eq!(text.contains("reject with"), !bypass, "{text}");
        // The port stays shut to the network whatever happens: the proxy may come back at any time.
        assert!(text.contains("iif != \"lo\" jump from_elsewhere"), "{text}");
    }
}
