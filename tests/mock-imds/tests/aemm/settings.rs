//! Settings that are given by flags, variables and AEMM's config file.

use std::path::PathBuf;

use credpin_mock_imds::launch::{Command, Invocation, Launch, LaunchError};
use credpin_mock_imds::{Fidelity, State};
use serde_json::Value;

use super::{aemm, flag, get, invocation, status, text};

/// A call with a config file of this text.
struct Called {
    folder: tempfile::TempDir,
    invocation: Invocation,
}

impl Called {
    fn with_file(program: &str, config: &str, variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mock.json");
        std::fs::write(&path, config).unwrap();
        let mut invocation = invocation(program, Command::All, variables);
        let path = path.to_str().unwrap();
        invocation
            .layers
            .flags
            .push(flag("config-file", "config-file", path));
        Self { folder, invocation }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("mock.json")
    }

    fn launch(&self) -> Result<Launch, LaunchError> {
        Launch::read(&self.invocation)
    }

    fn state(&self) -> State {
        State::new(self.launch().unwrap().settings)
    }
}

fn with_file(config: &str) -> State {
    Called::with_file("ec2-metadata-mock", config, &[]).state()
}

#[test]
fn a_value_that_stands_in_paths_moves_them() {
    let state = with_file(
        r#"{"metadata": {
            "paths": {"mac-device-number": "/latest/meta-data/macs/BAR/device-number",
                      "mac-owner-id": "/latest/meta-data/at/0e:49:61:0f:c3:11/owner"},
            "values": {"mac": "FOO", "public-ipv4": "192.0.2.77",
                       "iam-security-credentials-role": "web"}}}"#,
    );
    for (path, body) in [
        ("/latest/meta-data/mac", "FOO"),
        // The path moves, and the value is its own.
        (
            "/latest/meta-data/network/interfaces/macs/FOO/mac",
            "0e:49:61:0f:c3:11",
        ),
        (
            "/latest/meta-data/network/interfaces/macs/FOO/ipv4-associations/192.0.2.77",
            "192.0.2.54",
        ),
        ("/latest/meta-data/iam/security-credentials", "web"),
        // A path that is set stays, but for a default that stands in it.
        ("/latest/meta-data/macs/BAR/device-number", "0"),
        ("/latest/meta-data/at/FOO/owner", "515336597381"),
    ] {
        assert_eq!(text(&get(&state, path)), body, "{path}");
    }
    let credentials = get(&state, "/latest/meta-data/iam/security-credentials/web");
    assert!(text(&credentials).contains("\"Code\": \"Success\""));
    let macs = get(&state, "/latest/meta-data/network/interfaces/macs");
    assert_eq!(text(&macs), "FOO/");
}

#[test]
fn a_part_of_a_document_can_be_set_and_numbers_are_text() {
    let state = with_file(
        r#"{"metadata": {"values": {
                "IAM-Security-Credentials": {"accesskeyid": "ASIA1"},
                "ami-launch-index": 7, "tags-instance": {"Name": "web", "Team.A": "x"}}},
            "dynamic": {"values": {"instance-identity-document": {
                "accountId": "9876543210", "marketplaceProductCodes": ["4i20"]}}},
            "userdata": {"values": {"userdata": "1234"}}}"#,
    );
    let body = |path: &str| -> Value { serde_json::from_slice(get(&state, path).body()).unwrap() };
    let credentials = body("/latest/meta-data/iam/security-credentials/baskinc-role");
    assert_eq!(credentials["AccessKeyId"], "ASIA1");
    assert_eq!(credentials["Type"], "AWS-HMAC");
    let document = body("/latest/dynamic/instance-identity/document");
    assert_eq!(document["accountId"], "9876543210");
    assert_eq!(document["marketplaceProductCodes"][0], "4i20");
    assert_eq!(document["kernelId"], Value::Null);
    for (path, expected) in [
        ("ami-launch-index", "7"),
        ("tags/instance/Name", "test-instance"),
        ("tags/instance/Team.A", "x"),
    ] {
        let path = format!("/latest/meta-data/{path}");
        assert_eq!(text(&get(&state, &path)), expected, "{path}");
    }
    let data = get(&state, "/latest/user-data");
    assert_eq!(data.body().as_ref(), [0xd7, 0x6d, 0xf8]);
}

#[test]
fn user_data_is_base64_and_what_is_none_is_nothing() {
    for (data, served) in [("Zm9v\nYg==\r\n", "foob"), ("no base64", ""), ("Zg", "")] {
        let state = aemm(Command::All, &[("AEMM_USERDATA_VALUES_USERDATA", data)]);
        assert_eq!(text(&get(&state, "/latest/user-data")), served, "{data}");
    }
}

#[test]
fn a_variable_sets_any_value_or_path_before_the_file_does() {
    let file = r#"{"metadata": {"values": {"instance-id": "i-file", "mac": "file"}},
                   "spot": {"action": "stop"}, "imdsv2": true, "server": {"port": 1}}"#;
    let mut called = Called::with_file(
        "ec2-metadata-mock",
        file,
        &[
            ("AEMM_METADATA_VALUES_INSTANCE_ID", "i-variable"),
            ("AEMM_METADATA_PATHS_AMI_ID", "/latest/meta-data/image"),
            (
                "AEMM_METADATA_VALUES_IAM_SECURITY_CREDENTIALS_ACCESSKEYID",
                "ASIA2",
            ),
            ("AEMM_USERDATA_VALUES_USERDATA", ""),
            ("AEMM_SPOT_ACTION", "hibernate"),
            ("AEMM_IMDSV2", "false"),
            ("AEMM_SERVER_PORT", "2"),
            ("AEMM_SERVER_HOSTNAME", "localhost"),
        ],
    );
    let flags = &mut called.invocation.layers.flags;
    flags.push(flag("server.port", "port", "3"));
    let launch = called.launch().unwrap();
    assert_eq!((launch.port, launch.hostname.as_str()), (3, "localhost"));
    assert!(!launch.settings.imdsv2_only);
    let state = State::new(launch.settings);
    for (path, body) in [
        ("/latest/meta-data/instance-id", "i-variable"),
        ("/latest/meta-data/mac", "file"),
        ("/latest/meta-data/image", "ami-0a887e401f7654935"),
        ("/latest/user-data", ""),
    ] {
        let response = get(&state, path);
        assert_eq!((status(&response), text(&response)), (200, body), "{path}");
    }
    assert_eq!(status(&get(&state, "/latest/meta-data/ami-id")), 404);
    let action = get(&state, "/latest/meta-data/spot/instance-action");
    assert!(text(&action).contains("hibernate"));
    let credentials = get(
        &state,
        "/latest/meta-data/iam/security-credentials/baskinc-role",
    );
    assert!(text(&credentials).contains("ASIA2"));
}

#[test]
fn a_key_that_nobody_knows_is_warned_of_like_aemm_and_refused_otherwise() {
    let config =
        "{\n  \"metadata\": {\"values\": {\n    \"instanceid\": \"i-1\"}},\n  \"spto\": {}}";
    let called = Called::with_file("ec2-metadata-mock", config, &[]);
    let file = called.path().display().to_string();
    let unknown = [
        format!("{file}:3: metadata.values.instanceid: there is no such setting"),
        format!("{file}:4: spto: there is no such setting"),
    ];
    let warnings = called.launch().unwrap().warnings;
    assert_eq!(
        warnings.iter().map(ToString::to_string).collect::<Vec<_>>(),
        unknown
    );

    let called = Called::with_file("credpin-mock-imds", config, &[]);
    let said = called.launch().unwrap_err().to_string();
    let file = called.path().display().to_string();
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(said.starts_with(&format!("{file}:3: metadata.values.instanceid: ")));
}

#[test]
fn what_is_of_the_wrong_kind_is_refused_with_its_line() {
    let config = "{\n\"mock-delay-sec\": true,\n\"mock-ip-count\": 1.5,\n\"imdsv2\": 2,\n\
        \"spot\": {\"action\": []},\n\"metadata\": {\"values\": {\"mac\": [1]}}}";
    let called = Called::with_file("ec2-metadata-mock", config, &[]);
    let file = called.path().display().to_string();
    let said = called.launch().unwrap_err().to_string();
    let mut said: Vec<&str> = said.lines().collect();
    said.sort_unstable();
    assert_eq!(
        said,
        [
            format!("{file}:2: mock-delay-sec: true is not a whole number"),
            format!("{file}:3: mock-ip-count: 1.5 is not a whole number"),
            format!("{file}:4: imdsv2: 2 is not true or false"),
            format!("{file}:5: spot.action: [] is not a text"),
            format!("{file}:6: metadata.values.mac: [1] is not a text"),
        ]
    );
}

#[test]
fn the_name_decides_whom_it_resembles_where_nothing_else_does() {
    for (program, variables, like_aemm) in [
        ("credpin-mock-imds", &[][..], false),
        ("ec2-metadata-mock", &[], true),
        ("ec2-metadata-mock-linux-amd64", &[], true),
        ("amazon-ec2-metadata-mock", &[], true),
        ("mock", &[("AEMM_FIDELITY", "aemm")], true),
        ("ec2-metadata-mock", &[("AEMM_FIDELITY", "imds")], false),
    ] {
        let launch = Launch::read(&invocation(program, Command::All, variables)).unwrap();
        let is_aemm = matches!(launch.settings.fidelity, Fidelity::Aemm(_));
        assert_eq!(is_aemm, like_aemm, "{program}");
        let hostname = if like_aemm { "0.0.0.0" } else { "127.0.0.1" };
        assert_eq!((launch.hostname.as_str(), launch.port), (hostname, 1338));
    }
    let wrong = invocation("mock", Command::All, &[("AEMM_FIDELITY", "ecs")]);
    assert_eq!(
        Launch::read(&wrong).unwrap_err().to_string(),
        "AEMM_FIDELITY: `ecs` is neither aemm nor imds"
    );
}

#[test]
fn an_empty_hostname_is_every_address() {
    for program in ["ec2-metadata-mock", "credpin-mock-imds"] {
        let called = invocation(program, Command::All, &[("AEMM_SERVER_HOSTNAME", "")]);
        assert_eq!(Launch::read(&called).unwrap().hostname, "0.0.0.0");
    }
}

#[test]
fn like_aemm_it_looks_for_a_file_in_the_home_folder() {
    let home = tempfile::tempdir().unwrap();
    let variables = [("HOME", home.path().to_str().unwrap())];
    let path = home.path().join("aemm-config.json");
    // It need not be there.
    assert_eq!(status(&get(&aemm(Command::All, &variables), "/")), 200);

    std::fs::write(&path, r#"{"metadata": {"values": {"mac": "home"}}}"#).unwrap();
    let state = aemm(Command::All, &variables);
    assert_eq!(text(&get(&state, "/latest/meta-data/mac")), "home");

    let other = invocation("credpin-mock-imds", Command::All, &variables);
    assert_eq!(Launch::read(&other).unwrap().file, None);

    std::fs::write(&path, "{").unwrap();
    let called = invocation("ec2-metadata-mock", Command::All, &variables);
    let said = Launch::read(&called).unwrap_err().to_string();
    assert!(
        said.starts_with(&format!("{}:1: ", path.display())),
        "{said}"
    );
}

#[test]
fn a_file_that_was_named_has_to_be_there() {
    for name in ["ec2-metadata-mock", "credpin-mock-imds"] {
        let variables = [("AEMM_CONFIG_FILE", "nowhere/mock.json")];
        let said = Launch::read(&invocation(name, Command::All, &variables))
            .unwrap_err()
            .to_string();
        assert_eq!(
            said,
            "cannot read the config file nowhere/mock.json (set by --config-file or AEMM_CONFIG_FILE)"
        );
    }
}

#[test]
fn a_file_for_aemm_describes_a_host_like_a_real_one() {
    let config = r#"{
        "metadata": {"values": {
            "instance-id": "i-1", "iam-security-credentials-role": "web", "mac": "0e:0",
            "local-ipv4": "10.0.0.9", "public-ipv4": "", "placement-region": "eu-west-1",
            "tags-instance": {"Name": "web"}}},
        "userdata": {"values": {"userdata": "Zm9v"}}}"#;
    let called = Called::with_file("credpin-mock-imds", config, &[]);
    let state = called.state();
    for (path, body) in [
        ("meta-data/instance-id", "i-1"),
        ("meta-data/iam/security-credentials/", "web"),
        (
            "meta-data/network/interfaces/macs/0e:0/local-ipv4s",
            "10.0.0.9",
        ),
        ("meta-data/placement/availability-zone", "eu-west-1a"),
        ("meta-data/tags/instance/Name", "web"),
        ("user-data", "foo"),
    ] {
        assert_eq!(
            text(&get(&state, &format!("/latest/{path}"))),
            body,
            "{path}"
        );
    }
    assert_eq!(status(&get(&state, "/latest/meta-data/public-ipv4")), 404);

    let config = r#"{"metadata": {"values": {"local-ipv4": "ten"}},
                     "userdata": {"values": {"userdata": "no base64"}}}"#;
    let called = Called::with_file("credpin-mock-imds", config, &[]);
    let said = called.launch().unwrap_err().to_string();
    assert!(said.contains("mock.json:1: metadata.values.local-ipv4: `ten` is no IPv4 address"));
    assert!(said.contains("mock.json:2: userdata.values.userdata: `no base64` is no base64"));
}

#[test]
fn what_is_saved_is_a_config_file_that_says_the_same() {
    let home = tempfile::tempdir().unwrap();
    let variables = [
        ("HOME", home.path().to_str().unwrap()),
        ("AEMM_SAVE_CONFIG_TO_FILE", "true"),
        ("AEMM_METADATA_VALUES_MAC", "saved"),
        ("AEMM_SPOT_ACTION", "stop"),
    ];
    let launch = Launch::read(&invocation("ec2-metadata-mock", Command::All, &variables)).unwrap();
    let path = launch.save().unwrap().unwrap();
    assert_eq!(
        path,
        home.path()
            .join(".ec2-metadata-mock/.aemm-config-used.json")
    );
    let text = std::fs::read_to_string(path).unwrap();
    let saved: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(saved["server"]["hostname"], "0.0.0.0");
    assert_eq!(saved["server"]["port"], "1338");
    assert_eq!(saved["spot"]["action"], "stop");
    assert_eq!(saved["events"]["not-after"], "2027-01-22T08:00:00Z");
    assert_eq!(saved["metadata"]["values"]["iam-info"]["code"], "Success");
    assert_eq!(
        saved["metadata"]["paths"]["mac-mac"],
        "/latest/meta-data/network/interfaces/macs/saved/mac"
    );
    let document = &saved["dynamic"]["values"]["instance-identity-document"];
    assert_eq!(document.get("kernelid"), None);

    let again = Called::with_file("ec2-metadata-mock", &text, &[])
        .launch()
        .unwrap();
    assert_eq!(again.warnings, []);
    assert_eq!(again.settings.fidelity, launch.settings.fidelity);
    assert_eq!(again.settings.notices, launch.settings.notices);
}

#[test]
fn what_cannot_be_saved_is_said() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join(".ec2-metadata-mock"), "no folder").unwrap();
    let variables = [
        ("HOME", home.path().to_str().unwrap()),
        ("AEMM_SAVE_CONFIG_TO_FILE", "1"),
    ];
    let launch = Launch::read(&invocation("ec2-metadata-mock", Command::All, &variables)).unwrap();
    let error = launch.save().unwrap().unwrap_err().to_string();
    assert!(error.starts_with("cannot save the settings in "), "{error}");
}
