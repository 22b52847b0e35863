//! `urva train` and `urva eval`: makes and measures a model on a corpus, with a progress bar on a terminal.

use crate::cli::{EvalArgs, Format, TrainArgs, TrainingArgs};
use crate::output;
use anyhow::{Context, Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use learn::{EvalOptions, Progress, Stage, TrainOptions};
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::process::ExitCode;

/// Carries out `urva train`.
pub(crate) fn train(args: &TrainArgs) -> Result<ExitCode> {
    // An hour of work must not end at a file that cannot be written.
    let mut file = create(&args.output, args.force)?;
    let mut options = options(&args.training);
    options.corpora.clone_from(&args.corpora);
    options.name.clone_from(&args.name);
    let bar = Bar::new();
    let trained = learn::train(&options, &mut |progress| bar.show(progress));
    bar.clear();
    let written = trained.map_err(anyhow::Error::from).and_then(|trained| {
        file.write_all(&trained.model)
            .and_then(|()| file.sync_all())
            .with_context(|| writing(&args.output))?;
        Ok(trained)
    });
    let trained = match written {
        Ok(trained) => trained,
        Err(error) => {
            // Half a model is worse than none; that it cannot be removed either adds nothing to the error.
            let _ = std::fs::remove_file(temporary(&args.output));
            return Err(error);
        }
    };
    std::fs::rename(temporary(&args.output), &args.output).with_context(|| writing(&args.output))?;
    match args.format {
        Format::Json => output::write_json(&mut std::io::stdout().lock(), &trained.report)?,
        Format::Text => {
            let model = format!("Model {} written to {}\n\n", trained.model_id, args.output.display());
            write!(std::io::stdout().lock(), "{model}{}", trained.report)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Carries out `urva eval`.
pub(crate) fn eval(args: &EvalArgs) -> Result<ExitCode> {
    let options = EvalOptions { split: args.split.into(), training: options(&args.training) };
    let bar = Bar::new();
    let report = learn::evaluate(&args.corpora, &options, &mut |progress| bar.show(progress));
    bar.clear();
    let report = report?;
    match args.format {
        Format::Json => output::write_json(&mut std::io::stdout().lock(), &report)?,
        Format::Text => write!(std::io::stdout().lock(), "{report}")?,
    }
    Ok(ExitCode::SUCCESS)
}

fn options(args: &TrainingArgs) -> TrainOptions {
    TrainOptions { seed: args.seed, folds: args.folds, ..TrainOptions::default() }
}

/// The file that the model is written to before it takes its name.
fn create(output: &Path, force: bool) -> Result<File> {
    if output.exists() && !force {
        bail!("{} exists: give --force to replace it, or another name", output.display());
    }
    let path = temporary(output);
    match File::options().write(true).create_new(true).open(&path) {
        Ok(file) => Ok(file),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            bail!("{} exists: another urva is training, or one was ended: remove it then", path.display())
        }
        Err(error) => Err(error).with_context(|| writing(output)),
    }
}

fn temporary(output: &Path) -> std::path::PathBuf {
    let mut name = output.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

fn writing(output: &Path) -> String {
    format!("the model cannot be written to {}", output.display())
}

/// A bar on standard error; nothing where that is no terminal.
struct Bar {
    bar: ProgressBar,
}

impl Bar {
    fn new() -> Self {
        let bar = ProgressBar::new(0);
        if let Ok(style) = ProgressStyle::with_template("{msg:<34} [{bar:30}] {percent:>3} %  {elapsed}") {
            bar.set_style(style.progress_chars("=> "));
        }
        Self { bar }
    }

    fn show(&self, progress: Progress) {
        self.bar.set_length(progress.total);
        self.bar.set_position(progress.done);
        self.bar.set_message(words(progress.stage));
    }

    fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

fn words(stage: Stage) -> String {
    match stage {
        Stage::Reading => "reading the corpus".to_owned(),
        Stage::Fold(language) => format!("{language}: next part"),
        Stage::Features(language) => format!("{language}: features of whole texts"),
        Stage::Windows(language) => format!("{language}: features of windows"),
        Stage::Solving(language) => format!("{language}: solving for the weights"),
        Stage::Judging(language) => format!("{language}: judging held-out texts"),
    }
}
