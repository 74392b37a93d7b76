//! What follows from which fault.

use serde_json::json;

use super::*;

fn allowed(policy: &RetryPolicy) -> Allowed<'_> {
    Allowed { policy, is_repeatable: false, can_reopen: true, can_relist: true }
}

fn unreachable() -> Fault {
    Fault::NotSent(ConnectionError::new(ConnectionReason::Unreachable, "x"))
}

fn busy(seconds: Option<u64>) -> Fault {
    let wait = seconds.map(Duration::from_secs);
    Fault::Refused(ConnectionError::new(ConnectionReason::Busy, "x").retry_after(wait))
}

fn broke() -> Fault {
    Fault::Lost(OutcomeUnknown::new(UnknownReason::ConnectionLost, "x"))
}

#[test]
fn what_was_not_sent_is_sent_again_so_often_and_no_more() {
    let policy = RetryPolicy::new().max_retries(2);
    let mut tries = Tries::default();
    for wait in [1, 2] {
        let next = tries.next(unreachable(), allowed(&policy), 1.0, || true);
        assert!(matches!(next, Next::Again(after, _) if after == Duration::from_secs(wait)));
    }
    let next = tries.next(unreachable(), allowed(&policy), 1.0, || true);
    assert!(matches!(next, Next::GiveUp(Error::Connection(_))));
}

#[test]
fn without_budget_nothing_is_sent_again() {
    let policy = RetryPolicy::default();
    let next = Tries::default().next(unreachable(), allowed(&policy), 1.0, || false);
    assert!(matches!(next, Next::GiveUp(Error::Connection(_))));
}

#[test]
fn what_may_have_run_is_never_sent_again_unless_that_does_no_harm() {
    let policy = RetryPolicy::default();
    let next = Tries::default().next(broke(), allowed(&policy), 1.0, || true);
    assert!(matches!(next, Next::GiveUp(Error::OutcomeUnknown(_))));
    let harmless = Allowed { is_repeatable: true, ..allowed(&policy) };
    let next = Tries::default().next(broke(), harmless, 1.0, || true);
    assert!(matches!(next, Next::Again(..)));
}

#[test]
fn a_server_that_asks_to_wait_is_waited_for_unless_it_asks_for_too_much() {
    let policy = RetryPolicy::default();
    let next = Tries::default().next(busy(Some(7)), allowed(&policy), 0.0, || true);
    assert!(matches!(next, Next::Again(wait, _) if wait == Duration::from_secs(7)));
    let next = Tries::default().next(busy(Some(31)), allowed(&policy), 0.0, || true);
    let Next::GiveUp(Error::Connection(error)) = next else { panic!("{next:?}") };
    assert_eq!(error.retry_after, Some(Duration::from_secs(31)));
}

#[test]
fn an_unknown_session_is_made_anew_once() {
    let policy = RetryPolicy::default();
    let mut tries = Tries::default();
    let unknown = || Fault::UnknownSession(SessionError::new(SessionReason::Unknown, "x").into());
    assert!(matches!(tries.next(unknown(), allowed(&policy), 1.0, || true), Next::Reopen));
    let next = tries.next(unknown(), allowed(&policy), 1.0, || true);
    assert!(matches!(next, Next::GiveUp(Error::Session(_))));
}

#[test]
fn tools_are_listed_again_once_and_never_for_a_listing() {
    let policy = RetryPolicy::default();
    let mut tries = Tries::default();
    let mismatch = || Fault::HeaderMismatch(ToolError::new("x").into());
    assert!(matches!(tries.next(mismatch(), allowed(&policy), 1.0, || true), Next::Relist));
    let next = tries.next(mismatch(), allowed(&policy), 1.0, || true);
    assert!(matches!(next, Next::GiveUp(Error::Tool(_))));
    let listing = Allowed { can_relist: false, ..allowed(&policy) };
    let next = Tries::default().next(mismatch(), listing, 1.0, || true);
    assert!(matches!(next, Next::GiveUp(Error::Tool(_))));
}

fn refused(status: u16, retry_after: Option<u64>, body: &str, has_handle: bool) -> Fault {
    let status = StatusCode::from_u16(status).unwrap();
    let retry_after = retry_after.map(Duration::from_secs);
    Refusal { status, retry_after, body: body.as_bytes(), has_handle, bound: Some(1) }.fault()
}

fn rpc(code: i64) -> String {
    json!({ "jsonrpc": "2.0", "id": 1, "error": { "code": code, "message": "says why" } })
        .to_string()
}

#[test]
fn a_refusal_says_whether_the_request_ran() {
    assert!(matches!(refused(429, None, "", true), Fault::Refused(_)));
    assert!(matches!(refused(429, Some(1), &rpc(-31004), true), Fault::Refused(_)));
    assert!(matches!(refused(503, Some(1), &rpc(-31005), true), Fault::Refused(_)));
    assert!(matches!(refused(404, None, &rpc(-31006), true), Fault::UnknownSession(_)));
    assert!(matches!(refused(404, None, "", true), Fault::UnknownSession(_)));
    let sdk = r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"Bad Request: No valid session ID provided"},"id":null}"#;
    assert!(matches!(refused(400, None, sdk, true), Fault::UnknownSession(_)));
    let sdk = sdk.replace("No valid session ID provided", "Server not initialized");
    assert!(matches!(refused(400, None, &sdk, false), Fault::UnknownSession(_)));
    for status in [401, 410, 503] {
        let gone = refused(status, None, "Session not found", true);
        assert!(matches!(gone, Fault::UnknownSession(_)), "{status}");
        let page = refused(status, None, "<p>log in to begin a session</p>", false);
        assert!(!matches!(page, Fault::UnknownSession(_)), "{status}");
    }
    assert!(matches!(refused(404, None, &rpc(-32000), true), Fault::Final(Error::Tool(_))));
    assert!(matches!(refused(307, None, "", true), Fault::Final(Error::Connection(_))));
    assert!(matches!(refused(400, None, &rpc(-32602), true), Fault::Final(Error::Tool(_))));
    assert!(matches!(refused(400, None, &rpc(-32020), false), Fault::HeaderMismatch(_)));
    assert!(matches!(refused(404, None, &rpc(-32601), true), Fault::Final(Error::Tool(_))));
    assert!(matches!(refused(404, None, "", false), Fault::Final(Error::Connection(_))));
    assert!(matches!(refused(401, None, &rpc(-31009), true), Fault::Final(Error::Connection(_))));
    for status in [500, 502, 503, 504] {
        assert!(matches!(refused(status, None, "<html>", true), Fault::Lost(_)), "{status}");
    }
    assert!(matches!(refused(500, None, &rpc(-32603), true), Fault::Final(Error::Tool(_))));
}

#[test]
fn a_code_alone_does_not_prove_that_a_call_did_not_run() {
    let error = |code: i32, data| ErrorData::new(rmcp::model::ErrorCode(code), "x", data);
    let said = Some(json!({ "ran": "no" }));
    assert!(matches!(answered(error(-31001, None)), Fault::Final(Error::Connection(_))));
    assert!(matches!(answered(error(-31001, said.clone())), Fault::Refused(_)));
    assert!(matches!(answered(error(-31004, said)), Fault::Refused(_)));
    for code in [-31002, -31003, -31008] {
        assert!(matches!(answered(error(code, None)), Fault::Lost(_)), "{code}");
    }
    assert!(matches!(answered(error(-32000, None)), Fault::Final(Error::Tool(_))));
}
