use super::{nonce::LIFETIME, *};
use crate::guard::{User, ha1_md5, ha1_sha256};
use proptest::prelude::*;
use std::time::Duration;

const NOW: MonoTime = MonoTime::from_nanos(1_000_000_000_000);
const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 168, 1, 7));

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

/// Whether a client's header is the right answer to the nonce in it, wherever that came from.
fn is_right(algorithm: DigestAlgorithm, users: &Users, method: &str, header: &str) -> bool {
    let credentials = Credentials::parse(header.as_bytes()).unwrap();
    let (_, ha1) = users.ha1(&credentials.username(), algorithm).unwrap();
    credentials.response(algorithm, ha1, method) == credentials.given()
}

/// The verdict on the first answer of a connection.
fn verify(digest: &Digest, method: &str, header: &str, now: MonoTime) -> Verdict {
    digest.verify(&users(), method, Some(header.as_bytes()), HOME, &mut Answered::default(), now)
}

/// Answers a challenge as RFC 7616 §3.4.1 has it, written apart from the server.
fn answer(algorithm: DigestAlgorithm, challenge: &str, qop: bool, password: &str) -> String {
    let count = if qop { Some("00000001") } else { None };
    answer_as(algorithm, challenge, count, "nvr", password, "rtsp://cam/main")
}

fn answer_as(
    algorithm: DigestAlgorithm,
    challenge: &str,
    count: Option<&str>,
    user: &str,
    password: &str,
    uri: &str,
) -> String {
    let nonce = challenge.split("nonce=\"").nth(1).unwrap().split('"').next().unwrap();
    let hash = |text: String| match algorithm {
        DigestAlgorithm::Md5 => hex::encode(Md5::digest(text)),
        DigestAlgorithm::Sha256 => hex::encode(Sha256::digest(text)),
    };
    let a1 = hash(format!("{user}:Eyrie:{password}"));
    let a2 = hash(format!("DESCRIBE:{uri}"));
    let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
    let (name, link) = (quoted(user), quoted(uri));
    let begin = format!(r#"Digest username="{name}", realm="Eyrie", nonce="{nonce}", uri="{link}", response="#);
    match count {
        Some(count) => {
            let response = hash(format!("{a1}:{nonce}:{count}:c1:auth:{a2}"));
            format!(r#"{begin}"{response}", qop=auth, nc={count}, cnonce="c1""#)
        }
        None => format!(r#"{begin}"{}""#, hash(format!("{a1}:{nonce}:{a2}"))),
    }
}

fn granted() -> Verdict {
    Verdict::Granted { user: "nvr".into(), uri: "rtsp://cam/main".into() }
}

fn wrong() -> Verdict {
    Verdict::Wrong { user: "nvr".into() }
}

fn stale() -> Verdict {
    Verdict::Stale { user: "nvr".into() }
}

/// live555 reads realm, nonce and stale with one sscanf, in this order and with this spacing.
#[test]
fn live555_can_read_the_challenge() {
    for (algorithm, stale, end) in [
        (DigestAlgorithm::Md5, false, r#"", stale=false, qop="auth""#),
        (DigestAlgorithm::Md5, true, r#"", stale=true, qop="auth""#),
        (DigestAlgorithm::Sha256, false, r#"", stale=false, qop="auth", algorithm=SHA-256"#),
    ] {
        let challenge = Digest::new(algorithm).challenge(HOME, NOW, stale);
        let nonce = challenge.strip_prefix(r#"Digest realm="Eyrie", nonce=""#).unwrap().strip_suffix(end).unwrap();
        assert!(nonce.len() == 48 && nonce.bytes().all(|byte| byte.is_ascii_hexdigit()), "{challenge}");
    }
}

#[test]
fn right_answers_are_granted_with_and_without_qop() {
    for algorithm in [DigestAlgorithm::Md5, DigestAlgorithm::Sha256] {
        let digest = Digest::new(algorithm);
        let challenge = digest.challenge(HOME, NOW, false);
        for qop in [true, false] {
            let verify = |method: &str, password: &str| {
                verify(&digest, method, &answer(algorithm, &challenge, qop, password), NOW + LIFETIME)
            };
            assert_eq!(verify("DESCRIBE", "s3cret"), granted());
            assert_eq!(verify("DESCRIBE", "s3cret"), granted(), "the same on another connection");
            assert_eq!(verify("DESCRIBE", "guess"), wrong());
            assert_eq!(verify("PLAY", "s3cret"), wrong());
        }
    }
}

#[test]
fn a_count_is_good_once_on_a_connection() {
    let digest = Digest::new(DigestAlgorithm::Md5);
    let (first, second) = (digest.challenge(HOME, NOW, false), digest.challenge(HOME, NOW + LIFETIME / 2, false));
    let mut answered = Answered::default();
    let mut verify = |challenge: &str, count: Option<&str>, password: &str| {
        let header = answer_as(DigestAlgorithm::Md5, challenge, count, "nvr", password, "rtsp://cam/main");
        digest.verify(&users(), "DESCRIBE", Some(header.as_bytes()), HOME, &mut answered, NOW + LIFETIME / 2)
    };
    assert_eq!(verify(&first, Some("00000001"), "s3cret"), granted());
    assert_eq!(verify(&first, Some("00000001"), "s3cret"), stale(), "a repeated count");
    assert_eq!(verify(&first, Some("1"), "s3cret"), stale(), "the same number, written otherwise");
    assert_eq!(verify(&first, Some("00000009"), "guess"), wrong(), "counted as every guess");
    assert_eq!(verify(&first, Some("00000002"), "s3cret"), granted(), "and a guess uses up no count");
    assert_eq!(verify(&first, Some("0000000a"), "s3cret"), granted());
    assert_eq!(verify(&first, Some("00000009"), "s3cret"), stale(), "an earlier one");
    assert_eq!(verify(&second, Some("00000001"), "s3cret"), granted(), "another nonce counts anew");
    assert_eq!(verify(&first, Some("0000000b"), "s3cret"), stale(), "and is the last from then on");
    for _ in 0..2 {
        assert_eq!(verify(&first, None, "s3cret"), granted(), "clients without qop have no count");
    }
    let header = answer(DigestAlgorithm::Md5, &first, true, "s3cret").replace("nc=00000001", "nc=one");
    assert_eq!(super::tests::verify(&digest, "DESCRIBE", &header, NOW), Verdict::Missing);
}

#[test]
fn a_nonce_that_is_not_live_is_stale_whatever_the_answer() {
    let digest = Digest::new(DigestAlgorithm::Md5);
    let challenge = digest.challenge(HOME, NOW, false);
    let late = NOW + LIFETIME + Duration::from_nanos(1);
    for password in ["s3cret", "guess"] {
        let header = answer(DigestAlgorithm::Md5, &challenge, true, password);
        assert_eq!(verify(&digest, "DESCRIBE", &header, late), stale());
        // An answer overheard and sent from elsewhere.
        let elsewhere = "192.168.1.8".parse().unwrap();
        let (users, mut answered) = (users(), Answered::default());
        let verdict = digest.verify(&users, "DESCRIBE", Some(header.as_bytes()), elsewhere, &mut answered, NOW);
        assert_eq!(verdict, stale());
        // An answer from before a restart.
        assert_eq!(verify(&Digest::new(DigestAlgorithm::Md5), "DESCRIBE", &header, NOW), stale());
    }
}

#[test]
fn an_address_is_the_same_mapped_into_ipv6() {
    let digest = Digest::new(DigestAlgorithm::Md5);
    let challenge = digest.challenge("::ffff:192.168.1.7".parse().unwrap(), NOW, false);
    assert_eq!(verify(&digest, "DESCRIBE", &answer(DigestAlgorithm::Md5, &challenge, true, "s3cret"), NOW), granted());
}

#[test]
fn a_forged_time_makes_no_nonce() {
    let digest = Digest::new(DigestAlgorithm::Md5);
    let challenge = digest.challenge(HOME, NOW, false);
    let later = NOW + 2 * LIFETIME;
    let forged =
        challenge.replace(&hex::encode(NOW.as_nanos().to_be_bytes()), &hex::encode(later.as_nanos().to_be_bytes()));
    assert_ne!(forged, challenge);
    let header = answer(DigestAlgorithm::Md5, &forged, true, "s3cret");
    assert_eq!(verify(&digest, "DESCRIBE", &header, later), stale());
}

#[test]
fn without_credentials_there_is_a_challenge() {
    let digest = Digest::new(DigestAlgorithm::Md5);
    let complete = answer(DigestAlgorithm::Md5, &digest.challenge(HOME, NOW, false), true, "s3cret");
    let auth_int = complete.replace("qop=auth", "qop=auth-int");
    let no_count = complete.replace(" nc=00000001,", "");
    let unended = complete.trim_end_matches('"');
    for header in
        ["", "Digest", "Digest ", "Basic bnZyOnMzY3JldA==", "Digest username=\"nvr\"", &auth_int, &no_count, unended]
    {
        assert_eq!(verify(&digest, "DESCRIBE", header, NOW), Verdict::Missing, "{header}");
    }
    assert_eq!(digest.verify(&users(), "DESCRIBE", None, HOME, &mut Answered::default(), NOW), Verdict::Missing);
}

#[test]
fn an_unknown_user_looks_like_a_wrong_password() {
    let digest = Digest::new(DigestAlgorithm::Md5);
    let header = answer(DigestAlgorithm::Md5, &digest.challenge(HOME, NOW, false), true, "s3cret");
    let header = header.replace("\"nvr\"", "\"stranger\"");
    let verdict = verify(&digest, "DESCRIBE", &header, NOW);
    assert_eq!(verdict, Verdict::Wrong { user: "stranger".into() });
    assert_eq!(verdict.user(), Some("stranger"));
}

/// A config with SHA-256 digests alone, and a server that asks for MD5.
#[test]
fn a_user_without_a_digest_of_this_kind_cannot_log_in() {
    let sha256_ha1 = Some(ha1_sha256("nvr", REALM, "s3cret"));
    let users = Users::new([User { name: "nvr".into(), sha256_ha1, ..User::default() }]);
    let digest = Digest::new(DigestAlgorithm::Md5);
    let header = answer(DigestAlgorithm::Md5, &digest.challenge(HOME, NOW, false), true, "s3cret");
    let verdict = digest.verify(&users, "DESCRIBE", Some(header.as_bytes()), HOME, &mut Answered::default(), NOW);
    assert_eq!(verdict, wrong());
}

#[test]
fn rfc_2617_example() {
    let header = r#"Digest username="Mufasa", realm="testrealm@host.com",
                    nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", uri="/dir/index.html", qop=auth, nc=00000001,
                    cnonce="0a4f113b", response="6629fae49393a05397450978507c4ef1",
                    opaque="5ccc069c403ebaf9f0171e9517f40e41""#;
    let users = of_realm("Mufasa", "testrealm@host.com", "Circle Of Life");
    assert!(is_right(DigestAlgorithm::Md5, &users, "GET", header));
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
        assert!(is_right(algorithm, &users, "GET", &header), "{name}");
    }
}

#[test]
fn ffmpeg() {
    let header = r#"Digest username="nvr", realm="Eyrie", nonce="0000003a9d8c7b6a1122334455667788aabbccddeeff0011", uri="rtsp://127.0.0.1:40973/main?x=1", response="8bd5a302eeaa3821adf744a4a9dcc125", qop="auth", cnonce="847a14dd7711479d", nc=00000001"#;
    assert!(is_right(DigestAlgorithm::Md5, &users(), "DESCRIBE", header));
    // Its first versions wrote no spaces.
    let old = header.replace(", ", ",");
    assert!(is_right(DigestAlgorithm::Md5, &users(), "DESCRIBE", &old));
}

/// Leaves qop out though it is offered, as live555 does.
#[test]
fn gstreamer() {
    let header = r#"Digest username="nvr", realm="Eyrie", nonce="0000003a9d8c7b6a1122334455667788aabbccddeeff0011", uri="rtsp://127.0.0.1:40973/main", response="d19dfbdfa3d7122faa8fe0517d0823d1""#;
    assert!(is_right(DigestAlgorithm::Md5, &users(), "DESCRIBE", header));
}

/// Version 1.22 answers a SHA-256 challenge with MD5.
#[test]
fn gstreamer_sha_256() {
    let header = r#"Digest username="nvr", realm="Eyrie", nonce="0000003a9d8c7b6a1122334455667788aabbccddeeff0011", uri="rtsp://127.0.0.1:35291/main", response="d33ed0439fbab04e542ce88cc68ebce6""#;
    assert!(is_right(DigestAlgorithm::Md5, &users(), "DESCRIBE", header));
    assert!(!is_right(DigestAlgorithm::Sha256, &users(), "DESCRIBE", header));
}

/// The order and quoting of the crate `http-auth`, on which retina is built.
#[test]
fn retina() {
    let header = "Digest username=\"Mufasa\", realm=\"http-auth@example.org\", uri=\"/dir/index.html\", \
         nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", algorithm=MD5, nc=00000001, \
         cnonce=\"f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ\", qop=auth, \
         response=\"8ca523f5e9506fed4657c9700eebdbec\"";
    let users = of_realm("Mufasa", "http-auth@example.org", "Circle of Life");
    assert!(is_right(DigestAlgorithm::Md5, &users, "GET", header));
}

/// yellowstone 2.1 signs for `undefined`.
#[test]
fn yellowstone() {
    let header = r#"Digest username="nvr",realm="undefined",nonce="undefined",uri="rtsp://cam/main",response="00112233445566778899aabbccddeeff""#;
    assert_eq!(verify(&Digest::new(DigestAlgorithm::Md5), "DESCRIBE", header, NOW), stale());
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

/// What an outsider could measure: a user who is known costs no more and no less than one who is not.
#[test]
fn an_unknown_user_takes_as_long_as_a_known_one() {
    let digest = Digest::new(DigestAlgorithm::Sha256);
    let challenge = digest.challenge(HOME, NOW, false);
    let users = users();
    let headers = ["nvr", "xyz"]
        .map(|user| answer_as(DigestAlgorithm::Sha256, &challenge, Some("00000001"), user, "guess", "rtsp://cam/main"));
    let mut nanos = [const { Vec::new() }; 2];
    for turn in 0..4000 {
        let begun = MonoTime::now();
        let header = Some(headers[turn % 2].as_bytes());
        let verdict = digest.verify(&users, "DESCRIBE", header, HOME, &mut Answered::default(), NOW);
        nanos[turn % 2].push(MonoTime::now().since(begun).as_nanos());
        assert!(matches!(verdict, Verdict::Wrong { .. }));
    }
    let [known, unknown] = nanos.map(|mut nanos| *nanos.select_nth_unstable(1000).1 as f64);
    assert!((0.75..1.33).contains(&(known / unknown)), "{known} ns and {unknown} ns");
}

proptest! {
    #[test]
    fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut header = b"Digest ".to_vec();
        header.extend(bytes);
        let _ = Credentials::parse(&header).map(|credentials| credentials.response(DigestAlgorithm::Md5, &[0; 16], "PLAY"));
    }

    /// As `never_panics`, but of the letters that mean something.
    #[test]
    fn never_panics_on_what_looks_right(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "username", "username*", "nonce", "uri", "response", "qop", "nc", "cnonce", "auth", "=", ",", "\"", "\\",
                " ", "UTF-8''", "%", "%4", "é", "\u{0}", "0123456789abcdef0123456789abcdef", "00000001",
            ]),
            0..60,
        ),
    ) {
        let header = format!("Digest {}", parts.concat());
        let _ = Credentials::parse(header.as_bytes())
            .map(|credentials| credentials.response(DigestAlgorithm::Sha256, &[0; 32], "PLAY"));
    }

    #[test]
    fn only_the_right_password_is_granted(guess in "[ -~]{0,12}", qop: bool) {
        let digest = Digest::new(DigestAlgorithm::Sha256);
        let challenge = digest.challenge(HOME, NOW, false);
        let header = answer(DigestAlgorithm::Sha256, &challenge, qop, &guess);
        prop_assert_eq!(verify(&digest, "DESCRIBE", &header, NOW) == granted(), guess == "s3cret");
    }

    /// Whatever stands in names, passwords and URLs, who knows the password is let in, and by his own uri.
    #[test]
    fn every_right_answer_is_granted(
        user in "[^:\\x00-\\x1f]{1,20}", password in ".{0,20}", uri in "[!-~]{1,40}", count in 1..u32::MAX, qop: bool, sha256: bool,
    ) {
        let algorithm = if sha256 { DigestAlgorithm::Sha256 } else { DigestAlgorithm::Md5 };
        let digest = Digest::new(algorithm);
        let challenge = digest.challenge(HOME, NOW, false);
        let count = qop.then(|| format!("{count:08x}"));
        let header = answer_as(algorithm, &challenge, count.as_deref(), &user, &password, &uri);
        let users = Users::new([User { name: user.clone(), password: Some(password), ..User::default() }]);
        let mut answered = Answered::default();
        let verdict = digest.verify(&users, "DESCRIBE", Some(header.as_bytes()), HOME, &mut answered, NOW);
        prop_assert_eq!(verdict, Verdict::Granted { user: user.as_str().into(), uri });
    }

    /// Of all nonces only our own for this address are live, whatever is changed in one.
    #[test]
    fn a_changed_nonce_is_not_live(at in 0..48_usize, to in prop::sample::select(b"0123456789abcdefg".to_vec())) {
        let nonces = Nonces::new();
        let nonce = nonces.make(HOME, NOW);
        let mut changed = nonce.clone().into_bytes();
        changed[at] = to;
        let live = nonces.made(&changed, HOME, NOW);
        prop_assert_eq!(live, (changed == nonce.as_bytes()).then_some(NOW));
    }
}
