use super::*;

#[test]
fn what_is_no_scope_is_left_out() {
    let long = "a".repeat(SCOPE_MAX + 1);
    let given = ["a", "", "b c", "d\"", "e\\", "\u{e9}", &long, "https://x/y"];
    assert_eq!(scopes(given.into_iter()), ["a", "https://x/y"]);
    assert_eq!(scopes(std::iter::repeat_n("a", 999)).len(), SCOPES_MAX);
}
