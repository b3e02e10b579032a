//! Rules over the wire.

use sysmon_api::{Access, Code, wire};

use crate::support::{serve, soon, stored};

fn put(rule_id: &str, title: &str, expected_version: u64) -> wire::PutRuleRequest {
    wire::PutRuleRequest {
        rule: Some(wire::Rule {
            rule_id: rule_id.into(),
            title: title.into(),
            ..Default::default()
        }),
        expected_version,
    }
}

#[tokio::test]
async fn a_conflict_is_aborted_on_the_wire_and_a_reply_again_at_the_client_however_long_the_rule_is() {
    let running = serve(Access::local_only(), None).await;
    let client = running.local_client();
    let done = soon(client.put_rule(put("cpu", "t", 3))).await.unwrap();
    assert_eq!(
        (done.conflict, done.stored),
        (false, Some(stored("cpu", "local")))
    );
    let conflict = soon(client.put_rule(put("cpu", "t", 2))).await.unwrap();
    assert_eq!(
        (conflict.conflict, conflict.stored),
        (true, Some(stored("cpu", "local")))
    );
    let long = soon(client.put_rule(put("long", "t", 2))).await.unwrap();
    assert_eq!(
        (long.conflict, long.stored),
        (true, Some(stored("long", &"x".repeat(20_000))))
    );
    let request = wire::DeleteRuleRequest::default();
    let gone = soon(client.delete_rule(request)).await.unwrap();
    assert_eq!((gone.conflict, gone.stored), (true, None));
}

#[tokio::test]
async fn all_problems_of_a_rule_arrive_one_per_line_and_harmless() {
    let running = serve(Access::local_only(), None).await;
    let client = running.local_client();
    let error = soon(client.put_rule(put("cpu", "", 3))).await.unwrap_err();
    assert_eq!(error.code, Code::InvalidArgument);
    assert_eq!(
        error.message,
        "it has no title; give it one\nand a\u{fffd}[31m second problem"
    );
    let request = wire::ListAuditRequest { before: 7, limit: 0 };
    assert_eq!(
        soon(client.list_audit(request)).await.unwrap().entries[0].entry_id,
        7
    );
}
