//! What goes on and what does not, decided on a head.

use http::Request;

use super::*;

const ROLE: &str = "/latest/meta-data/iam/security-credentials/web";

fn try_on(
    local: &str,
    method: &str,
    target: &str,
    version: Version,
    headers: &[(&str, &str)],
) -> Result<Admitted, Refusal> {
    let mut request = Request::builder()
        .method(method)
        .uri(target)
        .version(version);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (mut head, ()) = request.body(()).unwrap().into_parts();
    let circumstances = Circumstances {
        local: local.parse().unwrap(),
        user_agents: &[],
    };
    admit(&mut head, circumstances, Err)
}

fn try_it(method: &str, target: &str, headers: &[(&str, &str)]) -> Result<Admitted, Refusal> {
    let host = [("host", "169.254.169.254")];
    let headers = [&host, headers].concat();
    try_on("127.0.0.1:9337", method, target, Version::HTTP_11, &headers)
}

#[test]
fn a_credential_needs_one_token() {
    let token = ("x-aws-ec2-metadata-token", "t");
    assert!(try_it("GET", ROLE, &[token]).is_ok());
    assert!(try_it("HEAD", ROLE, &[token]).is_ok());
    let secret = ("x-aws-ec2-metadata-token", "unseen");
    assert!(!format!("{:?}", try_it("GET", ROLE, &[secret])).contains("unseen"));
    for headers in [
        &[][..],
        &[("x-aws-ec2-metadata-token", "")],
        &[("x-aws-ec2-metadata-token", " ")],
    ] {
        assert_eq!(try_it("GET", ROLE, headers).unwrap_err(), Refusal::NoToken);
        assert_eq!(try_it("HEAD", ROLE, headers).unwrap_err(), Refusal::NoToken);
    }
    assert_eq!(
        try_it("GET", ROLE, &[token, token]).unwrap_err(),
        Refusal::Head(Flaw::Duplicate)
    );
    let hidden = ("connection", "keep-alive, X-Aws-Ec2-Metadata-Token");
    assert_eq!(
        try_it("GET", ROLE, &[token, hidden]).unwrap_err(),
        Refusal::NoToken
    );
    assert!(try_it("GET", "/latest/meta-data/", &[]).is_ok());
    assert_eq!(
        try_it("GET", "/latest/meta-data/", &[token, token]).unwrap_err(),
        Refusal::Head(Flaw::Duplicate)
    );
}

#[test]
fn what_was_forwarded_is_refused() {
    for name in [
        "x-forwarded-for",
        "forwarded",
        "via",
        "x-forwarded-host",
        "X-Forwarded-Proto",
        "x-forwarded",
        "x_forwarded_for",
        "x-forwarded_for",
        "X-Real-IP",
        "x_real_ip",
    ] {
        for value in ["10.0.0.1", ""] {
            let header = (name, value);
            assert_eq!(
                try_it("GET", "/", &[header]).unwrap_err(),
                Refusal::Forwarded
            );
            let hidden = ("connection", name);
            assert_eq!(
                try_it("GET", "/", &[header, hidden]).unwrap_err(),
                Refusal::Forwarded
            );
        }
    }
}

#[test]
fn a_dns_name_that_leads_to_imds_is_refused_by_the_host_that_the_browser_names() {
    let address = "169.254.169.254:80";
    for name in [
        "rebind.example",
        "rebind.example:80",
        "169-254-169-254.rebind.example",
    ] {
        for (method, target) in [("PUT", "/latest/api/token"), ("GET", "/latest/meta-data/")] {
            let headers = [("host", name)];
            let asked = try_on(address, method, target, Version::HTTP_11, &headers);
            assert_eq!(asked.map(|_| ()), Err(Refusal::Host), "{method} {name}");
        }
    }
}

#[test]
fn who_can_set_headers_and_not_the_method_gets_no_credential() {
    const CREDENTIAL: &str = "/latest/meta-data/iam/security-credentials/web";
    for headers in [
        &[][..],
        &[("x-aws-ec2-metadata-token-ttl-seconds", "21600")],
        &[
            ("x-http-method-override", "PUT"),
            ("x-aws-ec2-metadata-token-ttl-seconds", "60"),
        ],
    ] {
        assert!(try_it("GET", CREDENTIAL, headers).is_err(), "{headers:?}");
        // IMDS gives a token for a PUT only, and a GET stays one whatever a header says.
        let token = try_it("GET", "/latest/api/token", headers).unwrap();
        assert_eq!(token.method, "GET", "{headers:?}");
    }
}

#[test]
fn methods_are_three_and_put_is_for_tokens() {
    assert!(try_it("PUT", "/latest/api/token", &[("content-length", "0")]).is_ok());
    assert!(
        try_it("GET", "/latest/api/token", &[]).is_ok(),
        "IMDS answers 405 itself"
    );
    for (method, path) in [
        ("PUT", "/latest/meta-data/"),
        ("PUT", ROLE),
        ("POST", "/latest/api/token"),
        ("DELETE", "/"),
        ("OPTIONS", "/"),
        ("TRACE", "/"),
        ("get", "/"),
    ] {
        assert_eq!(
            try_it(method, path, &[]).unwrap_err(),
            Refusal::Method,
            "{method} {path}"
        );
    }
}

#[test]
fn host_is_an_address_of_ours() {
    let host = |local: &str, hosts: &[&str]| {
        let headers: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
        try_on(local, "GET", "/", Version::HTTP_11, &headers).map(|_| ())
    };
    for (local, name) in [
        ("127.0.0.1:9337", "169.254.169.254"),
        ("127.0.0.1:9337", "169.254.169.254:80"),
        ("127.0.0.1:9337", "[fd00:ec2::254]"),
        ("127.0.0.1:9337", "[fd00:ec2::254]:80"),
        ("127.0.0.1:9337", "[FD00:0EC2::254]"),
        ("127.0.0.1:9337", "127.0.0.1:9337"),
        ("[::ffff:10.0.0.9]:9337", "10.0.0.9:9337"),
        ("[::1]:9337", "[::1]:9337"),
        ("10.0.0.9:80", "10.0.0.9"),
    ] {
        assert_eq!(host(local, &[name]), Ok(()), "{name}");
    }
    for name in [
        "evil.example",
        "169.254.169.254.evil.example",
        "localhost:9337",
        "instance-data",
        "169.254.169.254:9337",
        "169.254.169.254:",
        "127.0.0.1",
        "127.0.0.1:80",
        "127.0.0.2:9337",
        "2852039166",
        "0xa9fea9fe",
        "169.254.43518",
        "[::ffff:a9fe:a9fe]x",
        "user@169.254.169.254",
        "fd00:ec2::254",
        " ",
        "",
    ] {
        assert_eq!(
            host("127.0.0.1:9337", &[name]),
            Err(Refusal::Host),
            "{name}"
        );
    }
    assert_eq!(host("127.0.0.1:9337", &[]), Err(Refusal::NoHost));
    let two = ["169.254.169.254", "169.254.169.254"];
    assert_eq!(host("127.0.0.1:9337", &two), Err(Refusal::NoHost));
}

#[test]
fn http_1_0_may_come_without_a_host() {
    let ask = |headers: &[(&str, &str)]| {
        try_on("127.0.0.1:9337", "GET", "/", Version::HTTP_10, headers).map(|_| ())
    };
    assert_eq!(ask(&[]), Ok(()));
    assert_eq!(ask(&[("host", "evil.example")]), Err(Refusal::Host));
}

#[test]
fn targets_and_bodies_are_imds_own() {
    let absolute = "http://169.254.169.254/latest/meta-data/";
    assert_eq!(
        try_it("GET", absolute, &[]).unwrap_err(),
        Refusal::Head(Flaw::Target)
    );
    assert_eq!(
        try_it("CONNECT", "169.254.169.254:80", &[]).unwrap_err(),
        Refusal::Head(Flaw::Target)
    );
    for header in [("content-length", "5"), ("transfer-encoding", "chunked")] {
        assert_eq!(
            try_it("GET", "/", &[header]).unwrap_err(),
            Refusal::Head(Flaw::Body)
        );
    }
}

#[test]
fn what_goes_on_is_the_clients_own() {
    let admitted = try_it(
        "GET",
        "//latest/meta-data/mac?x=security-credentials",
        &[
            ("accept", "*/*"),
            ("connection", "close"),
            ("te", "x"),
            ("content-length", "0"),
            ("expect", "100-continue"),
            ("http2-settings", "AAMAAABkAARAAAAAAAIAAAAA"),
        ],
    )
    .unwrap();
    assert_eq!(admitted.path.as_str(), "/latest/meta-data/mac");
    let names: Vec<_> = admitted.headers.keys().map(HeaderName::as_str).collect();
    assert_eq!(names, ["accept"]);
}
