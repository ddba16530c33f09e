//! A service whose calls are told to an observer.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use tonic::body::Body;
use tonic::codegen::Service;
use tonic::codegen::http::{Request, Response};
use tonic::server::NamedService;
use tonic::{Code, Status};

use crate::server::{Answered, Observer};

/// All methods there are, behind the name of the package.
const METHODS: [&str; 13] = [
    "Kv/Get",
    "Kv/Scan",
    "Kv/Put",
    "Kv/Delete",
    "Kv/OpenSession",
    "Kv/Session",
    "Replication/Link",
    "Coordination/Join",
    "Coordination/GetRoute",
    "Coordination/WatchRoute",
    "Admin/Order",
    "Admin/GetStatus",
    OTHER,
];
const PACKAGE: &str = "/catena.v1.";
const OTHER: &str = "other";

/// Tells `observer` of every call of `service`.
pub(crate) fn counted<S>(service: S, observer: &Observer) -> Counted<S> {
    Counted { service, observer: observer.clone() }
}

#[derive(Clone)]
pub(crate) struct Counted<S> {
    service: S,
    observer: Observer,
}

impl<S: NamedService> NamedService for Counted<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Counted<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Unpin,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Counting<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (method, began) = (known(request.uri().path()), Instant::now());
        Counting { answer: self.service.call(request), observer: self.observer.clone(), method, began }
    }
}

pub(crate) struct Counting<F> {
    answer: F,
    observer: Observer,
    method: &'static str,
    began: Instant,
}

impl<F, E> Future for Counting<F>
where
    F: Future<Output = Result<Response<Body>, E>> + Unpin,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = ready!(Pin::new(&mut self.answer).poll(context));
        if let Ok(response) = &answer {
            // One that succeeds says so behind its body.
            let code = Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code());
            (self.observer)(Answered { method: self.method, code, took: self.began.elapsed() });
        }
        Poll::Ready(answer)
    }
}

fn known(path: &str) -> &'static str {
    let name = path.strip_prefix(PACKAGE).unwrap_or_default();
    METHODS.into_iter().find(|method| *method == name).unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_that_there_is_not_gets_no_name_of_its_own() {
        assert_eq!(known("/catena.v1.Kv/Get"), "Kv/Get");
        for path in ["/catena.v1.Kv/Got", "/Kv/Get", "/catena.v2.Kv/Get", "", "/"] {
            assert_eq!(known(path), OTHER, "{path}");
        }
    }

    #[test]
    fn every_method_of_the_protocol_is_known() {
        let protos = ["kv", "replication", "coordination", "admin"].map(|name| format!("proto/catena/v1/{name}.proto"));
        let text: String = protos.iter().map(|file| std::fs::read_to_string(file).expect("a file of the protocol")).collect();
        let mut service = "";
        let mut found = Vec::new();
        for line in text.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix("service ") {
                service = name.trim_end_matches([' ', '{']);
            } else if let Some((name, _)) = line.strip_prefix("rpc ").and_then(|rest| rest.split_once('(')) {
                found.push(format!("{service}/{name}"));
            }
        }
        assert_eq!(found.len(), METHODS.len() - 1, "{found:?}");
        assert!(found.iter().all(|method| METHODS.contains(&method.as_str())), "{found:?}");
    }
}
