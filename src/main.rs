//! Turns the result of a command into an exit code; nothing else happens here.

fn main() -> std::process::ExitCode {
    hactl::cli::main()
}
