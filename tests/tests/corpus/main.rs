//! Replays the corpus of every fuzz target through the target's own body, and cheap mutations of every input, so that
//! `make test` keeps what fuzzing found. Finds little by itself: that is what `make fuzz` is for.
//! Seeds are written by `make seeds`; inputs that once broke something lie beside them.

mod mutate;
mod seeds;
// The bodies live with libFuzzer's programs, in a package that is not of this workspace.
#[path = "../../fuzz/src/lib.rs"]
#[allow(unreachable_pub, reason = "there it is a library")]
mod targets;

use std::fmt::Write as _;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::thread;

use mutate::Mutations;
use targets::TARGETS;

/// Bytes that are mutated for each target in all, so that every target costs about as much however large its inputs are.
const MUTATED: usize = 1 << 22;
/// Mutations of one input.
const FEWEST: usize = 200;
const MOST: usize = 3_000;

fn folder(target: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target)
}

/// The inputs of a target, by file name.
fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let files = fs::read_dir(folder(target)).map(|files| files.flatten().collect::<Vec<_>>()).unwrap_or_default();
    let read = |file: fs::DirEntry| (file.file_name().to_string_lossy().into_owned(), fs::read(file.path()).unwrap());
    let mut inputs: Vec<_> = files.into_iter().map(read).collect();
    inputs.sort();
    inputs
}

/// Runs one input; the error names it so that it can be put into the corpus.
fn run(target: &str, body: fn(&[u8]), from: &str, input: &[u8]) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(|| body(input))).map_err(|_| {
        let hex = input.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        format!("{target}: {from}: broken by these bytes: {hex}")
    })
}

fn replay(target: &str, body: fn(&[u8])) -> Result<(), String> {
    let inputs = corpus(target);
    if inputs.is_empty() {
        return Err(format!("{target}: no corpus in {}", folder(target).display()));
    }
    run(target, body, "no bytes", &[])?;
    for (name, input) in &inputs {
        run(target, body, name, input)?;
    }
    let all: usize = inputs.iter().map(|(_, input)| input.len() + 64).sum();
    let each = (MUTATED / all).clamp(FEWEST, MOST);
    for (number, (name, input)) in inputs.iter().enumerate() {
        let other = &inputs[(number * 7 + 1) % inputs.len()].1;
        let mut mutations = Mutations::new(name, input, other);
        for _ in 0..each {
            run(target, body, &format!("a mutation of {name}"), mutations.next())?;
        }
    }
    Ok(())
}

#[test]
fn every_target_withstands_its_corpus() {
    let failed: Vec<String> = thread::scope(|scope| {
        let running: Vec<_> =
            TARGETS.iter().map(|&(target, body)| scope.spawn(move || replay(target, body).err())).collect();
        running.into_iter().filter_map(|target| target.join().unwrap()).collect()
    });
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn every_folder_has_its_target() {
    for folder in fs::read_dir(folder("")).unwrap().flatten() {
        let name = folder.file_name().to_string_lossy().into_owned();
        assert!(TARGETS.iter().any(|(target, _)| *target == name), "{name} is no target");
    }
}

/// Writes the seeds anew; other files in the corpus stay.
#[test]
#[ignore = "writes into the source tree: run by make seeds"]
fn write_the_seeds() {
    for (target, name, bytes) in seeds::all() {
        assert!(TARGETS.iter().any(|(known, _)| *known == target), "{target}");
        fs::create_dir_all(folder(target)).unwrap();
        fs::write(folder(target).join(name), bytes).unwrap();
    }
}
