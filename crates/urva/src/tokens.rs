//! `urva tokens`: makes, lists and revokes tokens of the API.
//!
//! Refuses: showing a token a second time. Nobody has it but who was shown it.

use crate::cli::{CreateTokenArgs, Format, Globals, TokensCommand};
use crate::config::Config;
use crate::waiting::wait_for;
use crate::{by_hand, clock, output};
use anyhow::{Result, anyhow, ensure};
use evidence::Timestamp;
use evidence::text::escape;
use server::token::Token;
use std::io::Write;
use std::process::ExitCode;
use store::{By, KeptToken, NewToken, Store};

/// Carries out `urva tokens …`.
pub(crate) fn run(command: &TokensCommand, globals: &Globals) -> Result<ExitCode> {
    let config = globals.load_config()?;
    wait_for(async {
        match command {
            TokensCommand::Create(args) => create(args, &config, globals).await,
            TokensCommand::List { format } => list(*format, globals).await,
            TokensCommand::Revoke { id } => revoke(*id, &config, globals).await,
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

async fn create(args: &CreateTokenArgs, config: &Config, globals: &Globals) -> Result<()> {
    let lasts = args.expires.duration();
    ensure!(!lasts.is_zero(), "a token that never expires is not made: give --expires a time such as 90d");
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|error| anyhow!("the kernel gives no random bytes: {error}"))?;
    let token = Token::from_random(&random);
    let created_at = clock::now();
    let new = NewToken {
        name: args.name.clone(),
        role: args.role.to_string(),
        sha256: token.hash(),
        created_at,
        expires_at: created_at.plus(lasts),
    };
    let store = Store::open_in(globals.database(), config.site()).await?;
    let id = store.add_token(&new, &by_hand::actor()).await?;
    anstream::eprintln!("Token {id}, {}, until {}. It is shown this once:", args.role, new.expires_at);
    writeln!(std::io::stdout(), "{}", token.reveal())?;
    Ok(())
}

async fn list(format: Format, globals: &Globals) -> Result<()> {
    let tokens = Store::open_read_only(globals.database()).await?.tokens().await?;
    let now = clock::now();
    let mut out = std::io::stdout().lock();
    match format {
        Format::Json => {
            let tokens: Vec<_> = tokens.iter().map(|token| json(token, now)).collect();
            output::write_json(&mut out, &tokens)?;
        }
        Format::Text => {
            writeln!(out, "{:>4}  {:<9}  {:<8}  {:<30}  NAME", "ID", "ROLE", "STATE", "EXPIRES")?;
            for token in &tokens {
                let (id, state, expires) = (token.id, state(token, now), token.expires_at.to_string());
                // Both may have come with a database of somebody else.
                let (role, name) = (escape(token.role.as_bytes()).to_string(), escape(token.name.as_bytes()));
                writeln!(out, "{id:>4}  {role:<9}  {state:<8}  {expires:<30}  {name}")?;
            }
        }
    }
    Ok(())
}

async fn revoke(id: i64, config: &Config, globals: &Globals) -> Result<()> {
    let by = By { actor: &by_hand::actor(), at: clock::now() };
    let revoked = Store::open_in(globals.database(), config.site()).await?.revoke_token(id, &by).await?;
    ensure!(revoked, "there is no token {id} that is not revoked: `urva tokens list` shows all");
    anstream::eprintln!("Token {id} opens nothing any more.");
    Ok(())
}

fn state(token: &KeptToken, now: Timestamp) -> &'static str {
    match token {
        token if token.revoked_at.is_some() => "revoked",
        token if !token.is_valid(now) => "expired",
        _ => "valid",
    }
}

fn json(token: &KeptToken, now: Timestamp) -> serde_json::Value {
    serde_json::json!({
        "id": token.id,
        "name": token.name,
        "role": token.role,
        "state": state(token, now),
        "createTime": token.created_at.to_string(),
        "expireTime": token.expires_at.to_string(),
        "revokeTime": token.revoked_at.map(|time| time.to_string()),
    })
}
