//! Any text is a filter or an error that points into it; a filter prints as a text that means the same.
//! `cargo fuzz run filter` (with a stable compiler: `RUSTC_BOOTSTRAP=1 cargo fuzz run filter`)
#![no_main]

use libfuzzer_sys::fuzz_target;
use sockscope::filter::Filter;
use sockscope::table::TABLES;

fuzz_target!(|text: &str| {
    for table in TABLES {
        match Filter::parse(text, table) {
            Ok(f) => {
                let printed = f.to_string();
                let again = Filter::parse(&printed, table).expect("what was printed parses");
                assert_eq!(f, again, "{text:?} -> {printed:?}");
                let _ = f.pushdown();
            }
            Err(e) => {
                assert!(text.get(e.span.clone()).is_some(), "{text:?}: {e:?}");
                assert!(!e.message.chars().any(char::is_control), "{e:?}");
            }
        }
    }
});
