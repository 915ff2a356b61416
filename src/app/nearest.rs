//! What to say of a name that a command got wrong.

/// `there` has none of that name.
pub fn unknown(kind: &str, name: &str, there: Vec<&str>) -> String {
    let likeness = |other: &&str| strsim::jaro_winkler(name, other);
    let nearest = there.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b))).filter(|other| likeness(other) > 0.8);
    let instead = match nearest {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None if there.is_empty() => "none runs".to_owned(),
        None => format!("there are: {}", there.join(", ")),
    };
    format!("no {kind} is named `{name}`; {instead}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_answered_with_the_nearest_or_all() {
        assert_eq!(
            unknown("camera", "frnt", vec!["back", "front"]),
            "no camera is named `frnt`; did you mean `front`?"
        );
        assert_eq!(unknown("camera", "x", vec!["back", "front"]), "no camera is named `x`; there are: back, front");
        assert_eq!(unknown("camera", "x", vec![]), "no camera is named `x`; none runs");
    }
}
