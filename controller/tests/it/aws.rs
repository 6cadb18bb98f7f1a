//! AWS's protocols against a server that answers in pages, one of which fails.
//!
//! What moto plays is tested in `tests/e2e`; this is what it cannot play. The server is asked by the
//! binary through `AWS_ENDPOINT_URL`, as by any AWS tool.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    process::{Command, Output, Stdio},
    thread,
};

/// Answers like EC2, IAM and STS. Instances come five pages long, of one each, for who asks for
/// managed ones too; the page numbered `cut` is refused (0 for none).
fn serve(cut: usize) -> String {
    serve_like(Account {
        cut,
        ..Account::default()
    })
}

/// What is special about the account that is played.
#[derive(Clone, Copy, Default)]
struct Account {
    /// The page of instances that is refused; 0 for none.
    cut: usize,
    /// IAM's listing is refused.
    no_listing: bool,
    /// There is a policy `credpin-web` that was released; it is attached, but not to `web`.
    released: bool,
}

fn serve_like(account: Account) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            thread::spawn(move || converse(&stream, account));
        }
    });
    format!("http://{address}")
}

fn converse(stream: &TcpStream, account: Account) {
    let mut lines = BufReader::new(stream);
    loop {
        let mut length = 0;
        let mut line = String::new();
        while lines.read_line(&mut line).unwrap_or(0) > 2 {
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            line.clear();
        }
        let mut body = vec![0; length];
        if length == 0 || lines.read_exact(&mut body).is_err() {
            return;
        }
        let (status, xml) = answer(&String::from_utf8(body).unwrap(), account);
        let length = xml.len();
        write!(
            &mut &*stream,
            "HTTP/1.1 {status}\r\ncontent-type: text/xml\r\ncontent-length: {length}\r\n\r\n{xml}"
        )
        .unwrap();
    }
}

fn answer(body: &str, account: Account) -> (&'static str, String) {
    let parameter = |name: &str| {
        body.split('&')
            .find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
            .unwrap_or_default()
    };
    let action = parameter("Action");
    let xml = match action {
        "DescribeInstances" => {
            let page: usize = parameter("NextToken").parse().unwrap_or(1);
            if parameter("IncludeManagedResources") != "true" {
                return ("200 OK", "<DescribeInstancesResponse/>".into());
            }
            if page == account.cut {
                let error = "<Response><Errors><Error><Code>UnauthorizedOperation</Code><Message>not\n this page</Message></Error></Errors><RequestID>r</RequestID></Response>";
                return ("403 Forbidden", error.to_owned());
            }
            instances(page)
        }
        "GetAccountAuthorizationDetails" if account.no_listing => {
            let error = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no list</Message></Error></ErrorResponse>";
            return ("403 Forbidden", error.to_owned());
        }
        "ListPolicyTags" => {
            let tag = |key, value| format!("<member><Key>{key}</Key><Value>{value}</Value></member>");
            let released = if account.released { tag("credpin:released", "by hand") } else { String::new() };
            format!(
                "<ListPolicyTagsResult><IsTruncated>false</IsTruncated><Tags>{}{}{released}</Tags></ListPolicyTagsResult>",
                tag("credpin:managed", "pin"),
                tag("credpin:role", "web"),
            )
        }
        "DescribeRegions" => {
            "<regionInfo><item><regionName>eu-west-1</regionName></item></regionInfo>".into()
        }
        "DescribeSubnets" => {
            "<subnetSet><item><subnetId>subnet-0a</subnetId><vpcId>vpc-0a</vpcId></item></subnetSet>".into()
        }
        "DescribeRouteTables" => {
            "<routeTableSet><item><routeTableId>rtb-0a</routeTableId><vpcId>vpc-0a</vpcId>\
             <routeSet><item><destinationCidrBlock>10.0.0.0/16</destinationCidrBlock><gatewayId>local</gatewayId><state>active</state></item></routeSet>\
             <associationSet><item><main>true</main></item></associationSet></item></routeTableSet>"
                .into()
        }
        "GetAccountAuthorizationDetails" => {
            "<GetAccountAuthorizationDetailsResult><IsTruncated>false</IsTruncated><RoleDetailList><member>\
             <Path>/</Path><RoleName>web</RoleName><RoleId>AROA1</RoleId><Arn>arn:aws:iam::123456789012:role/web</Arn>\
             <InstanceProfileList><member><Path>/</Path><InstanceProfileName>web</InstanceProfileName><InstanceProfileId>AIPA1</InstanceProfileId>\
             <Arn>arn:aws:iam::123456789012:instance-profile/web</Arn><CreateDate>2026-01-02T03:04:05Z</CreateDate><Roles/></member></InstanceProfileList>\
             </member></RoleDetailList>"
                .to_owned()
                + if account.released { "<Policies>".to_owned() + POLICY + "</Policies>" } else { String::new() }.as_str()
                + "</GetAccountAuthorizationDetailsResult>"
        }
        "GetCallerIdentity" => {
            "<GetCallerIdentityResult><Account>123456789012</Account><UserId>AIDA1</UserId><Arn>arn:aws:iam::123456789012:user/ci</Arn></GetCallerIdentityResult>".into()
        }
        _ => String::new(),
    };
    (
        "200 OK",
        format!("<{action}Response>{xml}</{action}Response>"),
    )
}

const POLICY: &str = "<member><PolicyName>credpin-web</PolicyName><PolicyId>ANPA1</PolicyId><Path>/credpin/</Path>\
    <Arn>arn:aws:iam::123456789012:policy/credpin/credpin-web</Arn><DefaultVersionId>v1</DefaultVersionId>\
    <AttachmentCount>1</AttachmentCount><PolicyVersionList/></member>";

/// A page with one host, and the token of the next.
fn instances(page: usize) -> String {
    let next = if page < 5 {
        format!("<nextToken>{}</nextToken>", page + 1)
    } else {
        String::new()
    };
    format!(
        "{next}<reservationSet><item><ownerId>123456789012</ownerId><instancesSet><item>\
         <instanceId>i-0{page}</instanceId><instanceState><code>16</code><name>running</name></instanceState>\
         <iamInstanceProfile><arn>arn:aws:iam::123456789012:instance-profile/web</arn></iamInstanceProfile>\
         <vpcId>vpc-0a</vpcId><subnetId>subnet-0a</subnetId><privateIpAddress>10.0.0.{page}</privateIpAddress>\
         </item></instancesSet></item></reservationSet>"
    )
}

fn credpin(endpoint: &str, mode: &str, args: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("credpin.toml"),
        format!(
            "mode = \"{mode}\"
"
        ),
    )
    .unwrap();
    Command::new(env!("CARGO_BIN_EXE_credpin"))
        .args(args)
        .current_dir(folder.path())
        .env_clear()
        .envs([
            ("AWS_ENDPOINT_URL", endpoint),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "an example"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
            ("AWS_CONFIG_FILE", "/dev/null"),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
        ])
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn told(output: &Output) -> String {
    String::from_utf8([output.stdout.as_slice(), output.stderr.as_slice()].concat()).unwrap()
}

#[test]
fn every_page_is_read_and_every_call_counted() {
    let output = credpin(&serve(0), "observe", &["run"]);
    let told = told(&output);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains(". web is only observed (5 hosts)"), "{told}");
    assert!(told.contains("DescribeInstances 5"), "{told}");
    assert!(told.contains("GetAccountAuthorizationDetails 1"), "{told}");
}

#[test]
fn a_page_that_fails_leaves_what_was_seen_and_holds_the_role() {
    let output = credpin(&serve(3), "enforce", &["plan"]);
    let told = told(&output);
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(
        told.contains("DescribeInstances in eu-west-1: UnauthorizedOperation: not this page"),
        "{told}"
    );
    assert!(
        told.contains("! web is held, without a pin (2 hosts)"),
        "{told}"
    );
}

#[test]
fn a_view_cut_short_is_saved_as_one() {
    let out = tempfile::tempdir().unwrap();
    let path = out.path().to_str().unwrap();
    let output = credpin(&serve(3), "enforce", &["observe", "--out", path]);
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    assert!(out.path().join("eu-west-1/describe-subnets.json").exists());
    assert!(
        !out.path()
            .join("eu-west-1/describe-instances.json")
            .exists()
    );
}

#[test]
fn a_pin_that_is_on_another_role_only_is_asked_whether_it_was_released() {
    let account = Account {
        released: true,
        ..Account::default()
    };
    let output = credpin(&serve_like(account), "enforce", &["plan"]);
    let told = told(&output);
    assert!(told.contains(". web was released"), "{told}");
}

#[test]
fn a_named_role_is_released_even_where_iam_lists_nothing() {
    let account = Account {
        no_listing: true,
        ..Account::default()
    };
    let output = credpin(&serve_like(account), "enforce", &["release", "web"]);
    let said = told(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("web: released: detached"), "{said}");
    assert!(
        said.contains("web was not seen: GetAccountAuthorizationDetails: AccessDenied: no list"),
        "{said}"
    );

    let output = credpin(&serve_like(account), "enforce", &["release", "--all"]);
    let said = told(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("there may be pins left"), "{said}");
}

#[test]
fn enabled_regions_that_are_left_out_are_named() {
    let output = credpin(&serve(0), "observe", &["plan", "--region", "eu-central-1"]);
    let said = told(&output);
    assert!(
        said.contains("enabled and not looked at: eu-west-1; hosts there would be locked out"),
        "{said}"
    );
    let output = credpin(&serve(0), "observe", &["plan", "--region", "eu-west-1"]);
    assert!(
        !told(&output).contains("not looked at"),
        "{}",
        told(&output)
    );
}
