//! Java trust stores: written without `keytool`, and read as far as they hold certificates.
//!
//! Java reads no variable and no PEM file, only a key store named by a system property. Of its two
//! formats the older one, JKS version 2, is a plain list, and every Java since 1.2 reads it whatever
//! its default is:
//!
//! ```text
//! FEEDFEED, version 2, number of entries                           each u32, big-endian
//! per entry: u32 2 (a trusted certificate), alias, u64 creation time in ms,
//!            "X.509", u32 length, DER                              strings: u16 length, bytes
//! SHA-1 over (password as UTF-16BE) "Mighty Aphrodite" (all of the above)
//! ```
//!
//! The checksum is Java's, over public data; nothing rests on SHA-1 here. Aliases are ours, ASCII,
//! lower-case (Java folds them) and unique.

use std::sync::OnceLock;

use sha1::{Digest as _, Sha1};

/// The password of every trust store that Java ships; it protects nothing, the content is public.
pub(super) const PASSWORD: &str = "changeit";

const MAGIC: u32 = 0xfeed_feed;
const VERSION: u32 = 2;
const TRUSTED_CERTIFICATE: u32 = 2;
const CERTIFICATE_TYPE: &str = "X.509";
const HEADER_LEN: usize = 12;
const CHECKSUM_LEN: usize = 20;

/// Entries encoded for a store: what can be prepared once and copied into many stores.
#[derive(Debug, Clone, Default)]
pub(super) struct Entries {
    encoded: Vec<u8>,
    count: u32,
    /// The checksum's state after these entries, in a store of one more: every run adds one
    /// certificate to the same long list.
    begun: OnceLock<Sha1>,
}

/// Why a file could not be read as a Java trust store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum ReadStoreError {
    /// It is another format, such as PKCS #12.
    #[error("it is not a key store in the JKS format")]
    Format,
    /// It ends too early or contains what the format does not know.
    #[error("it is damaged")]
    Damaged,
}

impl Entries {
    /// Adds a certificate under an alias, which has to be ASCII and unique in the store.
    pub(super) fn push(&mut self, alias: &str, der: &[u8]) {
        // neither limit can be met: aliases are ours and short, certificates come out of files of
        // a few MiB; one beyond them would be left out instead of breaking the store
        let Ok(length) = u32::try_from(der.len()) else {
            return;
        };
        if u16::try_from(alias.len()).is_err() {
            return;
        }
        self.encoded
            .extend_from_slice(&TRUSTED_CERTIFICATE.to_be_bytes());
        push_string(&mut self.encoded, alias);
        // creation time 0: nothing reads it, and equal content makes equal files
        self.encoded.extend_from_slice(&0_u64.to_be_bytes());
        push_string(&mut self.encoded, CERTIFICATE_TYPE);
        self.encoded.extend_from_slice(&length.to_be_bytes());
        self.encoded.extend_from_slice(der);
        self.count += 1;
        self.begun = OnceLock::new();
    }

    /// A whole store: these entries, then `more`.
    pub(super) fn store_with(&self, more: &Self) -> Vec<u8> {
        let count = self.count + more.count;
        let length = HEADER_LEN + self.encoded.len() + more.encoded.len();
        let mut store = Vec::with_capacity(length + CHECKSUM_LEN);
        store.extend_from_slice(&header(count));
        store.extend_from_slice(&self.encoded);
        store.extend_from_slice(&more.encoded);
        let mut checksum = match more.count {
            1 => self.begun.get_or_init(|| self.begin(count)).clone(),
            _ => self.begin(count),
        };
        checksum.update(&more.encoded);
        store.extend_from_slice(&checksum.finalize());
        store
    }

    /// The checksum's state after the header of a store of `count` entries, and these.
    fn begin(&self, count: u32) -> Sha1 {
        let mut hash = Sha1::new();
        for unit in PASSWORD.encode_utf16() {
            hash.update(unit.to_be_bytes());
        }
        hash.update(b"Mighty Aphrodite");
        hash.update(header(count));
        hash.update(&self.encoded);
        hash
    }
}

/// The trusted certificates of a store, as DER. Private keys and their chains are passed over. The
/// checksum is not looked at: its password is unknown, and Java does not ask for it either.
pub(super) fn trusted_certificates(store: &[u8]) -> Result<Vec<Vec<u8>>, ReadStoreError> {
    let mut reader = Reader { rest: store };
    if reader.u32() != Ok(MAGIC) {
        return Err(ReadStoreError::Format);
    }
    let version = reader.u32()?;
    if !matches!(version, 1 | 2) {
        return Err(ReadStoreError::Format);
    }
    let mut found = Vec::new();
    for _ in 0..reader.u32()? {
        let tag = reader.u32()?;
        reader.string()?;
        reader.take(8)?;
        match tag {
            1 => {
                reader.bytes()?;
                for _ in 0..reader.u32()? {
                    reader.certificate(version)?;
                }
            }
            TRUSTED_CERTIFICATE => found.push(reader.certificate(version)?.to_vec()),
            _ => return Err(ReadStoreError::Damaged),
        }
    }
    Ok(found)
}

fn push_string(out: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn header(count: u32) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    for (place, word) in header.chunks_exact_mut(4).zip([MAGIC, VERSION, count]) {
        place.copy_from_slice(&word.to_be_bytes());
    }
    header
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], ReadStoreError> {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or(ReadStoreError::Damaged)?;
        self.rest = rest;
        Ok(taken)
    }

    fn u32(&mut self) -> Result<u32, ReadStoreError> {
        let bytes = self
            .take(4)?
            .try_into()
            .map_err(|_| ReadStoreError::Damaged)?;
        Ok(u32::from_be_bytes(bytes))
    }

    fn bytes(&mut self) -> Result<&'a [u8], ReadStoreError> {
        let length = usize::try_from(self.u32()?).map_err(|_| ReadStoreError::Damaged)?;
        self.take(length)
    }

    fn string(&mut self) -> Result<&'a [u8], ReadStoreError> {
        let bytes = self
            .take(2)?
            .try_into()
            .map_err(|_| ReadStoreError::Damaged)?;
        self.take(usize::from(u16::from_be_bytes(bytes)))
    }

    fn certificate(&mut self, version: u32) -> Result<&'a [u8], ReadStoreError> {
        if version == 2 {
            self.string()?;
        }
        self.bytes()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_store_reads_back_in_order_and_carries_javas_checksum() {
        let (mut system, mut more) = (Entries::default(), Entries::default());
        system.push("system-1", b"one");
        system.push("system-2", b"two");
        more.push("run", b"three");
        let store = system.store_with(&more);
        let read = trusted_certificates(&store).unwrap();
        assert_eq!(read, [b"one".to_vec(), b"two".to_vec(), b"three".to_vec()]);
        // what is kept of the long part gives the same store as doing it all anew, each time
        let mut whole = system.clone();
        whole.push("run", b"three");
        assert_eq!(whole.store_with(&Entries::default()), store);
        assert_eq!(system.store_with(&more), store);
        // the empty store, byte for byte as other implementations write it
        let empty = Entries::default().store_with(&Entries::default());
        assert_eq!(
            empty,
            [
                &[0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2, 0, 0, 0, 0][..],
                &EMPTY_CHECKSUM
            ]
            .concat()
        );
    }

    const EMPTY_CHECKSUM: [u8; 20] = [
        0xe2, 0x68, 0x6e, 0x45, 0xfb, 0x43, 0xdf, 0xa4, 0xd9, 0x92, 0xdd, 0x41, 0xce, 0xb6, 0xb2,
        0x1c, 0x63, 0x30, 0xd7, 0x92,
    ];

    #[test]
    fn other_formats_and_cut_files_are_told_apart() {
        assert_eq!(
            trusted_certificates(b"0\x82\x01\x02"),
            Err(ReadStoreError::Format)
        );
        let mut entries = Entries::default();
        entries.push("run", b"three");
        let store = entries.store_with(&Entries::default());
        for length in 0..store.len() - CHECKSUM_LEN {
            assert!(trusted_certificates(&store[..length]).is_err(), "{length}");
        }
    }

    proptest! {
        #[test]
        fn no_file_makes_the_reader_panic(tail in proptest::collection::vec(any::<u8>(), 0..200)) {
            let header = [0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2];
            drop(trusted_certificates(&[&header[..], &tail].concat()));
            drop(trusted_certificates(&tail));
        }
    }
}
