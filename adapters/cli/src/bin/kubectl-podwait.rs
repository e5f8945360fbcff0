//! The command `podwait` as a plugin of kubectl: `kubectl podwait wait POD`.

use std::process::ExitCode;

fn main() -> ExitCode {
    podwait_cli::main("kubectl podwait")
}
