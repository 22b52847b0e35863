//! The `urva` command: reads the command line and the config, and hands over to what was asked for.
//!
//! Owns: arguments, config, output to people, exit codes, and the wiring of the library crates.
//! Refuses: logic that a library crate could own.

mod ask;
mod audit;
mod backup;
mod by_hand;
mod card;
mod cli;
mod clock;
mod config;
mod doctor;
mod findings;
mod model;
mod mute_rules;
mod output;
mod outputs;
mod run;
mod scan;
mod status;
mod table;
mod tokens;
mod train;
mod waiting;

use clap::{CommandFactory, Parser};
use cli::{Cli, Command};
use std::process::ExitCode;

fn main() -> ExitCode {
    // Nothing but the exec itself is wanted of it.
    if std::env::args_os().nth(1).is_some_and(|argument| argument == run::CANARY) {
        return ExitCode::SUCCESS;
    }
    match run(&Cli::parse()) {
        Ok(code) => code,
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            anstream::eprintln!("urva: {error:#}");
            cli::ERROR.into()
        }
    }
}

fn run(cli: &Cli) -> anyhow::Result<ExitCode> {
    let globals = &cli.globals;
    match &cli.command {
        Command::Run(args) => run::run(args, globals),
        Command::Process(args) => run::process(args, globals),
        Command::Findings(command) => findings::run(command, globals),
        Command::Audit(args) => audit::run(args, globals),
        Command::MuteRules(command) => mute_rules::run(command, globals),
        Command::Status(args) => status::run(args, globals),
        Command::Tokens(command) => tokens::run(command, globals),
        Command::Backup(args) => backup::backup(args, globals),
        Command::Restore(args) => backup::restore(args, globals),
        Command::Outputs(command) => outputs::run(command, globals),
        Command::Scan(args) => scan::run(args, globals),
        Command::Train(args) => train::train(args),
        Command::Eval(args) => train::eval(args),
        Command::Doctor(args) => doctor::run(args, globals),
        Command::Config(command) => config::run(*command, globals),
        Command::Completion { shell } => {
            clap_complete::generate(*shell, &mut Cli::command(), "urva", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
    }
}
