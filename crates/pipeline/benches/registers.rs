//! `./dev bench registers`: see `pipeline::registers`.

fn main() -> std::process::ExitCode {
    pipeline::registers::main()
}
