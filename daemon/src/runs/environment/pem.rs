//! Certificates out of PEM text and into it.
//!
//! Trust files come from people: with comments between the blocks, Windows line ends, private keys
//! beside the certificates, `OpenSSL`'s `TRUSTED CERTIFICATE` form. Taken is every certificate block
//! that decodes to one complete DER value; the rest is skipped, as every TLS library does.
//!
//! The decoder is ours because it runs over some 150 certificates at each start of a run: the
//! constant-time one of the TLS stack, meant for private keys, is ten times slower.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The labels under which a plain X.509 certificate stands. `TRUSTED CERTIFICATE` carries `OpenSSL`'s
/// trust settings after the certificate; they are cut off by its DER length.
const LABELS: [&str; 3] = ["CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"];

/// Every certificate in `text`, as DER, in order and with repetitions.
pub(super) fn certificates(text: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut body: Option<Vec<u8>> = None;
    for line in text.split(|byte| matches!(byte, b'\n' | b'\r')) {
        let line = line.trim_ascii();
        if let Some(label) = between(line, b"-----BEGIN ", b"-----") {
            let known = LABELS.iter().any(|known| known.as_bytes() == label);
            body = known.then(|| Vec::with_capacity(2048));
        } else if line.starts_with(b"-----END ") {
            if let Some(der) = body.take().and_then(|text| STANDARD.decode(text).ok())
                && let Some(certificate) = first_value(&der)
            {
                found.push(certificate.to_vec());
            }
        } else if let Some(body) = &mut body {
            body.extend_from_slice(line);
        }
    }
    found
}

/// Appends one certificate as a PEM block with lines of 64 characters.
pub(super) fn append(der: &[u8], pem: &mut Vec<u8>) {
    pem.extend_from_slice(b"-----BEGIN CERTIFICATE-----\n");
    for line in STANDARD.encode(der).as_bytes().chunks(64) {
        pem.extend_from_slice(line);
        pem.push(b'\n');
    }
    pem.extend_from_slice(b"-----END CERTIFICATE-----\n");
}

/// The DER SEQUENCE that `bytes` begin with, without what follows it.
fn first_value(bytes: &[u8]) -> Option<&[u8]> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    if tag != 0x30 {
        return None;
    }
    let (length, header) = match first {
        0..=0x7f => (usize::from(first), 2),
        // up to three length bytes: 16 MiB, far beyond any certificate
        0x81..=0x83 => {
            let count = usize::from(first & 0x7f);
            let digits = rest.get(..count)?;
            (
                digits
                    .iter()
                    .fold(0, |sum, digit| sum << 8 | usize::from(*digit)),
                2 + count,
            )
        }
        _ => return None,
    };
    bytes.get(..header + length)
}

fn between<'a>(line: &'a [u8], prefix: &[u8], suffix: &[u8]) -> Option<&'a [u8]> {
    line.strip_prefix(prefix)?.strip_suffix(suffix)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap().to_be_bytes();
        [&[0x30, 0x82], &length[..], content].concat()
    }

    #[test]
    fn certificates_are_found_between_comments_keys_and_windows_line_ends() {
        let (one, two) = (value(b"one"), value(&[7; 300]));
        let mut text = b"# comment\nsubject=/CN=x\n".to_vec();
        append(&one, &mut text);
        text.extend_from_slice(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n");
        let mut second = Vec::new();
        append(&two, &mut second);
        let second = String::from_utf8(second).unwrap().replace('\n', "\r\n");
        text.extend_from_slice(second.as_bytes());
        assert_eq!(certificates(&text), [one, two]);
    }

    #[test]
    fn trust_settings_of_openssl_are_cut_off() {
        let one = value(b"one");
        let with_settings = [&one[..], b"0\x00"].concat();
        let mut text = Vec::new();
        append(&with_settings, &mut text);
        let text = String::from_utf8(text)
            .unwrap()
            .replace("CERTIFICATE", "TRUSTED CERTIFICATE");
        assert_eq!(certificates(text.as_bytes()), [one]);
    }

    #[test]
    fn what_is_not_a_whole_certificate_is_skipped() {
        for body in ["", "!!!!", "AAAA", "MIIB", "MIQ="] {
            let text = format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
            assert!(certificates(text.as_bytes()).is_empty(), "{body}");
        }
        assert!(certificates(b"-----BEGIN CERTIFICATE-----\nMAA=\n").is_empty());
    }

    proptest! {
        #[test]
        fn any_value_survives_the_way_there_and_back(
            contents in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..600), 0..5)
        ) {
            let values: Vec<_> = contents.iter().map(|content| value(content)).collect();
            let mut text = Vec::new();
            for value in &values {
                append(value, &mut text);
            }
            prop_assert_eq!(certificates(&text), values);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in proptest::collection::vec(any::<u8>(), 0..400)) {
            certificates(&text);
        }
    }
}
