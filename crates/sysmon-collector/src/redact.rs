//! Command lines as they may leave the machine: what looks like a secret is masked.
//!
//! This is a net with a fine mesh, not a proof: a secret that looks like an ordinary word, given to a program that
//! nobody listed here, passes. It errs on the side of masking too much.

mod inside;

use self::inside::mask_inside;
use crate::config::ProcessArguments;

const MASK: &str = "***";
/// Longer command lines are cut: they are for a person's glance, and every byte of them travels.
const LENGTH_MAX: usize = 1_024;
/// A quoted command may hold another one, and so on; what is nested deeper is masked as a whole.
const DEPTH_MAX: u8 = 4;

/// What makes the name of an option, a variable or a header that of a secret.
const SECRET: [&str; 8] = [
    "pass",
    "pwd",
    "secret",
    "token",
    "key",
    "credential",
    "auth",
    "cookie",
];
/// Names that are too short to be searched for.
const SECRET_EXACTLY: [&str; 4] = ["pw", "pin", "cred", "creds"];
/// Ordinary words that contain one of [`SECRET`]; a part of a name that is one of them says nothing.
const INNOCENT: [&str; 12] = [
    "author",
    "keyboard",
    "keymap",
    "keyword",
    "keyframe",
    "hotkey",
    "monkey",
    "passive",
    "bypass",
    "passthrough",
    "compass",
    "tokenizer",
];
/// Words before the secret in an `Authorization` header.
const SCHEMES: [&str; 4] = ["basic", "bearer", "digest", "token"];
/// A name that ends so holds the place of a secret, not the secret.
const PLACES: [&str; 4] = ["file", "path", "dir", "directory"];

/// How a program takes a secret in a short option.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// `-pSECRET` only: alone it asks, and what follows is something else.
    Attached,
    /// `-p SECRET` as well.
    Either,
    /// `-u user:SECRET` or `-U user%SECRET`.
    AfterUser,
}

struct Rule {
    programs: &'static [&'static str],
    options: &'static [&'static str],
    shape: Shape,
}

const RULES: [Rule; 6] = [
    Rule {
        programs: &[
            "mysql",
            "mysqldump",
            "mysqladmin",
            "mysqlimport",
            "mysqlshow",
            "mysqlcheck",
            "mysqlslap",
            "mycli",
            "mariadb",
            "mariadb-dump",
            "mariadb-admin",
            "7z",
            "7za",
            "7zr",
            "7zz",
            "unrar",
            "rar",
        ],
        options: &["-p"],
        shape: Shape::Attached,
    },
    // "login" is a subcommand of docker, podman, az, helm, …
    Rule {
        programs: &[
            "sshpass",
            "mongo",
            "mongosh",
            "mongodump",
            "mongorestore",
            "cqlsh",
            "login",
        ],
        options: &["-p"],
        shape: Shape::Either,
    },
    Rule {
        programs: &["redis-cli", "valkey-cli"],
        options: &["-a"],
        shape: Shape::Either,
    },
    Rule {
        programs: &[
            "ldapsearch",
            "ldapadd",
            "ldapmodify",
            "ldapdelete",
            "ldapwhoami",
            "ldappasswd",
        ],
        options: &["-w"],
        shape: Shape::Either,
    },
    Rule {
        programs: &[
            "zip",
            "unzip",
            "ipmitool",
            "mosquitto_pub",
            "mosquitto_sub",
            "sqlcmd",
            "bcp",
            "isql",
        ],
        options: &["-P"],
        shape: Shape::Either,
    },
    Rule {
        programs: &["curl", "smbclient", "rpcclient"],
        options: &["-u", "--user", "-U", "--proxy-user"],
        shape: Shape::AfterUser,
    },
];

/// The command line of a process from `/proc/PID/cmdline` (arguments that end with zero bytes). `cut` says that the
/// kernel had more than was read.
pub(crate) fn command_line(raw: &[u8], cut: bool, mode: ProcessArguments) -> String {
    let mut raw = raw;
    if cut {
        // A secret that was cut in two may not be recognised any more.
        let end = raw
            .iter()
            .rposition(|byte| *byte == 0 || byte.is_ascii_whitespace())
            .unwrap_or(0);
        raw = &raw[..end];
    }
    let end = raw.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    let arguments = raw[..end].split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let text = match mode {
        ProcessArguments::None => {
            let first = String::from_utf8_lossy(&raw[..end]);
            // A process that rewrote its title has everything in its first argument.
            first
                .split(['\0', ' ', '\t', '\n'])
                .next()
                .unwrap_or_default()
                .to_owned()
        }
        ProcessArguments::Full => arguments.collect::<Vec<_>>().join(" "),
        ProcessArguments::Redacted => {
            let mut redactor = Redactor::default();
            arguments
                .map(|argument| redactor.argument(&argument, 0))
                .collect::<Vec<_>>()
                .join(" ")
        }
    };
    shortened(text, cut && mode != ProcessArguments::None)
}

fn shortened(mut text: String, cut: bool) -> String {
    if text.len() > LENGTH_MAX {
        let end = (0..=LENGTH_MAX)
            .rev()
            .find(|index| text.is_char_boundary(*index))
            .unwrap_or(0);
        text.truncate(end);
        text.push('…');
    } else if cut {
        text.push_str(" …");
    }
    text
}

/// Goes through the words of one command line.
#[derive(Default)]
struct Redactor {
    /// The next word is the value of an option that holds a secret, or `user:secret`.
    expected: Option<Shape>,
    /// Rules of the programs that were named so far.
    rules: Vec<&'static Rule>,
}

impl Redactor {
    fn argument(&mut self, argument: &str, depth: u8) -> String {
        match self.expected.take() {
            Some(Shape::AfterUser) => return mask_after_user(argument),
            Some(shape) if SCHEMES.contains(&argument.to_ascii_lowercase().as_str()) => {
                self.expected = Some(shape);
                return argument.to_owned();
            }
            Some(_) if !is_option(argument) => return MASK.to_owned(),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return MASK.to_owned();
        }
        if let Some((name, separator)) = leading_name(argument) {
            let value = &argument[name.len() + 1..];
            if is_secret(name) && separator == ':' && value.is_empty() {
                self.expected = Some(Shape::Either);
                return argument.to_owned();
            }
            if is_secret(name) && !value.starts_with("//") {
                return format!("{name}{separator}{MASK}");
            }
        }
        if let Some(masked) = self.option(argument) {
            return masked;
        }
        if argument.contains(char::is_whitespace) {
            return self.words(argument, depth);
        }
        let unquoted = argument.trim_matches(['"', '\'']);
        if unquoted.len() < argument.len() && !unquoted.is_empty() {
            return argument.replacen(unquoted, &self.argument(unquoted, depth + 1), 1);
        }
        let program = argument.rsplit('/').next().unwrap_or(argument);
        self.rules
            .extend(RULES.iter().filter(|rule| rule.programs.contains(&program)));
        mask_inside(argument)
    }

    /// An option that holds a secret itself or says that the next word is one.
    fn option(&mut self, argument: &str) -> Option<String> {
        if !argument.starts_with('-') || argument.contains(char::is_whitespace) {
            return None;
        }
        for rule in &self.rules {
            for option in rule.options {
                match argument.strip_prefix(option) {
                    Some("") if rule.shape == Shape::Attached => return Some(argument.to_owned()),
                    Some("") => {
                        self.expected = Some(rule.shape);
                        return Some(argument.to_owned());
                    }
                    Some(rest) if rule.shape == Shape::AfterUser => {
                        return Some(format!("{option}{}", mask_after_user(rest)));
                    }
                    Some(_) if !option.starts_with("--") => return Some(format!("{option}{MASK}")),
                    _ => {}
                }
            }
        }
        let name = argument.trim_start_matches('-');
        let is_name = name.chars().all(is_name_character);
        (is_name && is_secret(name)).then(|| {
            self.expected = Some(Shape::Either);
            argument.to_owned()
        })
    }

    /// An argument that is a command line itself (`sh -c "…"`), or a title with blanks.
    fn words(&mut self, text: &str, depth: u8) -> String {
        let mut masked = String::with_capacity(text.len());
        let mut rest = text;
        while !rest.is_empty() {
            let blanks = rest.len() - rest.trim_start().len();
            masked.push_str(&rest[..blanks]);
            rest = &rest[blanks..];
            let end = word_end(rest);
            if end > 0 {
                let word = &rest[..end];
                let quote = word.chars().next().filter(|first| ['"', '\''].contains(first));
                let inner = quote.and_then(|quote| word.strip_prefix(quote)?.strip_suffix(quote));
                match (inner, quote) {
                    (Some(inner), Some(quote)) => {
                        let inner = self.argument(inner, depth + 1);
                        masked.extend([quote.to_string(), inner, quote.to_string()]);
                    }
                    // The same text again would go round for ever: a word has blanks only where it is quoted.
                    _ if word.contains(char::is_whitespace) => masked.push_str(&self.quoted(word, depth)),
                    _ => masked.push_str(&self.argument(word, depth + 1)),
                }
            }
            rest = &rest[end..];
        }
        masked
    }

    /// A word with quotes in its middle, such as `--header="X-Key: 1"`; one without end counts as well.
    fn quoted(&mut self, word: &str, depth: u8) -> String {
        let Some(start) = word.find(['"', '\'']) else {
            return mask_inside(word);
        };
        let (before, after) = word.split_at(start);
        let before_is_secret = leading_name(before).is_some_and(|(name, _)| is_secret(name));
        if before_is_secret || self.option(before).is_some() {
            self.expected = None;
            return format!("{before}{MASK}");
        }
        format!(
            "{}{}{}",
            mask_inside(before),
            &after[..1],
            self.argument(&after[1..], depth + 1)
        )
    }
}

/// The end of the first word, blanks in quotes belonging to it.
fn word_end(text: &str) -> usize {
    let mut quote = None;
    for (index, character) in text.char_indices() {
        match quote {
            Some(open) if open == character => quote = None,
            Some(_) => {}
            None if ['"', '\''].contains(&character) => quote = Some(character),
            None if character.is_whitespace() => return index,
            None => {}
        }
    }
    text.len()
}

/// `-x` and `--anything`: more likely the next option than a secret.
fn is_option(argument: &str) -> bool {
    argument.starts_with("--") || (argument.starts_with('-') && argument.len() == 2)
}

fn is_name_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || "_-.".contains(character)
}

/// The name before the first `=` or `:`, when the text begins with one, and which of the two it was.
fn leading_name(text: &str) -> Option<(&str, char)> {
    let end = text.find(|character| !is_name_character(character))?;
    let separator = text[end..]
        .chars()
        .next()
        .filter(|separator| "=:".contains(*separator))?;
    (end > 0).then_some((&text[..end], separator))
}

fn is_secret(name: &str) -> bool {
    let name = name.trim_start_matches('-').to_ascii_lowercase();
    let last = name.rsplit(['-', '_', '.']).next().unwrap_or_default();
    let is_place = |rest: &str| rest.is_empty() || SECRET.contains(&rest);
    if PLACES
        .iter()
        .any(|place| last.strip_suffix(place).is_some_and(is_place))
    {
        return false;
    }
    let tells = |part: &str| {
        let ordinary = INNOCENT.contains(&part.trim_end_matches('s')) || INNOCENT.contains(&part);
        !ordinary && SECRET.iter().any(|word| part.contains(word))
    };
    name.split(['-', '_', '.']).any(tells) || SECRET_EXACTLY.contains(&name.as_str())
}

fn mask_after_user(text: &str) -> String {
    match text.find([':', '%']) {
        Some(end) => format!("{}{MASK}", &text[..=end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn redacted(arguments: &[&str]) -> String {
        command_line(arguments.join("\0").as_bytes(), false, ProcessArguments::Redacted)
    }

    #[test]
    fn secrets_in_every_usual_place_are_masked() {
        for (arguments, expected) in [
            (&["app", "--password=hunter2"][..], "app --password=***"),
            (
                &["app", "--password", "hunter2", "--verbose"],
                "app --password *** --verbose",
            ),
            (&["app", "--token", "two words"], "app --token ***"),
            (&["app", "--api-key=a=b"], "app --api-key=***"),
            (&["app", "-password", "-hunter2"], "app -password ***"),
            (
                &["env", "DB_PASSWORD=hunter2", "AWS_SECRET_ACCESS_KEY=x/y", "app"],
                "env DB_PASSWORD=*** AWS_SECRET_ACCESS_KEY=*** app",
            ),
            (&["mysql", "-uroot", "-phunter2", "db"], "mysql -uroot -p*** db"),
            (&["/usr/bin/mysqldump", "-phunter2"], "/usr/bin/mysqldump -p***"),
            (
                &["sh", "-c", "mysql -phunter2 db && echo done"],
                "sh -c mysql -p*** db && echo done",
            ),
            (
                &["sh", "-c", "curl -H 'Authorization: Bearer hunter2 x' https://h/"],
                "sh -c curl -H 'Authorization:***' https://h/",
            ),
            (
                &["bash", "-c", "PASSWORD='two words' app --x"],
                "bash -c PASSWORD=***",
            ),
            (
                &["bash", "-c", "cd /x; app --secret=\"two words\" -v"],
                "bash -c cd /x; app --secret=*** -v",
            ),
            (
                &["bash", "-c", "app --header=\"X-Api-Key: hunter2 x\" -v"],
                "bash -c app --header=\"X-Api-Key:*** -v",
            ),
            (
                &["curl", "-u", "me:hunter2", "https://h"],
                "curl -u me:*** https://h",
            ),
            (&["curl", "-ume:hunter2"], "curl -ume:***"),
            (
                &["curl", "-H", "X-Auth-Token: hunter2"],
                "curl -H X-Auth-Token:***",
            ),
            (
                &["psql", "postgres://me:hunter2@db:5432/x"],
                "psql postgres://me:***@db:5432/x",
            ),
            (
                &["psql", "postgres://me:hun/ter2@db/x"],
                "psql postgres://me:***@db/x",
            ),
            (
                &["app", "--db=redis://:hunter2@db,redis://:hunter3@db2"],
                "app --db=redis://:***@db,redis://:***@db2",
            ),
            (
                &["git", "clone", "https://ghp0123456789abcdefgh@h/x"],
                "git clone https://***@h/x",
            ),
            (
                &["app", "https://h/?a=1&token=hunter2&b=2"],
                "app https://h/?a=1&token=***&b=2",
            ),
            (
                &["app", "Server=h;Password=hunter2;Port=1"],
                "app Server=h;Password=***;Port=1",
            ),
            (
                &["app", "{\"user\":\"me\",\"password\":\"hunter2\"}"],
                "app {\"user\":\"me\",\"password\":\"***\"}",
            ),
            (
                &["java", "-Dspring.datasource.password=hunter2"],
                "java -Dspring.datasource.password=***",
            ),
            (&["openssl", "-passin", "pass:hunter2"], "openssl -passin ***"),
            (&["openssl", "x", "pass:hunter2"], "openssl x pass:***"),
            (
                &["docker", "login", "-u", "me", "-p", "hunter2"],
                "docker login -u me -p ***",
            ),
            (&["redis-cli", "-a", "hunter2"], "redis-cli -a ***"),
            (
                &[
                    "app",
                    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6Ikp1OX0",
                ],
                "app ***.***",
            ),
            (&["app", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b"], "app ***"),
            (&["app", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEX1AMPLE3KEY"], "app ***"),
        ] {
            assert_eq!(redacted(arguments), expected, "{arguments:?}");
        }
    }

    #[test]
    fn ordinary_command_lines_stay_as_they_are() {
        for arguments in [
            &[
                "/usr/lib/systemd/systemd",
                "--switched-root",
                "--system",
                "--deserialize=31",
            ][..],
            &["sshd: root@pts/0"],
            &["nginx: master process /usr/sbin/nginx -g daemon on; master_process on;"],
            &["ssh", "-p", "2222", "-i", "/home/me/.ssh/id_ed25519", "git@host"],
            &["docker", "run", "-p", "8080:80", "--author=me", "nginx"],
            &[
                "cc",
                "-I/usr/include/x86_64-linux-gnu/Qt5/QtWebEngineCore",
                "-O2",
                "-o",
                "build/Main2.o",
            ],
            &[
                "/nix/store/7rjj86a1146wxpsdh0rl5hk8czwqdgj3-python3-3.11.9/bin/python3",
                "-m",
                "http.server",
            ],
            &[
                "postgres",
                "-D",
                "/var/lib/postgresql/15/main",
                "--config-file=/etc/postgresql/postgresql.conf",
            ],
            &[
                "app",
                "--tls-key-file=/etc/x.pem",
                "--password-file",
                "/run/x",
                "--keymap=us",
            ],
            &[
                "java",
                "-cp",
                "com.example.VeryLongClassNameForTheBackgroundJobRunner",
                "-Xmx4g",
            ],
            &["wget", "http://host:8080/a@b", "https://user@host/x"],
            &[
                "app",
                "550e8400-e29b-41d4-a716-446655440000",
                "2026-11-23T14:54:00",
            ],
            &["sh", "-c", "it's \"fine"],
            &["naïve", "漢字 漢字"],
        ] {
            assert_eq!(redacted(arguments), arguments.join(" "));
        }
    }

    #[test]
    fn the_other_modes_give_everything_or_only_the_program() {
        let raw = b"/bin/app\0--password=x\0\0";
        assert_eq!(
            command_line(raw, false, ProcessArguments::Full),
            "/bin/app --password=x"
        );
        assert_eq!(command_line(raw, false, ProcessArguments::None), "/bin/app");
        assert_eq!(
            command_line(b"sshd: me [priv]\0\0\0", false, ProcessArguments::None),
            "sshd:"
        );
        assert_eq!(command_line(b"", true, ProcessArguments::Redacted), " …");
    }

    #[test]
    fn a_command_line_that_was_cut_ends_with_a_whole_argument() {
        let raw = b"app\0--x\0wJalrXUtnFEMI7MDENGb";
        assert_eq!(command_line(raw, true, ProcessArguments::Redacted), "app --x …");
        let long = vec![b'a'; 5_000];
        assert_eq!(
            command_line(&long, false, ProcessArguments::Full).chars().count(),
            LENGTH_MAX + 1
        );
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic_or_run_away(raw in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300),
            "(mysql |curl |-p|-u|--token|=|:|//|@|\"|'| |\0|é|pass|a|\\\\){0,60}".prop_map(String::into_bytes),
        ], cut in any::<bool>()) {
            let text = command_line(&raw, cut, ProcessArguments::Redacted);
            prop_assert!(text.len() <= LENGTH_MAX + 4);
        }

        #[test]
        fn a_value_after_a_secret_name_never_shows(
            name in "(--|-)?[a-z]{0,5}[_-]?(password|SECRET|token|ApiKey|auth)", value in "[a-z]{4}-[a-z]{4}", inside in any::<bool>(),
        ) {
            let value = format!("Q{value}");
            for pair in [format!("{name}={value}"), format!("{name}: {value}"), format!("x?{name}={value}&y")] {
                let text = if inside { redacted(&["sh", "-c", &format!("app {pair} x")]) } else { redacted(&["app", &pair]) };
                prop_assert!(!text.contains(&value), "{text}");
            }
            let option = format!("-{name}");
            let text = if inside { redacted(&["sh", "-c", &format!("app {option} {value}")]) } else { redacted(&["app", &option, &value]) };
            prop_assert!(!text.contains(&value), "{text}");
        }
    }
}
