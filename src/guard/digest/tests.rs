use super::{nonce::LIFETIME, *};
use crate::guard::{User, ha1_md5, ha1_sha256};
use proptest::prelude::*;
use std::time::Duration;

const NOW: MonoTime = MonoTime::from_nanos(1_000_000_000_000);
const CONNECTION: u64 = 7;

fn users() -> Users {
    let user = |name: &str, password: &str| User {
        name: name.into(),
        password: Some(password.into()),
        streams: vec!["*".into()],
        ..User::default()
    };
    Users::new([user("nvr", "s3cret"), user("Jäsøn \"Doe\"", "Secret, or not?")])
}

/// One user with the digests of another realm.
fn of_realm(name: &str, realm: &str, password: &str) -> Users {
    let (md5_ha1, sha256_ha1) = (Some(ha1_md5(name, realm, password)), Some(ha1_sha256(name, realm, password)));
    Users::new([User { name: name.into(), md5_ha1, sha256_ha1, ..User::default() }])
}

/// What a foreign nonce's right answer gets. `Wrong` would be the answer's own fault.
fn stale(name: &str) -> Verdict {
    Verdict::Stale { user: name.into() }
}

fn verify(algorithm: DigestAlgorithm, users: &Users, method: &str, header: &str) -> Verdict {
    Digest::new(algorithm).verify(users, method, Some(header.as_bytes()), CONNECTION, NOW)
}

/// Answers a challenge as RFC 7616 §3.4.1 has it, written apart from the server.
fn answer(algorithm: DigestAlgorithm, challenge: &str, qop: bool, password: &str) -> String {
    let nonce = challenge.split("nonce=\"").nth(1).unwrap().split('"').next().unwrap();
    let hash = |text: String| match algorithm {
        DigestAlgorithm::Md5 => hex::encode(Md5::digest(text)),
        DigestAlgorithm::Sha256 => hex::encode(Sha256::digest(text)),
    };
    let a1 = hash(format!("nvr:Eyrie:{password}"));
    let a2 = hash("DESCRIBE:rtsp://cam/main".into());
    let begin = format!(r#"Digest username="nvr", realm="Eyrie", nonce="{nonce}", uri="rtsp://cam/main", response="#);
    match qop {
        true => {
            let response = hash(format!("{a1}:{nonce}:00000001:c1:auth:{a2}"));
            format!(r#"{begin}"{response}", qop=auth, nc=00000001, cnonce="c1""#)
        }
        false => format!(r#"{begin}"{}""#, hash(format!("{a1}:{nonce}:{a2}"))),
    }
}

fn granted() -> Verdict {
    Verdict::Granted { user: "nvr".into(), uri: "rtsp://cam/main".into() }
}

/// live555 reads realm, nonce and stale with one sscanf, in this order and with this spacing.
#[test]
fn live555_can_read_the_challenge() {
    for (algorithm, stale, end) in [
        (DigestAlgorithm::Md5, false, r#"", stale=false, qop="auth""#),
        (DigestAlgorithm::Md5, true, r#"", stale=true, qop="auth""#),
        (DigestAlgorithm::Sha256, false, r#"", stale=false, qop="auth", algorithm=SHA-256"#),
    ] {
        let challenge = Digest::new(algorithm).challenge(CONNECTION, NOW, stale);
        let nonce = challenge.strip_prefix(r#"Digest realm="Eyrie", nonce=""#).unwrap().strip_suffix(end).unwrap();
        assert!(nonce.len() == 48 && nonce.bytes().all(|byte| byte.is_ascii_hexdigit()), "{challenge}");
    }
}

#[test]
fn right_answers_are_granted_with_and_without_qop() {
    for algorithm in [DigestAlgorithm::Md5, DigestAlgorithm::Sha256] {
        let digest = Digest::new(algorithm);
        let challenge = digest.challenge(CONNECTION, NOW, false);
        for qop in [true, false] {
            let verify = |method: &str, password: &str| {
                let header = answer(algorithm, &challenge, qop, password);
                digest.verify(&users(), method, Some(header.as_bytes()), CONNECTION, NOW + LIFETIME)
            };
            assert_eq!(verify("DESCRIBE", "s3cret"), granted());
            assert_eq!(verify("DESCRIBE", "s3cret"), granted(), "the same again, as a client that begins anew");
            assert_eq!(verify("DESCRIBE", "guess"), Verdict::Wrong { user: "nvr".into() });
            assert_eq!(verify("PLAY", "s3cret"), Verdict::Wrong { user: "nvr".into() });
        }
    }
}

#[test]
fn an_old_nonce_is_stale_and_not_wrong() {
    let digest = Digest::new(DigestAlgorithm::Md5);
    let challenge = digest.challenge(CONNECTION, NOW, false);
    let verify = |password: &str, connection, now| {
        let header = answer(DigestAlgorithm::Md5, &challenge, true, password);
        digest.verify(&users(), "DESCRIBE", Some(header.as_bytes()), connection, now)
    };
    let late = NOW + LIFETIME + Duration::from_nanos(1);
    assert_eq!(verify("s3cret", CONNECTION, late), stale("nvr"));
    assert_eq!(verify("guess", CONNECTION, late), Verdict::Wrong { user: "nvr".into() });
    // An answer overheard and sent on another connection.
    assert_eq!(verify("s3cret", CONNECTION + 1, NOW), stale("nvr"));
    // An answer from before a restart.
    let header = answer(DigestAlgorithm::Md5, &challenge, true, "s3cret");
    assert_eq!(super::tests::verify(DigestAlgorithm::Md5, &users(), "DESCRIBE", &header), stale("nvr"));
}

#[test]
fn a_forged_time_makes_no_nonce() {
    let digest = Digest::new(DigestAlgorithm::Md5);
    let challenge = digest.challenge(CONNECTION, NOW, false);
    let later = NOW + 2 * LIFETIME;
    let forged =
        challenge.replace(&hex::encode(NOW.as_nanos().to_be_bytes()), &hex::encode(later.as_nanos().to_be_bytes()));
    assert_ne!(forged, challenge);
    let header = answer(DigestAlgorithm::Md5, &forged, true, "s3cret");
    assert_eq!(digest.verify(&users(), "DESCRIBE", Some(header.as_bytes()), CONNECTION, later), stale("nvr"));
}

#[test]
fn without_credentials_there_is_a_challenge() {
    let digest = Digest::new(DigestAlgorithm::Md5);
    let complete = answer(DigestAlgorithm::Md5, &digest.challenge(CONNECTION, NOW, false), true, "s3cret");
    let auth_int = complete.replace("qop=auth", "qop=auth-int");
    let no_count = complete.replace(" nc=00000001,", "");
    let unended = complete.trim_end_matches('"');
    for header in
        ["", "Digest", "Digest ", "Basic bnZyOnMzY3JldA==", "Digest username=\"nvr\"", &auth_int, &no_count, unended]
    {
        let verdict = digest.verify(&users(), "DESCRIBE", Some(header.as_bytes()), CONNECTION, NOW);
        assert_eq!(verdict, Verdict::Missing, "{header}");
    }
    assert_eq!(digest.verify(&users(), "DESCRIBE", None, CONNECTION, NOW), Verdict::Missing);
}

#[test]
fn an_unknown_user_looks_like_a_wrong_password() {
    let digest = Digest::new(DigestAlgorithm::Md5);
    let header = answer(DigestAlgorithm::Md5, &digest.challenge(CONNECTION, NOW, false), true, "s3cret");
    let header = header.replace("\"nvr\"", "\"stranger\"");
    let verdict = digest.verify(&users(), "DESCRIBE", Some(header.as_bytes()), CONNECTION, NOW);
    assert_eq!(verdict, Verdict::Wrong { user: "stranger".into() });
    assert_eq!(verdict.user(), Some("stranger"));
}

/// A config with SHA-256 digests alone, and a server that asks for MD5.
#[test]
fn a_user_without_a_digest_of_this_kind_cannot_log_in() {
    let sha256_ha1 = Some(ha1_sha256("nvr", REALM, "s3cret"));
    let users = Users::new([User { name: "nvr".into(), sha256_ha1, ..User::default() }]);
    let digest = Digest::new(DigestAlgorithm::Md5);
    let header = answer(DigestAlgorithm::Md5, &digest.challenge(CONNECTION, NOW, false), true, "s3cret");
    let verdict = digest.verify(&users, "DESCRIBE", Some(header.as_bytes()), CONNECTION, NOW);
    assert_eq!(verdict, Verdict::Wrong { user: "nvr".into() });
}

#[test]
fn rfc_2617_example() {
    let header = r#"Digest username="Mufasa", realm="testrealm@host.com",
                    nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", uri="/dir/index.html", qop=auth, nc=00000001,
                    cnonce="0a4f113b", response="6629fae49393a05397450978507c4ef1",
                    opaque="5ccc069c403ebaf9f0171e9517f40e41""#;
    let users = of_realm("Mufasa", "testrealm@host.com", "Circle Of Life");
    assert_eq!(verify(DigestAlgorithm::Md5, &users, "GET", header), stale("Mufasa"));
}

#[test]
fn rfc_7616_examples() {
    let users = of_realm("Mufasa", "http-auth@example.org", "Circle of Life");
    for (algorithm, name, response) in [
        (DigestAlgorithm::Md5, "MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        (DigestAlgorithm::Sha256, "SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ] {
        let header = format!(
            r#"Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", algorithm={name},
               nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001,
               cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth, response="{response}",
               opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS""#
        );
        assert_eq!(verify(algorithm, &users, "GET", &header), stale("Mufasa"), "{name}");
    }
}

#[test]
fn ffmpeg() {
    let header = r#"Digest username="nvr", realm="Eyrie", nonce="0000003a9d8c7b6a1122334455667788aabbccddeeff0011", uri="rtsp://127.0.0.1:40973/main?x=1", response="8bd5a302eeaa3821adf744a4a9dcc125", qop="auth", cnonce="847a14dd7711479d", nc=00000001"#;
    assert_eq!(verify(DigestAlgorithm::Md5, &users(), "DESCRIBE", header), stale("nvr"));
    // Its first versions wrote no spaces.
    let old = header.replace(", ", ",");
    assert_eq!(verify(DigestAlgorithm::Md5, &users(), "DESCRIBE", &old), stale("nvr"));
}

/// Leaves qop out though it is offered, as live555 does.
#[test]
fn gstreamer() {
    let header = r#"Digest username="nvr", realm="Eyrie", nonce="0000003a9d8c7b6a1122334455667788aabbccddeeff0011", uri="rtsp://127.0.0.1:40973/main", response="d19dfbdfa3d7122faa8fe0517d0823d1""#;
    assert_eq!(verify(DigestAlgorithm::Md5, &users(), "DESCRIBE", header), stale("nvr"));
}

/// Version 1.22 answers a SHA-256 challenge with MD5.
#[test]
fn gstreamer_sha_256() {
    let header = r#"Digest username="nvr", realm="Eyrie", nonce="0000003a9d8c7b6a1122334455667788aabbccddeeff0011", uri="rtsp://127.0.0.1:35291/main", response="d33ed0439fbab04e542ce88cc68ebce6""#;
    assert_eq!(verify(DigestAlgorithm::Sha256, &users(), "DESCRIBE", header), Verdict::Wrong { user: "nvr".into() });
}

/// The order and quoting of the crate `http-auth`, on which retina is built.
#[test]
fn retina() {
    let header = "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", uri=\"/dir/index.html\", \
         nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", algorithm=MD5, nc=00000001, \
         cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", qop=auth, \
         response=\"8ca523f5e9506fed4657c9700eebdbec\"";
    let users = of_realm("Mufasa", "http-auth@example.org", "Circle of Life");
    assert_eq!(verify(DigestAlgorithm::Md5, &users, "GET", header), stale("Mufasa"));
}

/// yellowstone 2.1 signs for `undefined`.
#[test]
fn yellowstone() {
    let header = r#"Digest username="nvr",realm="undefined",nonce="undefined",uri="rtsp://cam/main",response="00112233445566778899aabbccddeeff""#;
    assert_eq!(verify(DigestAlgorithm::Md5, &users(), "DESCRIBE", header), Verdict::Wrong { user: "nvr".into() });
}

#[test]
fn parameters_come_in_any_form() {
    let plain = Credentials::parse(br#"Digest username="a", nonce="b", uri="c", response="0d""#);
    assert!(plain.is_some());
    for other in [
        r#"DIGEST	response="0d",uri="c",nonce="b",username="a""#,
        r#"  digest  username = a , nonce= b,uri =c,response=0d  "#,
        r#"Digest ,, USERNAME="a",nonce="\b", uri="c", response=0d, extra, more=, "odd"="x", Ünknown="é,ö""#,
        r#"Digest username="a", username="z", nonce="b", uri="c", response="0d", qop="""#,
        r#"Digest username*=utf-8'en'%61, nonce="b", uri="c", response="0d""#,
    ] {
        assert_eq!(Credentials::parse(other.as_bytes()), plain, "{other}");
    }
}

#[test]
fn names_may_be_anything() {
    let quoted =
        Credentials::parse("Digest username=\"J\u{e4}s\u{f8}n \\\"Doe\\\"\", nonce=b, uri=c, response=d".as_bytes());
    assert_eq!(quoted.unwrap().username(), "Jäsøn \"Doe\"");
    let extended = "Digest username*=UTF-8''J%C3%A4s%C3%B8n%20%22Doe%22, nonce=b, uri=c, response=d";
    assert_eq!(Credentials::parse(extended.as_bytes()).unwrap().username(), "Jäsøn \"Doe\"");
    let latin = Credentials::parse(b"Digest username=\"J\xe4s\", nonce=\"b\xff\", uri=c\xfe, response=\xfd");
    assert_eq!(latin.unwrap().username(), "J\u{fffd}s");
}

proptest! {
    #[test]
    fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut header = b"Digest ".to_vec();
        header.extend(bytes);
        let _ = Digest::new(DigestAlgorithm::Md5).verify(&users(), "PLAY", Some(&header), CONNECTION, NOW);
    }

    /// As `never_panics`, but of the letters that mean something.
    #[test]
    fn never_panics_on_what_looks_right(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "username", "username*", "nonce", "uri", "response", "qop", "nc", "cnonce", "auth", "=", ",", "\"", "\\",
                " ", "UTF-8''", "%", "%4", "é", "\u{0}", "0123456789abcdef0123456789abcdef",
            ]),
            0..60,
        ),
    ) {
        let header = format!("Digest {}", parts.concat());
        let _ = Digest::new(DigestAlgorithm::Sha256).verify(&users(), "PLAY", Some(header.as_bytes()), CONNECTION, NOW);
    }

    #[test]
    fn only_the_right_password_is_granted(guess in "[ -~]{0,12}", qop: bool) {
        let digest = Digest::new(DigestAlgorithm::Sha256);
        let challenge = digest.challenge(CONNECTION, NOW, false);
        let header = answer(DigestAlgorithm::Sha256, &challenge, qop, &guess);
        let verdict = digest.verify(&users(), "DESCRIBE", Some(header.as_bytes()), CONNECTION, NOW);
        prop_assert_eq!(verdict == granted(), guess == "s3cret");
    }
}
