//! Findings are listed and grouped.

use super::{Call, Service, explain, page};
use crate::json;
use crate::mask::{self, Path};
use crate::name::SourceName;
use crate::protocol::v2::list_findings_response::ListFindingsResult;
use crate::protocol::v2::list_findings_response::list_findings_result::Resource;
use crate::protocol::v2::{self, Finding};
use crate::refusal::Refusal;
use prost_types::FieldMask;
use serde_json::Value;
use std::borrow::Cow;
use store::filter::Filter;
use store::{Grouping, Listing, Order, Stored};

/// `ListFindings`.
pub(super) async fn list(
    service: &Service,
    _: &Call,
    request: v2::ListFindingsRequest,
) -> Result<v2::ListFindingsResponse, Refusal> {
    let source = source_of(service, &request.parent)?;
    let wanted = Wanted::read(request.field_mask.as_ref())?;
    let listing = Listing {
        source,
        filter: filter("filter", &request.filter)?,
        order: Order::parse(&request.order_by)
            .map_err(|error| Refusal::malformed("order_by", error.to_string()))?,
        limit: page::size(request.page_size)?,
        token: Some(request.page_token).filter(|token| !token.is_empty()),
        with_contents: wanted.has_field("processes"),
    };
    let listed = service.store.list(&listing).await.map_err(|error| explain(error, &request.parent))?;
    let count = service.store.count(listing.source.as_deref(), &listing.filter).await;
    let count = count.map_err(|error| explain(error, &request.parent))?;
    let named = listed.findings.iter().map(|stored| {
        let name = format!("findings/{}/{}", stored.source, stored.id);
        (name, wanted.result(stored))
    });
    Ok(v2::ListFindingsResponse {
        list_findings_results: service.readable(named),
        next_page_token: listed.next.unwrap_or_default(),
        total_size: i32::try_from(count).unwrap_or(i32::MAX),
    })
}

/// `GroupFindings`.
pub(super) async fn group(
    service: &Service,
    _: &Call,
    request: v2::GroupFindingsRequest,
) -> Result<v2::GroupFindingsResponse, Refusal> {
    let source = source_of(service, &request.parent)?;
    let filter = filter("filter", &request.filter)?;
    let by = Grouping::parse(&request.group_by);
    let by = by.map_err(|error| Refusal::malformed("group_by", error.to_string()))?;
    let size = page::size(request.page_size)?;
    let token = Some(request.page_token.as_str());
    let grouped = service.store.group(source.as_deref(), &filter, &by, size, token).await;
    let grouped = grouped.map_err(|error| explain(error, &request.parent))?;
    let results = grouped.groups.into_iter().map(|group| v2::GroupResult {
        properties: group
            .properties
            .iter()
            .map(|(name, value)| (name.clone(), json::to_value(value)))
            .collect(),
        count: i64::try_from(group.count).unwrap_or(i64::MAX),
    });
    Ok(v2::GroupFindingsResponse {
        group_by_results: results.collect(),
        next_page_token: grouped.next.unwrap_or_default(),
        total_size: i32::try_from(grouped.total).unwrap_or(i32::MAX),
    })
}

fn source_of(service: &Service, parent: &str) -> Result<Option<String>, Refusal> {
    let name = SourceName::parse("parent", parent)?;
    service.scopes.check(&name.scope)?;
    Ok(name.source)
}

/// Reads a filter that stands in `field`.
pub(super) fn filter(field: &str, text: &str) -> Result<Filter, Refusal> {
    Filter::parse(text).map_err(|error| Refusal::malformed(field, error.to_string()))
}

/// The finding as the protocol has it.
pub(super) fn message(stored: &Stored) -> Result<Finding, Refusal> {
    json::to_message(&stored.document)
}

/// Which fields of findings and resources are wanted; all where a list is empty.
struct Wanted {
    finding: Vec<Path>,
    resource: Vec<Path>,
}

impl Wanted {
    /// A path is one of the finding's, or says with `finding.` or `resource.` whose it is.
    fn read(mask: Option<&FieldMask>) -> Result<Self, Refusal> {
        let empty = FieldMask::default();
        let (resource, finding): (Vec<&String>, Vec<&String>) =
            mask.unwrap_or(&empty).paths.iter().partition(|path| path.starts_with("resource."));
        let strip = |paths: Vec<&String>, prefix: &str| FieldMask {
            paths: paths.iter().map(|path| path.strip_prefix(prefix).unwrap_or(path).to_owned()).collect(),
        };
        Ok(Self {
            finding: mask::read(&json::descriptor::<Finding>()?, "field_mask", &strip(finding, "finding."))?,
            resource: mask::read(
                &json::descriptor::<Resource>()?,
                "field_mask",
                &strip(resource, "resource."),
            )?,
        })
    }

    fn has_field(&self, field: &str) -> bool {
        self.finding.is_empty() || self.finding.iter().any(|path| path.field() == field)
    }

    fn result(&self, stored: &Stored) -> Result<ListFindingsResult, String> {
        fn only<'a>(document: &'a Value, paths: &[Path]) -> Cow<'a, Value> {
            match paths {
                [] => Cow::Borrowed(document),
                paths => Cow::Owned(mask::keep(document, paths)),
            }
        }
        Ok(ListFindingsResult {
            finding: Some(json::read(&only(&stored.document, &self.finding))?),
            resource: Some(json::read(&only(&stored.resource, &self.resource))?),
        })
    }
}
