//! Where messages go.

use super::*;

fn read(json: &str) -> Message {
    Message::read(Bytes::copy_from_slice(json.as_bytes())).unwrap()
}

fn request(id: &str, token: Option<&str>) -> Message {
    let meta =
        token.map_or(String::new(), |token| format!(r#""_meta":{{"progressToken":{token}}}"#));
    read(&format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{{meta}}}}}"#))
}

fn admit(table: &mut Table, owner: Owner, request: &Message) -> (Arc<Mailbox>, String) {
    let mailbox = Arc::<Mailbox>::default();
    let admitted = table.admit(request, owner, false, mailbox.clone()).unwrap();
    let wire = Message::read(admitted.bytes).unwrap();
    (mailbox, wire.canonical(wire.id.as_ref().unwrap()))
}

fn route(table: &mut Table, message: &Message) -> Routed {
    table.route(message, Instant::now())
}

fn text(event: &Event) -> &str {
    std::str::from_utf8(&event.json).unwrap()
}

fn legacy(is_shared: bool) -> (Table, Uuid) {
    let (mut table, link) = (Table::new(Era::Legacy, is_shared), Uuid::new_v4());
    table.add_link(link, Instant::now());
    (table, link)
}

#[test]
fn a_client_with_its_own_child_keeps_its_ids() {
    let (mut table, link) = legacy(false);
    let call = request("7", Some("\"t\""));
    let (mailbox, wire) = admit(&mut table, Owner::Link(link), &call);
    assert_eq!(wire, "7");
    let (_ours, wire) = {
        let mailbox = Arc::<Mailbox>::default();
        let admitted = table.admit(&call, Owner::Link(link), true, mailbox.clone()).unwrap();
        (mailbox, String::from_utf8(admitted.bytes.to_vec()).unwrap())
    };
    assert!(wire.contains("\"archon-2\""), "{wire}");

    let progress = r#"{"method":"notifications/progress","params":{"progressToken":"t"}}"#;
    let routed = route(&mut table, &read(progress));
    let (to, event) = routed.to_call.unwrap();
    assert!(Arc::ptr_eq(&to, &mailbox));
    assert_eq!((text(&event), event.role), (progress, Role::News));

    let (to, event) = route(&mut table, &read(r#"{"id":7,"result":{}}"#)).to_call.unwrap();
    assert!(Arc::ptr_eq(&to, &mailbox));
    assert_eq!(event.role, Role::Answer(None));
    assert!(route(&mut table, &read(r#"{"id":7,"result":{}}"#)).dropped.is_some());
}

#[test]
fn calls_in_flight_may_have_the_same_id_and_token() {
    for era in [Era::Legacy, Era::Modern] {
        let mut table = Table::new(era, false);
        let owner = Owner::Link(Uuid::new_v4());
        let calls: Vec<_> =
            (0..3).map(|_| admit(&mut table, owner, &request("7", Some("7")))).collect();
        for (mailbox, wire) in &calls {
            let progress = read(&format!(
                r#"{{"method":"notifications/progress","params":{{"progressToken":{wire}}}}}"#
            ));
            let (to, event) = route(&mut table, &progress).to_call.unwrap();
            assert!(Arc::ptr_eq(&to, mailbox) && text(&event).contains(r#""progressToken":7"#));
        }
        for (mailbox, wire) in calls.iter().rev() {
            let answer = read(&format!(r#"{{"id":{wire},"result":{{}}}}"#));
            let (to, event) = route(&mut table, &answer).to_call.unwrap();
            assert!(Arc::ptr_eq(&to, mailbox));
            assert_eq!(text(&event), r#"{"id":7,"result":{}}"#);
        }
    }
}

#[test]
fn a_cancelled_call_is_over_and_a_late_answer_is_dropped() {
    for is_shared in [false, true] {
        let (mut table, link) = legacy(is_shared);
        let (mailbox, wire) = admit(&mut table, Owner::Link(link), &request("7", None));
        let cancel = read(r#"{"method":"notifications/cancelled","params":{"requestId":7}}"#);
        let told = table.pass(&cancel, Owner::Link(link)).unwrap();
        let told = String::from_utf8(told.to_vec()).unwrap();
        assert!(told.contains(&format!(r#""requestId":{wire}"#)));
        assert!(mailbox.has_ended() && table.is_idle());
        let answer = read(&format!(r#"{{"id":{wire},"result":{{}}}}"#));
        assert!(route(&mut table, &answer).dropped.is_some());
        assert_eq!(table.leave(1), Left::default());
    }
}

#[test]
fn what_is_asked_on_a_stream_that_is_left_gets_an_answer() {
    let (mut table, link) = legacy(false);
    let _call = admit(&mut table, Owner::Link(link), &request("1", None));
    let ask = read(r#"{"id":"5","method":"elicitation/create"}"#);
    assert!(route(&mut table, &ask).to_call.is_some());
    let left = table.leave(1);
    assert_eq!(left.wire_id.as_deref(), Some("1"));
    let reply = Message::read(left.replies[0].clone()).unwrap();
    assert_eq!(reply.kind, Kind::Answer { code: Some(-32601) });

    // A client may write its id in another way.
    let _call = admit(&mut table, Owner::Link(link), &request("2", None));
    assert!(route(&mut table, &ask).to_call.is_some());
    let answer = read(r#"{"id":5,"result":{}}"#);
    assert_eq!(table.pass(&answer, Owner::Link(link)).unwrap(), r#"{"id":"5","result":{}}"#);
}

#[test]
fn clients_of_a_shared_child_may_use_the_same_ids() {
    for era in [Era::Legacy, Era::Modern] {
        let mut table = Table::new(era, true);
        let [a, b] = [Owner::Link(Uuid::new_v4()), Owner::Link(Uuid::new_v4())];
        let (first, wire_a) = admit(&mut table, a, &request("1", Some("\"p\"")));
        let (second, wire_b) = admit(&mut table, b, &request("1", Some("\"p\"")));
        assert_ne!(wire_a, wire_b);
        let progress = read(&format!(
            r#"{{"method":"notifications/progress","params":{{"progressToken":{wire_b}}}}}"#
        ));
        let (to, event) = route(&mut table, &progress).to_call.unwrap();
        assert!(Arc::ptr_eq(&to, &second) && text(&event).contains(r#""progressToken":"p""#));
        // Nobody but its sender cancels a request.
        let (_third, wire_c) = admit(&mut table, b, &request("9", None));
        let cancel = read(r#"{"method":"notifications/cancelled","params":{"requestId":9}}"#);
        assert!(table.pass(&cancel, a).is_none() && table.pass(&cancel, Owner::Nobody).is_none());
        let wire = String::from_utf8(table.pass(&cancel, b).unwrap().to_vec()).unwrap();
        assert!(wire.contains(&format!(r#""requestId":{wire_c}"#)));

        for (wire, mailbox) in [(wire_b, second), (wire_a, first)] {
            let answer = read(&format!(r#"{{"id":{wire},"result":{{"x":1.0}}}}"#));
            let (to, event) = route(&mut table, &answer).to_call.unwrap();
            assert!(Arc::ptr_eq(&to, &mailbox));
            assert_eq!(text(&event), r#"{"id":1,"result":{"x":1.0}}"#);
        }
        assert!(table.is_idle());
    }
}

#[test]
fn what_names_no_request_goes_to_the_oldest_call_of_its_only_client() {
    let (mut table, link) = legacy(false);
    let log = read(r#"{"method":"notifications/message","params":{"data":1}}"#);
    let changed = read(r#"{"method":"notifications/tools/list_changed"}"#);
    let ask = read(r#"{"id":5,"method":"roots/list"}"#);
    assert_eq!(route(&mut table, &log).to_standalone.len(), 1, "it waits for a GET stream");
    let (oldest, _) = admit(&mut table, Owner::Link(link), &request("1", None));
    let _younger = admit(&mut table, Owner::Link(link), &request("2", None));
    for message in [&log, &ask, &changed] {
        assert!(Arc::ptr_eq(&route(&mut table, message).to_call.unwrap().0, &oldest));
    }
    let stream = table.listen(link).unwrap();
    let older = stream;
    let stream = table.listen(link).unwrap();
    assert!(older.has_ended() && !stream.has_ended(), "the newer one takes over");
    table.unlisten(link, &older);
    assert!(table.is_listened_to(), "the end of the older one is not that of the newer one");
    assert!(Arc::ptr_eq(&route(&mut table, &changed).to_standalone[0].0, &stream));
    assert!(route(&mut table, &log).to_call.is_some());
    table.unlisten(link, &stream);
    assert!(!table.is_listened_to());
}

#[test]
fn a_shared_child_can_ask_only_when_it_is_clear_whom() {
    let (mut table, link) = legacy(true);
    let ask = read(r#"{"id":5,"method":"sampling/createMessage"}"#);
    let mut reply = route(&mut table, &ask).replies;
    assert!(
        Message::read(reply.remove(0))
            .is_some_and(|m| m.kind == Kind::Answer { code: Some(-32601) })
    );
    let mut ping = route(&mut table, &read(r#"{"id":"p","method":"ping"}"#)).replies;
    assert!(Message::read(ping.remove(0)).is_some_and(|m| m.kind == Kind::Answer { code: None }));

    let (only, _) = admit(&mut table, Owner::Link(link), &request("1", None));
    assert!(Arc::ptr_eq(&route(&mut table, &ask).to_call.unwrap().0, &only));
    let answer = read(r#"{"id":5,"result":{}}"#);
    assert!(table.pass(&answer, Owner::Link(Uuid::new_v4())).is_none(), "not theirs to answer");
    assert!(route(&mut table, &ask).to_call.is_some());
    assert!(table.pass(&answer, Owner::Link(link)).is_some());
    let _other = admit(&mut table, Owner::Link(Uuid::new_v4()), &request("1", None));
    let log = read(r#"{"method":"notifications/message","params":{}}"#);
    assert!(route(&mut table, &log).dropped.is_some());
}

#[test]
fn subscriptions_are_told_apart() {
    let mut table = Table::new(Era::Modern, true);
    let listen = read(r#"{"jsonrpc":"2.0","id":"s","method":"subscriptions/listen","params":{}}"#);
    let (first, wire_a) = admit(&mut table, Owner::Nobody, &listen);
    let (second, wire_b) = admit(&mut table, Owner::Nobody, &listen);
    let news = |id: &str| {
        read(&format!(
            r#"{{"method":"notifications/tools/list_changed","params":{{"_meta":{{"io.modelcontextprotocol/subscriptionId":{id}}}}}}}"#
        ))
    };
    for (wire, mailbox) in [(&wire_a, &first), (&format!("\"{wire_b}\""), &second)] {
        let (to, event) = route(&mut table, &news(wire)).to_call.unwrap();
        assert!(Arc::ptr_eq(&to, mailbox));
        assert!(text(&event).contains(r#"subscriptionId":"s""#), "{}", text(&event));
    }
    assert!(route(&mut table, &news("99")).dropped.is_some());
    // A log message that names no request is not for subscribers.
    let log = read(r#"{"method":"notifications/message","params":{}}"#);
    assert!(route(&mut table, &log).dropped.is_some());
    assert_eq!(table.leave(1).wire_id.as_deref(), Some(&*wire_a));
    assert_eq!(table.leave(1), Left::default());
}

#[test]
fn the_end_of_a_child_ends_all() {
    let (mut table, link) = legacy(false);
    let (mailbox, _) = admit(&mut table, Owner::Link(link), &request("1", None));
    let stream = table.listen(link).unwrap();
    table.end_all();
    assert!(mailbox.has_ended() && stream.has_ended());
    assert!(!table.has_link(link) && table.is_idle());
}

#[test]
fn a_table_goes_on_in_another_process() {
    let now = Instant::now();
    let mut table = Table::new(Era::Legacy, true);
    let links = [Uuid::new_v4(), Uuid::new_v4()];
    links.iter().for_each(|link| table.add_link(*link, now));
    let reading = table.listen(links[0]).unwrap();
    let mailbox = Arc::<Mailbox>::default();
    let call = read(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#);
    let Admitted { number, .. } =
        table.admit(&call, Owner::Link(links[0]), false, mailbox.clone()).unwrap();
    // Asked on the call's stream, which is answered before the question is.
    let question = read(r#"{"jsonrpc":"2.0","id":"q","method":"roots/list"}"#);
    assert!(table.route(&question, now).to_call.is_some());
    assert!(!table.has_no_call());
    table.leave(number);
    let asked = read(r#"{"jsonrpc":"2.0","id":"q2","method":"roots/list"}"#);
    let again = table.admit(&call, Owner::Link(links[0]), false, mailbox).unwrap();
    table.route(&asked, now);
    table.remove(again.number);
    assert!(table.has_no_call());
    let changed = read(r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#);
    for (mailbox, event) in table.route(&changed, now).to_standalone {
        mailbox.push_over_oldest(event);
    }

    let state = table.give(now);
    let text = serde_json::to_string(&state).unwrap();
    assert!(reading.has_ended(), "whoever reads it comes again, to the other process");
    assert!(!table.has_link(links[0]));
    let state: TableState = serde_json::from_str(&text).unwrap();
    let mut table = Table::resume(Era::Legacy, true, state, |_| None, now);
    assert!(links.iter().all(|link| table.has_link(*link)) && !table.is_listened_to());
    let stream = table.listen(links[0]).unwrap();
    let queued: Vec<_> = stream.take_all().into_iter().map(|event| event.json).collect();
    assert_eq!(queued, [changed.bytes]);
    // Ids of the child's go on, so that none comes twice.
    let next = table.admit(&call, Owner::Link(links[1]), false, Arc::default()).unwrap();
    assert_eq!(next.number, 3);
    // The answer to what was asked before passes, and nobody else's does.
    let answer = read(r#"{"jsonrpc":"2.0","id":"q2","result":{"roots":[]}}"#);
    assert_eq!(table.pass(&answer, Owner::Link(links[1])), None);
    assert_eq!(table.pass(&answer, Owner::Link(links[0])), Some(answer.bytes.clone()));
}

#[test]
fn what_waits_for_a_client_goes_on_waiting_elsewhere() {
    let now = Instant::now();
    let mut table = Table::new(Era::Legacy, false);
    let link = Uuid::new_v4();
    table.add_link(link, now);
    let question = read(r#"{"jsonrpc":"2.0","id":"q","method":"roots/list"}"#);
    assert!(table.route(&question, now).replies.is_empty());
    let later = now + std::time::Duration::from_secs(1);
    let state = table.give(later);
    let mut table = Table::resume(Era::Legacy, false, state, |_| None, later);
    assert_eq!(table.due(), Some(now + std::time::Duration::from_secs(3)));
    let stream = table.listen(link).unwrap();
    assert_eq!(stream.take_all().len(), 1);
}
