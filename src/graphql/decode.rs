//! Requests out of bytes, bounded before they are read.

use std::time::Duration;

use async_graphql::BatchRequest;
use async_graphql_axum::GraphQLBatchRequest;
use async_graphql_axum::rejection::GraphQLRejection;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest as _, Request};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use backchannel_schema::{Asked, GraphQlRequest, Sent};
use http_body_util::{BodyExt as _, Limited};
use serde::de::DeserializeOwned;

use super::answer::Refusal;

/// Largest body, in bytes.
pub(super) const BODY_BYTES: usize = 1_024 * 1_024;
/// Most operations in one request.
pub(super) const BATCH: usize = 10;
/// How long a body may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(20);
/// How much of a body that was refused is still taken off the wire, and for how long: a
/// client that is cut off while it writes never reads the answer.
const DISCARD: (u64, Duration) = (16 * 1_024 * 1_024, Duration::from_secs(5));

/// Headers that make a browser ask before it sends a form to us.
pub(crate) const PREFLIGHT: [&str; 3] = [
    "graphql-require-preflight",
    "apollo-require-preflight",
    "x-apollo-operation-name",
];

/// One request, or several to be answered in order.
pub(super) enum Decoded {
    One(GraphQlRequest),
    Batch(Vec<GraphQlRequest>),
}

/// A POST.
pub(super) async fn post(request: Request) -> Result<Decoded, Refusal> {
    let (parts, body) = request.into_parts();
    let kind = content_type(&parts.headers)?;
    let length = parts
        .headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: usize| length > BODY_BYTES) {
        discard(body);
        return Err(too_large());
    }
    let bytes = collect(body).await?;
    match kind {
        ContentType::Json => json(&bytes),
        ContentType::Form => form(Request::from_parts(parts, Body::from(bytes))).await,
    }
}

enum ContentType {
    Json,
    /// GraphQL multipart request, which carries uploads.
    Form,
}

fn content_type(headers: &HeaderMap) -> Result<ContentType, Refusal> {
    let unsupported = |message| Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message);
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let mut parts = value
        .split(';')
        .map(|part| part.trim().to_ascii_lowercase());
    match parts.next().as_deref() {
        Some("application/json") => {
            let charset = parts.find_map(|part| part.strip_prefix("charset=").map(str::to_owned));
            match charset.as_deref().map(|charset| charset.trim_matches('"')) {
                None | Some("utf-8" | "utf8") => Ok(ContentType::Json),
                Some(_) => Err(unsupported("the charset must be utf-8")),
            }
        }
        // Any page can send a form anywhere, with no question asked beforehand.
        Some("multipart/form-data") if PREFLIGHT.iter().any(|name| headers.contains_key(*name)) => {
            Ok(ContentType::Form)
        }
        Some("multipart/form-data") => Err(unsupported(
            "a form needs the header `graphql-require-preflight: true`",
        )),
        _ => Err(unsupported("the content type must be application/json")),
    }
}

fn too_large() -> Refusal {
    Refusal::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("the body has more than {BODY_BYTES} bytes"),
    )
}

async fn collect(body: Body) -> Result<Bytes, Refusal> {
    let mut limited = Limited::new(body, BODY_BYTES);
    let arrival = tokio::time::timeout(ARRIVAL, (&mut limited).collect());
    match arrival.await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Refusal::bad_request("the body did not arrive whole")),
        Err(_) => Err(Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            "the body took too long to arrive",
        )),
    }
}

/// Takes the rest of a refused body off the wire, within bounds, while the answer goes out.
pub(super) fn discard(mut body: Body) {
    tokio::spawn(tokio::time::timeout(DISCARD.1, async move {
        let mut left = DISCARD.0;
        while let Some(Ok(frame)) = body.frame().await {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            match left.checked_sub(bytes as u64) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    }));
}

fn json(bytes: &[u8]) -> Result<Decoded, Refusal> {
    let is_batch = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    if is_batch {
        let requests: Vec<GraphQlRequest> = serde_json::from_slice(bytes).map_err(malformed)?;
        return batch(requests);
    }
    serde_json::from_slice(bytes)
        .map(Decoded::One)
        .map_err(malformed)
}

fn batch(requests: Vec<GraphQlRequest>) -> Result<Decoded, Refusal> {
    if requests.is_empty() || requests.len() > BATCH {
        return Err(Refusal::bad_request(format!(
            "a batch has 1 to {BATCH} requests"
        )));
    }
    Ok(Decoded::Batch(requests))
}

#[expect(clippy::needless_pass_by_value, reason = "passed to map_err")]
fn malformed(error: serde_json::Error) -> Refusal {
    Refusal::bad_request(format!("the body is not a GraphQL request: {error}"))
}

/// The GraphQL multipart request specification, as async-graphql-axum reads it.
async fn form(request: Request) -> Result<Decoded, Refusal> {
    let unreadable = || Refusal::bad_request("the form is not a GraphQL multipart request");
    let request = GraphQLBatchRequest::from_request(request, &()).await;
    let request = request
        .map_err(|_: GraphQLRejection| unreadable())?
        .into_inner();
    let one = |request: async_graphql::Request| GraphQlRequest {
        document: Asked::Text(request.query),
        operation_name: request.operation_name,
        variables: request.variables,
    };
    match request {
        BatchRequest::Single(request) => Ok(Decoded::One(one(request))),
        BatchRequest::Batch(requests) => batch(requests.into_iter().map(one).collect()),
    }
}

/// A GET: the request is in the query string.
pub(super) fn get(query: &str) -> Result<GraphQlRequest, Refusal> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Parameters {
        query: Option<String>,
        document_id: Option<String>,
        operation_name: Option<String>,
        variables: Option<String>,
        extensions: Option<String>,
    }
    let uri = format!("/?{query}")
        .parse()
        .map_err(|_| Refusal::bad_request("the query string is malformed"))?;
    let axum::extract::Query(parameters) =
        axum::extract::Query::<Parameters>::try_from_uri(&uri)
            .map_err(|_| Refusal::bad_request("the query string is malformed"))?;
    let sent = Sent {
        query: parameters.query,
        document_id: parameters.document_id,
        operation_name: parameters.operation_name.filter(|name| !name.is_empty()),
        variables: object("variables", parameters.variables)?,
        extensions: object("extensions", parameters.extensions)?,
    };
    GraphQlRequest::try_from(sent).map_err(Refusal::bad_request)
}

/// An object in JSON. An empty value is how forms and some clients leave a parameter out.
fn object<T: DeserializeOwned>(name: &str, value: Option<String>) -> Result<Option<T>, Refusal> {
    let value = value.filter(|value| !value.is_empty());
    value
        .map(|value| serde_json::from_str(&value))
        .transpose()
        .map(Option::flatten)
        .map_err(|_| Refusal::bad_request(format!("`{name}` must be a JSON object")))
}
