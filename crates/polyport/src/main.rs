//! The `polyport` command.

fn main() -> std::process::ExitCode {
    polyport::cli::main()
}
