//! Spot interruptions, scheduled events and the end in an Auto Scaling group.

use credpin_mock_imds::State;
use credpin_mock_imds::launch::{Command, Invocation, Launch};

use super::{
    NOT_FOUND, START, aemm, after, get, get_at, get_from, header, invocation, status, text,
};

const ACTION: &str = "/latest/meta-data/spot/instance-action";
const TIME: &str = "/latest/meta-data/spot/termination-time";
const REBALANCE: &str = "/latest/meta-data/events/recommendations/rebalance";
const EVENTS: &str = "/latest/meta-data/events/maintenance/scheduled";
const LIFECYCLE: &str = "/latest/meta-data/autoscaling/target-lifecycle-state";

/// A mock under its own name.
fn imds(command: Command, variables: &[(&str, &str)]) -> State {
    let launch = Launch::read(&invocation("credpin-mock-imds", command, variables)).unwrap();
    State::new(launch.settings)
}

#[test]
fn a_spot_interruption_is_two_minutes_off_at_every_request() {
    let state = aemm(Command::Spot, &[]);
    let action = get_at(&state, ACTION, after(5_000));
    assert_eq!(
        text(&action),
        "{\n\t\"action\": \"terminate\",\n\t\"time\": \"2027-01-15T08:02:05Z\"\n}"
    );
    assert_eq!(header(&action, "content-type"), Some("application/json"));
    let time = get_at(&state, TIME, after(6_000));
    assert_eq!(text(&time), "2027-01-15T08:02:06Z");
    let rebalance = get_at(&state, REBALANCE, after(7_000));
    assert_eq!(
        text(&rebalance),
        "{\n\t\"noticeTime\": \"2027-01-15T08:00:07Z\"\n}"
    );
}

#[test]
fn what_is_set_of_a_spot_interruption_is_said_as_it_was_written() {
    let state = aemm(
        Command::Spot,
        &[
            ("AEMM_SPOT_ACTION", "hibernate"),
            ("AEMM_SPOT_TIME", "2025-05-05T05:05:55+02:00"),
            ("AEMM_SPOT_REBALANCE_REC_TIME", "2111-11-11T11:11:12Z"),
        ],
    );
    assert!(text(&get(&state, ACTION)).contains("\"action\": \"hibernate\""));
    assert!(text(&get(&state, ACTION)).contains("\"time\": \"2025-05-05T05:05:55+02:00\""));
    assert_eq!(text(&get(&state, TIME)), "2025-05-05T05:05:55+02:00");
    assert!(text(&get(&state, REBALANCE)).contains("\"2111-11-11T11:11:12Z\""));
}

#[test]
fn a_delay_counts_from_the_start_and_in_whole_seconds() {
    let state = aemm(
        Command::All,
        &[
            ("AEMM_MOCK_DELAY_SEC", "3"),
            ("AEMM_REBALANCE_DELAY_SEC", "5"),
            ("AEMM_ASG_TERMINATION_DELAY_SEC", "7"),
        ],
    );
    // The start is 0.6 seconds into a second.
    for (path, due) in [
        (ACTION, 2_400),
        (TIME, 2_400),
        (EVENTS, 2_400),
        (REBALANCE, 4_400),
    ] {
        let early = get_at(&state, path, after(due - 1));
        assert_eq!((status(&early), text(&early)), (404, NOT_FOUND), "{path}");
        assert_eq!(status(&get_at(&state, path, after(due))), 200, "{path}");
    }
    assert_eq!(text(&get_at(&state, LIFECYCLE, after(6_399))), "InService");
    assert_eq!(text(&get_at(&state, LIFECYCLE, after(6_400))), "Terminated");
}

#[test]
fn a_trigger_time_goes_before_the_delay() {
    let trigger = "2027-01-15T10:00:10+02:00";
    let state = aemm(
        Command::All,
        &[
            ("AEMM_MOCK_TRIGGER_TIME", trigger),
            ("AEMM_MOCK_DELAY_SEC", "3600"),
            ("AEMM_REBALANCE_TRIGGER_TIME", trigger),
            ("AEMM_ASG_TERMINATION_TRIGGER_TIME", trigger),
        ],
    );
    for path in [ACTION, TIME, EVENTS, REBALANCE] {
        assert_eq!(status(&get_at(&state, path, after(9_000))), 404, "{path}");
        assert_eq!(status(&get_at(&state, path, after(10_000))), 200, "{path}");
    }
    assert_eq!(text(&get_at(&state, LIFECYCLE, after(9_000))), "InService");
    assert_eq!(
        text(&get_at(&state, LIFECYCLE, after(10_000))),
        "Terminated"
    );
}

#[test]
fn a_delay_hides_no_route() {
    let state = aemm(Command::All, &[("AEMM_MOCK_DELAY_SEC", "3600")]);
    assert!(text(&get(&state, "/latest/meta-data")).contains("\nspot/\n"));
    assert_eq!(
        text(&get(&state, "/latest/meta-data/spot/")),
        "instance-action\ntermination-time"
    );
}

#[test]
fn a_notice_is_where_its_path_says() {
    let state = aemm(
        Command::Spot,
        &[
            ("AEMM_METADATA_PATHS_SPOT", "/latest/meta-data/spot/soon"),
            ("AEMM_METADATA_PATHS_REBALANCE_REC_TIME", ""),
        ],
    );
    assert_eq!(status(&get(&state, ACTION)), 404);
    let moved = get(&state, "/latest/meta-data/spot/soon");
    assert!(text(&moved).contains("\"action\": \"terminate\""));
    assert_eq!(status(&get(&state, REBALANCE)), 404);
    assert!(!text(&get(&state, "/latest/meta-data")).contains("events/"));
}

#[test]
fn an_event_lasts_from_the_start_for_a_week() {
    let state = aemm(Command::Events, &[]);
    assert_eq!(
        text(&get_at(&state, EVENTS, after(3_600_000))),
        r#"[
	{
		"Code": "system-reboot",
		"Description": "The instance is scheduled for system-reboot",
		"State": "active",
		"EventId": "instance-event-1234567890abcdef0",
		"NotBefore": "15 Jan 2027 08:00:00 GMT",
		"NotAfter": "22 Jan 2027 08:00:00 GMT",
		"NotBeforeDeadline": "24 Jan 2027 08:00:00 GMT"
	}
]"#
    );
}

#[test]
fn an_event_is_what_was_set_and_its_dates_keep_their_clock() {
    let variables = [
        ("AEMM_EVENTS_CODE", "instance-stop"),
        ("AEMM_EVENTS_STATE", "canceled"),
        ("AEMM_EVENTS_NOT_BEFORE", "2020-01-01T01:03:47Z"),
        ("AEMM_EVENTS_NOT_AFTER", "2020-01-07T01:03:47+02:00"),
        ("AEMM_EVENTS_NOT_BEFORE_DEADLINE", "2020-01-10T01:03:47Z"),
        ("AEMM_METADATA_VALUES_EVENT_ID", "instance-event-1"),
    ];
    let state = aemm(Command::Events, &variables);
    let event = get(&state, EVENTS);
    for part in [
        "\"Code\": \"instance-stop\"",
        "\"State\": \"canceled\"",
        "\"EventId\": \"instance-event-1\"",
        "\"NotBefore\": \"1 Jan 2020 01:03:47 GMT\"",
        "\"NotAfter\": \"7 Jan 2020 01:03:47 GMT\"",
        "\"NotBeforeDeadline\": \"10 Jan 2020 01:03:47 GMT\"",
    ] {
        assert!(text(&event).contains(part), "{part}: {}", text(&event));
    }
    // What says GMT is GMT, where it is like the real service.
    let converted = imds(Command::Events, &variables);
    assert!(text(&get(&converted, EVENTS)).contains("6 Jan 2020 23:03:47 GMT"));
}

#[test]
fn a_command_gives_its_own_notices_only() {
    for (command, given) in [
        (Command::Spot, &[ACTION, TIME, REBALANCE][..]),
        (Command::Events, &[EVENTS]),
        (Command::AsgLifecycle, &[LIFECYCLE]),
        (Command::All, &[ACTION, TIME, REBALANCE, EVENTS, LIFECYCLE]),
    ] {
        let state = aemm(command, &[]);
        for path in [ACTION, TIME, REBALANCE, EVENTS, LIFECYCLE] {
            let expected = if given.contains(&path) { 200 } else { 404 };
            assert_eq!(status(&get(&state, path)), expected, "{command:?} {path}");
        }
        let listing = get(&state, "/latest/meta-data");
        for (name, path) in [("spot/", ACTION), ("autoscaling/", LIFECYCLE)] {
            let is_listed = text(&listing).lines().any(|line| line == name);
            assert_eq!(is_listed, given.contains(&path), "{command:?} {name}");
        }
        // The rest is always there.
        assert_eq!(status(&get(&state, "/latest/meta-data/mac")), 200);
    }
}

#[test]
fn only_the_first_clients_get_to_see_a_notice() {
    let state = aemm(Command::All, &[]);
    for (path, client, expected) in [
        (ACTION, "192.0.2.1", 200),
        (TIME, "192.0.2.2", 200),
        (REBALANCE, "192.0.2.3", 404),
        (ACTION, "192.0.2.1", 200),
        // Each kind counts for itself.
        (EVENTS, "192.0.2.3", 200),
        (EVENTS, "2001:db8::1", 200),
        (EVENTS, "192.0.2.1", 404),
        (LIFECYCLE, "192.0.2.9", 200),
    ] {
        assert_eq!(get_from(&state, path, client), expected, "{path} {client}");
    }
    assert_eq!(get_from(&state, "/latest/meta-data/mac", "192.0.2.9"), 200);

    let nobody = aemm(Command::All, &[("AEMM_MOCK_IP_COUNT", "0")]);
    assert_eq!(get_from(&nobody, ACTION, "192.0.2.1"), 404);
    let all = aemm(Command::All, &[("AEMM_MOCK_IP_COUNT", "-1")]);
    for last in 1..9 {
        assert_eq!(get_from(&all, ACTION, &format!("192.0.2.{last}")), 200);
    }
}

#[test]
fn a_host_like_a_real_one_is_told_nothing_before_it_is_due() {
    let quiet = imds(Command::All, &[]);
    assert_eq!(status(&get(&quiet, ACTION)), 404);

    let state = imds(
        Command::All,
        &[
            ("AEMM_MOCK_DELAY_SEC", "10"),
            ("AEMM_REBALANCE_DELAY_SEC", "20"),
        ],
    );
    let early = get_at(&state, "/latest/meta-data/", after(9_000));
    assert!(!text(&early).contains("spot/"));
    assert_eq!(status(&get_at(&state, ACTION, after(9_000))), 404);
    let due = get_at(&state, "/latest/meta-data/", after(10_000));
    assert!(text(&due).lines().any(|line| line == "spot/"));
    let action = get_at(&state, ACTION, after(10_000));
    assert_eq!(
        text(&action),
        r#"{"action":"terminate","time":"2027-01-15T08:02:10Z"}"#
    );
    assert_eq!(header(&action, "server"), Some("EC2ws"));
    // Another one is listed when its time has come, and none before, wherever the clock goes.
    let lists_events = |milliseconds| {
        let listing = get_at(&state, "/latest/meta-data/", after(milliseconds));
        text(&listing).lines().any(|line| line == "events/")
    };
    assert_eq!(
        [19_000, 20_000, 19_000].map(lists_events),
        [false, true, false]
    );
    // The delay is the Spot interruption's, and the event's if there is one.
    assert_eq!(status(&get_at(&state, EVENTS, after(10_000))), 404);

    state.update_host(|host| host.instance_id = "i-other".into());
    assert_eq!(status(&get_at(&state, ACTION, after(10_000))), 200);
    assert_eq!(status(&get_at(&state, ACTION, START)), 404);
}

#[test]
fn a_host_like_a_real_one_shows_its_notices_to_all_unless_told_otherwise() {
    let state = imds(Command::Spot, &[]);
    for last in 1..9 {
        assert_eq!(get_from(&state, ACTION, &format!("192.0.2.{last}")), 200);
    }
    let state = imds(Command::Spot, &[("AEMM_MOCK_IP_COUNT", "1")]);
    assert_eq!(get_from(&state, ACTION, "192.0.2.1"), 200);
    assert_eq!(get_from(&state, ACTION, "192.0.2.2"), 404);
}

#[test]
fn what_is_no_notice_is_refused_in_aemms_words() {
    let variables = [
        ("AEMM_SPOT_ACTION", "explode"),
        ("AEMM_EVENTS_CODE", "FOO"),
        ("AEMM_EVENTS_STATE", ""),
        ("AEMM_EVENTS_NOT_AFTER", "soon"),
        ("AEMM_MOCK_TRIGGER_TIME", "later"),
        ("AEMM_MOCK_DELAY_SEC", "1m"),
    ];
    let refused: Invocation = invocation("ec2-metadata-mock", Command::All, &variables);
    let mut said: Vec<String> = Launch::read(&refused)
        .unwrap_err()
        .to_string()
        .lines()
        .map(str::to_owned)
        .collect();
    said.sort();
    let moment = "Allowed value(s): time in RFC3339 format, e.g. 2020-01-07T01:03:47Z.";
    assert_eq!(
        said,
        [
            "AEMM_EVENTS_CODE: Invalid CLI input \"FOO\" for flag code. Allowed value(s): \
             instance-reboot,system-reboot,system-maintenance,instance-retirement,instance-stop."
                .to_owned(),
            format!(
                "AEMM_EVENTS_NOT_AFTER: Invalid CLI input \"soon\" for flag not-after. {moment}"
            ),
            "AEMM_EVENTS_STATE: Invalid CLI input \"\" for flag state. Allowed value(s): \
             active,completed,canceled."
                .to_owned(),
            "AEMM_MOCK_DELAY_SEC: \"1m\" is not a whole number".to_owned(),
            format!(
                "AEMM_MOCK_TRIGGER_TIME: Invalid CLI input \"later\" for flag mock-trigger-time. \
                 {moment}"
            ),
            "AEMM_SPOT_ACTION: Invalid CLI input \"explode\" for flag action. Allowed value(s): \
             terminate,hibernate,stop."
                .to_owned(),
        ]
    );
}
