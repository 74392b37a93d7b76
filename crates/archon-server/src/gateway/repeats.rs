//! Marks calls that may be sent again, where the operator trusts an upstream's word for it: the tool only
//! reads, or is idempotent (MCP 2025-11-25, Tools, ToolAnnotations; "clients MUST consider tool annotations
//! to be untrusted unless they come from trusted servers").

use std::sync::Arc;
use std::task::{Context, Poll};

use archon_sessions::layer::{CallFailed, InnerRequest, Repeatable, codes};
use archon_sessions::protocol::Envelope;
use tower::{Layer, Service, layer::layer_fn};

use super::catalog::Catalog;
use super::wire::{Answer, Answering, Relay, message};

/// See the module.
#[derive(Clone)]
pub struct Repeats<U> {
    upstream: U,
    /// `None` where the upstream's word is not trusted: then everything passes.
    trusted: Option<Arc<Catalog>>,
}

impl<U> Repeats<U> {
    /// Returns the layer for the upstream with these tools.
    pub fn layer(catalog: Arc<Catalog>, is_trusted: bool) -> impl Layer<U, Service = Repeats<U>> {
        let trusted = is_trusted.then_some(catalog);
        layer_fn(move |upstream| Repeats { upstream, trusted: trusted.clone() })
    }
}

impl<U: Relay> Service<InnerRequest> for Repeats<U> {
    type Response = Answer;
    type Error = CallFailed;
    type Future = Answering;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), CallFailed>> {
        self.upstream.poll_ready(context)
    }

    fn call(&mut self, request: InnerRequest) -> Answering {
        match &self.trusted {
            Some(catalog) if message(&request).and_then(Envelope::tool).is_some() => {
                Box::pin(call(catalog.clone(), self.upstream.clone(), request))
            }
            Some(_) | None => self.upstream.call(request),
        }
    }
}

/// Passes a call on, and says of its answer, or of its failure, that it may be repeated.
async fn call<U: Relay>(
    catalog: Arc<Catalog>,
    mut upstream: U,
    request: InnerRequest,
) -> Result<Answer, CallFailed> {
    catalog.ask(&mut upstream, &request).await;
    let called = message(&request).and_then(Envelope::tool);
    let is_repeatable = called.is_some_and(|called| catalog.is_repeatable(called));
    match upstream.call(request).await {
        Ok(mut answer) if is_repeatable => {
            answer.extensions_mut().insert(Repeatable);
            Ok(answer)
        }
        Err(failed) if failed.code == codes::OUTCOME_UNKNOWN => {
            Err(CallFailed { is_repeatable, ..failed })
        }
        answered => answered,
    }
}

#[cfg(test)]
mod tests {
    use archon_sessions::layer::Exchange;
    use archon_sessions::protocol::Message;
    use archon_sessions::session::{Era, Principal};
    use bytes::Bytes;
    use tower::service_fn;

    use super::super::catalog::Page;
    use super::*;

    const TOOLS: &[u8] =
        br#"{"result":{"tools":[{"name":"a","annotations":{"readOnlyHint":true}},{"name":"b"}]}}"#;

    #[tokio::test]
    async fn a_lost_call_may_be_repeated_where_its_tool_says_so_and_is_trusted() {
        for (tool, is_trusted, expected) in
            [("a", true, true), ("a", false, false), ("b", true, false)]
        {
            let catalog = Arc::new(Catalog::default());
            catalog.learn(&Page::read(TOOLS).unwrap(), true);
            let lost = service_fn(|_: InnerRequest| -> Answering {
                Box::pin(async { Err(CallFailed::lost("up")) })
            });
            let call = format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"name":"{tool}"}}}}"#
            );
            let mut request = InnerRequest::default();
            request.extensions_mut().insert(Exchange {
                era: Era::Modern,
                message: Some(Arc::new(Message::parse(&Bytes::from(call)).unwrap())),
                presence: None,
                proof: None,
                connection: None,
                principal: Principal::Anonymous,
            });
            let failed = Repeats::layer(catalog, is_trusted).layer(lost).call(request).await;
            assert_eq!(failed.err().unwrap().is_repeatable, expected, "{tool} {is_trusted}");
        }
    }
}
