//! The `sockscope` program: all of it is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    sockscope::app::main(std::env::args_os())
}
