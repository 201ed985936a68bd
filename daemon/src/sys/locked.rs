//! Secret bytes on pages of their own: never swapped where the system allows it, never dumped,
//! wiped before the pages go back.
//!
//! The heap is the wrong place for a credential that lives for hours: it shares pages with
//! everything else, so it cannot be locked or kept out of a core dump, and whoever frees it may
//! leave it behind. [`LockedBytes`] maps whole pages, asks the kernel to keep them in memory
//! (`mlock`) and out of dumps (`MADV_DONTDUMP`), and writes zeros over them before unmapping.
//!
//! Invariants:
//! - LB1: the mapping is written only in `new`, before anyone else can see it, and in `drop`.
//! - LB2: `drop` wipes the whole mapping, then unmaps it.
//!
//! On failure: a refused `mlock` (small `RLIMIT_MEMLOCK`) is remembered and told by
//! [`LockedBytes::is_locked`]; the bytes still work. A refused mapping panics as a refused heap
//! allocation would abort: there is no memory.
#![expect(unsafe_code, reason = "maps, locks and unmaps pages")]

use std::ffi::c_void;
use std::fmt;
use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::sync::Arc;

use bytes::Bytes;
use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mlock, mmap_anonymous, munmap};
use zeroize::Zeroize;

/// Immutable secret bytes in locked memory; cloning shares the pages.
#[derive(Clone)]
pub struct LockedBytes(Arc<Pages>);

impl LockedBytes {
    /// Copies `bytes` to pages of their own. The caller wipes its own copy.
    pub fn new(bytes: &[u8]) -> Self {
        let mut pages = Pages::map(bytes.len());
        pages.filled_mut().copy_from_slice(bytes);
        Self(Arc::new(pages))
    }

    /// The same pages as [`Bytes`], for header values: no copy is made, and the pages are wiped
    /// when the last `Bytes` is gone.
    pub fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }

    /// Whether the kernel agreed to keep the pages out of swap.
    pub fn is_locked(&self) -> bool {
        self.0.locked
    }
}

impl AsRef<[u8]> for LockedBytes {
    fn as_ref(&self) -> &[u8] {
        self.0.filled()
    }
}

impl fmt::Debug for LockedBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LockedBytes(..)")
    }
}

/// One anonymous private mapping.
struct Pages {
    at: NonNull<c_void>,
    /// Bytes mapped; the kernel rounds it up to whole pages itself.
    mapped: NonZeroUsize,
    /// Bytes in use, at most `mapped`.
    used: usize,
    locked: bool,
}

// SAFETY: the mapping belongs to this value alone and is not tied to a thread.
unsafe impl Send for Pages {}
// SAFETY: shared access only reads; it is written with exclusive access only (LB1).
unsafe impl Sync for Pages {}

impl Pages {
    fn map(used: usize) -> Self {
        let mapped = NonZeroUsize::new(used).unwrap_or(NonZeroUsize::MIN);
        // SAFETY: an anonymous private mapping at an address of the kernel's choice overlaps
        // nothing that exists.
        let at = unsafe {
            mmap_anonymous(
                None,
                mapped,
                ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
                MapFlags::MAP_PRIVATE,
            )
        };
        let Ok(at) = at else {
            std::alloc::handle_alloc_error(std::alloc::Layout::new::<[u8; 4096]>());
        };
        // SAFETY: `at` and `mapped` describe the mapping just made; locking does not touch it.
        let locked = unsafe { mlock(at, mapped.get()) }.is_ok();
        #[cfg(target_os = "linux")]
        {
            // SAFETY: as above; the advice changes what a core dump holds, not the contents.
            // Refused only by kernels older than 3.4; the process is not dumpable anyway.
            let _advised = unsafe { madvise(at, mapped.get(), MmapAdvise::MADV_DONTDUMP) };
        }
        Self {
            at,
            mapped,
            used,
            locked,
        }
    }

    fn filled(&self) -> &[u8] {
        // SAFETY: `used` bytes are mapped, readable and initialised (the kernel gives zeros), and
        // nobody writes while a shared reference lives (LB1).
        unsafe { std::slice::from_raw_parts(self.at.as_ptr().cast::<u8>(), self.used) }
    }

    fn filled_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `filled`, with exclusive access.
        unsafe { std::slice::from_raw_parts_mut(self.at.as_ptr().cast::<u8>(), self.used) }
    }

    fn wipe(&mut self) {
        self.filled_mut().zeroize();
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.wipe();
        // SAFETY: the mapping is ours, and no reference into it outlives `self`. Unmapping also
        // unlocks. It cannot fail for a mapping that exists.
        let _unmapped = unsafe { munmap(self.at, self.mapped.get()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// L4: wiped before the pages go back.
    #[test]
    fn a_wipe_leaves_only_zeros() {
        let mut pages = Pages::map(5);
        pages.filled_mut().copy_from_slice(b"token");
        pages.wipe();
        assert_eq!(pages.filled(), [0; 5]);
    }

    #[test]
    fn the_last_clone_keeps_the_bytes_alive() {
        let first = LockedBytes::new(b"token");
        let second = first.clone();
        let bytes = first.into_bytes();
        assert_eq!(second.as_ref(), b"token");
        drop(second);
        let rest = bytes.slice(1..);
        drop(bytes);
        assert_eq!(&rest[..], b"oken");
    }

    #[test]
    fn nothing_and_many_pages_both_fit() {
        assert!(LockedBytes::new(b"").as_ref().is_empty());
        let large = vec![7; 3 * 4096 + 1];
        assert_eq!(LockedBytes::new(&large).as_ref(), large);
    }

    #[test]
    fn debug_of_locked_bytes_hides_them() {
        assert_eq!(
            format!("{:?}", LockedBytes::new(b"hunter2")),
            "LockedBytes(..)"
        );
    }

    /// L4: the kernel itself says that the pages are locked (`lo`) and left out of dumps (`dd`).
    #[cfg(target_os = "linux")]
    #[test]
    fn the_kernel_knows_the_pages_as_locked_and_not_dumped() {
        let secret = LockedBytes::new(b"token");
        let address = secret.as_ref().as_ptr().addr();
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut inside = false;
        let mut flags = None;
        for line in maps.lines() {
            if let Some((from, to)) = line
                .split(' ')
                .next()
                .and_then(|range| range.split_once('-'))
                && let (Ok(from), Ok(to)) = (
                    usize::from_str_radix(from, 16),
                    usize::from_str_radix(to, 16),
                )
            {
                inside = (from..to).contains(&address);
            } else if inside && let Some(found) = line.strip_prefix("VmFlags:") {
                flags = Some(found.split_whitespace().collect::<Vec<_>>());
            }
        }
        let flags = flags.expect("the mapping is listed");
        assert!(flags.contains(&"dd"), "{flags:?}");
        assert_eq!(flags.contains(&"lo"), secret.is_locked(), "{flags:?}");
    }
}
