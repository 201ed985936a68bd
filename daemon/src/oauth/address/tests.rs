use proptest::prelude::*;

use super::*;

/// O5
#[test]
fn only_https_without_a_user_part_is_a_page() {
    for text in [
        "https://example.com",
        "https://example.com/device?a=b#/c",
        "https://example.com:8443/",
        "https://xn--bcher-kva.example/",
    ] {
        assert!(page(text).is_some(), "{text}");
    }
    let long = format!("https://example.com/{}", "a".repeat(ADDRESS_MAX));
    for text in [
        "",
        "http://example.com/",
        "javascript:alert(1)",
        "JavaScript://example.com/%0aalert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "https://",
        "https:///",
        "https://user@example.com/",
        "https://user:pass@example.com/",
        "https://:pass@example.com/",
        "https://example.com\\@evil.example/",
        "https:\\\\example.com/",
        "https://exa\tmple.com/",
        "https://example.com/\n",
        " https://example.com/",
        "https://example.com/a b",
        "https://b\u{fc}cher.example/",
        "https://example.com:99999/",
        "//example.com/",
        "example.com",
        &long,
    ] {
        assert!(page(text).is_none(), "{text}");
    }
}

#[test]
fn what_is_handed_out_is_what_was_understood() {
    assert_eq!(
        page("HTTPS://EXA%4dPLE.com:443/a/../b").unwrap().as_str(),
        "https://example.com/b"
    );
}

#[test]
fn endpoints_have_no_fragment_and_issuers_no_query() {
    assert!(endpoint("https://example.com/t?a=b").is_some());
    assert!(endpoint("https://example.com/t#a").is_none());
    assert!(endpoint("https://example.com/t#").is_none());
    assert!(issuer("https://example.com/t").is_some());
    assert!(issuer("https://example.com/t?a=b").is_none());
}

proptest! {
    /// O5
    #[test]
    fn an_address_that_is_believed_has_the_shape_we_promise(
        text in "(https?|javascript)?:?/{0,3}[a-z@:.%\\\\\\[\\]]{0,12}[ -~]{0,20}|\\PC{0,60}",
    ) {
        if let Some(url) = page(&text) {
            prop_assert!(url.as_str().starts_with("https://"));
            prop_assert!(url.as_str().len() <= ADDRESS_MAX);
            prop_assert!(url.username().is_empty() && url.password().is_none());
            prop_assert!(url.as_str().bytes().all(|byte| byte.is_ascii_graphic()));
            // whoever parses it again sees the same
            let again = page(url.as_str());
            prop_assert_eq!(again.as_ref(), Some(&url));
        }
    }
}
