//! Very many inputs for the property of `ipc_frame`, without watching which code they reach.
//!
//! The fuzzer looks for inputs that reach something new and pays for the looking; this takes what it
//! found, its corpus, and the golden messages, changes them at random and tries the property on each.
//! Between them they are thorough: one goes deep, one goes often.
//!
//!     cargo run --release -- COUNT [SEED [FOLDER…]]
//!
//! FOLDERs hold further inputs to begin with, such as what a fuzzer gathered.
//!
//! An input that breaks the property is written to `storm-found` before the panic ends the program.

#[path = "../../src/corpus.rs"]
mod corpus;
#[path = "../../src/ipc_frame.rs"]
mod ipc_frame;

use std::env;
use std::fs;
use std::panic;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Longest input. Real messages are shorter than this but for definitions and bodies.
const LONGEST: usize = 2048;

/// How often it tells how far it is.
const TELL: u64 = 10_000_000;

/// Bytes that mean something: markers of bincode's integers, JSON's syntax.
const TELLING: &[u8] = b"\0\x01\x7f\x80\xfa\xfb\xfc\xfd\xfe\xff{}[]\",:\\0-9eEtfn ";

/// xorshift64*, seeded: the same inputs again for the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() >> 33) as usize % end.max(1)
    }
}

fn main() {
    let mut arguments = env::args().skip(1);
    let count: u64 = arguments
        .next()
        .and_then(|word| word.parse().ok())
        .expect("how many inputs to try");
    let seed: u64 = arguments.next().and_then(|word| word.parse().ok()).unwrap_or(1);
    let seeds = seeds(arguments);
    println!("{} inputs to begin with, seed {seed}", seeds.len());
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut input = Vec::with_capacity(2 * LONGEST);
    let begun = Instant::now();
    for done in 1..=count {
        input.clear();
        input.extend_from_slice(&seeds[random.below(seeds.len())]);
        for _ in 0..=random.below(4) {
            change(&mut input, &seeds, &mut random);
        }
        input.truncate(LONGEST);
        let tried = panic::catch_unwind(|| ipc_frame::check(&input));
        if let Err(panicked) = tried {
            fs::write("storm-found", &input).expect("the input is kept");
            panic::resume_unwind(panicked);
        }
        if done % TELL == 0 || done == count {
            let [client, daemon, client_json, daemon_json] =
                ipc_frame::UNDERSTOOD.each_ref().map(|it| it.load(Ordering::Relaxed));
            println!(
                "{done} inputs, each in both encodings, in {} s; messages among them: bincode {client} \
                 of clients and {daemon} of daemons, JSON {client_json} and {daemon_json}",
                begun.elapsed().as_secs()
            );
        }
    }
}

/// The corpus, the golden messages, and the files of `folders`.
fn seeds(folders: impl Iterator<Item = String>) -> Vec<Vec<u8>> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let list = fs::read_to_string(here.join("../corpus/ipc_frame.txt")).expect("the corpus");
    let mut seeds = corpus::inputs(&list);
    let golden = here.join("../../../proto/golden/v1");
    for folder in folders.map(PathBuf::from).chain([golden]) {
        let entries = fs::read_dir(&folder).expect("a folder of inputs");
        for entry in entries {
            seeds.push(fs::read(entry.expect("an entry").path()).expect("an input"));
        }
    }
    seeds.retain(|seed| seed.len() <= LONGEST);
    // the order of a folder is nobody's promise
    seeds.sort();
    assert!(seeds.len() > 100, "the golden messages are missing");
    seeds
}

/// One of what fuzzers do.
fn change(input: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Random) {
    let at = random.below(input.len());
    match random.below(8) {
        0 if !input.is_empty() => input[at] ^= 1 << random.below(8),
        1 if !input.is_empty() => input[at] = TELLING[random.below(TELLING.len())],
        2 if !input.is_empty() => input[at] = random.next() as u8,
        3 => input.insert(at, TELLING[random.below(TELLING.len())]),
        4 => {
            let end = (at + 1 + random.below(8)).min(input.len());
            input.drain(at.min(end)..end);
        }
        5 => input.truncate(at),
        6 => {
            // a piece of another one in the middle
            let other = &seeds[random.below(seeds.len())];
            let from = random.below(other.len());
            let to = (from + 1 + random.below(64)).min(other.len());
            input.splice(at..at, other[from.min(to)..to].iter().copied());
        }
        _ => {
            // a piece of itself once more: lists and lengths that do not agree
            let end = (at + 1 + random.below(32)).min(input.len());
            let piece = input[at.min(end)..end].to_vec();
            input.splice(at..at, piece);
        }
    }
}
