//! `urva mute-rules`: shows what a rule would have muted before it is made, makes it, and takes it away again.
//!
//! Refuses: deciding what a rule means; the API's own methods do.

use crate::cli::{
    CreateRuleArgs, Format, Globals, MuteRulesCommand, PreviewRuleArgs, RuleAbout, UpdateRuleArgs,
};
use crate::config::Config;
use crate::table::{Column, table};
use crate::waiting::wait_for;
use crate::{ask, by_hand, card, clock, output};
use anyhow::{Context, Result, anyhow, ensure};
use server::protocol::v2::mute_config::MuteConfigType;
use server::protocol::v2::security_center_server::SecurityCenter;
use server::protocol::v2::{
    CreateMuteConfigRequest, DeleteMuteConfigRequest, GetMuteConfigRequest, ListMuteConfigsRequest,
    MuteConfig, UpdateMuteConfigRequest,
};
use server::{Local, Status, field_mask, timestamp, to_json};
use std::fmt::Write as _;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use store::filter::{Filter, quoted};
use store::{MutePreview, Store};

/// The most rules that are asked for at a time.
const PAGE: i32 = 1_000;
/// Among the findings of this time is looked for what a rule would mute.
const LOOKED_BACK: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Carries out `urva mute-rules …`.
pub(crate) fn run(command: &MuteRulesCommand, globals: &Globals) -> Result<ExitCode> {
    let config = globals.load_config()?;
    wait_for(async {
        let rules = Rules::open(command, config, globals).await?;
        match command {
            MuteRulesCommand::List { format } => rules.list(*format).await,
            MuteRulesCommand::Show { id, format } => rules.show(id, *format).await,
            MuteRulesCommand::Preview(args) => rules.preview(args).await,
            MuteRulesCommand::Create(args) => rules.create(args).await,
            MuteRulesCommand::Update(args) => rules.update(args).await,
            MuteRulesCommand::Delete { id } => rules.delete(id).await,
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The rules of a database, and the methods on them.
struct Rules {
    store: Arc<Store>,
    local: Local,
    parent: String,
}

impl Rules {
    async fn open(command: &MuteRulesCommand, config: Config, globals: &Globals) -> Result<Self> {
        let store = match command {
            MuteRulesCommand::List { .. } | MuteRulesCommand::Show { .. } | MuteRulesCommand::Preview(_) => {
                Store::open_read_only(globals.database()).await?
            }
            _ => Store::open_in(globals.database(), config.site()).await?,
        };
        let store = Arc::new(store);
        let local = by_hand::methods(Arc::clone(&store), &config);
        Ok(Self { store, local, parent: format!("projects/{}", config.scopes().project) })
    }

    async fn list(&self, format: Format) -> Result<()> {
        let mut rules = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = ListMuteConfigsRequest { parent: self.parent.clone(), page_size: PAGE, page_token };
            let page = self.local.methods().list_mute_configs(self.local.request(request)).await;
            let page = page.map_err(|status| explain(&status))?.into_inner();
            rules.extend(page.mute_configs);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        match format {
            Format::Json => {
                let rules: Vec<_> = rules.iter().map(to_json).collect::<Result<_, _>>()?;
                output::write_json(&mut std::io::stdout().lock(), &rules)?;
            }
            Format::Text => {
                let columns = [
                    Column::text("RULE"),
                    Column::text("TYPE"),
                    Column::text("EXPIRES"),
                    Column::cut("FILTER", 30),
                    Column::cut("DESCRIPTION", 16),
                ];
                let rows: Vec<Vec<String>> = rules.iter().map(cells).collect();
                let text = table(&columns, &rows, output::width(), "No mute rules.");
                anstream::stdout().lock().write_all(text.as_bytes())?;
            }
        }
        Ok(())
    }

    async fn show(&self, id: &str, format: Format) -> Result<()> {
        let rule = self.rule(id).await?;
        match format {
            Format::Json => output::write_json(&mut std::io::stdout().lock(), &to_json(&rule)?)?,
            Format::Text => {
                let mut text = String::new();
                for (name, value) in ["rule", "type", "expires", "filter", "about"].iter().zip(cells(&rule)) {
                    writeln!(text, "{name:<10}{value}")?;
                }
                writeln!(text, "{:<10}{}", "editor", card::shown_text(&rule.most_recent_editor))?;
                text += &described(&self.would_mute(&rule.filter).await?);
                anstream::stdout().lock().write_all(text.as_bytes())?;
            }
        }
        Ok(())
    }

    async fn preview(&self, args: &PreviewRuleArgs) -> Result<()> {
        let filter = filter(&args.about)?;
        let preview = self.would_mute(&filter).await?;
        match args.format {
            Format::Json => output::write_json(&mut std::io::stdout().lock(), &json(&filter, &preview))?,
            Format::Text => {
                let text = format!("filter    {}\n{}", card::shown_text(&filter), described(&preview));
                anstream::stdout().lock().write_all(text.as_bytes())?;
            }
        }
        Ok(())
    }

    async fn create(&self, args: &CreateRuleArgs) -> Result<()> {
        let filter = filter(&args.about)?;
        self.ask(&filter, args.yes).await?;
        let kind = if args.once { MuteConfigType::Static } else { MuteConfigType::Dynamic };
        let mut rule = MuteConfig {
            filter,
            description: args.description.clone().unwrap_or_default(),
            expiry_time: args.expires.map(|after| timestamp(clock::now().plus(after.duration()))),
            ..MuteConfig::default()
        };
        rule.set_type(kind);
        let request = CreateMuteConfigRequest {
            parent: self.parent.clone(),
            mute_config: Some(rule),
            mute_config_id: args.id.clone(),
        };
        self.local
            .methods()
            .create_mute_config(self.local.confirmed(request))
            .await
            .map_err(|status| explain(&status))?;
        self.local.finish().await?;
        anstream::eprintln!("urva: mute rule {} is in force", args.id);
        Ok(())
    }

    async fn update(&self, args: &UpdateRuleArgs) -> Result<()> {
        let mut rule = self.rule(&args.id).await?;
        let mut paths = Vec::new();
        if let Some(filter) = &args.filter {
            Filter::parse(filter).context("--filter")?;
            self.ask(filter, args.yes).await?;
            rule.filter.clone_from(filter);
            paths.push("filter".to_owned());
        }
        if let Some(description) = &args.description {
            rule.description.clone_from(description);
            paths.push("description".to_owned());
        }
        if let Some(after) = args.expires {
            rule.expiry_time = Some(timestamp(clock::now().plus(after.duration())));
            paths.push("expiry_time".to_owned());
        }
        let request =
            UpdateMuteConfigRequest { mute_config: Some(rule), update_mask: Some(field_mask(paths)) };
        self.local
            .methods()
            .update_mute_config(self.local.confirmed(request))
            .await
            .map_err(|status| explain(&status))?;
        self.local.finish().await?;
        anstream::eprintln!("urva: mute rule {} was changed", args.id);
        Ok(())
    }

    async fn delete(&self, id: &str) -> Result<()> {
        let request = DeleteMuteConfigRequest { name: self.name(id) };
        self.local
            .methods()
            .delete_mute_config(self.local.request(request))
            .await
            .map_err(|status| explain(&status))?;
        self.local.finish().await?;
        anstream::eprintln!("urva: mute rule {id} is gone");
        Ok(())
    }

    fn name(&self, id: &str) -> String {
        format!("{}/muteConfigs/{id}", self.parent)
    }

    async fn rule(&self, id: &str) -> Result<MuteConfig> {
        let request = GetMuteConfigRequest { name: self.name(id) };
        let rule = self.local.methods().get_mute_config(self.local.request(request)).await;
        Ok(rule.map_err(|status| explain(&status))?.into_inner())
    }

    async fn would_mute(&self, filter: &str) -> Result<MutePreview> {
        let filter = Filter::parse(filter).context("the rule's filter")?;
        Ok(self.store.preview_mute(&filter, clock::now().minus(LOOKED_BACK)).await?)
    }

    /// Shows what a rule would have muted, and asks; once more where that hides much.
    async fn ask(&self, filter: &str, yes: u8) -> Result<()> {
        let preview = self.would_mute(filter).await?;
        anstream::eprint!("{}", described(&preview));
        ask::whether_to_go_on("The rule will be in force at once.", "give --yes", yes >= 1)?;
        if preview.is_wide() {
            let reason =
                format!("It hides CRITICAL findings of {} namespaces.", preview.critical_namespace_count);
            ask::whether_to_go_on(&reason, "give --yes twice", yes >= 2)?;
        }
        Ok(())
    }
}

/// What a rule is about, as a filter.
fn filter(about: &RuleAbout) -> Result<String> {
    let RuleAbout { filter, script, image, namespace, workload, container } = about;
    let mut parts = Vec::new();
    if let Some(filter) = filter {
        ensure!(!Filter::parse(filter).context("--filter")?.is_empty(), "--filter would mute every finding");
        parts.push(format!("({filter})"));
    }
    let mut add = |property: &str, operator: &str, value: &str| {
        parts.push(format!("source_properties.{property} {operator} {}", quoted(value)));
    };
    if let Some(script) = script {
        add("Script_Captured_SHA256", "=", &script.to_ascii_lowercase());
    }
    if let Some(image) = image {
        add("Container_Image_Uri", "=", image);
    }
    if let Some(namespace) = namespace {
        add("Pod_Namespace", "=", namespace);
    }
    if let Some((namespace, name)) = workload {
        add("Pod_Namespace", "=", namespace);
        add("Pod_Name", ":", &format!("{name}-"));
    }
    if let Some(container) = container {
        add("Container_Name", "=", container);
    }
    let all = parts.join(" AND ");
    // In its one form, so that the rule reads as it is understood.
    Ok(Filter::parse(&all).context("what the options say together")?.to_string())
}

fn cells(rule: &MuteConfig) -> Vec<String> {
    let expires = rule.expiry_time.and_then(|time| to_json(&time).ok());
    let expires = expires.as_ref().and_then(|time| time.as_str()).unwrap_or("-");
    vec![
        card::shown_text(rule.name.rsplit('/').next().unwrap_or_default()),
        rule.r#type().as_str_name().to_lowercase(),
        card::shown_text(expires),
        card::shown_text(&rule.filter),
        card::shown_text(&rule.description),
    ]
}

/// What a rule would have muted, in lines.
fn described(preview: &MutePreview) -> String {
    let MutePreview { findings, critical, namespaces, namespace_count, examples, .. } = preview;
    if *findings == 0 {
        return "In the last 30 days it would have muted nothing.\n".to_owned();
    }
    let mut text = format!(
        "In the last 30 days it would have muted {findings} findings, {critical} of them CRITICAL, in {namespace_count} namespaces:\n"
    );
    for namespace in namespaces {
        let name =
            if namespace.name.is_empty() { "(no Pod)".to_owned() } else { card::shown_text(&namespace.name) };
        text += &format!("  {name}  {} findings, {} CRITICAL\n", namespace.findings, namespace.critical);
    }
    for example in examples {
        let words = [&example.category, &example.namespace, &example.pod, &example.container, &example.image];
        let words: Vec<String> =
            words.into_iter().filter(|word| !word.is_empty()).map(|word| card::shown_text(word)).collect();
        let id: String = example.id.chars().take(12).collect();
        text += &format!(
            "  e.g. {}  {}  {}\n",
            card::shown_text(&id),
            card::seconds(example.event_time),
            words.join("  ")
        );
    }
    text
}

fn json(filter: &str, preview: &MutePreview) -> serde_json::Value {
    let namespaces = preview.namespaces.iter().map(|namespace| {
        serde_json::json!({"name": namespace.name, "findings": namespace.findings, "critical": namespace.critical})
    });
    let examples = preview.examples.iter().map(|example| format!("{}/{}", example.source, example.id));
    serde_json::json!({
        "filter": filter,
        "days": LOOKED_BACK.as_secs() / 86_400,
        "findings": preview.findings,
        "critical": preview.critical,
        "namespaceCount": preview.namespace_count,
        "namespaces": namespaces.collect::<Vec<_>>(),
        "examples": examples.collect::<Vec<_>>(),
        "isWide": preview.is_wide(),
    })
}

fn explain(status: &Status) -> anyhow::Error {
    anyhow!("{}", status.message())
}
