//! The command `podwait`.

use std::process::ExitCode;

fn main() -> ExitCode {
    podwait_cli::main("podwait")
}
