use super::*;
use crate::key::KeyCode;

const FLEET: &[Context] = &[Context::Fleet, Context::List, Context::Anywhere];
const MACHINE: &[Context] = &[Context::Machine, Context::List, Context::Anywhere];

fn keys(text: &str) -> Vec<Key> {
    text.split_whitespace()
        .map(|word| word.parse().unwrap())
        .collect()
}

fn problems(text: &str) -> Vec<String> {
    let problems = Keymap::parse(text).unwrap_err();
    problems.iter().map(ToString::to_string).collect()
}

#[test]
fn the_table_reads_back_what_it_prints() {
    let table = Keymap::default();
    let again = Keymap::parse(&table.to_toml()).unwrap();
    for bound in &table.bindings {
        assert_eq!(
            again.lookup(&bound.keys, &[bound.context]),
            Binding::Command(bound.command)
        );
    }
    assert_eq!(table.bindings.len(), again.bindings.len());
    assert!(table.to_toml().contains("# always: \"Esc\" = \"back\""));
}

#[test]
fn a_file_changes_adds_and_takes_away() {
    let keymap = Keymap::parse(
        "[fleet]\n\"g d\" = \"details\"\n\"e\" = \"\"\n[list]\n\"Ctrl-n\" = \"down\"\n\"s\" = \"\"\n\"o\" = \"sort\"\n",
    )
    .unwrap();
    let means = |text: &str, contexts| keymap.lookup(&keys(text), contexts);
    assert_eq!(means("g d", FLEET), Binding::Command(Command::Details));
    assert_eq!(means("g g", FLEET), Binding::Command(Command::Top));
    assert_eq!(means("g d", MACHINE), Binding::None);
    assert_eq!(means("e", FLEET), Binding::None);
    assert_eq!(means("e", MACHINE), Binding::Command(Command::Threshold));
    assert_eq!(means("Ctrl-n", MACHINE), Binding::Command(Command::Down));
    assert_eq!(means("s", FLEET), Binding::None);
    assert_eq!(keymap.first_keys(Command::Sort, FLEET).as_deref(), Some("o"));
    let added = keymap.help(Context::Fleet);
    assert!(
        added
            .iter()
            .any(|(keys, row)| keys == "gd" && row.command == Command::Details)
    );
}

#[test]
fn a_view_may_use_a_general_key_otherwise() {
    let keymap = Keymap::parse("[machine]\n\"s\" = \"longer-range\"\n").unwrap();
    let s = [Key::char('s')];
    assert_eq!(keymap.lookup(&s, MACHINE), Binding::Command(Command::LongerRange));
    assert_eq!(keymap.lookup(&s, FLEET), Binding::Command(Command::Sort));
}

#[test]
fn everything_that_is_wrong_is_told_at_once_with_its_line() {
    let text = "[fleet]\n\"g\" = \"details\"\n\"[\" = \"open\"\n\"Hyper-x\" = \"open\"\n\"z\" = \"detials\"\n\"y\" = 5\n\
        \"r\" = \"acknowledge\"\n\"F7\" = \"\"\n[flet]\n\"a\" = \"open\"\n[anywhere]\n\"e\" = \"help\"\n\"gg\" = \"help\"\n\
        [form]\n\"a\" = \"save\"\n[list]\n\"Ctrl-c\" = \"up\"\n\"Esc\" = \"up\"\n\"^d\" = \"up\"\n\"Ctrl-d\" = \"down\"\n";
    let problems = problems(text);
    insta::assert_snapshot!(problems.join("\n"));
}

#[test]
fn a_text_that_is_no_toml_is_told_with_its_line() {
    let problems = problems("[fleet]\n\"a\" = \"open\"\n\"b\" \"open\"\n");
    assert!(
        problems.iter().any(|line| line.starts_with("line 3:")),
        "{problems:?}"
    );
}

#[test]
fn letters_never_mean_a_command_while_typing() {
    for bound in &Keymap::default().bindings {
        let is_letter = bound
            .keys
            .iter()
            .any(|key| matches!(key.code, KeyCode::Char(c) if !key.control && c != ' '));
        assert!(bound.context != Context::Form || !is_letter, "{bound:?}");
    }
}

proptest::proptest! {
    #[test]
    fn no_text_breaks_it(text in "(\\[(fleet|list|form)\\]\n)?(\"[ -~]{0,6}\" = \"(open|up|)\"\n){0,4}\\PC{0,20}") {
        let _ = Keymap::parse(&text);
    }
}
