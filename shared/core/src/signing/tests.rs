//! The specification's vector, the bounds of a secret, and who signs what.

use proptest::prelude::*;
use url::Url;

use super::*;

/// The vector of Standard Webhooks 1.0.0.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const SECONDS: i64 = 1_614_265_330;
const BODY: &[u8] = br#"{"test": 2432232314}"#;
const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

fn secret(text: &str) -> SigningSecret {
    SigningSecret::parse(text).unwrap()
}

fn another(byte: u8) -> SigningSecret {
    secret(&format!("whsec_{}", STANDARD.encode([byte; 32])))
}

#[test]
fn the_vector_of_the_specification_is_met() {
    let keys = SigningKeys::new(secret(SECRET), None);
    assert_eq!(keys.sign(ID, SECONDS, BODY), SIGNATURE);
}

#[test]
fn two_secrets_give_two_signatures_the_current_one_s_first() {
    let of = |current, previous| SigningKeys::new(current, previous).sign(ID, SECONDS, BODY);
    let new = of(another(7), None);
    assert_ne!(new, SIGNATURE);
    assert_eq!(of(another(7), Some(secret(SECRET))), format!("{new} {SIGNATURE}"));
}

proptest! {
    #[test]
    fn a_body_in_pieces_is_signed_as_the_whole(body in prop::collection::vec(any::<u8>(), 0..300), cuts in prop::collection::vec(0usize..300, 0..4)) {
        let keys = SigningKeys::new(secret(SECRET), Some(another(1)));
        let mut signer = keys.begin(ID, SECONDS);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(body.len())).collect();
        cuts.sort_unstable();
        let mut from = 0;
        for cut in cuts.into_iter().chain([body.len()]) {
            signer.update(&body[from..cut]);
            from = cut;
        }
        prop_assert_eq!(signer.finish(), keys.sign(ID, SECONDS, &body));
    }
}

#[test]
fn a_secret_has_24_to_64_bytes() {
    let of = |bytes: usize| SigningSecret::parse(&format!("whsec_{}", STANDARD.encode(vec![9; bytes]))).is_ok();
    assert!(!of(0) && !of(23) && of(24));
    assert!(of(64) && !of(65));
}

#[test]
fn what_is_no_secret_is_refused_and_not_repeated() {
    let encoded = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let unpadded = format!("whsec_{}", STANDARD.encode([3; 32]).trim_end_matches('='));
    let url_safe = format!("whsec_{}", STANDARD.encode([0xff; 24]).replace('/', "_"));
    for wrong in
        ["", "whsec_", encoded, &format!("WHSEC_{encoded}"), &format!(" whsec_{encoded}"), &unpadded, &url_safe]
    {
        let error = SigningSecret::parse(wrong).map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), "must be whsec_ and base64 (with its padding) of 24 to 64 bytes", "{wrong}");
    }
}

#[test]
fn nothing_of_a_secret_prints() {
    let keys = SigningKeys::new(secret(SECRET), Some(another(1)));
    let signing = Signing::new(Some(keys.clone()), BTreeMap::new());
    assert_eq!(format!("{:?}", secret(SECRET)), "***");
    assert_eq!(format!("{:?}", keys.begin(ID, SECONDS)), "Signer");
    assert_eq!(
        format!("{signing:?}"),
        "Signing { deployment: Some(SigningKeys { current: ***, previous: Some(***) }), hosts: {} }"
    );
}

#[test]
fn a_host_s_own_secrets_replace_the_deployment_s() {
    let signature = |signing: &Signing, url: &str| {
        let url = Url::parse(url).unwrap();
        signing.keys(url.host().unwrap()).map(|keys| keys.sign(ID, SECONDS, BODY))
    };
    let one = |byte| SigningKeys::new(another(byte), None);
    let with = |byte| Some(one(byte).sign(ID, SECONDS, BODY));
    let hosts = [("crm.example", 1), ("10.0.0.1", 2), ("[fd00::1]", 3), ("fd00::2", 4), ("bücher.example", 5)]
        .map(|(host, byte)| (SignedHost::parse(host).unwrap(), one(byte)));

    let signing = Signing::new(Some(one(9)), hosts.clone().into());
    for (url, byte) in [
        ("https://crm.example/hook", 1),
        ("http://CRM.example.:8080/hook", 1),
        ("http://10.0.0.1:81/", 2),
        ("http://[::ffff:10.0.0.1]/", 2),
        ("http://0xa000001/", 2),
        ("http://[fd00:0::1]:82/", 3),
        ("http://[fd00::2]/", 4),
        ("https://b\u{fc}cher.example/", 5),
        ("https://xn--bcher-kva.example/", 5),
        ("https://www.crm.example/", 9),
        ("https://crm.example.org/", 9),
        ("http://10.0.0.2/", 9),
    ] {
        assert_eq!(signature(&signing, url), with(byte), "{url}");
    }

    let hosts_only = Signing::new(None, hosts.into());
    assert_eq!(signature(&hosts_only, "https://crm.example/"), with(1));
    assert_eq!(signature(&hosts_only, "https://other.example/"), None);
    assert_eq!(signature(&Signing::default(), "https://crm.example/"), None);
}

#[test]
fn a_host_of_the_settings_has_no_port_and_no_path() {
    for wrong in
        ["", ".", "crm.example:443", "https://crm.example", "crm.example/hook", "a b", "[fd00::1]:80", "10.0.0.1:80"]
    {
        assert_eq!(SignedHost::parse(wrong), None, "{wrong}");
    }
    assert_eq!(SignedHost::parse("CRM.Example."), SignedHost::parse("crm.example"));
}
