//! What passes the guard and what does not. The property tests hold it to a second list, written by hand as the
//! ranges that *are* public, and to predicates of the standard library.

use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;

fn guard(allow: &[&str], deny: &[&str]) -> Guard {
    made(false, allow, deny, None).unwrap()
}

fn on_lambda(allow: &[&str]) -> Guard {
    made(false, allow, &[], Some("127.0.0.1:9001")).unwrap()
}

fn made(allow_private: bool, allow: &[&str], deny: &[&str], api: Option<&str>) -> Result<Guard, GuardError> {
    let read = |texts: &[&str]| texts.iter().map(|text| AddressRule::parse(text).unwrap()).collect();
    Guard::new(TargetRules { allow_private, allow: read(allow), deny: read(deny) }, api)
}

/// Whether a target with that URL would be taken at the ingress.
fn takes(guard: &Guard, raw: &str) -> bool {
    check_url_text(raw).is_ok_and(|url| guard.check_literal(&url).is_ok())
}

fn resolves(guard: &Guard, host: &str, port: u16, addresses: &[&str]) -> bool {
    let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
    guard.check_resolved(host, port, &addresses).is_ok()
}

#[test]
fn texts_that_are_no_target_s_url_are_refused_with_a_reason() {
    for (raw, reason) in [
        ("", "begin"),
        ("example.org", "begin"),
        ("/path", "begin"),
        ("//example.org", "begin"),
        ("ftp://example.org", "begin"),
        ("file:///etc/passwd", "begin"),
        ("httpx://example.org", "begin"),
        ("http:example.org", "begin"),
        ("https:/example.org", "begin"),
        (" http://example.org", "white space"),
        ("http://example.org/a b", "white space"),
        ("http://example.org/\u{3000}", "white space"),
        ("http://exa\tmple.org", "control"),
        ("http://example.org/\r\nX: y", "control"),
        ("http://example.org/\0", "control"),
        ("http://example.org/\u{7f}", "control"),
        ("http://example.org/\u{85}", "control"),
        ("http://example.org\\@127.0.0.1", "backslash"),
        ("http:\\\\example.org", "backslash"),
        ("http://", "host"),
        ("http:///example.org", "host"),
        ("http:////example.org", "host"),
        ("http://?q", "host"),
        ("http://#f", "host"),
        ("http://:80/", "read"),
        ("http://.", "name"),
        ("http://user@example.org", "user name"),
        ("http://user:password@example.org", "user name"),
        ("http://:@example.org", "user name"),
        ("http://@example.org", "user name"),
        ("http://example.org:0", "port 0"),
        ("http://example.org:99999", "read"),
        ("http://example.org:x", "read"),
        ("http://[::1", "read"),
        ("http://[fe80::1%25eth0]/", "read"),
        ("http://1.2.3.4.5/", "read"),
        ("http://256.1.1.1/", "read"),
        ("http://a%00b/", "read"),
        ("http://a\"b/", "name"),
        ("http://a*b/", "name"),
        ("http://a,b/", "name"),
    ] {
        let error = check_url_text(raw).expect_err(raw).to_string();
        assert!(error.contains(reason), "{raw:?}: {error}");
    }
}

#[test]
fn urls_of_targets_are_read() {
    for (raw, read) in [
        ("http://example.org", "http://example.org/"),
        ("HTTPS://EXAMPLE.org:443/A?b=c#d", "https://example.org/A?b=c#d"),
        ("http://example.org:8080/%7Ea?x=@", "http://example.org:8080/%7Ea?x=@"),
        ("http://mañana.example/", "http://xn--maana-pta.example/"),
        ("http://a_b.example./", "http://a_b.example./"),
        ("http://[2606:4700::1111]:8080/", "http://[2606:4700::1111]:8080/"),
    ] {
        assert_eq!(check_url_text(raw).map(String::from), Ok(read.to_owned()));
    }
}

/// Loopback, private, link-local and metadata, in every spelling that the parser reads.
const PRIVATE: [&str; 67] = [
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f.1",
    "0x7f000001",
    "0X7F.0.0.1",
    "017700000001",
    "0177.0.0.1",
    "127.0.0.1.",
    "１２７.０.０.１",
    "127。0。0。1",
    "%31%32%37.0.0.1",
    "127.255.255.254",
    "①②⑦.0.0.1",
    "0",
    "0.0.0.0",
    "0.1.2.3",
    "[::]",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "localhost..",
    "ｌｏｃａｌｈｏｓｔ",
    "loc%61lhost",
    "loc\u{ad}alhost",
    "a.localhost",
    "a.b.localhost.",
    "10.0.0.1",
    "10.255.255.255",
    "0xa.1",
    "100.64.0.1",
    "100.127.255.255",
    "169.254.169.254",
    "169.254.0.1",
    "0xa9fea9fe",
    "2852039166",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.168.255.255",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::10.0.0.1]",
    "[64:ff9b:1::10.0.0.1]",
    "[64:ff9b:1::8.8.8.8]",
    "[fd00:ec2::254]",
    "[fc00::1]",
    "[fe80::1]",
    "[ff02::1]",
    "[2001::1]",
    "[2002:808:808::1]",
    "[3fff::1]",
    "[2001:db8::1]",
];

const PUBLIC: [&str; 30] = [
    "1.1.1.1",
    "8.8.8.8",
    "134744072",
    "0x08.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.1.0",
    "192.0.3.0",
    "192.88.98.1",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "198.51.101.0",
    "203.0.114.0",
    "223.255.255.255",
    "[::ffff:8.8.8.8]",
    "[64:ff9b::8.8.8.8]",
    "[2606:4700::1111]",
    "[2001:4860:4860::8888]",
    "example.org",
    "localhost.example.org",
];

#[test]
fn private_hosts_are_refused_in_every_spelling() {
    for host in PRIVATE {
        for raw in [format!("http://{host}/"), format!("hTTps://{host}:8080/a?b")] {
            assert!(check_url_text(&raw).is_ok_and(|_| !takes(&Guard::default(), &raw)), "{raw}");
            assert!(takes(&made(true, &[], &[], None).unwrap(), &raw), "{raw} with private targets allowed");
        }
    }
    for host in PUBLIC {
        assert!(takes(&Guard::default(), &format!("http://{host}/")), "{host}");
    }
}

#[test]
fn an_answer_with_one_private_address_is_refused_whole() {
    let guard = Guard::default();
    assert!(resolves(&guard, "example.org", 443, &["1.1.1.1", "2606:4700::1111"]));
    assert!(!resolves(&guard, "example.org", 443, &["1.1.1.1", "10.0.0.1"]));
    assert!(!resolves(&guard, "example.org", 443, &["::1", "1.1.1.1"]));
    assert!(resolves(&guard, "example.org", 443, &[]));
    // A producer may read the text, and learns no address from it.
    let refusal = guard.check_resolved("a.example", 80, &["10.1.2.3".parse().unwrap()]).unwrap_err().to_string();
    assert!(refusal.contains("a.example") && !refusal.contains("10.1"), "{refusal}");
}

#[test]
fn the_allow_list_opens_what_it_names_and_no_more() {
    let guard = guard(
        &["10.1.0.0/16", "10.9.9.9", "192.168.1.1:8080", "intern.example", "db.example:5000", "[fd00::1]:81"],
        &[],
    );
    for (raw, passes) in [
        ("http://10.1.255.1/", true),
        ("http://10.2.0.1/", false),
        ("http://10.9.9.9:1234/", true),
        ("http://[::ffff:10.9.9.9]/", true),
        ("http://10.9.9.8/", false),
        ("http://192.168.1.1:8080/", true),
        ("http://192.168.1.1/", false),
        ("http://[fd00::1]:81/", true),
        ("http://[fd00::1]/", false),
        ("http://localhost/", false),
    ] {
        assert_eq!(takes(&guard, raw), passes, "{raw}");
    }
    for (host, port, address, passes) in [
        ("intern.example", 1, "10.7.7.7", true),
        ("INTERN.example.", 443, "127.0.0.1", true),
        ("x.intern.example", 443, "10.7.7.7", false),
        ("db.example", 5000, "10.7.7.7", true),
        ("db.example", 5001, "10.7.7.7", false),
        ("other.example", 80, "10.1.2.3", true),
        ("other.example", 8080, "192.168.1.1", true),
        ("other.example", 80, "192.168.1.1", false),
    ] {
        assert_eq!(resolves(&guard, host, port, &[address]), passes, "{host}:{port} {address}");
    }
}

#[test]
fn localhost_follows_the_rules_for_its_addresses() {
    assert!(takes(&guard(&["127.0.0.1:8080"], &[]), "http://localhost:8080/"));
    assert!(!takes(&guard(&["127.0.0.1:8080"], &[]), "http://localhost:8081/"));
    assert!(takes(&guard(&["localhost"], &[]), "http://localhost.:8081/"));
    assert!(!takes(&guard(&["localhost"], &[]), "http://a.localhost/"));
    assert!(takes(&guard(&["::1"], &[]), "http://localhost/"));
}

#[test]
fn deny_wins_over_allow() {
    let guard = made(
        true,
        &["10.0.0.0/8", "bad.example"],
        &["10.6.0.0/16", "bad.example", "8.8.8.8:53", "odd.example:81"],
        None,
    )
    .unwrap();
    assert!(takes(&guard, "http://10.5.0.1/"));
    for raw in [
        "http://10.6.0.1/",
        "http://[::ffff:10.6.0.1]/",
        "http://[64:ff9b:1::10.6.0.1]/",
        "http://BAD.example./",
        "http://8.8.8.8:53/",
        "http://odd.example:81/",
    ] {
        assert!(!takes(&guard, raw), "{raw}");
    }
    assert!(takes(&guard, "http://8.8.8.8/") && takes(&guard, "http://odd.example/"));
    assert!(!resolves(&guard, "good.example", 80, &["10.5.0.1", "10.6.0.1"]));
}

#[test]
fn on_lambda_the_runtime_api_and_the_metadata_are_never_called() {
    let everything = [
        "10.0.0.0/8",
        "127.0.0.1:9001",
        "127.0.0.2:9001",
        "[::1]:9001",
        "127.0.0.1:8080",
        "169.254.0.0/16",
        "fd00::/8",
        "intern.example",
        "64:ff9b:1::/48",
    ];
    let guard = on_lambda(&everything);
    for raw in [
        "http://127.0.0.1:9001/2018-06-01/runtime/invocation/next",
        "http://0x7f.1:9001/",
        "http://[::ffff:127.0.0.1]:9001/",
        "http://127.0.0.2:9001/",
        "http://0.0.0.0:9001/",
        "http://[::1]:9001/",
        "http://localhost:9001/",
        "http://localhost:8081/",
        "http://127.0.0.2:8080/",
        "http://169.254.169.254/latest/meta-data",
        "http://169.254.100.1/",
        "http://[::ffff:169.254.169.254]/",
        "http://[fd00:ec2::254]/",
        "http://[64:ff9b:1::169.254.169.254]/",
        "http://[64:ff9b:1:a9fe:a9:fe00::]/",
        "http://[64:ff9b:1::127.0.0.1]/",
    ] {
        assert!(!takes(&guard, raw), "{raw}");
    }
    assert!(takes(&guard, "http://127.0.0.1:8080/") && takes(&guard, "http://localhost:8080/"));
    assert!(takes(&guard, "http://10.0.0.1/") && takes(&guard, "https://example.org/"));
    assert!(resolves(&guard, "intern.example", 80, &["172.16.0.1"]));
    // A name opens no loopback, the owner of the name would choose the port's listener.
    assert!(!resolves(&guard, "intern.example", 80, &["127.0.0.1"]));
    assert!(!resolves(&guard, "intern.example", 80, &["0.0.0.0"]));
    assert!(resolves(&guard, "other.example", 8080, &["127.0.0.1"]));
    assert!(!resolves(&guard, "other.example", 9001, &["127.0.0.1"]));
}

#[test]
fn a_runtime_api_that_gives_away_a_name_is_guarded_too() {
    let guard = made(false, &["sandbox", "10.0.0.0/8", "127.0.0.1:9001"], &[], Some("Sandbox:9001")).unwrap();
    assert!(!takes(&guard, "http://sandbox:9001/") && !takes(&guard, "http://127.0.0.1:9001/"));
    assert!(!resolves(&guard, "other.example", 9001, &["10.0.0.1"]));
    assert!(resolves(&guard, "other.example", 9002, &["10.0.0.1"]));
    assert!(resolves(&guard, "other.example", 9001, &["1.1.1.1"]));
    let v6 = made(false, &["fd00::5"], &[], Some("[fd00::5]:9001")).unwrap();
    assert!(!takes(&v6, "http://[fd00::5]:9001/") && takes(&v6, "http://[fd00::5]:9002/"));
}

#[test]
fn on_lambda_a_rule_that_opens_loopback_is_an_error_that_names_its_setting() {
    for bare in [
        "127.0.0.1",
        "127.0.0.0/8",
        "126.0.0.0/7",
        "0.0.0.0/0",
        "0.0.0.0",
        "::1",
        "::/0",
        "localhost",
        "a.localhost",
        "localhost:80",
    ] {
        let error = made(false, &["10.0.0.0/8", bare], &[], Some("127.0.0.1:9001")).expect_err(bare).to_string();
        assert!(error.contains("targets.allow") && error.contains(bare), "{error}");
        assert!(made(false, &[bare], &[], None).is_ok());
    }
    let error = made(true, &[], &[], Some("127.0.0.1:9001")).unwrap_err().to_string();
    assert!(error.contains("targets.allow_private"), "{error}");
}

#[test]
fn entries_read_as_they_are_written() {
    for (text, shown) in [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("10.1.2.3/8", "10.0.0.0/8"),
        ("fd00::/8", "fd00::/8"),
        ("10.1.2.3", "10.1.2.3"),
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("[::1]:80", "[::1]:80"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("127.0.0.1:8080", "127.0.0.1:8080"),
        (" Intern.Example. ", "intern.example"),
        ("intern.example:65535", "intern.example:65535"),
    ] {
        assert_eq!(AddressRule::parse(text).map(|rule| rule.to_string()), Ok(shown.to_owned()));
    }
    for wrong in [
        "",
        ".",
        "*",
        "*.example",
        "http://example.org",
        "10.0.0.0/33",
        "10.0.0.0/8:80",
        "a:0",
        "a:+1",
        "a:65536",
        "a:",
        "a b",
        "::1:80x",
        "::ffff:10.0.0.0/104",
        "user@a",
    ] {
        assert!(AddressRule::parse(wrong).is_err(), "{wrong} was read");
    }
}

/// All public IPv4, first and last address of each range.
const PUBLIC_V4: [([u8; 4], [u8; 4]); 15] = [
    ([1, 0, 0, 0], [9, 255, 255, 255]),
    ([11, 0, 0, 0], [100, 63, 255, 255]),
    ([100, 128, 0, 0], [126, 255, 255, 255]),
    ([128, 0, 0, 0], [169, 253, 255, 255]),
    ([169, 255, 0, 0], [172, 15, 255, 255]),
    ([172, 32, 0, 0], [191, 255, 255, 255]),
    ([192, 0, 1, 0], [192, 0, 1, 255]),
    ([192, 0, 3, 0], [192, 88, 98, 255]),
    ([192, 88, 100, 0], [192, 167, 255, 255]),
    ([192, 169, 0, 0], [198, 17, 255, 255]),
    ([198, 20, 0, 0], [198, 51, 99, 255]),
    ([198, 51, 101, 0], [203, 0, 112, 255]),
    ([203, 0, 114, 0], [203, 255, 255, 255]),
    ([204, 0, 0, 0], [223, 255, 255, 255]),
    // Nothing; keeps the list's last border where multicast begins.
    ([224, 0, 0, 0], [223, 255, 255, 255]),
];

fn oracle_v4(ip: Ipv4Addr) -> bool {
    PUBLIC_V4.iter().any(|(first, last)| (Ipv4Addr::from(*first)..=Ipv4Addr::from(*last)).contains(&ip))
}

fn oracle_v6(ip: Ipv6Addr) -> bool {
    let text = ip.segments().map(|segment| format!("{segment:04x}")).concat();
    let carried = || oracle_v4(Ipv4Addr::from_bits(u32::from_str_radix(&text[24..], 16).unwrap()));
    if text.starts_with("00000000000000000000ffff") || text.starts_with("0064ff9b0000000000000000") {
        return carried();
    }
    if text.starts_with("000000000000000000000000") {
        return ip.to_bits() > 1 && carried();
    }
    let not = ["200100", "200101", "20010db8", "2002", "3fff0"];
    matches!(text.as_bytes()[0], b'2' | b'3') && !not.iter().any(|start| text.starts_with(start))
}

/// Addresses of which many are at the border of a range.
fn v4() -> impl Strategy<Value = Ipv4Addr> {
    let border = (prop::sample::select(PUBLIC_V4.to_vec()), any::<bool>(), -2i64..=2).prop_map(
        |((first, last), at_first, by)| {
            let edge = u32::from_be_bytes(if at_first { first } else { last });
            Ipv4Addr::from_bits((i64::from(edge) + by).rem_euclid(1 << 32) as u32)
        },
    );
    prop_oneof![any::<Ipv4Addr>(), border]
}

fn v6() -> impl Strategy<Value = Ipv6Addr> {
    let starts = [
        "::",
        "::ffff:0:0",
        "64:ff9b::",
        "64:ff9b:1::",
        "2000::",
        "2001::",
        "2001:1ff::",
        "2001:200::",
        "2001:db8::",
        "2002::",
        "2003::",
        "3fff::",
        "3fff:1000::",
        "3ffe::",
        "fd00:ec2::",
        "fe80::",
    ];
    let near = (prop::sample::select(starts.to_vec()), v4(), any::<u64>(), any::<bool>()).prop_map(
        |(start, low, high, wide)| {
            let start: Ipv6Addr = start.parse().unwrap();
            Ipv6Addr::from_bits(
                start.to_bits() | u128::from(low.to_bits()) | if wide { u128::from(high) << 32 } else { 0 },
            )
        },
    );
    prop_oneof![any::<Ipv6Addr>(), near]
}

fn spelled(ip: Ipv4Addr, way: usize) -> String {
    let [a, b, c, d] = ip.octets();
    let number = ip.to_bits();
    let rest = number & 0xff_ffff;
    match way {
        0 => ip.to_string(),
        1 => number.to_string(),
        2 => format!("0x{number:x}"),
        3 => format!("0{number:o}"),
        4 => format!("{a}.{rest}"),
        5 => format!("0x{a:X}.0{b:o}.{}", rest & 0xffff),
        6 => format!("{a}.{b}.{c}.{d}."),
        7 => ip.to_string().bytes().map(|byte| format!("%{byte:02x}")).collect(),
        8 => ip
            .to_string()
            .chars()
            .map(|c| c.to_digit(10).map_or('。', |n| char::from_u32(0xff10 + n).unwrap()))
            .collect(),
        9 => format!("[::ffff:{ip}]"),
        10 => format!("[64:ff9b::{ip}]"),
        _ => format!("[::ffff:{:x}:{:x}]", number >> 16, number & 0xffff),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_ipv4_in_any_spelling_passes_only_when_it_is_public(ip in v4(), way in 0usize..12, port in 1u16..) {
        let raw = format!("http://{}:{port}/", spelled(ip, way));
        prop_assert!(check_url_text(&raw).is_ok(), "{}", raw);
        prop_assert_eq!(takes(&Guard::default(), &raw), oracle_v4(ip), "{}", raw);
        if oracle_v4(ip) {
            let named = ip.is_private() || ip.is_loopback() || ip.is_link_local() || ip.is_multicast()
                || ip.is_documentation() || ip.is_broadcast() || ip.is_unspecified();
            prop_assert!(!named);
        }
    }

    #[test]
    fn any_ipv6_passes_only_when_it_is_public(ip in v6()) {
        prop_assert_eq!(takes(&Guard::default(), &format!("http://[{ip}]/")), oracle_v6(ip), "{}", ip);
    }

    #[test]
    fn an_answer_passes_only_when_all_of_it_is_public(v4s in prop::collection::vec(v4(), 0..3), v6s in prop::collection::vec(v6(), 0..3)) {
        let public = v4s.iter().all(|ip| oracle_v4(*ip)) && v6s.iter().all(|ip| oracle_v6(*ip));
        let all: Vec<IpAddr> = v4s.into_iter().map(IpAddr::from).chain(v6s.into_iter().map(IpAddr::from)).collect();
        prop_assert_eq!(Guard::default().check_resolved("example.org", 443, &all).is_ok(), public);
    }

    #[test]
    fn whatever_is_taken_leads_where_its_text_says(raw in "(http|HTTPS)(:|://|:/|:///)[a-z0-9.@:%\\[\\]\\\\/\u{a0}\u{ff11}\t-]{0,24}") {
        if let Ok(url) = check_url_text(&raw) {
            prop_assert!(url.username().is_empty() && url.password().is_none() && url.port() != Some(0));
            let misleading = raw.contains(['\\', '\t', '\u{a0}', '@']) || raw.contains(":///");
            prop_assert!(!misleading || raw.split('/').nth(2).is_some_and(|host| !host.is_empty() && !host.contains('@')));
            let host = url.host_str().unwrap();
            let literal = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
            if let (Ok(ip), true) = (literal, takes(&Guard::default(), &raw)) {
                let public = match ip {
                    IpAddr::V4(ip) => oracle_v4(ip),
                    IpAddr::V6(ip) => oracle_v6(ip),
                };
                prop_assert!(public, "{raw}");
            }
        }
    }
}
