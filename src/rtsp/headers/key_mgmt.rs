//! The KeyMgmt header (RFC 4567 §3.2).

use super::transport::split;
use base64::prelude::{BASE64_STANDARD, Engine};

/// The message of the first MIKEY entry; None if there is none that can be read. Never panics.
pub(crate) fn parse(value: &str) -> Option<Vec<u8>> {
    split(value, ',').find_map(|entry| {
        let (mut mikey, mut message) = (false, None);
        for part in split(entry, ';') {
            let (name, value) = part.split_once('=')?;
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "prot" => mikey = value.eq_ignore_ascii_case("mikey"),
                "data" => message = BASE64_STANDARD.decode(value).ok(),
                _ => {}
            }
        }
        message.filter(|_| mikey)
    })
}

/// The header of a response. `url` is the track's.
pub(crate) fn write(url: &str, message: &[u8]) -> String {
    format!("prot=mikey;uri=\"{url}\";data=\"{}\"", BASE64_STANDARD.encode(message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_clients_write() {
        for value in [
            "prot=mikey;uri=\"rtsps://127.0.0.1:8322/stream/trackID=0\";data=\"AQIDBA==\"",
            "prot=mikey; uri=\"\"; data=\"AQIDBA==\"",
            "prot=mikey;data=AQIDBA==",
            "prot=\"MIKEY\";uri=\"rtsps://h/a,b;c\";data=\"AQIDBA==\"",
            "prot=sdes;data=\"AAAA\",prot=mikey;data=\"AQIDBA==\"",
        ] {
            assert_eq!(parse(value), Some(vec![1, 2, 3, 4]), "{value}");
        }
        for value in ["", ",;=", "prot=mikey", "prot=mikey;data=\"AQI", "prot=sdes;data=\"AQIDBA==\"", "data=AQIDBA=="]
        {
            assert_eq!(parse(value), None, "{value}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(value in ".{0,200}") {
            parse(&value);
        }

        #[test]
        fn what_is_written_reads_back(message in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(parse(&write("rtsps://h/main/trackID=0", &message)), Some(message));
        }
    }
}
