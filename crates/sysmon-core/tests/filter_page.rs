//! The page about filters is made of the table of fields, and this test fails when it has not been.

use std::fmt::Write as _;
use std::path::Path;

use sysmon_core::Filter;
use sysmon_core::filter::{FIELDS, FieldDefinition, FieldKind};

const BEGINNING: &str = r#"# Filters

Made from the table of fields by a test; `UPDATE_DOCS=1 cargo nextest run -p sysmon-core filter_page` writes it.

One language wherever machines are chosen: `/` in the console, `sysmon-tui --once --filter '…'`, `sysmon-tui --filter '…'`, and
`Subscribe.filter` of the protocol.

```text
cpu > 50 and (host ~ web or label.role = db) and alert != none
```

## How it reads

- A **word** must occur in the id, the hostname or a label (`name=value`), in any case: `web`, `"role=db"`.
- A **comparison** is a field, an operator and a value: `mem >= 90%`, `host ~ web`.
- `and` (or nothing, or `&`) binds tighter than `or` (or `|`); `not` (or `!`) binds tightest; parentheses group.
- Quotes, double or single, hold blanks, signs and the words `and`, `or` and `not`; a backslash takes the next character as it is.
- A name that is no field is a **label**: `role = db` is `label.role = db`. A label that is called as a field is needs the long form, or quotes:
  `label.host = rack-4`, `"my label" ~ x`.
- Braces name one **entity**: `disk{/home} > 90`, `net.rx{eth0} > 10MB/s`, `mount.used_percent{/}`. Without braces a metric of entities matches when any of
  them does.
- Every metric of the catalogue can be asked for by its full name: `cpu.busy_percent > 50`.

| operator | meaning | for |
|---|---|---|
| `=` `!=` | is, is not; texts in any case | everything |
| `~` `!~` | has in it, has not, in any case | texts, labels, ids of rules |
| `<` `<=` `>` `>=` | | numbers, `state`, `health` |

**What is not there matches no comparison**, not even `!=`: `swap != 0` does not find machines without swap, and `role != db` none without that label. `not`
is the opposite of what follows, always: `not swap > 0` finds machines with no swap in use and those without any. `role ~ ""` finds those that have the label.

## Values

| of | written as |
|---|---|
| shares | `50` or `50%` |
| bytes | `5G`, `512M`; powers of 1024, as they are shown |
| bytes per second | `10MB/s`, `10M`; powers of 1000, as they are shown; `1MiB/s` for powers of 1024; `100Mbit/s` |
| durations | `500ms`, `30s`, `5m`, `2h`, `3d`, `1w`; a bare number is seconds, or milliseconds where the metric is of those |
| counts | `4`, `10k`, `2M` |
| temperatures | `80` or `80C` |
| flags | `yes` or `no` |

## Fields

| field | also | what |
|---|---|---|
| `label.NAME` | `NAME` | The machine's label of that name |
"#;

/// Filters with what they find; the test reads every one of them.
const EXAMPLES: [(&str, &str); 10] = [
    ("web prod", "both words occur somewhere in names and labels"),
    ("health >= warning", "what hurts"),
    ("alert = unacknowledged", "what nobody looks after yet"),
    (
        "alert = disk-full or disk > 95",
        "full disks, with a rule or without",
    ),
    ("cpu > 90 and not role = batch", "busy although it is not its job"),
    ("iowait > 20 or psi.io > 30 or disk.await > 50ms", "slow disks"),
    ("mem.available < 1G", "little memory left"),
    ("state != live or age > 10s", "not heard of"),
    ("uptime < 1h", "restarted within the hour"),
    ("kernel !~ 6.1 os ~ debian", "Debian, but another kernel"),
];

fn row(definition: &FieldDefinition) -> String {
    let other = |names: &[&str]| {
        names
            .iter()
            .map(|name| format!("`{name}`"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let metric = match definition.kind {
        FieldKind::Metric { whole, entity: None } => format!(" (`{}`)", whole.name()),
        FieldKind::Metric {
            whole,
            entity: Some(entity),
        } if whole == entity => format!(" (`{}`)", whole.name()),
        FieldKind::Metric {
            whole,
            entity: Some(entity),
        } => format!(" (`{}`, `{}{{…}}`)", whole.name(), entity.name()),
        _ => String::new(),
    };
    let help = definition.help;
    format!(
        "| `{}` | {} | {help}{metric} |",
        definition.name,
        other(definition.aliases)
    )
}

/// `docs/filter.md` as the table has it.
fn page() -> String {
    let mut page = String::from(BEGINNING);
    for definition in FIELDS {
        let _ = writeln!(page, "{}", row(definition));
    }
    page.push_str("\n## Examples\n\n| filter | finds |\n|---|---|\n");
    for (filter, finds) in EXAMPLES {
        let _ = writeln!(page, "| `{filter}` | {finds} |");
    }
    page.push_str(
        "\n## Bounds\n\nAt most 4,096 bytes, also in the normal form that is saved; 128 words and comparisons; 32 parentheses and `not`s within each other. \
         A filter that\ncannot be read is refused with a mark under the wrong word; on the command line that is exit code 64.\n",
    );
    page
}

#[test]
fn the_page_of_filters_is_that_of_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/filter.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        written,
        page(),
        "write docs/filter.md anew with UPDATE_DOCS=1 cargo nextest run -p sysmon-core filter_page"
    );
}

#[test]
fn every_example_of_the_page_is_read() {
    for (filter, _) in EXAMPLES {
        if let Err(error) = Filter::parse(filter) {
            panic!("{filter}: {error}");
        }
    }
}
