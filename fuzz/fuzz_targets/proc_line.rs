//! Any bytes as `/proc/net/tcp`: every line is a socket or counted, never a crash.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sockscope::collect::{Choice, Engines, open};
use sockscope::model::{FaultKind, Netns, Wants};

fuzz_target!(|bytes: &[u8]| {
    let dir = std::env::temp_dir().join(format!("sockscope-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(dir.join("net")).expect("a folder");
    std::fs::write(dir.join("net/tcp"), bytes).expect("a file");
    let sample = open(Choice::Auto, Some(&dir), Netns::Here, None, Engines::Off).and_then(|mut s| s.sample(&Wants::default())).expect("a sample");
    // At most: a line of titles is neither, and a row that stands there twice is one socket.
    let lines = bytes.split_inclusive(|b| *b == b'\n').count();
    assert!(sample.sockets.len() + sample.faults.count(FaultKind::Malformed) as usize <= lines);
});
