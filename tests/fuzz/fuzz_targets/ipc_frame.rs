#![no_main]

use std::sync::atomic::{AtomicU64, Ordering};

use authsome_fuzz::ipc_frame::{UNDERSTOOD, check};

/// How often it tells how many inputs were messages.
const TELL: u64 = 10_000_000;

static DONE: AtomicU64 = AtomicU64::new(0);

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    check(input);
    let done = DONE.fetch_add(1, Ordering::Relaxed) + 1;
    if done % TELL == 0 {
        let [client, daemon, client_json, daemon_json] =
            UNDERSTOOD.each_ref().map(|count| count.load(Ordering::Relaxed));
        eprintln!(
            "{done} inputs in both encodings; messages among them: bincode {client} of clients and \
             {daemon} of daemons, JSON {client_json} and {daemon_json}"
        );
    }
});
