//! The plugin's binary: the runtime starts it once for each call.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    ferrule_cni::plugin::run()
}
