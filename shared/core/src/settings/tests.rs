//! What is read, and what is complained of.

use super::*;
use crate::queue::Tier;

fn read(file: &str) -> Result<Settings, Vec<String>> {
    read_with(file, &[])
}

fn read_with(file: &str, env: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
    let env = |name: &str| env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    Settings::read(file, &env).map_err(|error| error.0.into_iter().map(|mistake| mistake.setting).collect())
}

#[test]
fn nothing_at_all_is_the_contract_s_default() {
    let settings = read("").unwrap();
    assert_eq!(settings.tiers, TierDelays::default());
    assert_eq!(settings.retry, RetryDictionary::default());
    assert_eq!(settings.http.timeout, Duration::from_secs(10));
    assert_eq!(settings.http.max_timeout, Duration::from_secs(30));
    assert_eq!(settings.routes, crate::route::default_routes());
    assert!(settings.producers.is_empty() && settings.breaker);
}

#[test]
fn the_contract_s_example_is_read() {
    let file = include_str!("../../../../chaski.toml");
    let settings = read(file).unwrap();
    assert_eq!(settings.routes, crate::route::default_routes());
}

#[test]
fn the_environment_wins() {
    let env = [
        ("CHASKI_TIERS_FAST", "1s"),
        ("CHASKI_HTTP_TIMEOUT", "2"),
        ("CHASKI_LOG_LEVEL", "warn"),
        ("CHASKI_TARGETS_BREAKER", "false"),
    ];
    let settings = read_with("[tiers]\nfast = \"5s\"\n[http]\ntimeout = 7", &env).unwrap();
    assert_eq!(settings.tiers.fast, Duration::from_secs(1));
    assert_eq!(settings.http.timeout, Duration::from_secs(2));
    assert_eq!(settings.log.level, tracing::Level::WARN);
    assert!(!settings.breaker);
}

#[test]
fn a_window_of_keys_needs_its_table_and_has_a_limit() {
    assert!(read("").unwrap().aws.key_window.is_zero());
    let window = ("CHASKI_AWS_KEY_WINDOW", "86400s");
    assert_eq!(read_with("", &[window]).unwrap_err(), ["aws.control"]);
    let settings = read_with("", &[window, ("CHASKI_AWS_CONTROL", "chaski-control")]).unwrap();
    assert_eq!((settings.aws.key_window.as_secs(), settings.aws.control.as_str()), (86_400, "chaski-control"));
    let too_long = "[aws]\ncontrol = \"c\"\nkey_window = \"91d\"";
    assert_eq!(read(too_long).unwrap_err(), ["aws.key_window"]);
    // What stands in the control table needs one, and a schedule somebody in whose name it writes.
    assert_eq!(read("[aws]\nsequence = true").unwrap_err(), ["aws.control"]);
    assert_eq!(read("[aws]\nschedule_group = \"g\"").unwrap_err(), ["aws.control", "aws.schedule_role"]);
    let whole =
        "[aws]\ncontrol = \"c\"\nsequence = true\nschedule_group = \"g\"\nschedule_role = \"arn:aws:iam::1:role/r\"";
    assert!(read(whole).unwrap().aws.sequence);
}

#[test]
fn every_mistake_is_named_at_once() {
    let file = r#"
        surprise = 1
        [log]
        level = "loud"
        bodies = "perhaps"
        [tiers]
        fast = "90s"
        medium = "1500ms"
        slow = "901s"
        [http]
        timeout = "1m"
        [retry.gone]
        [retry.http_4xx]
        per_queue = [1]
        queues = ["fast", "quick"]
        [retry.http_404]
        per_queue = 100
        queues = ["slow"]
        [targets]
        allow = ["10.0.0.0/99"]
        [[producers]]
        id = "CRM"
        keys = []
        scopes = ["all"]
        [[routes]]
        name = "retry"
        pattern = "a*"
        shards = 0
        ordering = "loose"
        client = "none"
        colour = "red"
    "#;
    let mut wrong = read(file).unwrap_err();
    wrong.sort();
    let expected = [
        "http.timeout",
        "log.bodies",
        "log.level",
        "producers[0].id",
        "producers[0].keys",
        "producers[0].scopes",
        "retry.gone",
        "retry.http_404",
        "retry.http_4xx.queues",
        "routes",
        "routes[0].client",
        "routes[0].colour",
        "routes[0].name",
        "routes[0].ordering",
        "routes[0].shards",
        "surprise",
        "targets.allow",
        "tiers",
        "tiers.medium",
        "tiers.slow",
    ];
    assert_eq!(wrong, expected);
    assert_eq!(read("= nonsense").unwrap_err(), ["chaski.toml"]);
}

#[test]
fn retry_tables_change_single_classes_and_statuses() {
    let file = "[retry]\npreset = \"patient\"\n[retry.http_404]\nqueues = [\"slow\"]\n[retry.timeout]\nper_queue = [2, 3]\nqueues = [\"fast\", \"slow\"]";
    let retry = read(file).unwrap().retry;
    let calls = |class, status| retry.policy(crate::retry::FirstError { class, status }).unwrap().calls();
    use crate::outcome::ErrorClass;
    assert_eq!(calls(ErrorClass::Http4xx, Some(404)), 2);
    assert_eq!(calls(ErrorClass::Http4xx, Some(403)), 100);
    assert_eq!(calls(ErrorClass::Timeout, None), 6);
    let timeout = retry.policy(crate::retry::FirstError { class: ErrorClass::Timeout, status: None }).unwrap();
    assert_eq!([0, 1, 2, 4].map(|n| timeout.tier(n)), [Tier::Fast, Tier::Fast, Tier::Slow, Tier::Slow].map(Some));
}

#[test]
fn timeouts_are_derived_from_one_number() {
    let http = |seconds| HttpSettings { timeout: Duration::from_secs(1), max_timeout: Duration::from_secs(seconds) };
    assert_eq!(http(30).function_timeout(), Duration::from_secs(42));
    assert_eq!(http(30).visibility(), Duration::from_secs(252));
    assert!(!http(30).escapes_dedup_window());
    assert!(http(31).escapes_dedup_window());
}

#[test]
fn the_bounds_of_a_timeout_are_exact() {
    let timeout = |text: &str| read(&format!("[http]\ntimeout = \"{text}\"")).is_ok();
    assert!(timeout("100ms") && !timeout("99ms"));
    assert!(timeout("30s") && !timeout("30001ms"));
    let most = |seconds: u64| read(&format!("[http]\nmax_timeout = {seconds}")).is_ok();
    assert!(most(limits::MAX_TIMEOUT.as_secs()) && !most(limits::MAX_TIMEOUT.as_secs() + 1));
}

#[test]
fn a_mistake_tells_both_names() {
    let error = Settings::read("[tiers]\nfast = \"x\"", &|_| None).unwrap_err().to_string();
    assert!(error.contains("tiers.fast (or CHASKI_TIERS_FAST)"), "{error}");
}

/// The specification's example, and one of 32 bytes.
const SIGNING_SECRETS: [&str; 2] =
    ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="];

/// How many signatures a request to the host gets.
fn signatures(settings: &Settings, host: &str) -> usize {
    let keys = settings.signing.keys(url::Host::Domain(host));
    keys.map_or(0, |keys| keys.sign("id", 0, b"").split(' ').count())
}

#[test]
fn signing_secrets_come_from_the_environment_and_hosts_from_the_file() {
    let [one, two] = SIGNING_SECRETS;
    assert_eq!(signatures(&read("").unwrap(), "e.org"), 0);
    assert_eq!(signatures(&read(&format!("[signing]\nsecret = \"{one}\"")).unwrap(), "e.org"), 1);
    // As a template gives a parameter that is not set.
    let empty = [("CHASKI_SIGNING_SECRET", ""), ("CHASKI_SIGNING_PREVIOUS", "")];
    assert_eq!(signatures(&read_with("", &empty).unwrap(), "e.org"), 0);

    let env = [("CHASKI_SIGNING_SECRET", one), ("CHASKI_SIGNING_PREVIOUS", two)];
    let file = format!("[[signing.hosts]]\nhost = \"CRM.example\"\nsecret = \"{two}\"");
    let settings = read_with(&file, &env).unwrap();
    assert_eq!([signatures(&settings, "e.org"), signatures(&settings, "crm.example")], [2, 1]);
}

#[test]
fn hosts_have_limits_of_their_own() {
    let file = r#"
        [[targets.hosts]]
        host = "CRM.example"
        rate = 1_000_000
        per = "7d"
        [[targets.hosts]]
        host = "10.0.0.1"
        parallelism = 10_000
    "#;
    let hosts = read(file).unwrap().hosts;
    let limits = |host| hosts.of(host).map(|limits| limits.to_string());
    assert_eq!(limits("crm.example").as_deref(), Some("1000000/7d -"));
    assert_eq!(limits("10.0.0.1").as_deref(), Some("- 10000"));
    assert_eq!((limits("e.org"), read("").unwrap().hosts), (None, HostLimits::default()));
}

#[test]
fn a_wrong_limit_of_a_host_is_named() {
    let file = r#"
        [[targets.hosts]]
        host = "crm.example:443"
        rate = 1_000_001
        per = "500ms"
        parallelism = "2"
        colour = "red"
        [[targets.hosts]]
        host = "e.org"
        [[targets.hosts]]
        host = "f.org"
        rate = 1
        [[targets.hosts]]
        host = "F.org."
        parallelism = 10_001
        [[targets.hosts]]
        host = "f.org"
        per = "1s"
        parallelism = 1
        [[targets.hosts]]
        host = "f.org."
        rate = 2
    "#;
    let mut wrong = read(file).unwrap_err();
    wrong.sort();
    let expected = [
        "targets.hosts[0].colour",
        "targets.hosts[0].host",
        "targets.hosts[0].parallelism",
        "targets.hosts[0].per",
        "targets.hosts[0].rate",
        "targets.hosts[1]",
        "targets.hosts[3].parallelism",
        "targets.hosts[4].per",
        "targets.hosts[5].host",
    ];
    assert_eq!(wrong, expected);
}

#[test]
fn a_wrong_signing_setting_is_named_and_not_shown() {
    let [one, _] = SIGNING_SECRETS;
    let file = format!(
        r#"
        [signing]
        previous = "{one}"
        [[signing.hosts]]
        host = "crm.example:443"
        secret = "planted"
        colour = "red"
        [[signing.hosts]]
        host = "e.org"
        previous = "whsec_planted"
        [[signing.hosts]]
        host = "f.org"
        [[signing.hosts]]
        host = "g.org"
        secret = "{one}"
        [[signing.hosts]]
        host = "G.org."
        secret = "{one}"
        [[signing.hosts]]
        host = "h.org"
        secret = 7
        "#
    );
    let mut wrong = read(&file).unwrap_err();
    wrong.sort();
    let expected = [
        "signing.hosts[0].colour",
        "signing.hosts[0].host",
        "signing.hosts[0].secret",
        "signing.hosts[1].previous",
        "signing.hosts[1].secret",
        "signing.hosts[2].secret",
        "signing.hosts[4].host",
        "signing.hosts[5].secret",
        "signing.secret",
    ];
    assert_eq!(wrong, expected);
    let env = [("CHASKI_SIGNING_SECRET", "planted")];
    assert_eq!(read_with("", &env).unwrap_err(), ["signing.secret"]);

    let not_toml = format!("a = 1\n[signing]\nsecret = {}", one.replace("whsec_", "planted"));
    let twice = "signing.secret = \"planted\"\nsigning.secret = \"planted\"".to_owned();
    for file in [file, not_toml, twice] {
        let said = Settings::read(&file, &|_| None).unwrap_err().to_string();
        assert!(!said.contains("planted") && !said.contains(one), "{said}");
        assert!(said.contains("line 3") || !file.contains("a = 1"), "{said}");
    }
}
