fn main() -> std::process::ExitCode {
    eyrie::cli::main()
}
