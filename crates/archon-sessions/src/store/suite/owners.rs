//! Sessions that are each at one of several nodes.

use std::time::Duration;

use super::{at, session};
use crate::session::{DisconnectReason, Principal, Session, SessionId, Timestamp};
use crate::store::{Batch, NodeRow, SessionStore};

pub(super) async fn a_notice_is_there_until_it_is_heeded(store: &dyn SessionStore) {
    let (one, other) = (SessionId::random(), SessionId::random());
    let notices =
        vec![("a".into(), one), ("a".into(), other), ("b".into(), one), ("a".into(), one)];
    store.apply(&Batch { notices, ..Batch::default() }).await.unwrap();
    let of_a = async |max| store.notices("a", max).await.unwrap();
    let mut all = of_a(9).await;
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 2);
    assert_eq!(of_a(1).await.len(), 1);
    store.apply(&Batch { heeded: vec![("a".into(), one)], ..Batch::default() }).await.unwrap();
    assert_eq!(of_a(9).await, [other]);
    assert_eq!(store.notices("b", 9).await.unwrap(), [one]);
}

/// A process that is expected for a minute, or is not any more.
async fn appears(store: &dyn SessionStore, node: &str, is_present: bool) {
    let now = Timestamp::now();
    let row = NodeRow {
        node: node.into(),
        address: Some("there:1".into()),
        place: Some("here".into()),
        heard_at: now,
        expected_until: now,
    };
    let lease = Duration::from_secs(60);
    match is_present {
        true => store.renew(&row, lease).await.unwrap(),
        false => store.apply(&Batch { heard: vec![row], ..Batch::default() }).await.unwrap(),
    }
}

pub(super) async fn a_session_is_at_one_node(store: &dyn SessionStore) {
    let of = |owner: Option<&str>| Session { owner: owner.map(Into::into), ..session() };
    let [own, theirs, left, free] = [of(Some("a")), of(Some("b")), of(Some("c")), of(None)];
    let created = vec![own.clone(), theirs.clone(), left.clone(), free.clone()];
    store.apply(&Batch { created, ..Batch::default() }).await.unwrap();
    for (node, is_present) in [("a#1", true), ("b#1", false), ("b#2", true), ("c#1", false)] {
        appears(store, node, is_present).await;
    }
    let row = store.nodes().await.unwrap().into_iter().find(|row| &*row.node == "b#2").unwrap();
    assert_eq!(
        (row.name(), row.address.as_deref(), row.place.as_deref()),
        ("b", Some("there:1"), Some("here"))
    );
    assert!(row.is_present(Timestamp::now()));

    let owner = async |id| store.session(id).await.unwrap().unwrap().owner;
    let claim = async |id| store.claim(id, "a", Timestamp::now()).await.unwrap();
    let ids = [own.id, theirs.id, left.id, free.id, SessionId::random()];
    let mut claimed = Vec::new();
    for id in ids {
        claimed.push(claim(id).await);
    }
    assert_eq!(claimed, [true, false, true, true, false]);
    assert_eq!(
        (owner(left.id).await.as_deref(), owner(theirs.id).await.as_deref()),
        (Some("a"), Some("b"))
    );

    assert!(!store.give(theirs.id, "a", "c").await.unwrap(), "it is not this node's to give");
    assert!(store.give(left.id, "a", "b").await.unwrap());
    assert!(store.give(free.id, "a", "c").await.unwrap());
    // Nothing is heard of the node that got it.
    assert_eq!(store.claim_all("a", Timestamp::now()).await.unwrap(), 1);
    let active = store.active().await.unwrap().0;
    let mut owners: Vec<_> = active.iter().filter_map(|session| session.owner.as_deref()).collect();
    owners.sort_unstable();
    assert_eq!(owners, ["a", "a", "b", "b"]);

    let mut ended = own.clone();
    ended.disconnect(DisconnectReason::Operator, at(2));
    store.apply(&Batch { ended: vec![ended], ..Batch::default() }).await.unwrap();
    assert!(!claim(own.id).await, "it has ended");
    assert!(!store.give(own.id, "a", "b").await.unwrap());
}

pub(super) async fn an_active_session_is_found_by_what_its_client_looks_like(
    store: &dyn SessionStore,
) {
    let key = store.fingerprint_key().await.unwrap();
    let digest = |text: &str| Some(key.digest([text.as_bytes()]));
    let like =
        |text, last_activity| Session { fingerprint: digest(text), last_activity, ..session() };
    let [one, later, other] = [like("a", at(1)), like("a", at(2)), like("b", at(3))];
    let known =
        Session { principal: Principal::from_stored("https://issuer.example#alice"), ..session() };
    let created = vec![one.clone(), later.clone(), other.clone(), known.clone()];
    store.apply(&Batch { created, ..Batch::default() }).await.unwrap();
    let found = async |principal: &Principal, fingerprint| {
        let found = store.active_of(principal, fingerprint).await.unwrap();
        found.iter().map(|session| session.id).collect::<Vec<_>>()
    };
    assert_eq!(found(&Principal::Anonymous, digest("a")).await, [later.id, one.id]);
    assert_eq!(found(&known.principal, None).await, [known.id]);
    assert_eq!(found(&known.principal, digest("a")).await, []);
}
