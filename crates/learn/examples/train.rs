//! Trains a model without the command line: `cargo run --release -p learn --example train -- CORPUS MODEL`.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let [corpus, model] =
        std::env::args().skip(1).collect::<Vec<_>>().try_into().map_err(|_| "give CORPUS and MODEL")?;
    let options = learn::TrainOptions { corpora: vec![corpus.into()], ..learn::TrainOptions::default() };
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
