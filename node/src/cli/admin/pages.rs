//! What is answered under which path.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::header::{CONNECTION, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use catena_net::server::Readiness;
use serde::Serialize;

use super::shared::Shared;
use super::{Process, page};
use crate::monitor::{NoState, Window};

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const JSON: &str = "application/json";

/// What a node has at `/`; the coordinator, which knows the cluster, has a page.
const NODE: &str = "\
A storage node of Catena. There are:
  /livez            whether it runs
  /readyz           whether it can do its work, and why not
  /metrics          figures, as OpenMetrics text
  /admin/v1/state   everything it knows, as JSON
The page on the whole cluster is at / of the coordinator's admin HTTP.
";

/// What there is to show of a process.
struct Shown<S> {
    process: Process,
    window: Window<S>,
    metrics: Shared,
    state: Shared,
}

/// A state, and what goes with that of any process.
#[derive(Serialize)]
struct Account<'a, S> {
    process: &'static str,
    version: &'static str,
    ready: bool,
    /// Why it is not.
    reason: Option<&'a str>,
    #[serde(flatten)]
    state: Option<S>,
}

pub(super) fn router<S: Serialize + Send + 'static>(process: Process, window: Window<S>) -> Router {
    let root = match process {
        Process::Coordinator => page::routes(),
        Process::Node => Router::new().route("/", get(async || NODE)),
    };
    let shown = Shown { process, window, metrics: Shared::default(), state: Shared::default() };
    root.route("/livez", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/admin/v1/state", get(state))
        .fallback(async || (StatusCode::NOT_FOUND, "there are /, /livez, /readyz, /metrics and /admin/v1/state\n"))
        .layer(map_response(closing))
        .with_state(Arc::new(shown))
}

/// One answer a connection: places are few.
async fn closing(mut response: Response) -> Response {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

async fn readyz<S>(State(shown): State<Arc<Shown<S>>>) -> Response {
    match unready(shown.window.readiness()) {
        None => "ok\n".into_response(),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")).into_response(),
    }
}

async fn metrics<S>(State(shown): State<Arc<Shown<S>>>) -> Response {
    let made = async { Ok::<_, Infallible>(Bytes::from(shown.window.metrics().await)) };
    match shown.metrics.get(made).await {
        Ok(text) => typed(OPEN_METRICS, text),
        Err(never) => match never {},
    }
}

async fn state<S: Serialize + Send + 'static>(State(shown): State<Arc<Shown<S>>>) -> Response {
    let made = async { Ok(rendered(shown.process, shown.window.readiness(), Some(shown.window.state().await?)).await) };
    match shown.state.get(made).await {
        Ok(text) => typed(JSON, text),
        Err(why) => {
            let readiness = match why {
                NoState::Starting(why) => Readiness::Starting(why),
                NoState::Silent => Readiness::Unready("its driver does not answer"),
            };
            let text = rendered::<S>(shown.process, readiness, None).await;
            (StatusCode::SERVICE_UNAVAILABLE, typed(JSON, text)).into_response()
        }
    }
}

/// A state as JSON, made on a thread for blocking work: that of many slots has megabytes.
async fn rendered<S: Serialize + Send + 'static>(process: Process, readiness: Readiness, state: Option<S>) -> Bytes {
    let reason = unready(readiness);
    let account = Account { process: process.name(), version: env!("CARGO_PKG_VERSION"), ready: reason.is_none(), reason, state };
    let made = tokio::task::spawn_blocking(move || serde_json::to_vec(&account).expect("texts and numbers are JSON"));
    made.await.expect("it does not panic, and nobody cancels it").into()
}

fn unready(readiness: Readiness) -> Option<&'static str> {
    match readiness {
        Readiness::Ready => None,
        Readiness::Starting(why) | Readiness::Unready(why) => Some(why),
    }
}

fn typed(kind: &'static str, body: Bytes) -> Response {
    ([(CONTENT_TYPE, kind)], body).into_response()
}
