use super::*;

fn resolve(
    file: &str,
    environment: &[(&str, &str)],
    flags: &[(&str, &str)],
) -> Result<Config, String> {
    let environment = environment
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    let flag = |(name, value): &(&str, &str)| Setting {
        origin: Origin::Flag((*name).to_owned()),
        key: (*name).to_owned(),
        values: vec![(*value).to_owned()],
    };
    let flags: Vec<_> = flags.iter().map(flag).collect();
    let file = (Path::new("proxy.toml"), file);
    Config::resolve(Some(file), &environment, &flags).map_err(|mistakes| mistakes.to_string())
}

#[test]
fn an_empty_file_is_a_valid_one() {
    assert_eq!(resolve("", &[], &[]), Ok(Config::default()));
    assert_eq!(resolve("# nothing\n", &[], &[]), Ok(Config::default()));
    assert_eq!(
        Config::resolve(None, &BTreeMap::new(), &[]),
        Ok(Config::default())
    );
}

#[test]
fn every_setting_can_be_set() {
    let text = r#"
        listen = ["127.0.0.1:1", "[::1]:2"]
        upstream = "http://127.0.0.1:1338"
        admin = "127.0.0.1:9338"
        ledger = "/tmp/ledger"
        records = "file:///tmp/records"
        ship-interval = "10m"
        on-ledger-failure = "refuse"
        ledger-timeout = "500ms"
        connect-timeout = "2s"
        response-timeout = "3s"
        upstream-rate = 20
        upstream-connections = 4
        upstream-wait = "4s"
        cache-recheck = "30s"
        session-key = "off"
        session-binding = "uid"
        max-connections = 7
        consumer-connections = 3
        hop-limit = 2
        drain = "6s"
        proxy-user = "_imds"
        proxy-cgroup = "imds.slice"
        on-proxy-down = "bypass"
        log-format = "json"
        log-level = "debug"
        guard.mode = "warn"
        guard.user-agents = ["aws-cli/", "Boto3/"]
        launch-gate = { wait = "20s", then = "refuse", max-age = "1h" }
    "#;
    let config = Config {
        rules: crate::rules::Rules::default(),
        listen: vec!["127.0.0.1:1".parse().unwrap(), "[::1]:2".parse().unwrap()],
        upstream: "http://127.0.0.1:1338".parse().unwrap(),
        admin: Some(AdminAddress::Tcp("127.0.0.1:9338".parse().unwrap())),
        ledger: "/tmp/ledger".into(),
        records: Some("file:///tmp/records".parse().unwrap()),
        ship_interval: Duration::from_mins(10),
        on_ledger_failure: OnLedgerFailure::Refuse,
        ledger_timeout: Duration::from_millis(500),
        connect_timeout: Duration::from_secs(2),
        response_timeout: Duration::from_secs(3),
        upstream_rate: 20,
        upstream_connections: 4,
        upstream_wait: Duration::from_secs(4),
        cache_recheck: Duration::from_secs(30),
        session_key: None,
        session_binding: SessionBinding::Uid,
        max_connections: 7,
        consumer_connections: 3,
        hop_limit: 2,
        guard_mode: GuardMode::Warn,
        user_agents: vec!["aws-cli/".to_owned(), "Boto3/".to_owned()],
        launch_gate_wait: Some(Duration::from_secs(20)),
        launch_gate_then: AfterWait::Refuse,
        launch_gate_max_age: Some(Duration::from_hours(1)),
        drain: Duration::from_secs(6),
        proxy_user: "_imds".to_owned(),
        proxy_cgroup: Some("imds.slice".to_owned()),
        on_proxy_down: OnProxyDown::Bypass,
        log_format: LogFormat::Json,
        log_level: LogLevel(tracing::level_filters::LevelFilter::DEBUG),
    };
    assert_eq!(resolve(text, &[], &[]), Ok(config));
    for key in KEYS.iter().filter(|key| !key.starts_with("launch-gate.")) {
        assert!(text.contains(&format!("{key} =")), "{key}");
    }
}

#[test]
fn the_launch_gate_is_a_table_and_wants_the_record_store() {
    let records = "records = \"file:///tmp/records\"\n";
    let read = |text: &str| resolve(&format!("{records}{text}"), &[], &[]).unwrap();
    let table = read("launch-gate = { wait = \"20s\", then = \"refuse\" }");
    assert_eq!(table.launch_gate_wait, Some(Duration::from_secs(20)));
    assert_eq!(table.launch_gate_then, AfterWait::Refuse);
    assert_eq!(
        read("[launch-gate]\nwait = \"20s\"\nthen = \"refuse\""),
        table
    );
    let serving = read("launch-gate.wait = \"20s\"");
    assert_eq!(serving.launch_gate_then, AfterWait::Serve);
    assert_eq!(read("launch-gate.wait = \"off\"").launch_gate_wait, None);
    let week = Duration::from_hours(7 * 24);
    assert_eq!(serving.launch_gate_max_age, Some(week));
    let ageless = read("launch-gate.max-age = \"off\"");
    assert_eq!(ageless.launch_gate_max_age, None);

    let blind = resolve("launch-gate = { wait = \"20s\" }", &[], &[]).unwrap_err();
    assert!(blind.contains("name it, `records`"), "{blind}");
    let wrong = resolve(
        "launch-gate = { wait = \"soon\", then = \"hope\" }",
        &[],
        &[],
    );
    let wrong = wrong.unwrap_err();
    assert!(wrong.contains("launch-gate.wait"), "{wrong}");
    assert!(wrong.contains("write serve or refuse"), "{wrong}");
}

#[test]
fn a_section_and_a_dotted_key_are_the_same() {
    let section = resolve("[guard]\nmode = \"warn\"\n", &[], &[]);
    assert_eq!(section, resolve("guard.mode = \"warn\"", &[], &[]));
    assert_eq!(section.unwrap().guard_mode, GuardMode::Warn);
    let environment = [("CREDPIN_PROXY_GUARD_MODE", "warn")];
    let config = resolve("", &environment, &[]).unwrap();
    assert_eq!(config.guard_mode, GuardMode::Warn);
    let report = resolve("[guard]\nmoed = \"warn\"\n", &[], &[]).unwrap_err();
    let told = "proxy.toml:2:1: guard.moed: there is no such setting";
    assert!(report.starts_with(told), "{report}");
}

#[test]
fn a_flag_beats_the_environment_and_that_the_file() {
    let file = "ledger = \"/file\"\nadmin = \"127.0.0.1:1\"\nship-interval = \"2s\"";
    let environment = [
        ("CREDPIN_PROXY_LEDGER", "/environment"),
        ("CREDPIN_PROXY_ADMIN", "off"),
        ("CREDPIN_PROXY_LISTEN", "127.0.0.1:1, 127.0.0.1:2"),
        ("CREDPIN_PROXY_CONFIG", "named elsewhere"),
        ("PATH", "/bin"),
    ];
    let config = resolve(file, &environment, &[("ledger", "/flag")]).unwrap();
    assert_eq!(config.ledger, Path::new("/flag"));
    assert_eq!((config.admin.as_ref(), config.listen.len()), (None, 2));
    assert_eq!(config.ship_interval, Duration::from_secs(2));
}

#[test]
fn every_mistake_is_reported_at_once_with_its_place() {
    let file = "listen = \"localhost:80\"\nledgr = \"/x\"\n  ship-interval = 60\n\
        max-connections = 0\nrecords = \"ftp://x\"\nlog-level = \"loud\"\nlisten-too = []\n[section]\na = 1\n";
    let environment = [
        ("CREDPIN_PROXY_ON_LEDGER_FAILURE", "panic"),
        ("CREDPIN_PROXY_LISTEM", "x"),
    ];
    let report = resolve(file, &environment, &[("admin", "9338")]).unwrap_err();
    let unknown = format!("there is no such setting; there are: {}", KEYS.join(", "));
    let expected = [
        "proxy.toml:8:2: section: is no section; there are [guard] and [launch-gate], and every other setting stands at the top",
        "proxy.toml:1:1: listen: \"localhost:80\" is no address with a port: write ADDRESS:PORT, as 127.0.0.1:9337 or [::1]:9337",
        &format!("proxy.toml:2:1: ledgr: {unknown}"),
        "proxy.toml:3:3: ship-interval: \"60\" is no time: write a number with a unit, as 500ms, 5s, 1m or 1h, up to 24h",
        "proxy.toml:4:1: max-connections: \"0\" is no number from 1 to 1000000",
        "proxy.toml:5:1: records: \"ftp://x\" is not a record store: write file:///dir or s3://bucket/prefix",
        "proxy.toml:6:1: log-level: \"loud\": write error, warn, info, debug or trace",
        &format!("proxy.toml:7:1: listen-too: {unknown}"),
        &format!("CREDPIN_PROXY_LISTEM: {unknown}"),
        "CREDPIN_PROXY_ON_LEDGER_FAILURE: \"panic\": write serve or refuse",
        "--admin: \"9338\" is no address with a port: write ADDRESS:PORT, as 127.0.0.1:9337 or [::1]:9337",
    ];
    assert_eq!(report, expected.join("\n"));
}

#[test]
fn what_is_no_toml_says_where() {
    let report = resolve("listen = \"127.0.0.1:1\"\nledger = /var\n", &[], &[]).unwrap_err();
    assert!(report.starts_with("proxy.toml:2:"), "{report}");
    let report = resolve("ledger = \"/a\"\nledger = \"/b\"\n", &[], &[]).unwrap_err();
    let told = "proxy.toml:2:1: this is not TOML: duplicate key: `ledger`";
    assert_eq!(report, told);
    for open in ["listen = [\"127.0.0.1:1\"", "listen = [", "listen ="] {
        let report = resolve(open, &[], &[]).unwrap_err();
        assert!(
            report.contains("this is not TOML: the file ends "),
            "{report}"
        );
        assert!(!report.ends_with("wanted"), "{report}");
    }
}

#[test]
fn the_proxy_cannot_be_its_own_upstream() {
    for (listen, upstream) in [
        ("127.0.0.1:1338", "http://127.0.0.1:1338"),
        ("0.0.0.0:1338", "http://127.0.0.1:1338"),
        ("169.254.169.254:80", "http://169.254.169.254"),
        ("[::1]:80", "http://[::1]"),
        ("127.0.0.1:1338", "http://[::ffff:127.0.0.1]:1338"),
        ("[::ffff:127.0.0.1]:1338", "http://127.0.0.1:1338"),
        ("[::]:1338", "http://127.0.0.1:1338"),
        ("[::]:1338", "http://[::1]:1338"),
        ("0.0.0.0:1338", "http://[::ffff:127.0.0.9]:1338"),
        ("127.0.0.1:1338", "http://0.0.0.0:1338"),
        ("[::1]:1338", "http://[::]:1338"),
    ] {
        let flags = [("listen", listen), ("upstream", upstream)];
        let report = resolve("", &[], &flags).unwrap_err();
        assert!(
            report.contains("where the proxy itself listens"),
            "{report}"
        );
    }
}

#[test]
fn a_port_is_taken_once() {
    for (listen, admin) in [
        ("127.0.0.1:1", "127.0.0.1:1"),
        ("0.0.0.0:1", "127.0.0.1:1"),
        ("[::1]:1", "[::]:1"),
        ("[::ffff:127.0.0.1]:1", "127.0.0.1:1"),
    ] {
        let report = resolve("", &[], &[("admin", admin), ("listen", listen)]).unwrap_err();
        let told = format!("--listen: {listen} is named twice: ");
        assert!(report.starts_with(&told), "{report}");
    }
    let report = resolve(r#"listen = ["127.0.0.1:1", "127.0.0.1:1"]"#, &[], &[]).unwrap_err();
    let told = "proxy.toml:1:1: listen: 127.0.0.1:1 is named twice: ";
    assert!(report.starts_with(told), "{report}");
    for (listen, admin) in [
        ("127.0.0.1:0", "127.0.0.1:0"),
        ("127.0.0.1:1", "127.0.0.1:2"),
        ("127.0.0.1:1", "[::1]:1"),
    ] {
        resolve("", &[], &[("listen", listen), ("admin", admin)]).unwrap();
    }
}

#[test]
fn how_settings_go_together_is_told_of_the_last_one_written() {
    let (file, itself) = ("listen = \"127.0.0.1:1\"", "http://127.0.0.1:1");
    let message = "the upstream http://127.0.0.1:1 is where the proxy itself listens: name the real metadata service";
    for (report, place) in [
        (resolve(file, &[], &[("upstream", itself)]), "--upstream"),
        (
            resolve(file, &[("CREDPIN_PROXY_UPSTREAM", itself)], &[]),
            "CREDPIN_PROXY_UPSTREAM",
        ),
        (
            resolve(&format!("upstream = \"{itself}\"\n{file}"), &[], &[]),
            "proxy.toml:2:1: listen",
        ),
    ] {
        assert_eq!(report, Err(format!("{place}: {message}")));
    }
}

#[test]
fn no_mistake_repeats_a_secret() {
    let file = "upstream = \"http://user:SECRET@127.0.0.1\"\nrecords = \"s3://KEY:SEC/RET@bucket\"\n\
        listen = \"http://u:SECRET@h\"\nmax-connections = \"x:SECRET@h\"\nship-interval = \"x:SECRET@h\"\n";
    let report = resolve(file, &[], &[]).unwrap_err();
    assert_eq!(report.lines().count(), 5);
    for line in report.lines() {
        assert!(line.contains("***@"), "{line}");
        assert!(line.contains("credentials do not belong in it"), "{line}");
        assert!(!line.contains("SEC") && !line.contains("RET"), "{line}");
    }
}

#[test]
fn s3_is_for_builds_that_have_it() {
    let config = resolve("records = \"s3://bucket\"", &[], &[]);
    assert_eq!(config.is_ok(), cfg!(feature = "s3"));
}

#[test]
fn admin_is_at_an_address_or_a_path() {
    let admin = |text: &str| resolve(&format!("admin = \"{text}\""), &[], &[]).map(|it| it.admin);
    let tcp = AdminAddress::Tcp("127.0.0.1:9338".parse().unwrap());
    assert_eq!(admin("127.0.0.1:9338"), Ok(Some(tcp)));
    let unix = AdminAddress::Unix("/run/credpin-proxy/admin.sock".into());
    assert_eq!(admin("unix:/run/credpin-proxy/admin.sock"), Ok(Some(unix)));
    for text in ["unix:", "unix:admin.sock", "/run/admin.sock"] {
        assert!(admin(text).is_err(), "{text}");
    }
}

#[test]
fn times_have_units_and_bounds() {
    for (text, millis) in [
        ("1ms", 1),
        ("5s", 5000),
        ("1m", 60_000),
        ("24h", 86_400_000),
    ] {
        assert_eq!(duration(text), Ok(Duration::from_millis(millis)));
    }
    for text in [
        "",
        "5",
        "0s",
        "-5s",
        "1.5s",
        "25h",
        "5S",
        "s",
        "18446744073709551615h",
        "5 s",
        "é",
    ] {
        assert!(duration(text).is_err(), "{text}");
    }
}
