//! The binary: everything is in the library.

fn main() -> std::process::ExitCode {
    photos_agent::cli::main()
}
