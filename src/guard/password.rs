/// Lower-case letters and digits that no font lets one mistake for another: no 0, o, 1, i, l.
const LETTERS: &[u8] = b"abcdefghjkmnpqrstuvwxyz23456789";
const GROUPS: usize = 4;
const GROUP: usize = 5;

/// A random password that can be read aloud and stands in a URL as it is, such as `k7mqp-x2v9t-hhb4w-ru6cz`:
/// 99 bits. Panics if the system has no random numbers, which Linux 3.17 and later always has.
pub fn make_password() -> String {
    let mut letters = std::iter::repeat_with(letter);
    let groups: Vec<String> = (0..GROUPS).map(|_| letters.by_ref().take(GROUP).collect()).collect();
    groups.join("-")
}

/// Each letter with the same probability: numbers past the last whole multiple of their count are thrown again.
fn letter() -> char {
    let bound = 256 / LETTERS.len() * LETTERS.len();
    loop {
        let mut byte = [0];
        getrandom::fill(&mut byte).expect("getrandom(2) works on every Linux that Eyrie runs on");
        let number = usize::from(byte[0]);
        if number < bound {
            return LETTERS[number % LETTERS.len()].into();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn made_passwords_are_readable_and_differ() {
        let passwords: HashSet<String> = (0..200).map(|_| make_password()).collect();
        assert_eq!(passwords.len(), 200);
        for password in &passwords {
            assert_eq!(password.len(), 23);
            assert!(password.split('-').all(|group| group.len() == 5));
            assert!(password.bytes().all(|byte| byte == b'-' || LETTERS.contains(&byte)), "{password}");
        }
        let used: HashSet<char> = passwords.iter().flat_map(|password| password.chars()).collect();
        assert_eq!(used.len(), LETTERS.len() + 1, "every letter occurs");
    }

    #[test]
    fn a_password_has_more_than_80_bits() {
        assert!((LETTERS.len() as f64).log2() * (GROUPS * GROUP) as f64 > 80.0);
    }
}
