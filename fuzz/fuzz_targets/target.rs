//! The fuzz target with the name of this program: `cargo fuzz run -s none NAME fuzz/corpus/NAME fuzz/seeds/NAME`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| sockscope::fuzzing::run(env!("CARGO_BIN_NAME"), bytes));
