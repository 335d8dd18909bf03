//! `chaski`: the command line. It wires; the commands are in `command`, each in a file of its own.

mod client;
mod command;
mod output;

use std::process::ExitCode;

use tokio::runtime::Builder;

use command::Cli;

/// A message is made of some hundred small texts, on threads that hand them to each other.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<ExitCode> {
    let cli = Cli::read();
    let runtime = if cli.serves() {
        chaski_serve::runtime("door")?
    } else {
        Builder::new_current_thread().enable_all().build()?
    };
    let code = match runtime.block_on(cli.run()) {
        Ok(()) => 0,
        Err(failure) => {
            if let Some(words) = failure.words() {
                output::talk(&format!("chaski: {words}"));
            }
            failure.exit_code()
        }
    };
    // A thread may still wait for a line on standard input; nobody waits for it.
    runtime.shutdown_background();
    Ok(ExitCode::from(code))
}
