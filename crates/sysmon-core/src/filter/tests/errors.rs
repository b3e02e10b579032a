//! What is said of filters that cannot be read.

use super::*;

/// The wrong words, as they stand in the text, with what is said of them.
fn wrong(filter: &str) -> (String, String) {
    let error = Filter::parse(filter).expect_err(filter);
    (filter[error.span.clone()].to_string(), error.to_string())
}

#[test]
fn the_wrong_word_is_marked_and_the_right_one_is_suggested() {
    for (filter, word, said) in [
        ("cpuu > 50", "cpuu", "did you mean `cpu`?"),
        ("web and cup > 5", "cup", "did you mean `cpu`?"),
        (
            "cpu.busy_procent > 5",
            "cpu.busy_procent",
            "did you mean `cpu.busy_percent`?",
        ),
        (
            "state = alive",
            "alive",
            "expected live, stale or lost; did you mean `live`?",
        ),
        ("health = critcal", "critcal", "did you mean `critical`?"),
        ("cpu > lots", "lots", "expected a number such as 50% or 90%"),
        ("cpu > 5G", "5G", "50% or 90%"),
        ("system = prod", "prod", "did you mean `label.system`?"),
        ("age > 5x", "5x", "expected a number such as 5m, 2h or 3d"),
        ("host > 5", ">", "expected =, !=, ~ or !~"),
        ("cpu ~ 5", "~", "expected >, >=, <, <=, = or !="),
        ("cpu >", "", "ends too early"),
        ("web and", "", "ends too early"),
        ("web or or db", "or", "cannot stand here"),
        ("(web", "(", "not closed"),
        ("web)", ")", "no parenthesis is open"),
        ("()", ")", "cannot stand here"),
        ("= 5", "=", "nothing stands before ="),
        ("cpu = 5 = 6", "=", "cannot stand here"),
        ("host = and", "and", "no value without quotes"),
        ("host = \"web", "\"web", "quote is not closed"),
        ("disk{/home > 5", "disk{/home > 5", "brace is not closed"),
        ("disk{} > 5", "disk{}", "nothing is named"),
        ("mem{/} > 5", "/", "only one `mem`"),
        ("disk{/}", "", "not compared"),
        ("alert = Disk/Full", "Disk/Full", "the id of a rule"),
        ("a\u{1b}[2J", "\u{1b}", "control character"),
        ("\"a\u{202e}\"", "\"a\u{202e}\"", "control character"),
    ] {
        let (marked, message) = wrong(filter);
        assert_eq!(marked, word, "{filter}: {message}");
        assert!(message.contains(said), "{filter}: {message}");
    }
}

#[test]
fn carets_stand_under_the_wrong_word_whatever_its_width() {
    let filter = "host ~ 漢字 and\tcpuu > 50";
    let error = Filter::parse(filter).unwrap_err();
    assert_eq!(
        error.marked(filter),
        ["host ~ 漢字 and cpuu > 50", "                ^^^^"]
    );
    let error = Filter::parse("cpu >").unwrap_err();
    assert_eq!(error.marked("cpu >"), ["cpu >", "     ^"]);
    // Even with another text than that of the error nothing breaks.
    assert_eq!(error.marked("ü"), ["ü", " ^"]);
}

#[test]
fn nothing_is_read_without_bound() {
    let deep = format!("{}a{}", "(".repeat(1_000), ")".repeat(1_000));
    assert!(wrong(&deep).1.contains("at most 32"));
    assert!(wrong(&format!("{}a", "!".repeat(1_000))).1.contains("at most 32"));
    let words: Vec<String> = (0..129).map(|number| format!("w{number}")).collect();
    assert!(wrong(&words.join(" ")).1.contains("at most 128"));
    assert!(Filter::parse(&words[1..].join(" ")).is_ok());
    assert!(wrong(&"x".repeat(5_000)).1.contains("at most 4096"));
    let escaped = format!("'{}'", "\"".repeat(4_000));
    assert!(wrong(&escaped).1.contains("written out"));
}
