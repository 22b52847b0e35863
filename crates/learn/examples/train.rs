//! Trains a model without the command line: `cargo run --release -p learn --example train -- CORPUS… MODEL`.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let mut corpora: Vec<_> = std::env::args_os().skip(1).map(std::path::PathBuf::from).collect();
    let model = corpora.pop().filter(|_| !corpora.is_empty()).ok_or("give CORPUS… and MODEL")?;
    let data = learn::Data { corpora, ..learn::Data::default() };
    let options = learn::TrainOptions { data, ..learn::TrainOptions::default() };
    let mut last = None;
    let trained = learn::train(&options, &mut |progress| {
        if last.replace(progress.stage) != Some(progress.stage) {
            eprintln!("{}", progress.stage);
        }
    })?;
    std::fs::write(model, &trained.model)?;
    println!("{}\n{}", trained.model_id, trained.report);
    Ok(())
}
