//! Wildcards: `*` is any run of characters, `?` is any one.

/// Whether the whole text fits the pattern.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    let (mut p, mut t) = (0, 0);
    // Where to go on when a later part fails: behind the last star, one character further in the text.
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                retry = Some((p + 1, t));
                p += 1;
            }
            Some(c) if *c == '?' || *c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((star, from)) = retry else { return false };
                retry = Some((star, from + 1));
                p = star;
                t = from + 1;
            }
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// The same for action names, which have no case.
pub(super) fn matches_ignoring_case(pattern: &str, text: &str) -> bool {
    matches(&pattern.to_ascii_lowercase(), &text.to_ascii_lowercase())
}

/// Whether an ARN fits a pattern part by part: a wildcard does not reach over a colon, except in the resource part.
/// `None` if the pattern has not the six parts of an ARN.
pub(super) fn matches_arn(pattern: &str, arn: &str) -> Option<bool> {
    let pattern: Vec<&str> = pattern.splitn(6, ':').collect();
    let arn: Vec<&str> = arn.splitn(6, ':').collect();
    if pattern.len() != 6 || pattern[0] != "arn" {
        return None;
    }
    Some(arn.len() == 6 && pattern.iter().zip(&arn).all(|(pattern, part)| matches(pattern, part)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The definition itself, without the bookkeeping.
    fn by_definition(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), Some((_, tail))) => by_definition(rest, text) || by_definition(pattern, tail),
            (Some(('*', rest)), None) => by_definition(rest, text),
            (Some((p, rest)), Some((t, tail))) => (*p == '?' || p == t) && by_definition(rest, tail),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn wildcards_mean_what_they_are_defined_to_mean(pattern in "[ab*?]{0,8}", text in "[ab]{0,10}") {
            let chars = |s: &str| s.chars().collect::<Vec<_>>();
            prop_assert_eq!(matches(&pattern, &text), by_definition(&chars(&pattern), &chars(&text)));
        }
    }

    #[test]
    fn arn_parts_are_matched_one_by_one() {
        let role = "arn:aws:iam::111111111111:role/service-role/p";
        assert_eq!(matches_arn(role, role), Some(true));
        assert_eq!(matches_arn("arn:*:iam::*:role/*", role), Some(true));
        assert_eq!(matches_arn("arn:aws:iam::11111111111?:role/*", role), Some(true));
        assert_eq!(matches_arn("arn:aws:*:role/*", role), None);
        assert_eq!(matches_arn("arn:aws:iam:*:*:role/*", "arn:aws:iam::1:x:role/p"), Some(false));
        assert_eq!(matches_arn("*", role), None);
        assert_eq!(matches_arn("arn:aws:iam::1:role/p", "no-arn"), Some(false));
    }
}
