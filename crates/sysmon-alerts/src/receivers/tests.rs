use std::io::Write as _;

use super::*;

fn problems(text: &str) -> Vec<String> {
    Receivers::parse(text).unwrap_err()
}

#[test]
fn the_example_of_the_documentation_is_good() {
    let document = include_str!("../../../../docs/notifications.md");
    let mut examples = document.split("```toml\n").skip(1);
    let example = examples.next().unwrap().split("```").next().unwrap();
    // Its secrets are in files that are not there; here they are in place.
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "https://hooks.slack.com/services/geheim\n").unwrap();
    let mut lines = Vec::new();
    for line in example.lines() {
        match line.split_once("_file = ") {
            Some((key, _)) if !line.starts_with('#') => {
                lines.push(format!("{key}_file = {:?}", secret.to_str().unwrap()));
            }
            _ => lines.push(line.to_owned()),
        }
    }
    let receivers = Receivers::parse(&lines.join("\n")).unwrap();
    assert_eq!(
        receivers.names(),
        ["chat", "mail", "pager", "phone", "tracker"],
        "one of each kind"
    );
    let shown = format!("{receivers:?}");
    assert!(!shown.contains("geheim"), "{shown}");
}

#[test]
fn everything_that_is_wrong_is_said_at_once_and_without_secrets() {
    let text = r#"
colour = "red"

[[receiver]]
kind = "pigeon"
name = "a"

[[receiver]]
name = "b"
kind = "webhook"
url = "http://web-1/geheim"
token = "geheim"
min_severity = "bad"
labels = ["db"]
retries = 3

[[receiver]]
name = "b"
kind = "email"
server = "smtp.example.org"
tls = "none"
user = "u"
password = "geheim"
password_file = "/no/such/file"
from = "nobody"
port = 70000

[[receiver]]
name = "c"
kind = "exec"
command = ["tell", "me"]
fallback = "d"

[[receiver]]
kind = "slack"
"#;
    let problems = problems(text);
    let all = problems.join("\n");
    for expected in [
        "colour is not known here",
        "receiver a: kind is \"pigeon\"; use webhook, slack, ntfy, email or exec",
        "receiver b: the token would be readable on the way",
        "receiver b: min_severity is \"bad\"",
        "receiver b: labels: \"db\" is no label",
        "receiver b: retries is no setting",
        "receiver b: password and password_file are both there",
        "receiver b: the password would be readable",
        "receiver b: from: \"nobody\" is no mail address",
        "receiver b: to is missing",
        "receiver b: port is no number from 1 to 65535",
        "receiver c: command is missing or does not begin with a path",
        "receiver 5: name is missing",
        "receiver 5: url is missing",
    ] {
        assert!(all.contains(expected), "{expected:?} is not in:\n{all}");
    }
    assert!(!all.contains("geheim"), "{all}");
}

#[test]
fn names_are_used_once_and_chains_of_fallbacks_end() {
    let hook = |name: &str, fallback: &str| {
        format!(
            "[[receiver]]\nname = \"{name}\"\nkind = \"webhook\"\nurl = \"http://localhost/\"\nfallback = \"{fallback}\"\n"
        )
    };
    let problems = problems(&[hook("a", "b"), hook("b", "a"), hook("c", "d"), hook("c", "a")].concat());
    let all = problems.join("\n");
    assert!(all.contains("receiver a: its fallbacks lead back to it"), "{all}");
    assert!(
        all.contains("receiver c: its fallback \"d\" is not there"),
        "{all}"
    );
    assert!(all.contains("receiver c: there are two of this name"), "{all}");
}

#[test]
fn a_secret_may_be_in_a_file_and_is_taken_without_its_line_end() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "https://ntfy.example.org/sub/topic").unwrap();
    let text = format!(
        "[[receiver]]\nname = \"a\"\nkind = \"ntfy\"\nurl_file = {:?}",
        file.path().to_str().unwrap()
    );
    let receivers = Receivers::parse(&text).unwrap();
    let shown = format!("{:?}", receivers.get("a").unwrap());
    assert!(shown.contains("topic: \"topic\""), "{shown}");
    let without = problems("[[receiver]]\nname = \"a\"\nkind = \"ntfy\"\nurl = \"https://ntfy.sh\"");
    assert!(without[0].contains("no topic"), "{without:?}");
}

#[test]
fn the_short_form_is_one_webhook() {
    let receivers = Receivers::default()
        .with_webhook("https://example.org/x")
        .unwrap();
    assert_eq!(receivers.names(), ["webhook"]);
    assert!(receivers.clone().with_webhook("https://example.org/x").is_err());
    let problems = Receivers::default()
        .with_webhook("example.org/geheim")
        .unwrap_err();
    assert!(!problems.join("").contains("geheim"), "{problems:?}");
}
